//! What time it is, for the engine: a monotonic reading that starts at 0, and the wall clock once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pieceful_core::time::Instant;

/// A monotonic clock that reads 0 when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: std::time::Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    #[must_use]
    pub fn start() -> Self {
        Self { epoch: std::time::Instant::now() }
    }

    /// Microseconds since the epoch; never less than an earlier reading.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// How long from now until `at`; zero when it is past.
    #[must_use]
    pub fn until(&self, at: Instant) -> Duration {
        at.since(self.now())
    }

    /// The system's own instant for `at`, for calls that wait until one; `None` when it lies beyond what the
    /// system can express.
    #[must_use]
    pub fn system(&self, at: Instant) -> Option<std::time::Instant> {
        self.epoch.checked_add(Duration::from_micros(at.as_micros()))
    }
}

/// The wall clock, as time since 1970; zero when it stands before that.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_and_the_systems_instant_for_it_agree() {
        let clock = Clock::start();
        let now = clock.now();
        assert!(clock.system(now).unwrap() <= std::time::Instant::now());
        assert_eq!(clock.until(now), Duration::ZERO);
        assert!(clock.until(now + Duration::from_secs(60)) > Duration::from_secs(59));
        assert!(clock.now() >= now);
    }
}
