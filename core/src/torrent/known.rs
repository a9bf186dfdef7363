//! Addresses of peers: where each came from, how it fared, and when to dial it next.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;
use core::time::Duration;

use crate::rng::Rng;
use crate::scope;
use crate::time::Instant;

/// Where an address came from. The order is that of trust: a better source replaces a worse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It connected to us.
    Incoming,
    /// A tracker named it.
    Tracker,
    /// The user named it.
    User,
}

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was none.
    Failed,
    /// It stood, and brought nothing.
    Fruitless,
    /// It brought payload: worth having again soon.
    Fruitful,
    /// The peer broke the rules.
    Misbehaved,
    /// Not worth dialling again: it is us, or it is connected another way.
    Useless,
}

/// The addresses known for one torrent.
#[derive(Debug)]
pub(super) struct Known {
    entries: BTreeMap<SocketAddr, Entry>,
    /// When to dial whom; the number in the middle puts those due at once into a random order.
    due: BTreeSet<(Instant, u32, SocketAddr)>,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    source: Source,
    state: State,
    failures: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Stands in `due` under this key.
    Waiting(Instant, u32),
    /// Dialled, or connected.
    Busy,
    /// Never again.
    Banned,
}

/// First wait after a failure, and the longest, for addresses the user named and for all others.
const WAIT_USER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
const WAIT_OTHERS: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(15 * 60));
/// Wait after a connection that brought payload.
const WAIT_FRUITFUL: Duration = Duration::from_millis(100);
/// Misbehaving counts like so many failures.
const MISBEHAVIOUR: u32 = 4;

impl Known {
    pub(super) fn new(max: u32) -> Self {
        Self { entries: BTreeMap::new(), due: BTreeSet::new(), max: max as usize }
    }

    /// Learns of an address; says whether it is a new one that is kept.
    pub(super) fn add(&mut self, address: SocketAddr, source: Source, now: Instant, rng: &mut Rng) -> bool {
        if address.port() == 0 || scope::scope(address.ip()).is_none() {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.source = entry.source.max(source);
            return false;
        }
        if self.entries.len() >= self.max && !self.drop_worst(source) {
            return false;
        }
        let state = State::Waiting(now, rng.u32());
        if let State::Waiting(at, tie) = state {
            self.due.insert((at, tie, address));
        }
        self.entries.insert(address, Entry { source, state, failures: 0 });
        true
    }

