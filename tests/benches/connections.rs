//! Whether a message costs more in the simulator when a seed has ten times as many connections, of one torrent or of
//! many.
//!
//! `cargo bench -p pieceful-tests --bench connections` has scripted peers ask a seed for a block a second each, in two
//! worlds by turns: one of 1,000 connections, one of 10,000. It prints processor time for each block asked for and
//! given, all that the simulator and its checker do for it included, and how many times as long that takes in the
//! larger world: the median of the rounds. `CONNECTIONS TORRENTS ROUNDS` as arguments runs one world, to be counted by
//! `valgrind --tool=cachegrind`.
//! Where it was last run, without link-time optimisation and beside much else on two shared cores, a block took 7.0 us
//! with 1,000 connections of one torrent and 8.9 us with 10,000, 1.24 times as long; 7.2 us with 1,000 of ten torrents
//! and 9.7 us with 10,000 of a hundred, 1.37 times.

use std::time::{Duration, Instant as Clock};

use pieceful_core::engine::{AddTorrent, UploadSlots};
use pieceful_tests::script::{Script, Talk};
use pieceful_tests::{Data, Link, Segmentation, World, words};

const BLOCK: u32 = 16 << 10;
const PIECE_LEN: u32 = 64 << 10;
const PIECES: u32 = 32;
/// Each connection asks once in so long.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections that are opened together: fewer than an engine lets wait for a handshake.
const TOGETHER: u32 = 100;
/// Blocks between two looks at the clock, however many connections ask for them.
const ROUND: u32 = 20_000;
const ROUNDS: usize = 15;

/// A peer that has nothing and asks for one block after the other, in an order of its own.
#[derive(Debug)]
struct Asker {
    info_hash: [u8; 20],
    number: u32,
    asked: u32,
}

impl Script for Asker {
    fn open(&mut self, talk: &mut Talk<'_>) {
        let mut peer_id = *b"-XX0001-........1234";
        peer_id[16..].copy_from_slice(&self.number.to_be_bytes());
        talk.say(words::handshake(self.info_hash, peer_id, true));
        talk.say([words::message(15, &[]), words::plain(words::INTERESTED)].concat());
        talk.wake_in(PAUSE.mul_f64(f64::from(self.number * 7_919 % 10_000) / 10_000.0));
    }

    fn heard(&mut self, _: &mut Talk<'_>, _: &[u8]) {}

    fn woken(&mut self, talk: &mut Talk<'_>) {
        let block = (self.number + 5 * self.asked) % (PIECES * PIECE_LEN / BLOCK);
        let (piece, offset) = (block / (PIECE_LEN / BLOCK), block % (PIECE_LEN / BLOCK) * BLOCK);
        talk.say(words::request(piece, offset, BLOCK));
        self.asked += 1;
        talk.wake_in(PAUSE);
    }
}

/// A world with a seed and those who ask it.
struct Rig {
    world: World,
    conns: u32,
}

impl Rig {
    fn new(conns: u32, torrents: u32) -> Self {
        let all: Vec<Data> = (0..torrents).map(data).collect();
        let mut world = World::new(1).unwatched().data(all[0].clone()).segmentation(Segmentation::Natural);
        world = world.seed("alice").with(|spec| {
            spec.link = Link::fast();
            spec.config.direct_blocks = true;
            spec.config.upload_slots = UploadSlots::Fixed(conns);
            let limits = &mut spec.config.limits;
            limits.connections_max = conns;
            limits.torrent_connections_max = conns;
            limits.unchoked_max = conns;
        });
        world.run_for(Duration::from_secs(1));
        for more in &all[1..] {
            world.put("alice", more, 0..PIECES);
            world.add_torrent("alice", AddTorrent::new(more.metainfo.clone()), more.clone().into());
        }
        world.run_for(Duration::from_secs(10));
        for number in 0..conns {
            let info_hash = all[(number % torrents) as usize].info_hash().on_the_wire();
            let make = move || -> Box<dyn Script> { Box::new(Asker { info_hash, number, asked: 0 }) };
            world.add_dialling_script(&format!("asker {number}"), Box::new(make), "alice");
            if number % TOGETHER == TOGETHER - 1 {
                world.run_for(Duration::from_millis(100));
            }
        }
        world.run_for(Duration::from_secs(15)); // until everybody is served
        Self { world, conns }
    }

    /// Nanoseconds for a block asked for and given.
    fn round(&mut self) -> f64 {
        let (given, start) = (self.given(), spent());
        self.world.run_for(PAUSE * (ROUND / self.conns));
        let took = spent() - start;
        let blocks = (self.given() - given) / u64::from(BLOCK);
        assert!(blocks.abs_diff(ROUND.into()) <= 100, "{blocks} blocks were given, {ROUND} were asked for");
        took.as_nanos() as f64 / blocks as f64
    }

    fn given(&self) -> u64 {
        let engine = self.world.engine("alice");
        engine.torrents().filter_map(|id| engine.torrent(id)).map(|status| status.traffic.payload_up).sum()
    }
}

/// A torrent of the same bytes as the others, under a name of its own.
fn data(number: u32) -> Data {
    let len = u64::from(PIECES * PIECE_LEN);
    let contents = vec![7; len as usize].into();
    Data::of("data", &[(&format!("data {number}"), len)], contents, PIECE_LEN, &[])
}

/// Time that processors have spent on this process.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a system that tells the time spent on a process"))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if let [conns, torrents, rounds] = numbers[..] {
        let start = Clock::now();
        let mut rig = Rig::new(conns, torrents);
        let built = start.elapsed();
        let rounds = (0..rounds).map(|_| rig.round()).collect();
        println!("{:.0} ns a block; built in {built:.1?}", median(rounds));
        return;
    }
    for (name, each) in [("one torrent", u32::MAX), ("100 connections a torrent", 100), ("10 a torrent", 10)]
    {
        let mut rigs = [1_000, 10_000].map(|conns| Rig::new(conns, (conns / each).max(1)));
        rigs.iter_mut().for_each(|rig| _ = rig.round());
        let rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| rigs.each_mut().map(Rig::round)).collect();
        let of = |place: usize| median(rounds.iter().map(|round| round[place]).collect());
        let ratio = median(rounds.iter().map(|[few, many]| many / few).collect());
        println!("{name}: 1,000 connections {:.0} ns, 10,000 {:.0} ns, ratio {ratio:.2}", of(0), of(1));
    }
}
