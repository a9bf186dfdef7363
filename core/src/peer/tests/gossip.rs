//! What a peer says of others, and of what it lost.

use core::net::SocketAddr;

use super::*;
use crate::wire::extended::{DONT_HAVE_ID, HOLEPUNCH_ID, PEX_ID};
use crate::wire::holepunch::{HolepunchError, HolepunchKind, HolepunchMessage};
use crate::wire::pex::PexFlags;

/// A peer that understands all extensions, each under a number of its own.
fn talkative() -> Scene {
    let mut scene = Scene::fast();
    let ids = ExtensionIds { ut_pex: Some(21), ut_holepunch: Some(24), ..ExtensionIds::default() };
    extends(&mut scene, ids);
    scene.said();
    scene
}

/// Its extension handshake, with these numbers.
fn extends(scene: &mut Scene, ids: ExtensionIds) {
    let payload = ExtendedHandshake { ids, ..ExtendedHandshake::default() }.encode().into();
    scene.hears(&Message::Extended { id: 0, payload }).unwrap();
    scene.out.clear();
}

fn added(host: u8) -> PexMessage {
    let address = SocketAddr::from(([192, 0, 2, host], 6881));
    PexMessage { added: vec![(address, PexFlags::default())], dropped: vec![] }
}

fn names(scene: &mut Scene, message: &PexMessage) -> Result<(), CloseReason> {
    scene.hears(&Message::Extended { id: PEX_ID, payload: message.encode().into() })
}

fn heard(scene: &Scene) -> usize {
    scene.out.iter().filter(|action| matches!(action, Action::Exchanged(_))).count()
}

#[test]
fn peers_may_be_named_twice_a_minute_and_a_little_more_often_without_being_heeded() {
    let mut scene = talkative();
    for _ in 0..100 {
        names(&mut scene, &added(1)).unwrap();
        names(&mut scene, &added(2)).unwrap();
        scene.now += Duration::from_secs(60);
    }
    assert_eq!(heard(&scene), 200);
    for host in 0..5 {
        names(&mut scene, &added(host)).unwrap();
    }
    assert_eq!(heard(&scene), 202);
    assert_eq!(names(&mut scene, &added(6)), Err(CloseReason::PexFlood));
    assert!(CloseReason::PexFlood.is_misbehaviour());
}

#[test]
fn nobody_names_more_peers_at_once_than_any_client_would() {
    let mut scene = talkative();
    let long = |len| Message::Extended { id: PEX_ID, payload: vec![b'x'; len].into() };
    scene.hears(&long(64 * 1024)).unwrap();
    assert_eq!(scene.hears(&long(64 * 1024 + 1)), Err(CloseReason::PexFlood));
}

#[test]
fn others_are_named_only_to_those_who_listen() {
    let mut scene = talkative();
    assert!(scene.act(|peer, _| peer.exchange(&added(7))));
    assert_eq!(scene.said(), [Message::Extended { id: 21, payload: added(7).encode().into() }]);
    extends(&mut scene, ExtensionIds { ut_pex: Some(0), ..ExtensionIds::default() });
    assert!(!scene.act(|peer, _| peer.exchange(&added(8))));
    assert_eq!(scene.said(), []);
}

#[test]
fn a_peer_that_takes_nothing_is_told_nothing_more() {
    let mut scene = talkative();
    let told = (0..10_000).take_while(|_| scene.act(|peer, _| peer.exchange(&added(7)))).count();
    assert!((2..1_000).contains(&told), "{told}");
}

#[test]
fn a_later_handshake_changes_only_what_it_names() {
    let mut scene = talkative();
    extends(&mut scene, ExtensionIds { ut_holepunch: Some(0), ..ExtensionIds::default() });
    let ids = scene.peer.extension().unwrap().ids;
    assert_eq!((ids.ut_pex, ids.ut_holepunch), (Some(21), Some(0)));
}

#[test]
fn a_piece_that_is_gone_is_no_longer_there_to_be_asked_for() {
    let mut scene = talkative();
    scene.hears(&Message::HaveAll).unwrap();
    scene.hears(&Message::Unchoke).unwrap();
    scene.hears(&Message::AllowedFast(PieceIndex(3))).unwrap();
    scene.hears(&Message::Suggest(PieceIndex(3))).unwrap();
    let now = scene.now;
    for asked in [block(2, 0), block(3, 0), block(3, 1)] {
        scene.peer.request(asked, now);
    }
    scene.out.clear();
    let gone =
        |piece: u32| Message::Extended { id: DONT_HAVE_ID, payload: piece.to_be_bytes().to_vec().into() };
    scene.hears(&gone(3)).unwrap();
    let withdrawn = |action: &Action| match action {
        Action::Withdrawn(block) => Some(*block),
        _ => None,
    };
    assert!(matches!(scene.out[0], Action::DontHave(PieceIndex(3))), "{:?}", scene.out);
    assert_eq!(scene.out.iter().filter_map(withdrawn).collect::<Vec<_>>(), [block(3, 0), block(3, 1)]);
    assert_eq!(scene.peer.asked().collect::<Vec<_>>(), [&block(2, 0)]);
    assert_eq!(scene.peer.has().count(), 7);
    assert!(scene.peer.allowed().is_empty() && scene.peer.suggested().is_empty());

    scene.out.clear();
    scene.hears(&gone(3)).unwrap();
    scene.hears(&Message::Extended { id: DONT_HAVE_ID, payload: vec![0; 3].into() }).unwrap();
    assert!(scene.out.is_empty(), "it was gone already, or is not named: {:?}", scene.out);
    let beyond = CloseReason::NoSuchPiece { piece: PieceIndex(8), pieces: 8 };
    assert_eq!(scene.hears(&gone(8)), Err(beyond));
    let mut scene = talkative();
    scene.hears(&Message::HaveAll).unwrap();
    scene.hears(&gone(3)).unwrap();
    scene.out.clear();
    scene.hears(&Message::Have(PieceIndex(3))).unwrap();
    assert!(matches!(scene.out[..], [Action::Have(PieceIndex(3))]), "it may come back");
}

#[test]
fn an_introduction_is_refused_by_name_and_asked_for_only_so_often() {
    let mut scene = talkative();
    let peer = SocketAddr::from(([192, 0, 2, 9], 6881));
    let wish = HolepunchMessage { kind: HolepunchKind::Rendezvous, peer };
    let says =
        |message: &HolepunchMessage| Message::Extended { id: HOLEPUNCH_ID, payload: message.encode().into() };
    for _ in 0..1_000 {
        scene.hears(&says(&wish)).unwrap();
    }
    let asked =
        scene.out.drain(..).filter(|action| matches!(action, Action::Rendezvous(with) if *with == peer));
    assert_eq!(asked.count(), 10);
    scene.now += Duration::from_secs(60);
    for kind in [HolepunchKind::Connect, HolepunchKind::Error(HolepunchError::NoSelf)] {
        scene.hears(&says(&HolepunchMessage { kind, peer })).unwrap();
    }
    assert!(scene.out.is_empty(), "nothing to do");
    scene.hears(&says(&wish)).unwrap();
    assert_eq!(scene.out.len(), 1, "a minute later");
    scene.act(|it, _| it.refuse_rendezvous(peer, HolepunchError::NotConnected));
    let kind = HolepunchKind::Error(HolepunchError::NotConnected);
    let payload = HolepunchMessage { kind, peer }.encode().into();
    assert_eq!(scene.said(), [Message::Extended { id: 24, payload }]);
}
