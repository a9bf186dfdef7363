//! What a peer notices of us, and we of it.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::id::PeerId;
use crate::rng::{Rng, Seed};
use crate::wire::extended::{ExtensionIds, METADATA_ID, UPLOAD_ONLY_ID};
use crate::wire::metadata::MetadataMessage;
use crate::wire::{Handshake, Reserved};

mod early;
mod gossip;

const HELLO: Hello = Hello { info_hash: [7; 20], peer_id: PeerId([1; 20]), pieces: Some(8), dht_port: None };

/// A peer with a clock, its owner's part played by the test.
struct Scene {
    peer: Peer,
    now: Instant,
    rng: Rng,
    out: Vec<Action>,
    said: Decoder,
    /// Bytes the driver holds.
    held: u32,
}

impl Scene {
    fn new(peer: Peer) -> Self {
        let said = Decoder::new(wire::DecoderLimits { bitfield_len: 1, ..wire::DecoderLimits::default() });
        Self { peer, now: Instant::ZERO, rng: Rng::new(Seed([0; 32])), out: Vec::new(), said, held: 0 }
    }

    /// We dialled, both introduced themselves, and we have `have`.
    fn open(reserved: Reserved, have: &Bitfield) -> Self {
        let mut scene = Self::new(Peer::dial(HELLO, Limits::default(), Instant::ZERO));
        scene.act(Peer::connected);
        let theirs = Handshake { reserved, info_hash: [7; 20], peer_id: PeerId([2; 20]) };
        scene.act(|peer, cx| peer.receive(Bytes::copy_from_slice(&theirs.encode()), cx)).unwrap();
        scene.act(|peer, cx| peer.open(HELLO, have, &ExtendedHandshake::default(), cx)).unwrap();
        scene.said.handshake().unwrap().expect("we introduce ourselves");
        scene.out.clear();
        scene
    }

    fn fast() -> Self {
        Self::open(Reserved::NONE.with_fast(), &Bitfield::full(8))
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Peer, &mut Cx<'_, Action>) -> R) -> R {
        let mut cx = Cx { now: self.now, rng: &mut self.rng, out: &mut self.out };
        let result = act(&mut self.peer, &mut cx);
        self.peer.flush(&mut cx);
        for action in &self.out {
            if let Action::Send(segment) = action {
                self.held += segment.len();
                if let Segment::Bytes(bytes) = segment {
                    self.said.push(bytes.clone());
                }
            }
        }
        self.out.retain(|action| !matches!(action, Action::Send(_)));
        result
    }

    fn hears(&mut self, message: &Message) -> Result<(), CloseReason> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.act(|peer, cx| peer.receive(bytes.into(), cx))
    }

    /// The system takes all that the driver holds.
    fn sends_all(&mut self) {
        assert!(self.peer.sent(core::mem::take(&mut self.held), self.now));
    }

    /// The messages we have sent since last asked.
    fn said(&mut self) -> Vec<Message> {
        core::iter::from_fn(|| self.said.next().unwrap()).collect()
    }
}

fn block(piece: u32, number: u32) -> Block {
    Block { piece: PieceIndex(piece), offset: number * BLOCK_LEN, len: BLOCK_LEN }
}

fn bits(pieces: &[u32]) -> Bitfield {
    let mut bits = Bitfield::new(8);
    for &piece in pieces {
        bits.set(PieceIndex(piece));
    }
    bits
}

#[test]
fn what_we_have_is_said_first_and_in_the_shortest_form_the_peer_understands() {
    let first = |reserved, have: &Bitfield| Scene::open(reserved, have).said().into_iter().next();
    let fast = Reserved::NONE.with_fast();
    assert_eq!(first(fast, &Bitfield::full(8)), Some(Message::HaveAll));
    assert_eq!(first(fast, &Bitfield::new(8)), Some(Message::HaveNone));
    assert_eq!(first(Reserved::NONE, &Bitfield::new(8)), None, "an empty bitfield need not be sent");
    let want = Message::Bitfield(Bytes::from_static(&[0b1010_0000]));
    assert_eq!(first(Reserved::NONE, &bits(&[0, 2])), Some(want));
}

