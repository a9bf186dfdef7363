//! What a peer did for us over the last two rounds.

use super::ROUND;
use crate::time::Instant;

/// Remembers how much a peer had sent and taken when the last rounds began.
///
/// ```
/// use pieceful_core::choke::{ROUND, Recent};
/// use pieceful_core::time::Instant;
///
/// let (mut now, mut from_it, mut to_it) = (Instant::ZERO, 0, 0);
/// let mut recent = Recent::new(now);
/// for _ in 0..3 {
///     now += ROUND;
///     from_it += 50_000;
///     to_it += 1_000_000;
///     recent.round(now, from_it, to_it);
/// }
/// assert_eq!(recent.rate(now, from_it), 5_000);
/// assert_eq!(recent.unreturned(), 3, "it takes twenty times what it gives");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    /// When the last round began and the one before it, and what the peer had sent by then.
    marks: [(Instant, u64); 2],
    /// What it had taken when the last round began.
    taken: u64,
    unreturned: u32,
}

/// A peer that has given less than one part in so many of what it took in all has given next to nothing.
const NEXT_TO_NOTHING: u64 = 4;

impl Recent {
    /// A peer that has just come.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { marks: [(now, 0); 2], taken: 0, unreturned: 0 }
    }

    /// A round begins. The peer has sent `from_it` and taken `to_it` payload bytes since it came.
    pub fn round(&mut self, now: Instant, from_it: u64, to_it: u64) {
        if from_it > to_it / NEXT_TO_NOTHING {
            self.unreturned = 0;
        } else if to_it > self.taken {
            self.unreturned = self.unreturned.saturating_add(1);
        }
        self.taken = to_it;
        self.marks = [(now, from_it), self.marks[0]];
    }

    /// Bytes per second from it since the round before the last one began, given all it has sent so far. A peer
    /// that came a moment ago is measured as if it had been there for a round: a first burst is no merit.
    #[must_use]
    pub fn rate(&self, now: Instant, from_it: u64) -> u64 {
        let [_, (since, sent)] = self.marks;
        let millis = now.since(since).max(ROUND).as_millis();
        u64::try_from(u128::from(from_it - sent) * 1_000 / millis).unwrap_or(u64::MAX)
    }

    /// Rounds in which it took something, having given next to nothing back so far.
    #[must_use]
    pub const fn unreturned(&self) -> u32 {
        self.unreturned
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_pause_of_a_few_seconds_does_not_make_a_good_partner_a_bad_one() {
        let mut recent = Recent::new(Instant::ZERO);
        let (first, second) = (Instant::ZERO + ROUND, Instant::ZERO + 2 * ROUND);
        recent.round(first, 400_000, 0);
        recent.round(second, 800_000, 0);
        assert_eq!(recent.rate(second + Duration::from_secs(5), 800_000), 400_000 / 15);
        recent.round(second + ROUND, 800_000, 0);
        recent.round(second + 2 * ROUND, 800_000, 0);
        assert_eq!(recent.rate(second + 2 * ROUND, 800_000), 0, "but it does not live on old merits");
    }

    #[test]
    fn one_that_gives_its_part_is_no_taker_any_more_and_one_that_is_not_served_becomes_none() {
        let mut recent = Recent::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut round = |from_it, to_it| {
            now += ROUND;
            recent.round(now, from_it, to_it);
            recent.unreturned()
        };
        assert_eq!([round(0, 100), round(0, 200), round(0, 200)], [1, 2, 2]);
        assert_eq!(round(75, 300), 3, "a quarter is too little");
        assert_eq!(round(100, 300), 0);
    }
}
