//! Scenarios put together by chance, from a seed or from a fuzzer's bytes.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::Allocation;
use pieceful_core::engine::{
    Limits, PieceOrder, Priority, RateLimits, SeedingLimits, Selection, UploadSlots,
};

use super::{BUFFER_MIN, LINE_MAX, Node, Scenario, Service, Stranger, Trouble};
use crate::odd::{Answer, Calls, Flooder, Odd, Offer, Sharer};
use crate::{Fault, Has, Lie, Link, Manner, Names, Nat, Segmentation, UdpProfile};

/// Bytes of a torrent that is cut a byte at a time: every byte is a read.
const BYTEWISE_MAX: u64 = 30_000;

/// The longest that a slow disk takes: what it is at when all heals has to end before an engine may be waited for.
const LATE: Duration = Duration::from_secs(5);

/// Numbers below others, wherever they come from.
pub struct Chance<'a>(&'a mut dyn FnMut(u32) -> u32);

impl fmt::Debug for Chance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

impl<'a> Chance<'a> {
    /// Draws from `below`, which is given how many numbers there are to draw from, at least 1.
    pub fn new(below: &'a mut dyn FnMut(u32) -> u32) -> Self {
        Self(below)
    }

    fn below(&mut self, max: u32) -> u32 {
        (self.0)(max.max(1))
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u32) -> bool {
        self.below(times) == times - 1
    }

    fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize].clone()
    }

    /// As often between 1 and 2 as between 1,000 and 2,000: at least `least` and below `least << doublings`.
    fn scaled(&mut self, least: u32, doublings: u32) -> u32 {
        let least = least << self.below(doublings);
        least + self.below(least)
    }

    /// From 10 milliseconds to a minute and a half, short ones as often as long ones.
    fn span(&mut self) -> Duration {
        Duration::from_millis(self.scaled(10, 13).into())
    }

    /// With or without.
    fn perhaps<T>(&mut self, once_in: u32, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(once_in).then(|| draw(self))
    }
}

impl Scenario {
    /// A swarm drawn from `chance`; all of them can finish.
    #[must_use]
    pub fn drawn(seed: u64, chance: &mut Chance<'_>) -> Self {
        let count = match chance.below(16) {
            0..12 => chance.between(2, 6),
            12..15 => chance.between(7, 16),
            _ => chance.between(17, 50),
        };
        let segmentation = match chance.below(16) {
            0 => Segmentation::Bytewise,
            1..5 => Segmentation::Natural,
            _ => Segmentation::Random,
        };
        let total = match (segmentation, count) {
            (Segmentation::Bytewise, _) => BYTEWISE_MAX,
            (_, 0..=6) => u64::from(chance.scaled(10_000, 7)),
            (_, 7..=16) => u64::from(chance.scaled(10_000, 5)),
            _ => u64::from(chance.scaled(10_000, 4)),
        };
        let files = files(total, chance);
        let piece_length = match chance.below(8) {
            0 => chance.between(5_000, 70_000),
            _ => 16_384 << chance.below(4),
        };
        let pieces = files.iter().sum::<u64>().div_ceil(piece_length.into()) as u32;
        let service = |chance: &mut Chance<'_>| Service { udp: chance.once_in(2), manner: manner(chance) };
        let trackers: Vec<Service> = (0..chance.below(4)).map(|_| service(chance)).collect();
        let has_trackers = !trackers.is_empty();
        let has_dht = chance.once_in(4);
        let nodes = (0..count).map(|number| node(number, pieces, has_trackers, has_dht, chance)).collect();
        // A flood byte by byte takes its time, and shows nothing that others do not.
        let strangers = if segmentation == Segmentation::Bytewise { 0 } else { chance.below(3) };
        let strangers = (0..strangers).map(|_| stranger(count, pieces, chance)).collect();
        let many = if chance.once_in(4) { 2 * count } else { 6 };
        let mut troubles: Vec<Trouble> = (0..chance.below(many)).map(|_| trouble(count, chance)).collect();
        troubles.sort_by_key(|trouble| trouble.after);
        let mut drawn = Self {
            seed,
            files,
            piece_length,
            segmentation,
            buffer: if chance.once_in(4) { chance.scaled(16 << 10, 4) } else { 256 << 10 },
            udp: datagrams(chance),
            trackers,
            nodes,
            strangers,
            troubles,
            ..Self::default()
        };
        drawn.choose_files(chance);
        drawn.with_short_lines().with_room_to_greet()
    }

