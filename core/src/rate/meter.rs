//! Bytes per second as they are now, not as they were since the start.

use core::time::Duration;

use crate::time::Instant;

/// Measures a flow of bytes.
///
/// An average over the last seconds in which older ones weigh less: one second after a change two thirds of it
/// show, five seconds after the last byte the rate is 0. While there is less than a second to go by, it is the
/// plain average, so that a new flow is not taken for a slow one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Which slot since the epoch `bytes` belong to.
    slot: u64,
    /// Bytes of that slot so far.
    bytes: u64,
    /// Average bytes in a slot before that one, in 1/256 byte.
    average: u64,
    /// Slots behind `average`, at most [`WEIGHT`].
    slots: u64,
}

/// One reading of the flow is taken in each.
const SLOT: Duration = Duration::from_millis(125);

/// A slot counts one part in so many: with eight slots a second, the average forgets in about a second.
const WEIGHT: u64 = 8;

/// After so many empty slots the flow has ended: less than 1 % of it would show.
const SILENCE: u64 = 40;

const FRACTION: u64 = 256;

impl Meter {
    /// Takes note of `bytes` that flowed just now.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.advance(now);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Bytes per second. The slot under way is left out, so this may be called at any moment.
    #[must_use]
    pub fn rate(&self, now: Instant) -> u64 {
        let mut then = *self;
        then.advance(now);
        then.average.saturating_mul(WEIGHT) / FRACTION
    }

    pub(crate) const fn foresee(&self) -> u64 {
        self.slot
    }

    fn advance(&mut self, now: Instant) {
        let slot = now.as_micros() / SLOT.as_micros() as u64;
        if slot <= self.slot {
            return;
        }
        if slot - self.slot > SILENCE || self.slots == 0 && self.bytes == 0 {
            *self = Self { slot, ..Self::default() };
            return;
        }
        while self.slot < slot {
            self.slots = (self.slots + 1).min(WEIGHT);
            let bytes = self.bytes.saturating_mul(FRACTION);
            self.average = self.average - self.average / self.slots + bytes / self.slots;
            self.bytes = 0;
            self.slot += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1_000_000_000 + millis * 1_000)
    }

    /// Adds `rate` bytes a second, a chunk each millisecond, from `from` until `until`.
    fn flow(meter: &mut Meter, from: u64, until: u64, rate: u64) {
        for millis in from..until {
            meter.add(at(millis), rate / 1000);
        }
    }

    #[test]
    fn a_steady_flow_is_measured_from_the_first_quarter_second_on() {
        let mut meter = Meter::default();
        flow(&mut meter, 0, 250, 8_000_000);
        assert!((7_500_000..=8_500_000).contains(&meter.rate(at(250))), "{}", meter.rate(at(250)));
        flow(&mut meter, 250, 60_000, 8_000_000);
        assert!((7_900_000..=8_100_000).contains(&meter.rate(at(60_000))));
    }

    #[test]
    fn most_of_a_change_shows_within_a_second() {
        let mut meter = Meter::default();
        flow(&mut meter, 0, 10_000, 1_000_000);
        flow(&mut meter, 10_000, 11_000, 9_000_000);
        assert!(meter.rate(at(11_000)) > 5_500_000, "{}", meter.rate(at(11_000)));
        flow(&mut meter, 11_000, 14_000, 9_000_000);
        assert!(meter.rate(at(14_000)) > 8_500_000);
    }

    #[test]
    fn silence_decays_smoothly_to_nothing() {
        let mut meter = Meter::default();
        flow(&mut meter, 0, 10_000, 1_000_000);
        let mut last = meter.rate(at(10_000));
        for millis in (10_125..16_000).step_by(125) {
            let rate = meter.rate(at(millis));
            assert!(rate <= last);
            last = rate;
        }
        assert_eq!(last, 0);
    }

    #[test]
    fn a_jump_of_the_clock_costs_nothing_and_a_huge_flow_does_not_overflow() {
        let mut meter = Meter::default();
        meter.add(at(0), u64::MAX);
        meter.add(at(1), u64::MAX);
        assert!(meter.rate(at(200)) > 0);
        assert_eq!(meter.rate(Instant::NEVER), 0);
    }
}
