//! How much strangers get of us: whoever asks too often is not heard for a while, and all answers together have a
//! limit.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

use super::contact::network;
use crate::time::Instant;

/// A source may ask so often within ten seconds: five times a second.
pub const QUERIES_MAX: u16 = 50;
/// The time that is counted over.
const WINDOW: Duration = Duration::from_secs(10);
/// Whoever asks more often is not heard for so long.
pub const BLOCK_TIME: Duration = Duration::from_secs(5 * 60);
/// Sources counted at a time, and sources not heard: some 300 KiB when both are full.
const SOURCES_MAX: usize = 2_048;
/// Bytes of answers a second, all sources together.
pub const REPLY_RATE: u64 = 8_000;
/// Questions come in bursts: what was not spent within so many seconds is still there.
const REPLY_BURST: u64 = 4;

/// Who asks, and what is left for answers.
#[derive(Debug)]
pub(super) struct Sources {
    counts: BTreeMap<Source, u16>,
    window: Instant,
    blocked: BTreeMap<Source, Instant>,
    /// Millionths of a byte.
    budget: u64,
    filled: Instant,
}

/// A network on the internet, or else a single node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Address(u128),
    Node(SocketAddr),
}

impl Source {
    fn of(address: SocketAddr) -> Self {
        match (network(address.ip()), address) {
            (None, _) => Self::Node(address),
            (Some(_), SocketAddr::V4(v4)) => Self::Address(v4.ip().to_bits().into()),
            // Whoever has one address of a /64 has all of them.
            (Some(network), SocketAddr::V6(_)) => Self::Address(u128::from(network) << 64),
        }
    }
}

const MICROS: u64 = 1_000_000;

impl Sources {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            counts: BTreeMap::new(),
            window: now,
            blocked: BTreeMap::new(),
            budget: REPLY_RATE * REPLY_BURST * MICROS,
            filled: now,
        }
    }

    /// A question came: whether it is heard.
    pub(super) fn hear(&mut self, from: SocketAddr, now: Instant) -> bool {
        let source = Source::of(from);
        if let Some(until) = self.blocked.get(&source) {
            if now < *until {
                return false;
            }
            self.blocked.remove(&source);
        }
        if now.since(self.window) >= WINDOW {
            self.counts.clear();
            self.window = now;
        }
        if self.counts.len() >= SOURCES_MAX && !self.counts.contains_key(&source) {
            return true; // a flood of sources has only the limit for all answers
        }
        let count = self.counts.entry(source).or_default();
        *count += 1;
        if *count <= QUERIES_MAX {
            return true;
        }
        self.counts.remove(&source);
        if self.blocked.len() >= SOURCES_MAX {
            self.blocked.retain(|_, until| now < *until);
        }
        if self.blocked.len() < SOURCES_MAX {
            self.blocked.insert(source, now + BLOCK_TIME);
        }
        false
    }

    /// Whether an answer of `bytes` may be given.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) -> bool {
        let micros = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let more = micros.saturating_mul(REPLY_RATE);
        self.budget = self.budget.saturating_add(more).min(REPLY_RATE * REPLY_BURST * MICROS);
        self.filled = now;
        match self.budget.checked_sub(bytes as u64 * MICROS) {
            Some(left) => {
                self.budget = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros((1_000 + seconds) * MICROS)
    }

    fn source(number: u32) -> SocketAddr {
        SocketAddr::from((core::net::Ipv4Addr::from_bits(0x0800_0000 + number), 6881))
    }

    #[test]
    fn whoever_asks_more_than_five_times_a_second_is_not_heard_for_five_minutes() {
        let mut sources = Sources::new(at(0));
        let heard = (0..1_000).filter(|_| sources.hear(source(1), at(1))).count();
        assert_eq!(heard, usize::from(QUERIES_MAX));
        assert!(sources.hear(source(2), at(1)), "others are");
        assert!(!sources.hear(source(1), at(300)));
        assert!(sources.hear(source(1), at(301)));
    }

    #[test]
    fn five_times_a_second_is_not_too_often() {
        let mut sources = Sources::new(at(0));
        for second in 0..100 {
            for _ in 0..5 {
                assert!(sources.hear(source(1), at(second)));
            }
        }
    }

    #[test]
    fn on_one_machine_each_port_counts_for_itself() {
        let mut sources = Sources::new(at(0));
        for port in 1..200 {
            assert!(sources.hear(SocketAddr::from(([127, 0, 0, 1], port)), at(0)));
        }
        let one_network = |number| SocketAddr::from(([0x2600, 0, 0, 1, 0, 0, 0, number], 6881));
        assert_eq!((0..200).filter(|number| sources.hear(one_network(*number), at(0))).count(), 50);
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_what_is_remembered() {
        let mut sources = Sources::new(at(0));
        for number in 0..100_000 {
            sources.hear(source(number), at(0));
        }
        assert_eq!(sources.counts.len(), SOURCES_MAX);
        for number in 0..10_000 {
            for _ in 0..100 {
                sources.hear(source(number), at(20 + u64::from(number) / 100));
            }
        }
        assert!(sources.blocked.len() <= SOURCES_MAX);
    }

    #[test]
    fn all_answers_together_are_8000_bytes_a_second() {
        let mut sources = Sources::new(at(0));
        let mut given = 0;
        for tenth in 0..6_000 {
            let now = at(0) + Duration::from_millis(100) * tenth;
            given += (0..50).filter(|_| sources.spend(400, now)).count() * 400;
        }
        assert!((4_800_000..=4_840_000).contains(&given), "{given}");
    }
}
