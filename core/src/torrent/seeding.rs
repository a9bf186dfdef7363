//! When a torrent that is complete has given enough.

use core::time::Duration;

use super::{Action, Event, Torrent, Turn};
use crate::time::Instant;

/// How long a complete torrent goes on serving; without limits, until it is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeedingLimits {
    /// Until this many thousandths of its size have been sent: 1,000 gives as much as a download takes.
    pub ratio_permille: Option<u32>,
    /// Until so much time has passed since it was complete.
    pub time: Option<Duration>,
}

/// How a torrent stands to its [`SeedingLimits`].
///
/// Blocks that are being read for peers count before they leave: otherwise every connection would overshoot the
/// ratio by all that its send credit holds.
#[derive(Debug, Default)]
pub(super) struct Seeding {
    limits: SeedingLimits,
    /// The ratio, in bytes to be sent.
    enough: Option<u64>,
    /// Since when the torrent has been complete.
    pub(super) complete_since: Option<Instant>,
    /// Payload handed over.
    given: u64,
    /// Payload being read from disk, on its way to peers.
    promised: u64,
}

impl Seeding {
    /// The limits of a torrent that stores `stored` bytes.
    pub(super) fn new(limits: SeedingLimits, stored: u64) -> Self {
        let mut seeding = Self::default();
        seeding.set_limits(limits, stored);
        seeding
    }

    pub(super) fn set_limits(&mut self, limits: SeedingLimits, stored: u64) {
        self.limits = limits;
        self.enough = limits.ratio_permille.map(|permille| {
            let due = (u128::from(stored) * u128::from(permille)).div_ceil(1000);
            u64::try_from(due).unwrap_or(u64::MAX)
        });
    }

    /// The torrent stores `stored` bytes.
    pub(super) fn know_size(&mut self, stored: u64) {
        self.set_limits(self.limits, stored);
    }

    /// Bytes of a block are being read for a peer.
    pub(super) const fn promise(&mut self, bytes: u32) {
        self.promised += bytes as u64;
    }

    /// They were read, or could not be; what leaves is [`gave`](Self::gave) next.
    pub(super) const fn end_promise(&mut self, bytes: u32) {
        self.promised = self.promised.saturating_sub(bytes as u64);
    }

    /// Payload was handed over.
    pub(super) const fn gave(&mut self, bytes: u64) {
        self.given += bytes;
    }

    /// Payload handed over so far.
    pub(super) const fn given(&self) -> u64 {
        self.given
    }

    /// Whether the ratio is reached once all that is on its way has left: nothing more is begun.
    pub(super) fn has_promised_enough(&self) -> bool {
        self.complete_since.is_some() && self.enough.is_some_and(|due| self.given + self.promised >= due)
    }

    fn is_over(&self, now: Instant) -> bool {
        let by_ratio = self.complete_since.is_some() && self.enough.is_some_and(|due| self.given >= due);
        by_ratio || self.deadline().is_some_and(|at| at <= now)
    }

    /// When the time for seeding is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.complete_since? + self.limits.time?)
    }
}

impl Torrent {
    /// Pauses the torrent once it has given enough.
    ///
    /// The limits are used up by that: an owner who resumes it wants more of it, not the same pause again.
    pub(super) fn see_to_seeding(&mut self, turn: &mut Turn<'_>) {
        if self.is_running() && self.seeding.is_over(turn.now) {
            self.set_seeding_limits(SeedingLimits::default());
            turn.out.push(Action::Event(Event::SeedingDone { torrent: self.id }));
            self.pause(turn);
        }
    }

    /// Other limits from now on; what has been given so far counts.
    pub fn set_seeding_limits(&mut self, limits: SeedingLimits) {
        self.seeding.set_limits(limits, self.layout.stored());
    }
}
