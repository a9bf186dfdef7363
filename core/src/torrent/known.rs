//! Addresses of peers: where each came from, how it fared, and when to dial it next.
//!
//! Of those that may be dialled now the user's come first, then those that gave us something before, then those
//! that failed least often. Of equals those of each source take turns, and of one source the one of the highest
//! canonical priority (BEP 40) comes first. All are kept in one sorted list, 56 bytes an address: a search for the best
//! looks at each of the few thousand there may be, which is little beside a connection.
//!
//! No source can flood out another. Whatever room the others leave may be used, but each has a share that is its own:
//! when there is no room, somebody of a source that has more than its share gives way to those of one that has less.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::SocketAddr;
use core::time::Duration;

use super::source::{Source, Sources};
use crate::rng::Rng;
use crate::scope;
use crate::time::Instant;

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
    /// There is nothing to exchange until one of us wants more: see [`Known::wake`].
    Resting,
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
    /// How many there are of each source, those left out that are banned.
    counts: Sources,
    /// The source of whoever was taken last.
    taken: Source,
    /// Only what suits a private torrent is kept.
    private: bool,
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
    pub(super) fn new(max: u32, private: bool) -> Self {
        Self {
            entries: Vec::new(),
            next: None,
            max: max as usize,
            counts: Sources::default(),
            taken: Source::User,
            private,
        }
    }

    /// The torrent is private: whoever was found in a way that does not suit it is forgotten, and nobody else is
    /// learned of that way.
    pub(super) fn set_private(&mut self) {
        self.private = true;
        let counts = &mut self.counts;
        self.entries.retain(|entry| {
            let stays = entry.source.suits_private();
            if !stays {
                counts.take(entry.source);
            }
            stays
        });
        self.look_ahead();
    }

    /// Whether only what suits a private torrent is kept.
    pub(super) const fn is_private(&self) -> bool {
        self.private
    }

    /// Learns of an address; says whether it is a new one that is kept.
    pub(super) fn add(&mut self, address: SocketAddr, source: Source, now: Instant, rng: &mut Rng) -> bool {
        if address.port() == 0 || scope::scope(address.ip()).is_none() {
            return false;
        }
        if self.private && !source.suits_private() {
            return false;
        }
        if let Some(place) = self.find(address) {
            self.named_by(place, source);
            return false;
        }
        if self.entries.len() >= self.max && !self.make_room(source) {
            return false;
        }
        let (tie, state) = (rng.u32(), State::Waiting);
        self.insert(Entry { address, at: now, tie, failures: 0, source, state, fruitful: false });
        true
    }

    /// An address that is known is named by `source`.
    fn named_by(&mut self, place: usize, source: Source) {
        let entry = &mut self.entries[place];
        if source > entry.source && entry.state != State::Banned {
            self.counts.take(entry.source);
            self.counts.add(source);
            entry.source = source;
        }
    }

    fn insert(&mut self, entry: Entry) {
        if entry.state != State::Banned {
            self.counts.add(entry.source);
        }
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

    fn remove(&mut self, place: usize) {
        let entry = self.entries.remove(place);
        if entry.state != State::Banned {
            self.counts.take(entry.source);
        }
        if entry.state == State::Waiting {
            self.look_ahead();
        }
    }

    /// Makes room for an address from `source`: the worst of the largest source gives way if that has more than its
    /// share, and `source` less than its own. Otherwise one of its own does that failed. The user's give way to nobody
    /// else, and everybody to them.
    fn make_room(&mut self, source: Source) -> bool {
        let users = source == Source::User;
        let share = if users { 0 } else { (self.max / Source::ALL.len()) as u32 };
        let others = Source::ALL.into_iter().filter(|other| *other != source && *other != Source::User);
        let largest = others.max_by_key(|other| self.counts.of(*other));
        let gives_way = largest
            .filter(|largest| self.counts.of(*largest) > share && (users || self.counts.of(source) < share));
        let waiting = self.entries.iter().enumerate().filter(|(_, entry)| entry.state == State::Waiting);
        let worst = waiting
            .filter(|(_, entry)| match gives_way {
                Some(other) => entry.source == other,
                None => entry.source == source && entry.failures > 0,
            })
            .max_by_key(|(_, entry)| (entry.failures, !entry.fruitful, entry.tie))
            .map(|(place, _)| place);
        worst.is_some_and(|place| {
            self.remove(place);
            true
        })
    }

    /// Up to `max` addresses worth dialling another time: those that were of use first, then those connected.
    pub(super) fn useful(&self, max: usize) -> Vec<SocketAddr> {
        let good = |entry: &&Entry| entry.state != State::Banned && entry.failures == 0;
        let mut good: Vec<&Entry> = self.entries.iter().filter(good).collect();
        good.sort_by_key(|entry| (!entry.fruitful, entry.state != State::Busy, entry.tie));
        good.into_iter().take(max).map(|entry| entry.address).collect()
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
        let sources = Source::ALL.len();
        // How long it is until a source's turn comes again.
        let wait = |source: Source| (source as usize + sources - self.taken as usize - 1) % sources;
        let best = due.max_by_key(|entry| {
            let turn = Reverse(wait(entry.source));
            let users = entry.source == Source::User;
            (users, entry.fruitful, Reverse(entry.failures), turn, priority(entry.address), entry.tie)
        })?;
        best.state = State::Busy;
        self.taken = best.source;
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
            Outcome::Useless => return self.remove(place),
            Outcome::Resting => {
                entry.failures = 0;
                (entry.at, entry.state) = (Instant::NEVER, State::Waiting);
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

    /// More is wanted: those that rest may be dialled again.
    pub(super) fn wake(&mut self, now: Instant) {
        let resting = self.entries.iter_mut().filter(|entry| entry.state == State::Waiting);
        resting.filter(|entry| entry.at == Instant::NEVER).for_each(|entry| entry.at = now);
        self.look_ahead();
    }

    /// Never dials `address` again, and refuses it when it comes.
    pub(super) fn ban(&mut self, address: SocketAddr) {
        if let Some(place) = self.find(address) {
            self.remove(place);
        }
        if self.entries.len() < self.max || self.make_room(Source::User) {
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

    /// How many there are of each source, those left out that are banned.
    pub(super) const fn counts(&self) -> Sources {
        self.counts
    }

    /// Who named an address.
    pub(super) fn source(&self, address: SocketAddr) -> Option<Source> {
        self.find(address).map(|place| self.entries[place].source)
    }

    fn look_ahead(&mut self) {
        let waiting = self.entries.iter().filter(|entry| entry.state == State::Waiting);
        self.next = waiting.map(|entry| entry.at).min().filter(|at| *at < Instant::NEVER);
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
        let mut known = Known::new(10, false);
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
        let mut known = Known::new(3, false);
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
        let mut known = Known::new(3, false);
        known.add(address(1), Source::Tracker, seconds(1), &mut rng);
        known.ban(address(1));
        assert!(known.is_banned(address(1)));
        assert!(!known.add(address(1), Source::User, seconds(2), &mut rng));
        assert_eq!(take(&mut known, seconds(9_999)), None);
    }

    #[test]
    fn what_cannot_be_dialled_is_not_kept() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(3, false);
        for text in ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:5", "[ff02::1]:5"] {
            assert!(!known.add(text.parse().unwrap(), Source::User, seconds(0), &mut rng), "{text}");
        }
    }

    #[test]
    fn the_users_come_first_then_the_generous_then_the_steady_and_of_equals_the_canonical_one() {
        let mut rng = Rng::new(Seed([0; 32]));
        let mut known = Known::new(10, false);
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
        let mut known = Known::new(2_000, false);
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

    /// The `n`th address of a source.
    fn of(source: Source, n: u32) -> SocketAddr {
        let [_, _, high, low] = n.to_be_bytes();
        SocketAddr::from(([90, source as u8, high, low], 6881))
    }

    /// Names addresses from `source`, some of which fail.
    fn flood(known: &mut Known, source: Source, count: u32, rng: &mut Rng) {
        for n in 0..count {
            known.add(of(source, n), source, seconds(u64::from(n)), rng);
            if n % 3 == 0
                && let Some(taken) = take(known, seconds(u64::from(n)))
            {
                known.ended(taken, Outcome::Failed, seconds(u64::from(n)), rng);
            }
        }
    }

    #[test]
    fn a_source_that_floods_takes_what_others_leave_and_nobodys_share() {
        let mut rng = Rng::new(Seed([2; 32]));
        for flooder in Source::ALL {
            for modest in Source::ALL.into_iter().filter(|modest| *modest != flooder) {
                let mut before = Known::new(700, false);
                flood(&mut before, modest, 100, &mut rng);
                flood(&mut before, flooder, 5_000, &mut rng);
                let user = flooder == Source::User;
                let left = if user { 0 } else { 100 };
                assert_eq!(before.counts().of(modest), left, "{modest:?} before {flooder:?}");
                assert_eq!(before.counts().of(flooder), 700 - left);

                let mut after = Known::new(700, false);
                flood(&mut after, flooder, 5_000, &mut rng);
                flood(&mut after, modest, 5_000, &mut rng);
                let own = match (modest, flooder) {
                    (Source::User, _) => 700,
                    (_, Source::User) => 0,
                    _ => 100,
                };
                assert_eq!(after.counts().of(modest), own, "{modest:?} after {flooder:?}");
                assert_eq!(after.len(), 700);
                for known in [before, after] {
                    assert_eq!(known.counts(), known.entries.iter().map(|entry| entry.source).collect());
                }
            }
        }
    }

    #[test]
    fn a_source_with_many_addresses_does_not_keep_the_others_from_being_dialled() {
        let mut rng = Rng::new(Seed([3; 32]));
        let mut known = Known::new(2_000, false);
        for n in 0..500 {
            known.add(of(Source::Pex, n), Source::Pex, seconds(1), &mut rng);
        }
        for source in [Source::Tracker, Source::Dht, Source::Incoming] {
            for n in 0..10 {
                known.add(of(source, n), source, seconds(1), &mut rng);
            }
        }
        let first: Vec<_> = (0..40).filter_map(|_| take(&mut known, seconds(1))).collect();
        for source in [Source::Tracker, Source::Dht, Source::Incoming, Source::Pex] {
            let dialled = first.iter().filter(|address| known.source(**address) == Some(source)).count();
            assert_eq!(dialled, 10, "{source:?}");
        }
    }

    #[test]
    fn a_private_torrent_forgets_all_that_its_trackers_and_its_user_did_not_name() {
        let mut rng = Rng::new(Seed([4; 32]));
        let mut known = Known::new(100, false);
        for source in Source::ALL {
            known.add(of(source, 1), source, seconds(1), &mut rng);
        }
        // A peer said so first, and the tracker confirms it.
        known.add(address(1), Source::Pex, seconds(1), &mut rng);
        known.add(address(1), Source::Tracker, seconds(1), &mut rng);
        known.set_private();
        let left = [Source::Saved, Source::Incoming, Source::Tracker, Source::Tracker, Source::User];
        let left = left.into_iter().collect();
        assert_eq!(known.counts(), left);
        assert_eq!(known.source(address(1)), Some(Source::Tracker));
        for source in [Source::Pex, Source::Dht, Source::Lsd] {
            assert!(!known.add(of(source, 2), source, seconds(2), &mut rng));
            known.add(address(1), source, seconds(2), &mut rng);
        }
        assert_eq!(known.counts(), left);
        assert_eq!(known.deadline(), Some(seconds(1)));
    }
}
