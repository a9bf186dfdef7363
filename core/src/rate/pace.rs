//! How long things take that somebody does one after the other.

use core::time::Duration;

/// How fast a peer sends what it is asked for, as far as can be told. All zero if nothing is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How long the first of the blocks it owes takes in all; if it owes none, how long one would.
    pub first: Duration,
    /// From each block to the next one.
    pub each: Duration,
    /// How long the first of the blocks it owes has taken already.
    pub waited: Duration,
}

impl Pace {
    /// How long from now a block is expected to take that has `ahead` others before it. When the first one has
    /// taken longer than it should, it is expected to take as long again.
    #[must_use]
    pub fn expects(&self, ahead: u32) -> Duration {
        self.first.max(self.waited).saturating_add(self.each.saturating_mul(ahead))
    }

    /// How long until that becomes `limit`, if nothing comes meanwhile.
    #[must_use]
    pub fn reaches(&self, limit: Duration, ahead: u32) -> Duration {
        if self.expects(ahead) >= limit {
            return Duration::ZERO;
        }
        limit.saturating_sub(self.each.saturating_mul(ahead)).saturating_sub(self.waited)
    }
}
