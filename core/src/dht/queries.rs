//! Questions that wait for their answers: whose answer counts, and when none is expected any more.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;
use core::time::Duration;

use super::NodeId;
use crate::rng::Rng;
use crate::time::Instant;

/// Questions under way at once; more are not asked.
pub(super) const QUERIES_MAX: usize = 1_024;
/// The longest that a lookup is held up by one node: then it goes on to the next, and may still hear from this one.
const SLOW_TIME_MAX: Duration = Duration::from_millis(1_000);
/// The shortest.
const SLOW_TIME_MIN: Duration = Duration::from_millis(250);
/// Nobody answers after this.
const FULL_TIME: Duration = Duration::from_secs(6);

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To see whether the node is there.
    Check,
    /// A step of this lookup.
    Lookup(u64),
    /// To announce what a lookup was for.
    Announce,
}

/// A question under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    /// Who is to answer, where that is known.
    pub(super) id: Option<NodeId>,
    /// Nothing was sent either way for so long before that only a node that anybody can reach will answer.
    pub(super) cold: bool,
    sent: Instant,
    slow: bool,
    timer: Instant,
}

/// Where a question went, and its transaction id.
type Key = (SocketAddr, [u8; 4]);

/// What has become of a question by now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Overdue {
    /// It takes longer than most.
    Slow(SocketAddr, Pending),
    /// Nobody waits for it any more.
    Failed(SocketAddr, Pending),
}

/// All questions under way.
#[derive(Debug)]
pub(super) struct Queries {
    pending: BTreeMap<Key, Pending>,
    timers: BTreeSet<(Instant, Key)>,
    /// How long answers take, on average and by how much more, in microseconds.
    usual: u64,
    spread: u64,
}

impl Default for Queries {
    fn default() -> Self {
        // As long as it takes around the world and back, until we know better.
        Self { pending: BTreeMap::new(), timers: BTreeSet::new(), usual: 300_000, spread: 175_000 }
    }
}

impl Queries {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether this node is being asked something.
    pub(super) fn is_asked(&self, address: SocketAddr) -> bool {
        self.pending.range((address, [0; 4])..=(address, [0xff; 4])).next().is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A new question's transaction id; `None` when there are too many under way. 32 random bits: nobody who cannot
    /// see our datagrams can answer them.
    pub(super) fn begin(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        id: Option<NodeId>,
        cold: bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<[u8; 4]> {
        if self.pending.len() >= QUERIES_MAX {
            return None;
        }
        let mut transaction = rng.u32();
        while self.pending.contains_key(&(to, transaction.to_be_bytes())) {
            transaction = transaction.wrapping_add(1);
        }
        let key = (to, transaction.to_be_bytes());
        let timer = now + self.slow_time();
        self.pending.insert(key, Pending { purpose, id, cold, sent: now, slow: false, timer });
        self.timers.insert((timer, key));
        Some(key.1)
    }

    /// An answer came from this address with this transaction id: to which question?
    pub(super) fn end(&mut self, from: SocketAddr, transaction: &[u8], now: Instant) -> Option<Pending> {
        let key = (from, transaction.try_into().ok()?);
        let pending = self.pending.remove(&key)?;
        self.timers.remove(&(pending.timer, key));
        let took = u64::try_from(now.since(pending.sent).as_micros()).unwrap_or(u64::MAX);
        self.spread = (self.spread * 7 + took.abs_diff(self.usual)) / 8;
        self.usual = (self.usual * 7 + took) / 8;
        Some(pending)
    }

    /// The next question that took too long.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        let (at, key) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        let pending = self.pending.get_mut(&key)?;
        if pending.slow {
            let pending = *pending;
            self.pending.remove(&key);
            return Some(Overdue::Failed(key.0, pending));
        }
        pending.slow = true;
        pending.timer = pending.sent + FULL_TIME;
        self.timers.insert((pending.timer, key));
        Some(Overdue::Slow(key.0, *pending))
    }

    fn slow_time(&self) -> Duration {
        Duration::from_micros(self.usual + 4 * self.spread).clamp(SLOW_TIME_MIN, SLOW_TIME_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1_000_000 + millis * 1_000)
    }

    #[test]
    fn an_answer_counts_from_where_it_was_asked_with_the_id_it_was_asked_by_once() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut queries = Queries::default();
        let (to, other) = (SocketAddr::from(([9; 4], 1)), SocketAddr::from(([9; 4], 2)));
        let id = queries.begin(to, Purpose::Check, None, true, at(0), &mut rng).unwrap();
        assert!(queries.end(other, &id, at(1)).is_none());
        assert!(queries.end(to, &[id[0], id[1], id[2]], at(1)).is_none());
        assert!(queries.end(to, &id, at(1)).is_some());
        assert!(queries.end(to, &id, at(1)).is_none());
        assert_eq!(queries.deadline(), None);
    }

    #[test]
    fn a_question_is_slow_first_and_failed_later() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut queries = Queries::default();
        let to = SocketAddr::from(([9; 4], 1));
        let id = queries.begin(to, Purpose::Check, None, true, at(0), &mut rng).unwrap();
        assert!(queries.overdue(at(999)).is_none());
        assert!(matches!(queries.overdue(at(1_000)), Some(Overdue::Slow(address, _)) if address == to));
        assert!(queries.overdue(at(5_999)).is_none());
        assert!(matches!(queries.overdue(at(6_000)), Some(Overdue::Failed(address, _)) if address == to));
        assert!(queries.end(to, &id, at(6_001)).is_none());
        assert_eq!((queries.len(), queries.deadline()), (0, None));
    }

    #[test]
    fn where_answers_are_quick_nobody_is_waited_for_long() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut queries = Queries::default();
        let to = SocketAddr::from(([9; 4], 1));
        for _ in 0..60 {
            let id = queries.begin(to, Purpose::Check, None, true, at(0), &mut rng).unwrap();
            queries.end(to, &id, at(50)).unwrap();
        }
        queries.begin(to, Purpose::Check, None, true, at(0), &mut rng).unwrap();
        assert_eq!(queries.deadline(), Some(at(250)));
    }

    #[test]
    fn there_are_only_so_many_questions_at_once() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut queries = Queries::default();
        let to = SocketAddr::from(([9; 4], 1));
        let begun =
            (0..2_000).filter_map(|_| queries.begin(to, Purpose::Check, None, true, at(0), &mut rng)).count();
        assert_eq!(begun, QUERIES_MAX);
    }
}
