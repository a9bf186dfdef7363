//! A torrent's own limits, beside those for all.

use super::{RateLimits, Torrent, Turn};
use crate::time::Instant;

impl Torrent {
    /// Gives back `bytes` taken out of the torrent's download limit that did not come.
    pub fn unthrottle(&mut self, bytes: u64) {
        self.download.give_back(bytes);
    }

    /// Takes `bytes` that arrived out of the torrent's download limit; says when to read on, if not now.
    pub fn throttle(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        self.download.spend(now, bytes);
        let at = self.download.available_at(now, 1);
        (at > now).then_some(at)
    }

    /// Other limits from now on.
    pub fn set_rates(&mut self, rates: RateLimits, turn: &mut Turn<'_>) {
        self.upload.set_rate(turn.now, rates.upload);
        self.download.set_rate(turn.now, rates.download);
        self.tick(turn);
    }
}
