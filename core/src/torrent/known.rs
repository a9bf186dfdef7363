//! Addresses of peers: where each came from, how it fared, and when to dial it next.
//!
//! Of those that may be dialled now the user's come first, then those that gave us something before, then those
//! that failed least often, and among equals the one of the highest canonical priority (BEP 40). All are kept in
//! one sorted list, 56 bytes an address: a search for the best looks at each of the few thousand there may be,
//! which is little beside a connection.

use alloc::vec::Vec;
use core::cmp::Reverse;
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
    /// In the order of the addresses.
    entries: Vec<Entry>,
    /// The earliest time among those that wait.
    next: Option<Instant>,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    /// Not before.
    at: Instant,
    /// Puts equals into a random order.
    tie: u32,
    failures: u32,
    source: Source,
    state: State,
    /// The last connection brought payload.
    fruitful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until it is due.
    Waiting,
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
    pub(super) const fn new(max: u32) -> Self {
        Self { entries: Vec::new(), next: None, max: max as usize }
    }

    /// Learns of an address; says whether it is a new one that is kept.
    pub(super) fn add(&mut self, address: SocketAddr, source: Source, now: Instant, rng: &mut Rng) -> bool {
        if address.port() == 0 || scope::scope(address.ip()).is_none() {
            return false;
        }
        if let Some(entry) = self.find_mut(address) {
            entry.source = entry.source.max(source);
            return false;
        }
        if self.entries.len() >= self.max && !self.drop_worst(source) {
            return false;
        }
        let (tie, state) = (rng.u32(), State::Waiting);
        self.insert(Entry { address, at: now, tie, failures: 0, source, state, fruitful: false });
        true
    }

    fn insert(&mut self, entry: Entry) {
        if entry.state == State::Waiting {
            self.next = Some(self.next.map_or(entry.at, |next| next.min(entry.at)));
        }
        let place = self.entries.partition_point(|other| other.address < entry.address);
        self.entries.insert(place, entry);
    }

    fn find(&self, address: SocketAddr) -> Option<usize> {
        self.entries.binary_search_by_key(&address, |entry| entry.address).ok()
    }

    fn find_mut(&mut self, address: SocketAddr) -> Option<&mut Entry> {
        let place = self.find(address)?;
        self.entries.get_mut(place)
    }

    /// Makes room for an address from `source`: the one that failed most often goes, if any failed or comes
    /// from a worse source.
    fn drop_worst(&mut self, source: Source) -> bool {
        let worst = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.state == State::Waiting)
            .filter(|(_, entry)| entry.failures > 0 || entry.source < source)
            .max_by_key(|(_, entry)| (entry.failures, Reverse(entry.source), entry.tie))
            .map(|(place, _)| place);
        worst.is_some_and(|place| {
            self.entries.remove(place);
            self.look_ahead();
            true
        })
    }

    /// Whether somebody is due to be dialled.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|at| at <= now)
    }

    /// Takes the best address that is due, if one is; `priority` tells equals apart, the higher the better.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        priority: impl Fn(SocketAddr) -> u32,
    ) -> Option<SocketAddr> {
        if !self.is_due(now) {
            return None;
        }
        let due = self.entries.iter_mut().filter(|entry| entry.state == State::Waiting && entry.at <= now);
        let best = due.max_by_key(|entry| {
            let users = entry.source == Source::User;
            (users, entry.fruitful, Reverse(entry.failures), priority(entry.address), entry.tie)
        })?;
        best.state = State::Busy;
        let address = best.address;
        self.look_ahead();
        Some(address)
    }

    /// Learns of an address that is connected already, and keeps it from being dialled until it
    /// [`ended`](Self::ended). Says whether it is held.
    pub(super) fn hold(&mut self, address: SocketAddr, source: Source, now: Instant, rng: &mut Rng) -> bool {
        self.add(address, source, now, rng);
        let Some(entry) = self.find_mut(address).filter(|entry| entry.state == State::Waiting) else {
            return false;
        };
        entry.state = State::Busy;
        self.look_ahead();
        true
    }

    /// When somebody is next due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// A dialled address is free again.
    pub(super) fn ended(&mut self, address: SocketAddr, outcome: Outcome, now: Instant, rng: &mut Rng) {
        let Some(place) = self.find(address) else { return };
        let entry = &mut self.entries[place];
        if entry.state != State::Busy {
            return;
        }
        entry.fruitful = outcome == Outcome::Fruitful;
        let wait = match outcome {
            Outcome::Useless => {
                self.entries.remove(place);
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
        entry.at = now + wait + jitter;
        entry.tie = rng.u32();
        entry.state = State::Waiting;
        let at = entry.at;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Never dials `address` again, and refuses it when it comes.
    pub(super) fn ban(&mut self, address: SocketAddr) {
        if let Some(place) = self.find(address) {
            self.entries.remove(place);
            self.look_ahead();
        }
        if self.entries.len() < self.max || self.drop_worst(Source::User) {
            let (source, state, at) = (Source::Incoming, State::Banned, Instant::NEVER);
            self.insert(Entry { address, at, tie: 0, failures: 0, source, state, fruitful: false });
        }
    }

    pub(super) fn is_banned(&self, address: SocketAddr) -> bool {
        self.find(address).is_some_and(|place| self.entries[place].state == State::Banned)
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    fn look_ahead(&mut self) {
        let waiting = self.entries.iter().filter(|entry| entry.state == State::Waiting);
        self.next = waiting.map(|entry| entry.at).min();
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

    fn take(known: &mut Known, now: Instant) -> Option<SocketAddr> {
        known.take_due(now, |_| 0)
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
            assert_eq!(take(&mut known, now), Some(address(1)));
            assert_eq!(take(&mut known, now), None, "it is being dialled");
            known.ended(address(1), Outcome::Failed, now, &mut rng);
            let next = known.deadline().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert!(waits[0] >= 8 && waits[1] >= 16, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 15 * 60 * 5 / 4), "{waits:?}");
        take(&mut known, now).unwrap();
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
            let dialled = take(&mut known, now).unwrap();
            if dialled == address(2) {
                known.ended(dialled, Outcome::Failed, now, &mut rng);
            }
        }
        assert!(known.add(address(4), Source::Tracker, now, &mut rng));
        assert!(known.find(address(2)).is_none());
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
        assert_eq!(take(&mut known, seconds(9_999)), None);
    }

    #[test]
    fn what_cannot_be_dialled_is_not_kept() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(3);
        for text in ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:5", "[ff02::1]:5"] {
            assert!(!known.add(text.parse().unwrap(), Source::User, seconds(0), &mut rng), "{text}");
        }
    }

    #[test]
    fn the_users_come_first_then_the_generous_then_the_steady_and_of_equals_the_canonical_one() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(10);
        for last in 1..=6 {
            let source = if last == 6 { Source::User } else { Source::Tracker };
            known.add(address(last), source, seconds(1), &mut rng);
        }
        for _ in 0..6 {
            let dialled = take(&mut known, seconds(1)).unwrap();
            let outcome = match dialled {
                first if first == address(1) => Outcome::Failed,
                second if second == address(2) => Outcome::Fruitful,
                _ => continue,
            };
            known.ended(dialled, outcome, seconds(1), &mut rng);
        }
        for last in 3..=6 {
            known.ended(address(last), Outcome::Useless, seconds(1), &mut rng);
            let source = if last == 6 { Source::User } else { Source::Tracker };
            known.add(address(last), source, seconds(1), &mut rng);
        }
        let priority = |of: SocketAddr| if of == address(4) { 9 } else { u32::from(of == address(1)) };
        let order = core::iter::from_fn(|| known.take_due(seconds(60), priority));
        let order: alloc::vec::Vec<_> = order.collect();
        assert_eq!(
            (order[0], order[1], order[2], order[5]),
            (address(6), address(2), address(4), address(1))
        );
    }

    #[test]
    fn a_torrent_never_knows_more_than_it_may_and_says_when_the_next_is_due() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut known = Known::new(2_000);
        for n in 0..3_000_u32 {
            let [_, _, high, low] = n.to_be_bytes();
            let address = SocketAddr::from(([90, 1, high, low], 6881));
            known.add(address, Source::Tracker, seconds(u64::from(n)), &mut rng);
            if n % 3 == 0 {
                let taken = take(&mut known, seconds(u64::from(n))).unwrap();
                known.ended(taken, Outcome::Failed, seconds(u64::from(n)), &mut rng);
            }
            assert!(known.len() <= 2_000);
            let waiting = known.entries.iter().filter(|entry| entry.state == State::Waiting);
            assert_eq!(known.deadline(), waiting.map(|entry| entry.at).min());
            assert!(known.entries.is_sorted_by_key(|entry| entry.address));
        }
        assert_eq!(known.len(), 2_000);
    }
}
