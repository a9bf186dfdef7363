//! When a torrent that is complete has given enough.

use core::time::Duration;

use super::{Action, Event, Torrent, Turn};
use crate::time::Instant;

/// How long a complete torrent goes on serving; without limits, until it is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedingLimits {
    /// Until this many thousandths of its size have been sent: 1,000 gives as much as a download takes.
    pub ratio_permille: Option<u32>,
    /// Until so much time has passed since it was complete.
    pub time: Option<Duration>,
}

impl Torrent {
    /// Pauses the torrent once it has given enough.
    pub(super) fn see_to_seeding(&mut self, turn: &mut Turn<'_>) {
        if self.is_running() && self.has_given_enough(turn.now) {
            turn.out.push(Action::Event(Event::SeedingDone { torrent: self.id }));
            self.pause(turn);
        }
    }

    fn has_given_enough(&self, now: Instant) -> bool {
        let by_ratio = self.seeding.ratio_permille.is_some_and(|permille| {
            let due = u128::from(self.layout.stored()) * u128::from(permille);
            self.picker.is_complete() && u128::from(self.given) * 1000 >= due
        });
        by_ratio || self.seeding_deadline().is_some_and(|at| at <= now)
    }

    /// When the time for seeding is up.
    pub(super) fn seeding_deadline(&self) -> Option<Instant> {
        Some(self.complete_since? + self.seeding.time?)
    }
}