#[test]
fn an_incoming_peer_that_sends_everything_at_once_is_heard_after_it_was_taken_in() {
    let mut scene = Scene::new(Peer::answer(Limits::default(), Instant::ZERO));
    let theirs = Handshake { reserved: Reserved::NONE, info_hash: [7; 20], peer_id: PeerId([2; 20]) };
    let mut bytes = theirs.encode().to_vec();
    Message::Bitfield(Bytes::from_static(&[0xff])).encode(&mut bytes);
    Message::Unchoke.encode(&mut bytes);
    scene.act(|peer, cx| peer.receive(bytes.into(), cx)).unwrap();
    assert!(matches!(&scene.out[..], [Action::Greeted(_)]), "{:?}", scene.out);
    assert!(scene.said.handshake().unwrap().is_none(), "we do not answer before the owner says so");
    scene.act(|peer, cx| peer.open(HELLO, &bits(&[]), &ExtendedHandshake::default(), cx)).unwrap();
    assert!(scene.said.handshake().unwrap().is_some());
    assert!(matches!(&scene.out[1..], [Action::Has, Action::Unchoked]), "{:?}", scene.out);
    assert!(scene.peer.has().is_full());
}

#[test]
fn a_greeting_that_takes_too_long_in_all_ends_however_often_a_byte_comes() {
    let mut scene = Scene::new(Peer::answer(Limits::default(), Instant::ZERO));
    for byte in b"\x13BitTorrent protocol".chunks(1) {
        scene.act(|peer, cx| peer.receive(Bytes::copy_from_slice(byte), cx)).unwrap();
        scene.now += Duration::from_millis(499);
        scene.act(Peer::tick).unwrap();
    }
    scene.now += Duration::from_millis(500);
    assert_eq!(scene.act(Peer::tick), Err(CloseReason::GreetingTimedOut));
}

#[test]
fn another_torrents_handshake_ends_it() {
    let mut scene = Scene::new(Peer::dial(HELLO, Limits::default(), Instant::ZERO));
    let theirs = Handshake { reserved: Reserved::NONE, info_hash: [8; 20], peer_id: PeerId([2; 20]) };
    let result = scene.act(|peer, cx| peer.receive(Bytes::copy_from_slice(&theirs.encode()), cx));
    assert_eq!(result, Err(CloseReason::WrongTorrent));
}

#[test]
fn a_choke_takes_all_requests_back_unless_each_is_refused_by_name() {
    for (reserved, withdrawn) in [(Reserved::NONE, 2), (Reserved::NONE.with_fast(), 0)] {
        let mut scene = Scene::open(reserved, &bits(&[]));
        scene.hears(&Message::Unchoke).unwrap();
        let now = scene.now;
        scene.peer.request(block(0, 0), now);
        scene.peer.request(block(0, 1), now);
        scene.out.clear();
        scene.hears(&Message::Choke).unwrap();
        let count = scene.out.iter().filter(|action| matches!(action, Action::Withdrawn(_))).count();
        assert_eq!(count, withdrawn);
        assert_eq!(scene.peer.asked().len(), 2 - withdrawn);
    }
}

#[test]
fn a_block_nobody_asked_for_is_dropped_and_too_many_end_it() {
    let mut scene = Scene::fast();
    let unasked =
        Message::Piece { block: block(1, 0), data: Bytes::from(vec![0; BLOCK_LEN as usize]).into() };
    scene.hears(&unasked).unwrap();
    assert!(matches!(scene.out[..], [Action::Wasted(BLOCK_LEN)]), "{:?}", scene.out);
    let end = (0..1_000).find_map(|_| scene.hears(&unasked).err());
    assert_eq!(end, Some(CloseReason::NotAsked(block(1, 0))));
    assert!(scene.peer.totals().unasked < 3 << 20);
}

