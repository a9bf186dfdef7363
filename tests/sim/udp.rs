//! Datagrams: lost, late, twice and out of order as a world decides.

use std::time::Duration;

/// What happens to datagrams on their way, each in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpProfile {
    /// How many get lost.
    pub lost: u32,
    /// How many arrive twice.
    pub doubled: u32,
    /// Each is late by up to this much, so that they overtake one another.
    pub jitter: Duration,
    /// Longer ones get lost; 0 is without limit.
    pub mtu: usize,
}