    /// Now and then somebody does not want all files, or changes their mind.
    fn choose_files(&mut self, chance: &mut Chance<'_>) {
        let files = self.files.len() as u32;
        for node in &mut self.nodes {
            node.wants = chance.perhaps(4, |chance| selection(files, chance));
            for _ in 0..if chance.once_in(8) { chance.between(1, 4) } else { 0 } {
                let fault = Fault::Chooses { files: selection(files, chance) };
                self.troubles.push(Trouble { after: chance.span(), node: node.name.clone(), fault });
            }
        }
        self.troubles.sort_by_key(|trouble| trouble.after);
    }

    /// With buffers so small, and if need be ways so fast, that no stranger keeps others from a node.
    fn with_short_lines(mut self) -> Self {
        let slowest =
            self.nodes.iter().map(|node| node.link.up.min(node.link.down)).min().unwrap_or_default();
        let most = (slowest * LINE_MAX).checked_div(self.strangers_take(1)).unwrap_or(u64::MAX);
        self.buffer = self.buffer.min(u32::try_from(most).unwrap_or(u32::MAX)).max(BUFFER_MIN);
        let least = self.strangers_take(self.buffer).div_ceil(LINE_MAX);
        for Link { up, down, .. } in self.nodes.iter_mut().map(|node| &mut node.link) {
            (*up, *down) = ((*up).max(least), (*down).max(least));
        }
        self
    }

    /// With room for everybody who has not introduced themselves.
    fn with_room_to_greet(mut self) -> Self {
        for place in 0..self.nodes.len() {
            let least = self.greeting_min(&self.nodes[place].name);
            let max = &mut self.nodes[place].limits.greeting_max;
            *max = least.max(*max);
        }
        self
    }
}

/// Some of them empty; the last is not.
fn files(total: u64, chance: &mut Chance<'_>) -> Vec<u64> {
    let mut left = total as u32;
    let mut files = Vec::new();
    for _ in 0..chance.below(6) {
        let len = if chance.once_in(4) { 0 } else { chance.below(left) };
        left -= len;
        files.push(len.into());
    }
    files.push(left.max(1).into());
    files
}

/// Each file as much as may be.
fn selection(files: u32, chance: &mut Chance<'_>) -> Selection {
    let mut selection = Selection::all();
    for file in 0..files {
        let priority =
            chance.pick(&[Priority::Skip, Priority::Skip, Priority::Low, Priority::Normal, Priority::High]);
        selection.set(file..=file, priority);
    }
    selection
}

fn manner(chance: &mut Chance<'_>) -> Manner {
    match chance.below(7) {
        0 | 1 => Manner::Up,
        2 => Manner::Down,
        3 => Manner::Slow(chance.span()),
        4 => Manner::Refuses("not today".to_owned()),
        5 => Manner::Says(chance.pick(&[200, 301, 404, 500]), Bytes::from_static(b"<html>It works!</html>")),
        _ => Manner::Lies(chance.pick(&[
            Lie::Garbage,
            Lie::Short,
            Lie::Interval(0),
            Lie::Interval(3600),
            Lie::Nobody,
            Lie::Ourselves,
            Lie::Transaction,
            Lie::Connection,
            Lie::Action,
            Lie::Elsewhere,
        ])),
    }
}

fn datagrams(chance: &mut Chance<'_>) -> UdpProfile {
    if chance.once_in(3) { bad_datagrams(chance) } else { UdpProfile::default() }
}

fn bad_datagrams(chance: &mut Chance<'_>) -> UdpProfile {
    UdpProfile {
        lost: chance.below(300),
        doubled: chance.below(200),
        jitter: Duration::from_millis(chance.below(200).into()),
        mtu: if chance.once_in(3) { 1472 } else { 0 },
    }
}