#[test]
fn a_block_of_another_length_than_asked_is_not_the_one_asked_for() {
    let mut scene = Scene::fast();
    let now = scene.now;
    scene.peer.request(block(1, 0), now);
    let longer = Block { len: 2 * BLOCK_LEN, ..block(1, 0) };
    let data = Bytes::from(vec![0; longer.len as usize]).into();
    scene.hears(&Message::Piece { block: longer, data }).unwrap();
    assert!(matches!(scene.out[..], [Action::Wasted(_)]), "{:?}", scene.out);
    assert_eq!(scene.peer.asked().len(), 1);
}

#[test]
fn what_does_not_fit_the_torrent_is_named() {
    let hears = |message: &Message| Scene::fast().hears(message).unwrap_err();
    let outside = CloseReason::NoSuchPiece { piece: PieceIndex(8), pieces: 8 };
    assert_eq!(hears(&Message::Have(PieceIndex(8))), outside);
    assert_eq!(hears(&Message::Request(block(8, 0))), outside);
    assert!(matches!(hears(&Message::Bitfield(Bytes::from_static(&[1, 2]))), CloseReason::Wire(_)));
    let mut scene = Scene::open(Reserved::NONE, &bits(&[]));
    assert_eq!(scene.hears(&Message::HaveAll), Err(CloseReason::FastNotAgreed));
}

#[test]
fn a_later_bitfield_tells_of_new_pieces_as_have_does_and_takes_none_back() {
    let mut scene = Scene::fast();
    scene.hears(&Message::Bitfield(bits(&[0, 1]).to_wire().into())).unwrap();
    scene.hears(&Message::Bitfield(bits(&[1, 4, 5]).to_wire().into())).unwrap();
    assert!(
        matches!(scene.out[..], [Action::Has, Action::Have(PieceIndex(4)), Action::Have(PieceIndex(5))]),
        "{:?}",
        scene.out
    );
    assert_eq!(*scene.peer.has(), bits(&[0, 1, 4, 5]));
}

#[test]
fn all_at_once_after_have_tells_of_each_piece_once() {
    let mut scene = Scene::fast();
    for message in [Message::Have(PieceIndex(3)), Message::HaveAll, Message::HaveAll, Message::HaveNone] {
        scene.hears(&message).unwrap();
    }
    assert!(scene.peer.has().is_full());
    assert_eq!(scene.out.len(), 8, "{:?}", scene.out);
    assert!(scene.out.iter().all(|action| matches!(action, Action::Have(_))), "{:?}", scene.out);
}

#[test]
fn requests_are_served_in_order_and_cancelled_or_choked_ones_are_refused() {
    let mut scene = Scene::fast();
    scene.act(|peer, _| peer.unchoke());
    for number in 0..4 {
        scene.hears(&Message::Request(block(0, number))).unwrap();
        scene.act(|peer, _| peer.admit(block(0, number), true)).unwrap();
    }
    scene.act(|peer, _| peer.forgo(block(0, 1)));
    assert_eq!(scene.peer.begin_read(), Some(block(0, 0)));
    let data = Bytes::from(vec![5; BLOCK_LEN as usize]);
    scene.act(|peer, cx| peer.end_read(block(0, 0), Some(data.clone()), cx));
    scene.act(|peer, _| peer.choke());
    let said: Vec<Message> = scene.said().split_off(1);
    assert_eq!(
        said,
        [
            Message::Unchoke,
            Message::Reject(block(0, 1)),
            Message::Piece { block: block(0, 0), data: data.into() },
            Message::Choke,
            Message::Reject(block(0, 2)),
            Message::Reject(block(0, 3)),
        ]
    );
}

#[test]
fn a_request_taken_back_in_the_same_breath_is_taken_back() {
    let mut scene = Scene::fast();
    scene.act(|peer, _| peer.unchoke());
    let mut bytes = Vec::new();
    for message in [Message::Request(block(0, 1)), Message::Cancel(block(0, 1))] {
        message.encode(&mut bytes);
    }
    scene.act(|peer, cx| peer.receive(bytes.into(), cx)).unwrap();
    let [Action::Requested(asked), Action::Cancelled(taken_back)] = scene.out[..] else {
        panic!("{:?}", scene.out)
    };
    scene.act(|peer, _| peer.admit(asked, true)).unwrap();
    scene.act(|peer, _| peer.forgo(taken_back));
    assert_eq!(scene.peer.next_to_serve(), None);
    assert_eq!(scene.said().last(), Some(&Message::Reject(block(0, 1))));
}

