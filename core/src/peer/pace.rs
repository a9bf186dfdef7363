//! How long a peer takes for a block, so that the owner can tell whom to ask for the last ones.

use core::time::Duration;

use super::Peer;
use crate::rate::Pace;
use crate::time::Instant;

/// What a peer that has sent nothing yet is expected to take for its first block, before it is asked in another's
/// place. One that has been asked already is given the benefit of the doubt instead.
const UNPROVEN: Duration = Duration::from_millis(500);
/// So many blocks make up the average; the latest count most.
const BLOCKS: u32 = 16;

impl Peer {
    /// How fast it sends what it was asked for; `None` while its bytes are not read.
    #[must_use]
    pub fn pace(&self, now: Instant) -> Option<Pace> {
        self.reading.then(|| self.asking.pace(now))
    }

    /// How fast it would send something in another's place.
    #[must_use]
    pub fn helping_pace(&self, now: Instant) -> Option<Pace> {
        self.reading.then(|| self.asking.helping_pace(now))
    }
}

/// Measures it, from turn to turn: a request has its turn once the one before it is answered.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Since when the oldest request has had its turn.
    turn: Instant,
    /// It was made while the peer had nothing to do, so that its time covers the way there and back.
    from_idle: bool,
    /// Time of such requests, and of the others.
    from_idle_time: Option<Duration>,
    each: Duration,
    blocks: u32,
}

impl Stopwatch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { turn: now, from_idle: false, from_idle_time: None, each: Duration::ZERO, blocks: 0 }
    }

    /// An idle peer was asked for something.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.turn = now;
        self.from_idle = true;
    }

    /// What it did not do until now is not to be counted.
    pub(super) const fn restart(&mut self, now: Instant) {
        self.turn = now;
    }

    /// A block came.
    pub(super) fn lap(&mut self, now: Instant) {
        let took = now.since(self.turn);
        self.turn = now;
        if core::mem::replace(&mut self.from_idle, false) {
            self.from_idle_time = Some(self.from_idle_time.map_or(took, |before| (before + took) / 2));
        } else {
            self.blocks = (self.blocks + 1).min(BLOCKS);
            self.each = self.each - self.each / self.blocks + took / self.blocks;
        }
    }

    /// What to expect of a peer that was asked for something.
    pub(super) fn of_busy(&self, now: Instant) -> Pace {
        let first = if self.from_idle { self.when_idle().unwrap_or_default() } else { self.each };
        Pace { first, each: self.each, waited: now.since(self.turn) }
    }

    /// What to expect of it were it asked for more than it owes.
    pub(super) fn of_helper(&self, now: Instant, busy: bool) -> Pace {
        match self.when_idle() {
            Some(_) if busy => self.of_busy(now),
            when_idle => {
                Pace { first: when_idle.unwrap_or(UNPROVEN), each: self.each, waited: Duration::ZERO }
            }
        }
    }

    fn when_idle(&self) -> Option<Duration> {
        self.from_idle_time.map(|time| time.max(self.each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_way_there_and_back_is_told_from_the_time_of_a_block() {
        let mut watch = Stopwatch::new(at(0));
        watch.begin(at(1_000));
        for time in [1_200, 1_210, 1_220, 1_230] {
            watch.lap(at(time));
        }
        let busy = Pace { first: millis(10), each: millis(10), waited: millis(5) };
        assert_eq!(watch.of_busy(at(1_235)), busy);
        assert_eq!(watch.of_helper(at(1_235), true), busy, "the way there is covered by what it owes");
        let idle = Pace { first: millis(200), each: millis(10), waited: Duration::ZERO };
        assert_eq!(watch.of_helper(at(9_000), false), idle);
        watch.begin(at(9_000));
        assert_eq!(watch.of_busy(at(9_100)), Pace { waited: millis(100), ..idle });
    }

    #[test]
    fn a_peer_that_has_sent_nothing_is_no_help_but_not_late_either() {
        let mut watch = Stopwatch::new(at(0));
        watch.begin(at(0));
        assert_eq!(watch.of_busy(at(30)).expects(15), millis(30));
        assert_eq!(watch.of_helper(at(30), true).expects(0), UNPROVEN);
    }

    #[test]
    fn what_cannot_arrive_is_not_waited_for() {
        let mut watch = Stopwatch::new(at(0));
        watch.begin(at(0));
        watch.restart(at(5_000));
        assert_eq!(watch.of_busy(at(5_010)).waited, millis(10));
    }
}