fn node(number: u32, pieces: u32, has_trackers: bool, has_dht: bool, chance: &mut Chance<'_>) -> Node {
    let usual = Node::default();
    let first = number == 0;
    let dht = has_dht && (first || !chance.once_in(4));
    let introduced = !((has_trackers || dht) && chance.once_in(3));
    Node {
        name: name_of(number),
        has: match chance.below(4) {
            _ if first => Has::Everything,
            0 => Has::Everything,
            1 => Has::Pieces((0..pieces).filter(|_| chance.once_in(2)).collect()),
            _ => Has::Nothing,
        },
        starts: if chance.once_in(3) { chance.span() } else { Duration::ZERO },
        link: Link {
            up: chance.scaled(20_000, 10).into(),
            down: chance.scaled(40_000, 10).into(),
            delay: Duration::from_micros(chance.scaled(100, 10).into()),
            loss: if chance.once_in(6) { chance.below(50) } else { 0 },
        },
        disk_latency: if chance.once_in(4) { Duration::from_millis(100) } else { usual.disk_latency },
        disk_rate: if chance.once_in(4) { chance.scaled(100_000, 10).into() } else { usual.disk_rate },
        wants: None,
        order: chance.pick(&[PieceOrder::RarestFirst, PieceOrder::RarestFirst, PieceOrder::Sequential]),
        allocation: chance.pick(&[Allocation::Sparse, Allocation::Sparse, Allocation::Full]),
        rates: rates(chance),
        engine_rates: rates(chance),
        upload_slots: match chance.below(4) {
            0 => UploadSlots::Fixed(chance.between(1, 8)),
            _ => UploadSlots::Automatic,
        },
        // The first must go on for the others.
        seeding: match chance.below(8) {
            0 if !first => SeedingLimits {
                ratio_permille: chance.perhaps(2, |chance| chance.below(2_000)),
                time: chance.perhaps(2, Chance::span),
            },
            _ => SeedingLimits::default(),
        },
        direct_blocks: chance.once_in(2),
        limits: limits(chance),
        introduced,
        listens: first || !chance.once_in(4),
        nat: if first || chance.once_in(2) { Nat::Open } else { nat(chance) },
        // A tracker tells those of the one family nothing about the other.
        ipv6: introduced && !first && chance.once_in(8),
        dht,
        magnet: !first && chance.once_in(6),
    }
}

fn nat(chance: &mut Chance<'_>) -> Nat {
    // Routers that forget faster than a packet comes back let nobody through at all.
    let timeout = Duration::from_secs(chance.between(10, 300).into());
    match chance.below(4) {
        0 => Nat::FullCone { timeout },
        1 => Nat::AddressRestricted { timeout },
        2 => Nat::PortRestricted { timeout },
        _ => Nat::Symmetric { timeout },
    }
}

fn rates(chance: &mut Chance<'_>) -> RateLimits {
    let mut rate = || chance.perhaps(8, |chance| u64::from(chance.scaled(10_000, 6)));
    RateLimits { download: rate(), upload: rate() }
}

/// Now and then a queue is so short that it is always full.
fn limits(chance: &mut Chance<'_>) -> Limits {
    let mut limits = Limits::default();
    if !chance.once_in(3) {
        return limits;
    }
    let mut short = |limit: &mut u32, least: u32| {
        if let Some(short) = chance.perhaps(3, |chance| chance.scaled(least, 4)) {
            *limit = short;
        }
    };
    short(&mut limits.connecting_max, 1);
    short(&mut limits.greeting_max, 1);
    short(&mut limits.write_bytes_max, 16 << 10);
    short(&mut limits.read_bytes_max, 16 << 10);
    short(&mut limits.send_bytes_max, 16 << 10);
    short(&mut limits.checking_max, 1);
    short(&mut limits.asked_max, 1);
    short(&mut limits.requests_queued_max, 1);
    short(&mut limits.fetches_max, 1);
    short(&mut limits.resolves_max, 1);
    short(&mut limits.unchoked_max, 1);
    limits
}

fn stranger(nodes: u32, pieces: u32, chance: &mut Chance<'_>) -> Stranger {
    let habits = if chance.once_in(2) {
        let all: Vec<Odd> = Odd::all().into_iter().map(|(_, odd)| odd).collect();
        match chance.pick(&all) {
            // A flood that comes in drops: those that come in torrents take longer than the rest of the run.
            Odd::Flooder(flooder) => Odd::Flooder(Flooder {
                burst: chance.between(1, 10).min(flooder.burst),
                every: Duration::from_millis(u64::from(chance.scaled(100, 5))),
                ..flooder
            }),
            other => other,
        }
    } else {
        Odd::Sharer(sharer(pieces, chance))
    };
    let calls = Calls { connections: chance.scaled(1, 4), again: chance.perhaps(2, Chance::span) };
    Stranger { habits, dials: chance.perhaps(2, |chance| name_of(chance.below(nodes))), calls }
}

