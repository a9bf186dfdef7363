//! Which peers may download from us: rounds of ten seconds, and one slot for newcomers.

use alloc::vec::Vec;

use crate::id::PeerKey;
use crate::rng::Rng;
use crate::time::Instant;

mod rank;

pub use rank::{Candidate, Mode};

/// Decides who is unchoked.
#[derive(Clone, Debug)]
pub struct Choker {
    next_round: Instant,
}

#[allow(missing_docs, unused_variables)]
impl Choker {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { next_round: now }
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next_round
    }

    /// An unchoked peer left or lost interest, or an interested one came while slots may be free: the next
    /// `tick`, due at once, fills free slots without choking anybody.
    pub fn slot_freed(&mut self, now: Instant) {}

    /// If a round (or a refill) is due: puts the keys of all peers to be unchoked into `out`, cleared first, and
    /// says true; every other peer is to be choked.
    pub fn tick(
        &mut self,
        now: Instant,
        candidates: &[Candidate],
        slots: u32,
        mode: Mode,
        rng: &mut Rng,
        out: &mut Vec<PeerKey>,
    ) -> bool {
        false
    }
}
