//! Peers of a torrent of which only the info-hash is known.

use super::*;

/// We dialled somebody for a torrent of which we know nothing but the info-hash.
fn early() -> Scene {
    let hello = Hello { pieces: None, ..HELLO };
    let mut scene = Scene::new(Peer::dial(hello, Limits::default(), Instant::ZERO));
    scene.act(Peer::connected);
    let reserved = Reserved::NONE.with_fast().with_extended();
    let theirs = Handshake { reserved, info_hash: [7; 20], peer_id: PeerId([2; 20]) };
    scene.act(|peer, cx| peer.receive(Bytes::copy_from_slice(&theirs.encode()), cx)).unwrap();
    let (nothing, extension) = (Bitfield::new(0), ExtendedHandshake::default());
    scene.act(|peer, cx| peer.open(hello, &nothing, &extension, cx)).unwrap();
    scene.out.clear();
    scene
}

/// What such a peer says, and what comes of it once the number of pieces is known.
fn says_early(words: &[Message], pieces: u32) -> Result<Bitfield, CloseReason> {
    let mut scene = early();
    for message in words {
        let mut bytes = Vec::new();
        message.clone().encode(&mut bytes);
        scene.act(|peer, cx| peer.receive(bytes.into(), cx))?;
        let told = |action: &Action| matches!(action, Action::Has | Action::Have(_));
        assert!(!scene.peer.has_told() && !scene.out.iter().any(told), "nobody can tell yet");
    }
    scene.act(|peer, cx| peer.know_pieces(pieces, cx))?;
    assert_eq!(scene.out.iter().any(|action| matches!(action, Action::Has)), scene.peer.has_told());
    Ok(scene.peer.has().clone())
}

#[test]
fn what_a_peer_says_before_the_number_of_pieces_is_known_is_held_to_that_number() {
    let bits = |bytes: &'static [u8]| Message::Bitfield(Bytes::from_static(bytes));
    let have = |piece| Message::Have(PieceIndex(piece));
    let count = |words: &[Message], pieces| says_early(words, pieces).map(|has| has.count());
    assert_eq!(count(&[], 9), Ok(0));
    assert_eq!(count(&[Message::HaveAll], 9), Ok(9));
    assert_eq!(count(&[Message::HaveNone, have(3), have(8), have(8)], 9), Ok(2));
    assert_eq!(count(&[bits(&[0xc0, 0]), have(8), bits(&[0xc0, 0x80])], 9), Ok(3));
    let none = |piece, pieces| Err(CloseReason::NoSuchPiece { piece: PieceIndex(piece), pieces });
    assert_eq!(count(&[have(3), have(21)], 9), none(21, 9));
    assert_eq!(count(&[Message::Suggest(PieceIndex(9))], 9), none(9, 9));
    let most = crate::metainfo::PIECES_MAX;
    assert_eq!(count(&[have(most)], 9), none(most, most));
    let length = |got, want| Err(crate::bitfield::BitfieldError::Length { got, want }.into());
    assert_eq!(count(&[bits(&[0xff])], 9), length(1, 2));
    assert_eq!(count(&[bits(&[0xff]), bits(&[0xff, 0])], 9), length(2, 1));
    assert_eq!(count(&[bits(&[0xff, 0xc0])], 9), Err(crate::bitfield::BitfieldError::SpareBits.into()));
}

#[test]
fn a_block_asked_of_us_before_we_know_what_there_is_is_refused() {
    let mut scene = early();
    let block = Block { piece: PieceIndex(5), offset: 0, len: 16 };
    let mut bytes = Vec::new();
    Message::Request(block).encode(&mut bytes);
    scene.act(|peer, cx| peer.receive(bytes.into(), cx)).unwrap();
    assert!(matches!(scene.out[..], [Action::Requested(asked)] if asked == block));
    scene.peer.admit(block, false).unwrap();
    scene.out.clear();
    scene.said.handshake().unwrap().expect("we introduce ourselves");
    scene.act(|_, _| ());
    let mut said = core::iter::from_fn(|| scene.said.next().unwrap());
    assert!(said.any(|message| message == Message::Reject(block)));
}