#[test]
fn after_a_choke_nothing_comes_unless_each_request_has_an_answer_of_its_own() {
    for fast in [false, true] {
        let mut scene =
            Scene::open(if fast { Reserved::NONE.with_fast() } else { Reserved::NONE }, &Bitfield::full(8));
        scene.act(|peer, _| peer.unchoke());
        scene.act(|peer, _| peer.admit(block(0, 0), true)).unwrap();
        assert_eq!(scene.peer.begin_read(), Some(block(0, 0)));
        scene.act(|peer, _| peer.choke());
        scene.said();
        let data = Bytes::from(vec![5; BLOCK_LEN as usize]);
        scene.act(|peer, cx| peer.end_read(block(0, 0), Some(data.clone()), cx));
        let served = scene.said().iter().any(|message| matches!(message, Message::Piece { .. }));
        assert_eq!(served, fast);
    }
}

#[test]
fn a_choked_newcomer_gets_what_it_is_allowed_each_byte_once() {
    let mut scene = Scene::fast();
    scene.said();
    scene.act(|peer, _| peer.allow(&[PieceIndex(3)], 2 * u64::from(BLOCK_LEN)));
    for number in [0, 1, 0] {
        scene.act(|peer, _| peer.admit(block(3, number), true)).unwrap();
        while let Some(block) = scene.peer.begin_read() {
            let data = Bytes::from(vec![0; BLOCK_LEN as usize]);
            scene.act(|peer, cx| peer.end_read(block, Some(data), cx));
        }
    }
    scene.act(|peer, _| peer.admit(block(4, 0), true)).unwrap();
    let said = scene.said();
    assert_eq!(said[0], Message::AllowedFast(PieceIndex(3)));
    assert!(matches!(said[1..3], [Message::Piece { .. }, Message::Piece { .. }]), "{said:?}");
    assert_eq!(said[3..], [Message::Reject(block(3, 0)), Message::Reject(block(4, 0))]);
}

#[test]
fn a_slow_connection_is_given_no_more_than_its_credit() {
    let mut scene = Scene::fast();
    scene.act(|peer, _| peer.unchoke());
    for number in 0..100 {
        scene.act(|peer, _| peer.admit(block(number / 4, number % 4), true)).unwrap();
    }
    let mut served = 0;
    let mut serve = |scene: &mut Scene| {
        let before = served;
        while scene.peer.next_to_serve().is_some() {
            scene.act(Peer::serve_directly);
            served += BLOCK_LEN;
        }
        served - before
    };
    assert_eq!(serve(&mut scene), BLOCK_LEN, "nothing is known of the connection");
    let mut held = BLOCK_LEN;
    while held < 256 << 10 {
        scene.peer.sent(held, scene.now);
        held = serve(&mut scene);
        assert!(held > 0, "it takes all at once");
    }
    assert!(held < 300 << 10, "{held}");
}

#[test]
fn silence_ends_it_but_not_while_we_do_not_read() {
    let mut scene = Scene::fast();
    scene.peer.set_reading(false, scene.now);
    scene.now += Duration::from_secs(3_600);
    scene.act(Peer::tick).unwrap();
    let now = scene.now;
    scene.peer.set_reading(true, now);
    scene.act(Peer::tick).unwrap();
    scene.now += SILENCE_MAX;
    assert_eq!(scene.act(Peer::tick), Err(CloseReason::Silent));
}

