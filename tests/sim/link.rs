//! How fast and how far away a node is.

use std::time::Duration;

use pieceful_core::rng::Rng;
use pieceful_core::time::Instant;

/// A node's way to everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// Bytes per second away from the node.
    pub up: u64,
    /// Bytes per second towards the node.
    pub down: u64,
    /// One way to the middle of the network; a round trip is twice the sum of both ends' delays.
    pub delay: Duration,
    /// Of a thousand packets, both ways, how many get lost.
    pub loss: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { up: 4 << 20, down: 8 << 20, delay: Duration::from_millis(10), loss: 0 }
    }
}

impl Link {
    /// Much faster than anything else in a test.
    #[must_use]
    pub const fn fast() -> Self {
        Self { up: 1 << 30, down: 1 << 30, delay: Duration::from_micros(200), loss: 0 }
    }

    /// The same rate both ways.
    #[must_use]
    pub const fn symmetric(rate: u64, delay: Duration) -> Self {
        Self { up: rate, down: rate, delay, loss: 0 }
    }
}

/// A link in use: bytes leave one after the other, and arrive one after the other.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))] // a line of a cache, and no part of another
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

/// Bytes of a connection in a packet.
const SEGMENT: u32 = 1448;
/// The least that a system waits before it sends again what nobody asks for.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// The way between two links, as far as packets get lost on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lossy {
    /// Of a thousand.
    loss: u32,
    round_trip: Duration,
}

impl Lossy {
    /// `None` when nothing gets lost.
    pub(crate) fn between(one: Link, other: Link) -> Option<Self> {
        let loss = (one.loss + other.loss).saturating_sub(one.loss * other.loss / 1000).min(1000);
        (loss > 0).then(|| Self { loss, round_trip: 2 * (one.delay + other.delay) })
    }

    /// Whether one packet gets lost.
    pub(crate) fn loses(self, rng: &mut Rng) -> bool {
        rng.below(1000) < self.loss
    }

    /// How much later than otherwise the last of `len` bytes arrives: what is lost in the midst of others is asked
    /// for after a round trip; what is lost alone, or again, is sent again when time is up.
    pub(crate) fn late(self, len: u32, rng: &mut Rng) -> Duration {
        let packets = len.div_ceil(SEGMENT);
        let mut latest = Duration::ZERO;
        for packet in 0..packets {
            if !self.loses(rng) {
                continue;
            }
            let mut wait = RETRANSMIT + 2 * self.round_trip;
            let mut late = if packet + 3 < packets { self.round_trip } else { wait };
            // Past a few minutes a system would give up, and so do we with counting.
            while self.loses(rng) && wait < Duration::from_secs(60) {
                late += wait;
                wait *= 2;
            }
            latest = latest.max(late);
        }
        latest
    }

    /// How long `len` bytes take at the rate that losses leave (Mathis et al., 1997): a segment and a fifth each
    /// round trip, divided by the root of the loss.
    pub(crate) fn span(self, len: u32) -> Duration {
        let root = u64::from((self.loss * 1000).isqrt()); // in thousandths
        let round_trip = self.round_trip.as_micros() as u64;
        Duration::from_micros(u64::from(len) * round_trip * root / (u64::from(SEGMENT) * 1220))
    }
}

fn span(len: u64, rate: u64) -> Duration {
    Duration::from_micros(len.saturating_mul(1_000_000) / rate.max(1))
}
