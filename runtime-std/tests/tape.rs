//! What is on a tape, and what is not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use pieceful_core::disk::{DiskAction, DiskDone, Existing};
use pieceful_core::engine::{AddTorrent, Config, Event, Input, Output, Response, Segment};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use pieceful_std::tape::{RecordOptions, Recorded, Recorder, Tape};

const PEER: [u8; 4] = [11, 2, 3, 4];
const OTHER: [u8; 4] = [23, 45, 67, 89];
const OURS: [u8; 4] = [34, 56, 78, 90];

fn torrent() -> Metainfo {
    let new = NewTorrent {
        name: "data".into(),
        content: Content::File { length: 16_384, executable: false },
        piece_length: 16_384,
        pieces: [7; 20].to_vec().into(),
        trackers: vec![vec!["http://tracker.example/announce".into()]],
        ..NewTorrent::default()
    };
    Metainfo::parse(new.to_bytes().expect("it is valid")).expect("it is valid")
}

/// A peer the user named is dialled, and tells us our address; a tracker names another one. Returns whom the
/// driver was asked to dial, what it was told of, and what we said to the peer.
fn session(file: &Path, scrub: bool) -> (Vec<SocketAddr>, Vec<SocketAddr>, Vec<u8>) {
    let options = RecordOptions { file: file.to_owned(), payload: false, scrub };
    let now = Instant::from_micros(1);
    let recorder = Recorder::create(&options).expect("a file that can be made");
    let mut engine = Recorded::new(Config::default(), Seed([1; 32]), now, Some(recorder));
    let metainfo = Arc::new(torrent());
    let mut spec = AddTorrent::new(Arc::clone(&metainfo));
    spec.peers.push((PEER, 6881).into());
    let id = engine.add_torrent(now, Box::new(spec)).expect("there is room");
    let (mut dialled, mut told, mut said) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match engine.poll() {
            Output::Idle { wake: Some(wake) } if wake.at <= now => engine.handle_timeout(now),
            Output::Idle { .. } => break,
            Output::Disk { op, action, .. } => {
                let result = match action {
                    DiskAction::Open { .. } => DiskDone::Opened(vec![Existing::Absent]),
                    _ => DiskDone::Prepared,
                };
                engine.handle(now, Input::Disk { op, result: Ok(result) });
            }
            Output::Connect { conn, to } => {
                dialled.push(to);
                if to.ip() != std::net::IpAddr::from(PEER) {
                    continue;
                }
                engine.handle(now, Input::Connected { conn });
                let hash = metainfo.info.info_hash.on_the_wire();
                let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
                hello.extend([&hash[..], b"-XX0001-abcdefghijkl"].concat());
                let extension = [&b"\x14\0d6:yourip4:"[..], &OURS, b"e"].concat();
                hello.extend((extension.len() as u32).to_be_bytes());
                hello.extend(extension);
                engine.handle(now, Input::Received { conn, data: hello.into() });
            }
            Output::Fetch { fetch, .. } => {
                let body = [&b"d5:peers6:"[..], &OTHER, &[0x1a, 0xe1], b"e"].concat();
                let response = Response { status: 200, body: body.into(), from: [45, 67, 89, 12].into() };
                engine.handle(now, Input::Fetched { fetch, result: Ok(response) });
            }
            Output::Send { segment: Segment::Bytes(bytes), .. } => said.extend_from_slice(&bytes),
            Output::Event(Event::PeerConnected { peer, .. }) => told.push(peer),
            _ => {}
        }
    }
    told.extend(engine.peers(id).map(|peer| peer.address));
    (dialled, told, said)
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_scrubbed_tape_names_nobody_and_nobody_notices() {
    let folder = tempfile::tempdir().unwrap();
    for scrub in [false, true] {
        let file = folder.path().join(format!("{scrub}.tape"));
        let (dialled, told, said) = session(&file, scrub);
        assert_eq!(dialled, [(PEER, 6881).into(), (OTHER, 6881).into()], "the driver dials whom it should");
        assert_eq!(told, [(PEER, 6881).into(), (PEER, 6881).into()], "the user sees who it is");
        assert!(
            holds(&said, &[b"6:yourip4:".as_slice(), &PEER].concat()),
            "the peer is told its own address"
        );

        let tape = Bytes::from(std::fs::read(&file).unwrap());
        for address in [PEER, OTHER, OURS, [45, 67, 89, 12]] {
            assert_eq!(holds(&tape, &address), !scrub, "{address:?} with scrub: {scrub}");
        }
        let played = Tape::open(&file).unwrap().play(|_, _| {}).unwrap();
        assert!(played.calls > 5, "{played:?}");
    }
}