fn sharer(pieces: u32, chance: &mut Chance<'_>) -> Sharer {
    let some: Vec<u32> = (0..pieces).filter(|_| chance.once_in(4)).collect();
    Sharer {
        offer: chance.pick(&[
            Offer::All,
            Offer::OnlyHave,
            Offer::Nothing,
            Offer::Some(some.clone()),
            Offer::Lie(some.clone()),
            Offer::LieByHave(some),
        ]),
        answer: chance.pick(&[
            Answer::Right,
            Answer::Twice,
            Answer::Unasked,
            Answer::Short,
            Answer::Double,
            Answer::Wrong(50),
            Answer::Wrong(500),
            Answer::Wrong(1000),
            Answer::Silence,
            Answer::Reject,
        ]),
        dribble: chance.perhaps(4, |chance| chance.scaled(512, 4) as usize),
        close_after: chance.perhaps(3, |chance| chance.between(1, 10)),
        choke_after: chance.perhaps(3, |chance| chance.between(1, 10)),
        half_close_after: chance.perhaps(4, |chance| chance.between(1, 10)),
        fast: chance.once_in(2),
        takes_back_after: chance.perhaps(4, |chance| chance.between(1, 10)),
    }
}

fn trouble(nodes: u32, chance: &mut Chance<'_>) -> Trouble {
    let (node, after, lasts) = (name_of(chance.below(nodes)), chance.span(), chance.span());
    let other = |chance: &mut Chance<'_>| chance.perhaps(2, |chance| name_of(chance.below(nodes)));
    let fault = match chance.below(27) {
        0 => Fault::Restart,
        1 => Fault::Off { lasts },
        2 => Fault::Paused { lasts },
        3 => Fault::DiskFails { of_thousand: chance.scaled(1, 10).min(1000), lasts },
        4 => Fault::DiskFull { capacity: chance.scaled(1_000, 10).into(), lasts },
        5 => Fault::DiskSlow { latency: chance.span().min(LATE), lasts },
        6 => Fault::Reset { with: other(chance) },
        7 => Fault::HalfOpen { with: other(chance) },
        8 => Fault::Severed { with: other(chance) },
        9 => Fault::BlackHole { lasts },
        10 => Fault::Deaf { lasts },
        11 => Fault::Mute { lasts },
        12 => Fault::Loss { of_thousand: chance.scaled(1, 10).min(900), lasts },
        13 => Fault::PowerLoss { lost: chance.between(0, 1000), lasts },
        14 => Fault::Asleep { lasts },
        15 => Fault::ClockLeaps { by: chance.span() },
        16 => Fault::WakesLate { by: chance.span().min(Duration::from_secs(10)), lasts },
        // Whoever believes that it lost what nobody else has would have it overwritten by a liar.
        18 | 25 if node == name_of(0) => Fault::Restart,
        18 => Fault::DiskShort { of_thousand: chance.scaled(1, 10).min(1000), lasts },
        19 => Fault::DiskHangs { lasts },
        20 => Fault::Sync {
            of_thousand: chance.between(0, 1000),
            takes: chance.span().min(LATE).min(Duration::from_secs(5)),
            lasts,
        },
        21 => Fault::Tracker { manner: manner(chance), lasts },
        22 => Fault::Names { how: names(chance), lasts },
        23 => Fault::Datagrams { profile: bad_datagrams(chance), lasts },
        24 => Fault::NatForgets,
        25 => Fault::DiskFlips { of_thousand: chance.scaled(1, 10).min(1000), lasts },
        17 => Fault::WakesInVain { times: chance.between(1, 5), lasts },
        _ => {
            Fault::Partition { with: (0..nodes).filter(|_| chance.once_in(2)).map(name_of).collect(), lasts }
        }
    };
    Trouble { after, node, fault }
}

fn names(chance: &mut Chance<'_>) -> Names {
    match chance.below(4) {
        0 => Names::Unknown,
        1 => Names::Silent,
        2 => Names::Slow(chance.span()),
        _ => Names::Changed(vec![IpAddr::from([11, 0, 0, 1])]),
    }
}

fn name_of(number: u32) -> String {
    format!("node {number}")
}
