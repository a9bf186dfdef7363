//! Whether a message costs more when there are ten times as many connections, in one torrent or in many.
//!
//! `cargo bench -p pieceful-core --bench scale` prints nanoseconds and ratios. Reads come in batches, as drivers hand
//! them over. Where it was last run, beside much else on two shared cores, a read of two messages took 215 to 240 ns
//! with 1,000 connections of one torrent and 275 to 320 ns with 10,000, 1.2 to 1.4 times as long; 250 to 270 ns with
//! 1,000 of a hundred torrents and 400 to 450 ns with 10,000 of a thousand, 1.5 to 1.7 times.
//!
//! What grows there is the way to the memory. Every connection speaks once before any speaks again, so what the engine
//! knows of 1,000 of them (a megabyte) stays in a second-level cache of 2 MiB between two turns, and of 10,000 it does
//! not: a read then needs 8 lines of 64 bytes that are far away with one torrent, 12 with a thousand. One after the
//! other, without [`Engine::foresee`], they make it 1.8 to 2.0 times as long with one torrent, and 2.4 with a thousand.
//! What the engine does is told by counting instructions, which is `CONNECTIONS TORRENTS ROUNDS` as arguments, under
//! `valgrind --tool=cachegrind`, for two numbers of rounds, so that the way there cancels out: 3,939 with 1,000
//! connections of one torrent, 3,932 with 10,000.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::{DiskAction, DiskDone, Existing};
use pieceful_core::engine::{AddTorrent, Config, Engine, Input, Limits, Output};
use pieceful_core::id::{ConnId, Digest};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;

const PIECE_LEN: u32 = 64 << 10;
const PIECES: u32 = 512;
const HASH: [u8; 20] = [0xaa; 20];
/// Each connection says something once a second.
const ROUND: Duration = Duration::from_secs(1);
/// A driver hands over so many inputs before it looks at the clock.
const BATCH: usize = 16;

/// An engine that seeds, its peers, and what a driver would do.
struct Rig {
    engine: Engine,
    now: Instant,
    conns: Vec<ConnId>,
    inputs: Vec<Input>,
}

impl Rig {
    fn new(conns: u32, torrents: u32) -> Self {
        let limits = Limits {
            connections_max: conns,
            torrent_connections_max: conns,
            torrents_max: torrents,
            ..Limits::default()
        };
        let config = Config { limits, direct_blocks: true, ..Config::default() };
        let now = Instant::from_micros(1_000_000);
        let engine = Engine::new(config, Seed([1; 32]), now);
        let mut rig = Self { engine, now, conns: Vec::new(), inputs: Vec::new() };
        let hashes: Vec<[u8; 20]> = (0..torrents).map(|number| rig.add(number)).collect();
        for number in 0..conns {
            rig.join(number, hashes[number as usize % hashes.len()]);
        }
        rig
    }

    fn add(&mut self, number: u32) -> [u8; 20] {
        let torrent = NewTorrent {
            name: format!("data {number}"),
            content: Content::File { length: u64::from(PIECE_LEN) * u64::from(PIECES), executable: false },
            piece_length: PIECE_LEN,
            pieces: HASH.repeat(PIECES as usize).into(),
            ..NewTorrent::default()
        };
        let metainfo = Metainfo::parse(torrent.to_bytes().expect("it is valid")).expect("it is valid");
        let hash = metainfo.info.info_hash.on_the_wire();
        self.engine.add_torrent(self.now, AddTorrent::new(Arc::new(metainfo))).expect("there is room");
        self.drain();
        hash
    }

