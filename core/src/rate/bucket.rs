//! How many bytes may flow now under a limit.

use core::time::Duration;

use crate::time::Instant;

/// A token bucket: grants bytes at a rate.
///
/// What is not used is kept for little more than a quarter of a second, so that over ten seconds the limit holds
/// within 3 %. It may be overdrawn ([`spend`](Self::spend)) by bytes that nobody can hold back any more; nothing
/// is granted then until the debt is worked off.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Option<u64>,
    /// Bytes that may flow; below 0 a debt.
    bytes: i64,
    /// Millionths of a byte on top, so that no rounding adds up.
    millionths: u64,
    filled: Instant,
}

/// As much time's worth is granted at once at most.
const BURST: Duration = Duration::from_millis(250);

/// And a bucket holds this much, so that nothing is lost when whoever waits for all of a burst is woken a little late.
const KEPT: Duration = Duration::from_millis(290);

const MICROS: u64 = 1_000_000;

impl Bucket {
    /// A bucket that grants `rate` bytes a second, or everything at once when there is no limit. It starts
    /// full.
    #[must_use]
    pub const fn new(rate: Option<u64>) -> Self {
        Self { rate, bytes: 0, millionths: 0, filled: Instant::ZERO }
    }

    /// The limit in bytes per second.
    #[must_use]
    pub const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Changes the limit from now on; a debt stays.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        self.fill(now);
        self.rate = rate;
        self.bytes = self.bytes.min(self.most());
        self.filled = now;
    }

    /// Up to `want` bytes that may flow now.
    pub fn take(&mut self, now: Instant, want: u64) -> u64 {
        if self.rate.is_none() {
            return want;
        }
        self.fill(now);
        let granted = want.min(u64::try_from(self.bytes).unwrap_or(0));
        self.bytes -= granted as i64;
        granted
    }

    /// Takes note of `bytes` that flow in any case.
    pub fn spend(&mut self, now: Instant, bytes: u64) {
        if self.rate.is_some() {
            self.fill(now);
            self.bytes = self.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// Returns `bytes` that were taken and did not flow.
    pub fn give_back(&mut self, bytes: u64) {
        if self.rate.is_some() {
            let more = self.bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.bytes = more.min(self.most());
        }
    }

    /// When [`take`](Self::take) would grant `amount` bytes, or all that the bucket holds if that is less.
    #[must_use]
    pub fn available_at(&self, now: Instant, amount: u64) -> Instant {
        let Some(rate) = self.rate else { return now };
        let mut then = *self;
        then.fill(now);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX).min(then.worth(BURST));
        let short = i128::from(amount) - i128::from(then.bytes);
        if short <= 0 {
            return now;
        }
        if rate == 0 {
            return Instant::NEVER;
        }
        let millionths = short.unsigned_abs() * u128::from(MICROS) - u128::from(then.millionths);
        let micros = u64::try_from(millionths.div_ceil(u128::from(rate))).unwrap_or(u64::MAX);
        now + Duration::from_micros(micros)
    }

    fn fill(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return };
        let micros = now.since(self.filled).as_micros();
        if micros == 0 {
            return;
        }
        self.filled = now;
        let millionths = micros * u128::from(rate) + u128::from(self.millionths);
        let bytes = i64::try_from(millionths / u128::from(MICROS)).unwrap_or(i64::MAX);
        self.millionths = (millionths % u128::from(MICROS)) as u64;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= self.most() {
            self.bytes = self.most();
            self.millionths = 0;
        }
    }

    /// What the bucket holds; at least a byte, or the slowest limit would never grant any.
    fn most(&self) -> i64 {
        self.worth(KEPT)
    }

    fn worth(&self, span: Duration) -> i64 {
        let bytes = u128::from(self.rate.unwrap_or(0)) * span.as_micros() / u128::from(MICROS);
        i64::try_from(bytes).unwrap_or(i64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1_000_000_000 + millis * 1_000)
    }

    #[test]
    fn a_limit_holds_within_3_percent_over_ten_seconds_at_any_rate_and_step() {
        for rate in [1_000, 99_999, 1_000_000, 1_000_000_000_u64] {
            for step in [1, 7, 50, 100] {
                let mut bucket = Bucket::new(Some(rate));
                let granted: u64 = (0..=10_000 / step).map(|i| bucket.take(at(i * step), u64::MAX)).sum();
                assert!(granted.abs_diff(rate * 10) * 100 <= rate * 10 * 3, "{rate} by {step}: {granted}");
            }
        }
    }

    #[test]
    fn a_debt_is_worked_off_before_anything_is_granted() {
        let mut bucket = Bucket::new(Some(1_000));
        bucket.take(at(0), u64::MAX);
        bucket.spend(at(0), 2_000);
        assert_eq!(bucket.available_at(at(1_000), 100), at(2_100));
        assert_eq!(bucket.take(at(1_999), 1), 0);
        assert_eq!(bucket.take(at(2_100), 1_000), 100);
    }

    #[test]
    fn the_promised_moment_is_exact() {
        let mut bucket = Bucket::new(Some(300_000));
        bucket.take(at(0), u64::MAX);
        let due = bucket.available_at(at(0), 16_384);
        let mut early = bucket;
        assert!(early.take(due - Duration::from_micros(1), 16_384) < 16_384);
        assert_eq!(bucket.take(due, 16_384), 16_384);
    }

    #[test]
    fn a_limit_of_nothing_never_grants_and_no_limit_grants_all() {
        let mut none = Bucket::new(Some(0));
        assert_eq!(none.take(at(0), 1), 0);
        assert_eq!(none.available_at(at(5), 1), Instant::NEVER);
        let mut all = Bucket::new(None);
        assert_eq!(all.take(at(0), u64::MAX), u64::MAX);
        assert_eq!(all.available_at(at(5), 1 << 40), at(5));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut bucket = Bucket::new(Some(100_000));
        bucket.take(at(0), u64::MAX);
        assert_eq!(bucket.take(at(100), 10_000), 10_000);
        bucket.give_back(3_000);
        assert_eq!(bucket.take(at(100), 8_000), 3_000);
    }
}
