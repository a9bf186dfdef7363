//! How many threads a session has. A test binary of its own, because it counts those of the whole process.

#![allow(clippy::unwrap_used)] // in a test's helpers too

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pieceful_core::engine::AddTorrent;
use pieceful_core::metainfo::{Metainfo, NewTorrent};
use pieceful_std::create::create;
use pieceful_std::{Options, Session};

#[test]
fn threads_go_with_their_connections_and_the_rest_with_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, [7; 40_000]).unwrap();
    let made = create(&file, NewTorrent::default(), 1, &|_| true).unwrap();
    let metainfo = Arc::new(Metainfo::parse(made.torrent).unwrap());
    let info_hash = metainfo.info.info_hash.on_the_wire();

    let before = threads();
    let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let session = Session::start(Options { listen, ..Options::default() }).unwrap();
    session.add(AddTorrent::new(metainfo), folder.path()).unwrap();
    let idle = threads();
    assert!(idle > before);

    for round in 0..20 {
        let peers: Vec<TcpStream> = (0..10)
            .map(|_| {
                let mut peer = TcpStream::connect(session.listening()[round % 2]).unwrap();
                let hash = if round % 3 == 0 { [0; 20] } else { info_hash };
                peer.write_all(&[&b"\x13BitTorrent protocol"[..], &[0; 8], &hash, &[1; 20]].concat())
                    .unwrap();
                peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let _ = peer.read(&mut [0; 68]); // taken or refused: it has been seen
                peer
            })
            .collect();
        drop(peers);
    }
    assert_eq!(settled(idle), idle, "two hundred connections have come and gone");
    session.stop().unwrap();
    assert_eq!(settled(before), before);
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// How many threads there are once it is `expected`, or when it ought to have become so.
fn settled(expected: usize) -> usize {
    let start = Instant::now();
    loop {
        let now = threads();
        if now == expected || start.elapsed() > Duration::from_secs(20) {
            return now;
        }
        std::thread::yield_now();
    }
}
