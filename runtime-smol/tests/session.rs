//! Whole sessions over loopback, the two drivers with each other.

#![allow(clippy::unwrap_used)] // in a test's helpers too

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use pieceful_core::engine::{AddTorrent, Event, TorrentState};
use pieceful_core::metainfo::{Metainfo, NewTorrent};
use pieceful_core::rng::{Rng, Seed};
use pieceful_smol::{AddError, Options, SessionEvent};
use pieceful_std::create::create;
use tempfile::TempDir;

/// Long enough for the slowest machine; nothing here waits for it to pass.
const SOON: Duration = Duration::from_secs(60);

fn loopback() -> Options {
    Options { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Options::default() }
}

/// A folder with files of odd lengths, and the torrent of it.
fn shared() -> (TempDir, Arc<Metainfo>) {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("data");
    fs::create_dir(&top).unwrap();
    let mut rng = Rng::new(Seed([3; 32]));
    for (name, len) in [("a", 0), ("b", 1), ("c", 3_000_000), ("d", 16_384), ("e", 700_001)] {
        let mut data = vec![0; len];
        rng.fill(&mut data);
        fs::write(top.join(name), data).unwrap();
    }
    let wishes = NewTorrent { piece_length: 65_536, ..NewTorrent::default() };
    let made = create(&top, wishes, 2, &|_| true).unwrap();
    (folder, Arc::new(Metainfo::parse(made.torrent).unwrap()))
}

fn same(one: &Path, other: &Path) -> bool {
    ["a", "b", "c", "d", "e"].iter().all(|name| {
        let read = |folder: &Path| fs::read(folder.join("data").join(name)).unwrap();
        read(one) == read(other)
    })
}

fn from(peer: SocketAddr, metainfo: &Arc<Metainfo>) -> AddTorrent {
    AddTorrent { peers: vec![peer], ..AddTorrent::new(Arc::clone(metainfo)) }
}

#[test]
fn what_the_threads_seed_the_single_thread_downloads() {
    let (seeded, metainfo) = shared();
    let seed = pieceful_std::Session::start(loopback()).unwrap();
    seed.add(AddTorrent::new(Arc::clone(&metainfo)), seeded.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    block_on(async {
        let session = pieceful_smol::Session::start(loopback()).unwrap();
        let mut events = session.events();
        let torrent = session.add(from(seed.listening()[0], &metainfo), target.path()).await.unwrap();
        let again = session.add(AddTorrent::new(Arc::clone(&metainfo)), target.path()).await;
        assert!(matches!(again, Err(AddError::Engine(_))), "{again:?}");
        loop {
            match events.next_timeout(SOON).await.unwrap() {
                SessionEvent::Event(Event::Finished { torrent: finished }) if finished == torrent => break,
                SessionEvent::Event(Event::Failed { error, .. }) => panic!("{error}"),
                _ => {}
            }
        }
        assert_eq!(session.status(torrent).await.unwrap().state, TorrentState::Seeding);
        assert_eq!(session.torrents().await, [torrent]);
        session.stop().await.unwrap();
        session.stop().await.unwrap();
        assert_eq!(session.status(torrent).await, None);
        let late = session.add(AddTorrent::new(Arc::clone(&metainfo)), target.path()).await;
        assert!(matches!(late, Err(AddError::Stopped)), "{late:?}");
    });
    assert!(same(seeded.path(), target.path()));
    seed.stop().unwrap();
}

#[test]
fn what_the_single_thread_seeds_the_threads_download() {
    let (seeded, metainfo) = shared();
    let seed = pieceful_smol::Session::start(loopback()).unwrap();
    block_on(seed.add(AddTorrent::new(Arc::clone(&metainfo)), seeded.path())).unwrap();
    let target = tempfile::tempdir().unwrap();
    let session = pieceful_std::Session::start(loopback()).unwrap();
    let mut events = session.events();
    session.add(from(seed.listening()[0], &metainfo), target.path()).unwrap();
    loop {
        match events.next_timeout(SOON).unwrap() {
            SessionEvent::Event(Event::Finished { .. }) => break,
            SessionEvent::Event(Event::Failed { error, .. }) => panic!("{error}"),
            _ => {}
        }
    }
    session.stop().unwrap();
    assert_eq!(events.by_ref().last(), Some(SessionEvent::Event(Event::Stopped)));
    assert!(same(seeded.path(), target.path()));
    block_on(seed.stop()).unwrap();
}

#[test]
fn a_tracker_that_never_answers_does_not_hold_up_the_end() {
    let (seeded, metainfo) = shared();
    let hung = TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections and says nothing
    let tracker = format!("http://{}/announce", hung.local_addr().unwrap());
    let spec = || AddTorrent { trackers: vec![tracker.clone()], ..AddTorrent::new(Arc::clone(&metainfo)) };

    let threads = pieceful_std::Session::start(loopback()).unwrap();
    threads.add(spec(), seeded.path()).unwrap();
    let single = pieceful_smol::Session::start(loopback()).unwrap();
    block_on(single.add(spec(), seeded.path())).unwrap();
    let asked = [hung.accept().unwrap(), hung.accept().unwrap()];
    let start = Instant::now();
    let _ = threads.stop(); // in good order or not: it ends
    let _ = block_on(single.stop());
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    drop(asked);
}

/// Answers two announces over UDP (BEP 15), with no peers, and ends.
fn udp_tracker(socket: &UdpSocket) {
    const CONNECTION: [u8; 8] = *b"whatever";
    let mut buffer = [0; 1024];
    let mut answered = 0;
    while answered < 2 {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        let (head, action, transaction) = (&buffer[..8], &buffer[8..12], &buffer[12..16]);
        if len == 16 {
            socket.send_to(&[action, transaction, &CONNECTION].concat(), from).unwrap();
        } else if head == CONNECTION {
            let interval_and_counts = [0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1];
            socket.send_to(&[action, transaction, &interval_and_counts].concat(), from).unwrap();
            answered += 1;
        }
    }
}

#[test]
fn a_udp_tracker_is_heard() {
    let (seeded, metainfo) = shared();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let trackers = vec![format!("udp://{}/announce", socket.local_addr().unwrap())];
    let spec = || AddTorrent { trackers: trackers.clone(), ..AddTorrent::new(Arc::clone(&metainfo)) };
    let answered = |event: Option<SessionEvent>| {
        matches!(event.unwrap(), SessionEvent::Event(Event::TrackerAnswered { .. }))
    };
    thread::scope(|scope| {
        scope.spawn(|| udp_tracker(&socket));

        let threads = pieceful_std::Session::start(loopback()).unwrap();
        let mut events = threads.events();
        threads.add(spec(), seeded.path()).unwrap();
        while !answered(events.next_timeout(SOON)) {}

        let single = pieceful_smol::Session::start(loopback()).unwrap();
        let mut events = single.events();
        block_on(async {
            single.add(spec(), seeded.path()).await.unwrap();
            while !answered(events.next_timeout(SOON).await) {}
        });
    });
}

#[test]
fn a_dropped_session_ends_by_itself() {
    let session = pieceful_smol::Session::start(loopback()).unwrap();
    let mut events = session.events();
    let address = session.listening()[0];
    drop(session);
    assert_eq!(block_on(events.next()), Some(SessionEvent::Event(Event::Stopped)));
    assert_eq!(block_on(events.next()), None);
    pieceful_std::Session::start(Options { listen: vec![address], ..Options::default() }).unwrap();
}