#[test]
fn an_idle_connection_is_kept_alive() {
    let mut scene = Scene::fast();
    scene.said();
    for _ in 0..10 {
        scene.now = scene.peer.deadline(scene.now);
        scene.hears(&Message::KeepAlive).unwrap();
        scene.act(Peer::tick).unwrap();
    }
    let said = scene.said();
    assert!(!said.is_empty() && said.iter().all(|message| *message == Message::KeepAlive), "{said:?}");
    assert!(scene.now >= Instant::ZERO + 10 * KEEP_ALIVE, "and no more often than needed: {:?}", scene.now);
}

#[test]
fn one_that_wants_no_more_says_so_at_any_time() {
    let mut scene = Scene::open(Reserved::NONE.with_extended(), &Bitfield::full(8));
    let told = |flag: u8| Message::Extended { id: UPLOAD_ONLY_ID, payload: vec![flag].into() };
    // Before its handshake the message has no meaning.
    scene.hears(&told(1)).unwrap();
    assert!(scene.peer.extension().is_none());
    let handshake = ExtendedHandshake::default().encode();
    scene.hears(&Message::Extended { id: 0, payload: handshake.into() }).unwrap();
    for (flag, upload_only) in [(1, true), (0, false)] {
        scene.hears(&told(flag)).unwrap();
        assert_eq!(scene.peer.is_upload_only(), upload_only);
    }
}

#[test]
fn the_latest_suggestions_are_kept_and_each_once() {
    let hello = Hello { pieces: Some(100), ..HELLO };
    let mut scene = Scene::new(Peer::dial(hello, Limits::default(), Instant::ZERO));
    scene.act(Peer::connected);
    let theirs =
        Handshake { reserved: Reserved::NONE.with_fast(), info_hash: [7; 20], peer_id: PeerId([2; 20]) };
    scene.act(|peer, cx| peer.receive(Bytes::copy_from_slice(&theirs.encode()), cx)).unwrap();
    scene.act(|peer, cx| peer.open(hello, &Bitfield::new(100), &ExtendedHandshake::default(), cx)).unwrap();
    for piece in (0..100).map(PieceIndex) {
        scene.hears(&Message::Suggest(piece)).unwrap();
        scene.hears(&Message::Suggest(piece)).unwrap();
    }
    let latest: Vec<_> = (100 - HINTS_MAX as u32..100).map(PieceIndex).collect();
    assert_eq!(scene.peer.suggested(), latest);
}

#[test]
fn a_suggestion_takes_the_fast_extension_and_a_piece_that_there_is() {
    let mut scene = Scene::open(Reserved::NONE, &Bitfield::new(8));
    assert_eq!(scene.hears(&Message::Suggest(PieceIndex(1))), Err(CloseReason::FastNotAgreed));
    let beyond = CloseReason::NoSuchPiece { piece: PieceIndex(8), pieces: 8 };
    assert_eq!(Scene::fast().hears(&Message::Suggest(PieceIndex(8))), Err(beyond));
}

#[test]
fn nobody_is_told_of_a_piece_it_has() {
    let mut scene = Scene::open(Reserved::NONE.with_fast(), &Bitfield::new(8));
    scene.hears(&Message::Bitfield(Bytes::from_static(&[0b1100_0000]))).unwrap();
    scene.said();
    for piece in [0, 1, 2] {
        scene.act(|peer, _| peer.announce(PieceIndex(piece)));
    }
    assert_eq!(scene.said(), [Message::Have(PieceIndex(2))]);
}

#[test]
fn who_owes_us_blocks_and_falls_silent_is_gone_much_earlier_than_who_has_nothing_to_say() {
    let silence = |asked: bool| {
        let mut scene = Scene::fast();
        scene.hears(&Message::HaveAll).unwrap();
        scene.hears(&Message::Unchoke).unwrap();
        loop {
            if asked && scene.peer.asked().len() == 0 {
                let now = scene.now;
                scene.peer.request(block(1, 0), now);
            }
            scene.now = scene.peer.deadline(scene.now);
            if let Err(reason) = scene.act(Peer::tick) {
                assert_eq!(reason, CloseReason::Silent);
                return scene.now.since(Instant::ZERO);
            }
        }
    };
    assert_eq!(silence(true), Duration::from_secs(40));
    assert_eq!(silence(false), SILENCE_MAX);
}

