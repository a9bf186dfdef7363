//! The engine's own clock reading: microseconds since an epoch the driver chose.
//!
//! The standard library's instants cannot be built at a chosen value, written to a tape, or named here; a plain
//! number can. Microseconds, because uTP timestamps (BEP 29) are microseconds.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A reading of a monotonic clock, in microseconds since an epoch of the driver's choosing.
///
/// Arithmetic saturates: a deadline too far away to express is "never", not a wrap-around.
///
/// ```
/// use core::time::Duration;
/// use pieceful_core::time::Instant;
///
/// let start = Instant::from_micros(1_000_000);
/// let later = start + Duration::from_millis(250);
/// assert_eq!(later.since(start), Duration::from_millis(250));
/// assert_eq!(start.since(later), Duration::ZERO, "time does not run backwards");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(u64);

impl Instant {
    /// The driver's epoch.
    pub const ZERO: Self = Self(0);
    /// Later than anything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// The reading `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it is not in the past.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The first multiple of `grain` at or after this reading.
    ///
    /// Deadlines rounded this way fall together, so one wake-up serves many of them.
    #[must_use]
    pub const fn round_up(self, grain: Duration) -> Self {
        let grain = micros(grain);
        if grain == 0 {
            return self;
        }
        match self.0.checked_next_multiple_of(grain) {
            Some(rounded) => Self(rounded),
            None => Self::NEVER,
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }
}

/// A span in whole microseconds; the longest that fits when it does not.
const fn micros(span: Duration) -> u64 {
    let micros = span.as_micros();
    if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_up_meets_the_grain_and_never_goes_back() {
        let grain = Duration::from_millis(50);
        assert_eq!(Instant(1).round_up(grain), Instant(50_000));
        assert_eq!(Instant(50_000).round_up(grain), Instant(50_000));
        assert_eq!(Instant::NEVER.round_up(grain), Instant::NEVER);
        assert_eq!(Instant(7).round_up(Duration::ZERO), Instant(7));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant(3) + Duration::MAX, Instant::NEVER);
    }
}
