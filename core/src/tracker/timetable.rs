//! How soon a tracker may be asked again.

use core::time::Duration;

use super::{Answer, Retry, TrackerError};
use crate::rng::Rng;
use crate::time::Instant;

/// When one tracker was asked and wants to be asked.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    /// Not before.
    earliest: Instant,
    /// In a row.
    failures: u32,
}

impl Timetable {
    /// The torrent starts: a tracker that works may be told at once, one that fails keeps its waiting time.
    pub(super) fn begin(&mut self, now: Instant) {
        self.hurry(now);
        if self.earliest == Instant::NEVER {
            *self = Self::default(); // "never" ends with the session
        }
    }

    /// The earliest time it may be asked at.
    pub(super) const fn earliest(&self) -> Instant {
        self.earliest
    }

    /// Lets it be told something at once, unless it is failing. Says whether it does.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        if self.failures == 0 {
            self.earliest = self.earliest.min(now);
        }
        self.failures == 0
    }

    /// It answered. Returns when to ask again if nothing else happens.
    pub(super) fn succeeded(&mut self, answer: &Answer, now: Instant) -> Instant {
        self.failures = 0;
        let within = |span: Duration| span.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let least = answer.min_interval.map_or(INTERVAL_MIN, within);
        self.earliest = now + least;
        now + answer.interval.map_or(INTERVAL_USUAL, within).max(least)
    }

    /// It failed, or refused.
    pub(super) fn failed(&mut self, error: &TrackerError, now: Instant, rng: &mut Rng) {
        let doubled = RETRY_FIRST * (1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.earliest = match error {
            TrackerError::Failure { retry: Retry::Never, .. } => Instant::NEVER,
            TrackerError::Failure { retry: Retry::After(span), .. } => {
                now + (*span).clamp(INTERVAL_MIN, RETRY_SAID_MAX)
            }
            _ => {
                let base = doubled.min(RETRY_LAST);
                let jitter = rng.below(base.as_millis() as u32 / 4 + 1);
                now + base + Duration::from_millis(jitter.into())
            }
        };
    }
}

/// The shortest time between two announces without news, whatever a tracker says.
const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// The longest: 2^31 s is a mistake, and a torrent has to find new peers some day.
const INTERVAL_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// When a tracker does not say: what most of them say.
const INTERVAL_USUAL: Duration = Duration::from_secs(30 * 60);
/// The wait after a first failure. It doubles, and up to a quarter is added at random, so that the clients of a
/// tracker that was down do not all come back in the same second.
const RETRY_FIRST: Duration = Duration::from_secs(15);
/// The longest wait after failures, before what is added: with it, 30 minutes.
const RETRY_LAST: Duration = Duration::from_secs(24 * 60);
/// The longest wait a refusing tracker may ask for (BEP 31).
const RETRY_SAID_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::rng::Seed;

    fn answer(interval: Option<u64>, min_interval: Option<u64>) -> Answer {
        let seconds = |span: Option<u64>| span.map(Duration::from_secs);
        Answer { interval: seconds(interval), min_interval: seconds(min_interval), ..Answer::default() }
    }

    #[test]
    fn absurd_intervals_are_brought_within_reason() {
        for (interval, min_interval, earliest, next) in [
            (None, None, 60, 1800),
            (Some(0), Some(0), 60, 60),
            (Some(1 << 31), None, 60, 21_600),
            (Some(1 << 31), Some(1 << 31), 21_600, 21_600),
            (Some(1800), Some(900), 900, 1800),
            (Some(900), Some(1800), 1800, 1800),
        ] {
            let mut timetable = Timetable::default();
            let got = timetable.succeeded(&answer(interval, min_interval), Instant::ZERO);
            assert_eq!(got, Instant::ZERO + Duration::from_secs(next), "{interval:?} {min_interval:?}");
            assert_eq!(timetable.earliest(), Instant::ZERO + Duration::from_secs(earliest));
        }
    }

    #[test]
    fn waits_after_failures_double_from_15_s_to_half_an_hour_and_differ() {
        let mut rng = Rng::new(Seed([1; 32]));
        let mut timetable = Timetable::default();
        let mut longest = Duration::ZERO;
        for failure in 0..40_u32 {
            timetable.failed(&TrackerError::TimedOut, Instant::ZERO, &mut rng);
            let wait = timetable.earliest().since(Instant::ZERO);
            let base = Duration::from_secs((15 << failure.min(10)).min(1440));
            assert!(wait >= base && wait <= base + base / 4, "{failure}: {wait:?}");
            assert!(wait <= Duration::from_secs(1800));
            longest = longest.max(wait);
        }
        assert!(longest > Duration::from_secs(1500), "the jitter is there");
        timetable.succeeded(&Answer::default(), Instant::ZERO);
        timetable.failed(&TrackerError::TimedOut, Instant::ZERO, &mut rng);
        assert!(timetable.earliest().since(Instant::ZERO) < Duration::from_secs(20), "success forgives");
    }

    #[test]
    fn a_tracker_that_names_a_time_is_not_asked_before_it() {
        let mut rng = Rng::new(Seed([1; 32]));
        for (retry, earliest) in [
            (Retry::After(Duration::from_secs(7200)), Instant::ZERO + Duration::from_secs(7200)),
            (Retry::After(Duration::ZERO), Instant::ZERO + Duration::from_secs(60)),
            (Retry::After(Duration::MAX), Instant::ZERO + Duration::from_secs(86_400)),
            (Retry::Never, Instant::NEVER),
        ] {
            let mut timetable = Timetable::default();
            let error = TrackerError::Failure { reason: String::new(), retry };
            timetable.failed(&error, Instant::ZERO, &mut rng);
            assert_eq!(timetable.earliest(), earliest);
        }
    }
}