    fn join(&mut self, number: u32, hash: [u8; 20]) {
        let [_, high, middle, low] = number.to_be_bytes();
        let from = (std::net::Ipv4Addr::new(100 + high, middle, low, 1), 6881).into();
        let conn = self.engine.accept(self.now, from).expect("there is room");
        let mut peer_id = *b"-XX0001-........1234";
        peer_id[16..].copy_from_slice(&number.to_be_bytes());
        let mut hello = [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\x04"[..], &hash, &peer_id].concat();
        hello.extend([0, 0, 0, 1, 15]); // have none
        hello.extend([0, 0, 0, 1, 2]); // interested
        self.engine.handle(self.now, Input::Received { conn, data: hello.into() });
        self.now += Duration::from_micros(100);
        self.drain();
        self.conns.push(conn);
    }

    /// Every connection says once that it has a piece, and asks for a block. Says how long the engine took.
    fn round(&mut self, number: u32) -> Duration {
        let have = [&[0, 0, 0, 5, 4], &(number % (PIECES / 2)).to_be_bytes()[..]].concat();
        let piece = PIECES / 2 + number % (PIECES / 2);
        let ask = [&[0, 0, 0, 13, 6], &piece.to_be_bytes()[..], &[0; 4], &[0, 0, 64, 0]].concat();
        let words = [have, ask].concat();
        // Not one after the other as they lie in memory.
        let places: Vec<usize> = (0..self.conns.len()).map(|n| n * 7_919 % self.conns.len()).collect();
        let step = ROUND / self.conns.len() as u32;
        let mut took = Duration::ZERO;
        for batch in places.chunks(BATCH) {
            let read = |place: &usize| (self.conns[*place], Bytes::copy_from_slice(&words));
            let reads: Vec<_> = batch.iter().map(read).collect();
            let start = std::time::Instant::now();
            self.engine.foresee(batch.iter().map(|place| self.conns[*place]));
            for (conn, data) in reads {
                self.engine.handle(self.now, Input::Received { conn, data });
                self.drain();
                self.now += step;
            }
            self.engine.handle_timeout(self.now);
            self.drain();
            took += start.elapsed();
        }
        took
    }

    fn drain(&mut self) {
        loop {
            match self.engine.poll() {
                Output::Idle { .. } => match self.inputs.pop() {
                    Some(input) => self.engine.handle(self.now, input),
                    None => return,
                },
                Output::Send { conn, segment } => {
                    self.inputs.push(Input::Sent { conn, bytes: segment.len() });
                }
                Output::Disk { op, action, .. } => {
                    let len = u64::from(PIECE_LEN) * u64::from(PIECES);
                    let done = match action {
                        DiskAction::Open { .. } => {
                            DiskDone::Opened(vec![Existing::Present { len, has_data: true, stamp: 1 }])
                        }
                        DiskAction::Hash { .. } => DiskDone::Hashed(Digest::Sha1(HASH)),
                        DiskAction::Prepare { .. } => DiskDone::Prepared,
                        other => panic!("a seed has no need of {other:?}"),
                    };
                    self.inputs.push(Input::Disk { op, result: Ok(done) });
                }
                Output::Close { conn, .. } => panic!("{conn:?} was closed"),
                _ => {}
            }
        }
    }
}

/// Nanoseconds for a read with its two messages, all that follows from it included.
fn cost(conns: u32, torrents: u32, rounds: u32) -> f64 {
    let mut rig = Rig::new(conns, torrents);
    let best = (0..2 + rounds).map(|number| rig.round(number)).skip(2);
    // Others share the machine: the quickest round is the one they disturbed least.
    best.min().unwrap_or_default().as_nanos() as f64 / f64::from(conns)
}

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if let [conns, torrents, rounds] = numbers[..] {
        println!("{:.0} ns a read", cost(conns, torrents, rounds));
        return;
    }
    for (name, torrents_for) in [("one torrent", 0), ("100 connections a torrent", 100), ("10 a torrent", 10)]
    {
        let torrents = |conns: u32| conns.checked_div(torrents_for).unwrap_or(1);
        let [few, many] = [1_000, 10_000].map(|conns| cost(conns, torrents(conns), 20));
        println!(
            "{name}: 1,000 connections {few:.0} ns, 10,000 connections {many:.0} ns, ratio {:.2}",
            many / few
        );
    }
}
