//! How fast and how far away a node is.

use std::time::Duration;

use pieceful_core::time::Instant;

/// A node's way to everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Bytes per second away from the node.
    pub up: u64,
    /// Bytes per second towards the node.
    pub down: u64,
    /// One way to the middle of the network; a round trip is twice the sum of both ends' delays.
    pub delay: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self { up: 4 << 20, down: 8 << 20, delay: Duration::from_millis(10) }
    }
}

impl Link {
    /// Much faster than anything else in a test.
    #[must_use]
    pub const fn fast() -> Self {
        Self { up: 1 << 30, down: 1 << 30, delay: Duration::from_micros(200) }
    }

    /// The same rate both ways.
    #[must_use]
    pub const fn symmetric(rate: u64, delay: Duration) -> Self {
        Self { up: rate, down: rate, delay }
    }
}

/// A link in use: bytes leave one after the other, and arrive one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkState {
    pub(crate) link: Link,
    up_free: Instant,
    down_free: Instant,
}

impl LinkState {
    pub(crate) const fn new(link: Link) -> Self {
        Self { link, up_free: Instant::ZERO, down_free: Instant::ZERO }
    }

    /// When `len` bytes handed over now have left.
    pub(crate) fn departs(&mut self, now: Instant, len: u64) -> Instant {
        self.up_free = self.up_free.max(now) + span(len, self.link.up);
        self.up_free
    }

    /// When `len` bytes that stand at the node's door now are in.
    pub(crate) fn arrives(&mut self, now: Instant, len: u64) -> Instant {
        let at = self.down_free.max(now);
        self.down_free = at + span(len, self.link.down);
        at
    }
}

fn span(len: u64, rate: u64) -> Duration {
    Duration::from_micros(len.saturating_mul(1_000_000) / rate.max(1))
}
