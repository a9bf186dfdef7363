//! The peer protocol's codec: encoding has an inverse, and cuts have no meaning.

use bytes::Bytes;
use pieceful_core::id::{Block, PeerId, PieceIndex};
use pieceful_core::wire::{Decoder, DecoderLimits, Handshake, Message, Reserved, WireError, encode};
use proptest::prelude::*;
use proptest::sample::Index;

fn piece() -> impl Strategy<Value = PieceIndex> {
    any::<u32>().prop_map(PieceIndex)
}

fn block() -> impl Strategy<Value = Block> {
    (piece(), any::<u32>(), any::<u32>()).prop_map(|(piece, offset, len)| Block { piece, offset, len })
}

fn payload(most: usize) -> impl Strategy<Value = Bytes> {
    (any::<u8>(), 0..most).prop_map(|(fill, len)| (0..len).map(|at| fill.wrapping_add(at as u8)).collect())
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        piece().prop_map(Message::Have),
        piece().prop_map(Message::Suggest),
        piece().prop_map(Message::AllowedFast),
        block().prop_map(Message::Request),
        block().prop_map(Message::Cancel),
        block().prop_map(Message::Reject),
        any::<u16>().prop_map(Message::Port),
        payload(300).prop_map(Message::Bitfield),
        (piece(), any::<u32>(), payload(20_000)).prop_map(|(piece, offset, data)| {
            Message::Piece { block: Block { piece, offset, len: data.len() as u32 }, data: data.into() }
        }),
        (any::<u8>(), payload(5_000)).prop_map(|(id, payload)| Message::Extended { id, payload }),
        (21_u8..).prop_map(|id| Message::Unknown { id }),
    ]
}

fn encoded(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.encode(&mut bytes);
    }
    bytes
}

/// What a decoder makes of `segments`, drained after each.
fn decoded<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Result<(), WireError>) {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut messages = Vec::new();
    for segment in segments {
        decoder.push(Bytes::copy_from_slice(segment));
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(()))
}

/// `bytes` cut at each of `cuts`.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut from, end)..end]).collect()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(messages in prop::collection::vec(message(), 0..12)) {
        prop_assert_eq!(decoded([&encoded(&messages)[..]]), (messages, Ok(())));
    }

    #[test]
    fn any_cut_of_a_stream_gives_the_same_messages(
        messages in prop::collection::vec(message(), 0..8),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let bytes = encoded(&messages);
        prop_assert_eq!(decoded(cut(&bytes, &cuts)), (messages.clone(), Ok(())));
        prop_assert_eq!(decoded(bytes.chunks(1)), (messages, Ok(())), "a byte at a time");
    }

    #[test]
    fn any_cut_of_any_bytes_gives_the_same_messages_and_the_same_error(
        messages in prop::collection::vec(message(), 0..4),
        noise in prop::collection::vec(prop_oneof![Just(0), 0_u8..24, any::<u8>()], 0..40),
        cuts in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let mut bytes = encoded(&messages);
        bytes.extend(noise);
        let whole = decoded([&bytes[..]]);
        prop_assert_eq!(&decoded(cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(decoded(bytes.chunks(1)), whole, "a byte at a time");
    }

    #[test]
    fn a_header_and_its_data_are_a_piece_message(piece in piece(), offset: u32, data in payload(100)) {
        let block = Block { piece, offset, len: data.len() as u32 };
        let mut bytes = Vec::new();
        encode::piece_header(block, &mut bytes);
        bytes.extend_from_slice(&data);
        prop_assert_eq!(decoded([&bytes[..]]), (vec![Message::Piece { block, data: data.into() }], Ok(())));
    }

    #[test]
    fn a_handshake_is_read_from_any_cut_and_what_follows_is_kept(
        reserved: [u8; 8],
        info_hash: [u8; 20],
        peer_id: [u8; 20],
        cuts in prop::collection::vec(any::<Index>(), 0..5),
    ) {
        let handshake = Handshake { reserved: Reserved(reserved), info_hash, peer_id: PeerId(peer_id) };
        let mut bytes = handshake.encode().to_vec();
        Message::Port(6881).encode(&mut bytes);
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut greeted = None;
        for segment in cut(&bytes, &cuts) {
            decoder.push(Bytes::copy_from_slice(segment));
            if greeted.is_none() {
                greeted = decoder.handshake().unwrap();
            }
        }
        prop_assert_eq!(greeted, Some(handshake));
        prop_assert_eq!(decoder.next(), Ok(Some(Message::Port(6881))));
    }

    #[test]
    fn a_handshake_that_differs_in_its_first_20_bytes_is_refused_right_there(at in 0_usize..20, flip in 1_u8..) {
        let handshake = Handshake { reserved: Reserved::NONE, info_hash: [0; 20], peer_id: PeerId([0; 20]) };
        let mut bytes = handshake.encode();
        bytes[at] ^= flip;
        let mut decoder = Decoder::new(DecoderLimits::default());
        decoder.push(Bytes::copy_from_slice(&bytes[..at]));
        prop_assert_eq!(decoder.handshake(), Ok(None));
        decoder.push(Bytes::copy_from_slice(&bytes[at..=at]));
        prop_assert_eq!(decoder.handshake(), Err(WireError::ProtocolString));
    }
}
