//! What peers and torrents take while nothing happens.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::{DiskAction, DiskDone, Existing};
use pieceful_core::engine::{
    AddTorrent, Config, Engine, Event, FetchError, Input, Limits, Output, Response, Segment, StreamEnd,
    TorrentState,
};
use pieceful_core::id::{ConnId, Digest, TorrentId};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;

use super::LIVE;

/// Pieces of the torrents here: 4 GiB in pieces of 2 MiB.
const PIECES: u32 = 2_000;
const PIECE_LEN: u32 = 2 << 20;
const HASH: [u8; 20] = [0xaa; 20];

/// Whether the disk holds the torrents.
#[derive(Clone, Copy, PartialEq)]
enum Disk {
    Full,
    Empty,
}

/// An engine between a disk and trackers that answer at once, and peers that say what they are told to.
struct Host {
    engine: Engine,
    now: Instant,
    disk: Disk,
    inputs: VecDeque<Input>,
    wakes: u64,
    sent: u64,
}

impl Host {
    fn new(disk: Disk) -> Self {
        let limits = Limits { torrent_connections_max: 500, ..Limits::default() };
        let config = Config { limits, ..Config::default() };
        let now = Instant::ZERO;
        let engine = Engine::new(config, Seed([3; 32]), now);
        Self { engine, now, disk, inputs: VecDeque::new(), wakes: 0, sent: 0 }
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.engine.handle(self.now, input);
            }
            match self.engine.poll() {
                Output::Idle { wake } if self.inputs.is_empty() => return wake.map(|wake| wake.at),
                output => self.perform(output),
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { conn, segment } => {
                let bytes = segment.len();
                self.sent += u64::from(bytes);
                assert!(matches!(segment, Segment::Bytes(_)));
                self.inputs.push_back(Input::Sent { conn, bytes });
            }
            Output::Connect { conn, .. } | Output::Close { conn, .. } => {
                let end = StreamEnd::Failed;
                self.inputs.push_back(Input::Closed { conn, end });
            }
            Output::Disk { op, action, .. } => {
                let done = match action {
                    DiskAction::Open { layout } => DiskDone::Opened(
                        (layout.files().iter())
                            .map(|file| match self.disk {
                                Disk::Full => Existing::Present { len: file.len, has_data: true, stamp: 1 },
                                Disk::Empty => Existing::Absent,
                            })
                            .collect(),
                    ),
                    DiskAction::Hash { .. } => DiskDone::Hashed(Digest::Sha1(HASH)),
                    DiskAction::Read { block } => DiskDone::Read(Bytes::from(vec![0; block.len as usize])),
                    DiskAction::Close => DiskDone::Closed,
                    DiskAction::Prepare { .. } => DiskDone::Prepared,
                    DiskAction::Sync => DiskDone::Synced(Vec::new()),
                    other => panic!("nobody has sent anything: {other:?}"),
                };
                self.inputs.push_back(Input::Disk { op, result: Ok(done) });
            }
            Output::Fetch { fetch, request } => {
                let result = if request.url.contains("dead") {
                    Err(FetchError::TimedOut)
                } else {
                    let peers: Vec<u8> = (0..20).flat_map(|n| [80, 1, 2, n, 0x1a, 0xe1]).collect();
                    let body = [&b"d8:intervali1800e5:peers120:"[..], &peers, b"e"].concat();
                    let from = "80.9.9.9".parse().expect("an address");
                    Ok(Response { status: 200, body: body.into(), from })
                };
                self.inputs.push_back(Input::Fetched { fetch, result });
            }
            Output::Event(Event::Failed { error, .. }) => panic!("{error}"),
            _ => {}
        }
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.drain()
            && at <= until
        {
            self.now = self.now.max(at);
            self.wakes += 1;
            self.engine.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn add(&mut self, torrent: &Arc<Metainfo>) -> TorrentId {
        let id = self.engine.add_torrent(self.now, AddTorrent::new(Arc::clone(torrent))).expect("room");
        self.drain();
        id
    }

    /// A peer connects and says `words` after its handshake.
    fn peer(&mut self, number: u32, info_hash: [u8; 20], words: &[u8]) -> ConnId {
        let [_, high, low, last] = number.to_be_bytes();
        let from = SocketAddr::from(([90, high, low, last], 5000));
        let conn = self.engine.accept(self.now, from).expect("room");
        let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
        hello.extend(info_hash);
        hello.extend(b"-XX0000-");
        hello.extend(format!("{number:012}").into_bytes());
        hello.extend(words);
        self.hear(conn, &hello);
        conn
    }

    fn hear(&mut self, conn: ConnId, words: &[u8]) {
        self.engine.handle(self.now, Input::Received { conn, data: Bytes::copy_from_slice(words) });
        self.drain();
    }
}

fn torrent(number: u32) -> Arc<Metainfo> {
    let torrent = NewTorrent {
        name: format!("a torrent with a name of usual length {number}"),
        content: Content::File { length: u64::from(PIECE_LEN) * u64::from(PIECES), executable: false },
        piece_length: PIECE_LEN,
        pieces: HASH.repeat(PIECES as usize).into(),
        trackers: vec![
            vec!["http://tracker.example.org:6969/announce".into()],
            vec!["http://dead.example.com/announce?passkey=0123456789abcdef".into()],
        ],
        ..NewTorrent::default()
    };
    Arc::new(Metainfo::parse(torrent.to_bytes().expect("it is valid")).expect("it is valid"))
}

fn live() -> isize {
    LIVE.get()
}

/// What each of `count` torrents takes.
fn bytes_a_torrent(disk: Disk, count: u32, then: impl Fn(&mut Host, TorrentId)) -> isize {
    let torrents: Vec<_> = (0..count).map(torrent).collect();
    let mut host = Host::new(disk);
    let before = live();
    let ids: Vec<_> = torrents.iter().map(|torrent| host.add(torrent)).collect();
    host.run(Duration::from_secs(3_600));
    ids.iter().for_each(|&id| then(&mut host, id));
    host.drain();
    (live() - before) / count as isize
}

#[test]
fn an_idle_torrent_takes_less_than_8_kib() {
    for (what, disk, state) in
        [("complete", Disk::Full, TorrentState::Seeding), ("stalled", Disk::Empty, TorrentState::Downloading)]
    {
        let each = bytes_a_torrent(disk, if disk == Disk::Full { 200 } else { 1_000 }, |host, id| {
            let status = host.engine.torrent(id).expect("it is there");
            assert_eq!(status.state, state);
            assert!(status.known_peers > 0 || disk == Disk::Full);
        });
        println!("{each} bytes a {what} torrent of {PIECES} pieces");
        assert!(each < 8 << 10, "{each} bytes a {what} torrent");
    }
}

#[test]
fn a_paused_torrent_takes_less_still_and_wakes_nobody() {
    let each = bytes_a_torrent(Disk::Full, 200, |host, id| {
        let now = host.now;
        host.engine.pause(now, id);
        host.run(Duration::from_secs(10));
        host.wakes = 0;
        host.run(Duration::from_secs(3_600));
    });
    println!("{each} bytes a paused torrent");
    assert!(each < 8 << 10, "{each} bytes a paused torrent");

    let mut host = Host::new(Disk::Full);
    for number in 0..50 {
        let id = host.add(&torrent(number));
        let now = host.now;
        host.engine.pause(now, id);
    }
    host.run(Duration::from_secs(60));
    host.wakes = 0;
    host.run(Duration::from_secs(7_200));
    assert_eq!(host.wakes, 0);
}

#[test]
fn an_idle_peer_takes_less_than_16_kib() {
    const PEERS: u32 = 200;
    let torrent = torrent(0);
    let info_hash = torrent.info.info_hash.on_the_wire();
    for (what, disk, full) in [
        ("leecher at a seed", Disk::Full, false),
        ("seed at a leecher", Disk::Empty, true),
        ("leecher at a leecher", Disk::Empty, false),
    ] {
        let mut host = Host::new(disk);
        host.add(&torrent);
        host.run(Duration::from_secs(60));
        let before = live();
        let mut words = (1 + PIECES / 8).to_be_bytes().to_vec();
        words.push(5);
        words.extend((0..PIECES / 8).map(|byte| if full { 0xff } else { byte as u8 & 0x55 }));
        words.extend(extended());
        words.extend([0, 0, 0, 1, 2]); // interested
        let conns: Vec<_> = (0..PEERS).map(|number| host.peer(number, info_hash, &words)).collect();
        // Once busy: each asks for a queue of blocks and gets them, where it is unchoked.
        for &conn in conns.iter().filter(|_| disk == Disk::Full) {
            let requests = (0..400_u32).flat_map(|n| {
                let mut request = vec![0, 0, 0, 13, 6];
                request.extend([0; 4]);
                request.extend((n % 128 * (16 << 10)).to_be_bytes());
                request.extend((16_u32 << 10).to_be_bytes());
                request
            });
            host.hear(conn, &requests.collect::<Vec<_>>());
        }
        for _ in 0..30 {
            host.run(Duration::from_secs(60));
            for &conn in &conns {
                host.hear(conn, &[0; 4]);
            }
        }
        let id = host.engine.torrents().next().expect("one");
        let there = host.engine.torrent(id).expect("it is there").peers;
        assert_eq!(there, PEERS, "{what}");
        let each = (live() - before) / PEERS as isize;
        println!("{each} bytes a {what}");
        assert!(each < 16 << 10, "{each} bytes a {what}");
    }
}

/// An extension handshake as common clients send it.
fn extended() -> Vec<u8> {
    let body = b"d1:ei0e1:md11:lt_donthavei7e6:ut_pexi1e11:ut_metadatai2ee1:pi6881e4:reqqi500e1:v15:Transmission 4.e";
    let mut message = (body.len() as u32 + 2).to_be_bytes().to_vec();
    message.extend([20, 0]);
    message.extend(body);
    message
}