    /// Makes room for an address from `source`: the one that failed most often goes, if any failed or comes
    /// from a worse source.
    fn drop_worst(&mut self, source: Source) -> bool {
        let worst = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.state, State::Waiting(..)))
            .filter(|(_, entry)| entry.failures > 0 || entry.source < source)
            .max_by_key(|(_, entry)| (entry.failures, core::cmp::Reverse(entry.source)))
            .map(|(address, _)| *address);
        worst.is_some_and(|address| {
            self.forget(address);
            true
        })
    }

    fn forget(&mut self, address: SocketAddr) {
        if let Some(Entry { state: State::Waiting(at, tie), .. }) = self.entries.remove(&address) {
            self.due.remove(&(at, tie, address));
        }
    }

    /// Whether somebody is due to be dialled.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.first().is_some_and(|(at, ..)| *at <= now)
    }

    /// Takes the next address to dial, if one is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<SocketAddr> {
        if !self.is_due(now) {
            return None;
        }
        let (_, _, address) = self.due.pop_first()?;
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.state = State::Busy;
        }
        Some(address)
    }

    /// Learns of an address that is connected already, and keeps it from being dialled until it
    /// [`ended`](Self::ended). Says whether it is held.
    pub(super) fn hold(&mut self, address: SocketAddr, source: Source, now: Instant, rng: &mut Rng) -> bool {
        self.add(address, source, now, rng);
        let Some(entry) = self.entries.get_mut(&address) else { return false };
        let State::Waiting(at, tie) = entry.state else { return false };
        self.due.remove(&(at, tie, address));
        entry.state = State::Busy;
        true
    }

    /// When somebody is next due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// A dialled address is free again.
    pub(super) fn ended(&mut self, address: SocketAddr, outcome: Outcome, now: Instant, rng: &mut Rng) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        if entry.state != State::Busy {
            return;
        }
        let wait = match outcome {
            Outcome::Useless => {
                self.entries.remove(&address);
                return;
            }
            Outcome::Fruitful => {
                entry.failures = 0;
                WAIT_FRUITFUL
            }
            Outcome::Failed | Outcome::Fruitless => {
                entry.failures += 1;
                entry.wait()
            }
            Outcome::Misbehaved => {
                entry.failures += MISBEHAVIOUR;
                entry.wait()
            }
        };
        // Up to a quarter more, so that peers that failed together do not come back together.
        let jitter = wait / 4 * rng.below(1024) / 1024;
        let (at, tie) = (now + wait + jitter, rng.u32());
        entry.state = State::Waiting(at, tie);
        self.due.insert((at, tie, address));
    }

    /// Never dials `address` again, and refuses it when it comes.
    pub(super) fn ban(&mut self, address: SocketAddr) {
        self.forget(address);
        if self.entries.len() < self.max || self.drop_worst(Source::User) {
            self.entries
                .insert(address, Entry { source: Source::Incoming, state: State::Banned, failures: 0 });
        }
    }

    pub(super) fn is_banned(&self, address: SocketAddr) -> bool {
        self.entries.get(&address).is_some_and(|entry| entry.state == State::Banned)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    fn wait(&self) -> Duration {
        let (first, longest) = if self.source == Source::User { WAIT_USER } else { WAIT_OTHERS };
        let doublings = self.failures.saturating_sub(1).min(16);
        (first * (1 << doublings)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 6881))
    }

    fn seconds(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_peer_that_fails_is_left_alone_ever_longer_and_one_that_gave_data_is_back_at_once() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(10);
        let mut now = seconds(1);
        assert!(known.add(address(1), Source::Tracker, now, &mut rng));
        let mut waits = alloc::vec::Vec::new();
        for _ in 0..12 {
            assert_eq!(known.take_due(now), Some(address(1)));
            assert_eq!(known.take_due(now), None, "it is being dialled");
            known.ended(address(1), Outcome::Failed, now, &mut rng);
            let next = known.deadline().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert!(waits[0] >= 8 && waits[1] >= 16, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 15 * 60 * 5 / 4), "{waits:?}");
        known.take_due(now).unwrap();
        known.ended(address(1), Outcome::Fruitful, now, &mut rng);
        assert!(known.deadline().unwrap().since(now) < Duration::from_millis(200));
    }

    #[test]
    fn when_it_is_full_the_worst_gives_way_and_the_users_stay() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(3);
        let now = seconds(1);
        known.add(address(1), Source::User, now, &mut rng);
        known.add(address(2), Source::Tracker, now, &mut rng);
        known.add(address(3), Source::Tracker, now, &mut rng);
        assert!(!known.add(address(4), Source::Tracker, now, &mut rng), "nobody is worse than it");
        for _ in 0..3 {
            let dialled = known.take_due(now).unwrap();
            if dialled == address(2) {
                known.ended(dialled, Outcome::Failed, now, &mut rng);
            }
        }
        assert!(known.add(address(4), Source::Tracker, now, &mut rng));
        assert!(!known.entries.contains_key(&address(2)));
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn a_banned_address_is_never_dialled_again() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(3);
        known.add(address(1), Source::Tracker, seconds(1), &mut rng);
        known.ban(address(1));
        assert!(known.is_banned(address(1)));
        assert!(!known.add(address(1), Source::User, seconds(2), &mut rng));
        assert_eq!(known.take_due(seconds(9_999)), None);
    }

    #[test]
    fn what_cannot_be_dialled_is_not_kept() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(3);
        for text in ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:5", "[ff02::1]:5"] {
            assert!(!known.add(text.parse().unwrap(), Source::User, seconds(0), &mut rng), "{text}");
        }
    }
}