#[test]
fn who_owes_us_blocks_but_still_says_something_is_kept() {
    let mut scene = Scene::fast();
    scene.hears(&Message::HaveAll).unwrap();
    scene.hears(&Message::Unchoke).unwrap();
    for _ in 0..60 {
        if scene.peer.asked().len() == 0 {
            let now = scene.now;
            scene.peer.request(block(1, 0), now);
        }
        scene.now += Duration::from_secs(20);
        assert_eq!(scene.act(Peer::tick), Ok(()));
        scene.hears(&Message::KeepAlive).unwrap();
    }
    assert!(scene.peer.is_snubbed());
}

/// A peer that understands `ut_metadata` as its extension 9, and somebody's metadata of 40,000 bytes.
fn asks_for_metadata() -> (Scene, Bytes) {
    let mut scene = Scene::fast();
    let ids = ExtensionIds { ut_metadata: Some(9), ..ExtensionIds::default() };
    let payload = ExtendedHandshake { ids, ..ExtendedHandshake::default() }.encode().into();
    scene.hears(&Message::Extended { id: 0, payload }).unwrap();
    scene.out.clear();
    scene.said();
    (scene, (0..40_000_u32).map(|n| n as u8).collect())
}

/// It asks for a piece of the metadata; what we answer.
fn metadata(
    scene: &mut Scene,
    piece: u32,
    info: &Bytes,
) -> Result<Vec<Option<MetadataMessage>>, CloseReason> {
    let payload = MetadataMessage::Request { piece }.encode().into();
    scene.hears(&Message::Extended { id: METADATA_ID, payload })?;
    for action in core::mem::take(&mut scene.out) {
        let Action::MetadataRequested(piece) = action else {
            panic!("{action:?} after a request for metadata")
        };
        scene.act(|peer, cx| peer.admit_metadata(piece, info, cx))?;
    }
    let heard = |message| match message {
        Message::Extended { id: 9, payload } => MetadataMessage::parse(&payload),
        other => panic!("{other:?} in place of metadata"),
    };
    Ok(scene.said().into_iter().map(heard).collect())
}

#[test]
fn metadata_is_given_piece_by_piece_and_what_is_beyond_it_is_refused() {
    let (mut scene, info) = asks_for_metadata();
    for piece in [1, 0, 2] {
        scene.sends_all();
        let start = piece as usize * 16_384;
        let data = info.slice(start..40_000.min(start + 16_384));
        let want = MetadataMessage::Data { piece, total: 40_000, data };
        assert_eq!(metadata(&mut scene, piece, &info), Ok(vec![Some(want)]));
    }
    for piece in [3, u32::MAX] {
        assert_eq!(metadata(&mut scene, piece, &info), Ok(vec![Some(MetadataMessage::Reject { piece })]));
    }
}

#[test]
fn metadata_waits_until_the_connection_has_room_and_is_not_given_without_end() {
    let (mut scene, info) = asks_for_metadata();
    assert_eq!(metadata(&mut scene, 0, &info).unwrap().len(), 1);
    assert_eq!(metadata(&mut scene, 1, &info), Ok(vec![]), "nothing has left yet");
    assert_eq!(metadata(&mut scene, 1, &info), Ok(vec![]), "nor is anything answered twice");
    assert!(scene.peer.waits_for_metadata());
    scene.sends_all();
    scene.act(|peer, cx| peer.serve_metadata(&info, cx));
    assert_eq!(scene.said().len(), 1);

    let (mut given, mut refused) = (2, 0);
    let end = loop {
        scene.sends_all();
        match metadata(&mut scene, 0, &info).map(|said| said.into_iter().flatten().next()) {
            Ok(Some(MetadataMessage::Data { .. })) => given += 1,
            Ok(Some(MetadataMessage::Reject { .. })) => refused += 1,
            Ok(other) => panic!("{other:?}"),
            Err(reason) => break reason,
        }
    };
    assert_eq!((given, refused, end), (8, 100, CloseReason::MetadataFlood));
}
