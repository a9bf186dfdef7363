//! Which peers may download from us: rounds of ten seconds, and one slot for newcomers.
//!
//! ```
//! use pieceful_core::choke::{Candidate, Choker, Mode};
//! use pieceful_core::id::PeerKey;
//! use pieceful_core::rng::{Rng, Seed};
//! use pieceful_core::time::Instant;
//! use slotmap::SlotMap;
//!
//! let mut peers: SlotMap<PeerKey, ()> = SlotMap::with_key();
//! let peer = Candidate {
//!     key: peers.insert(()),
//!     interested: true,
//!     snubbed: false,
//!     unchoked: false,
//!     down_rate: 10_000,
//!     up_rate: 0,
//!     sent_since_unchoke: 0,
//!     last_unchoked: Instant::ZERO,
//!     connected_at: Instant::ZERO,
//! };
//! let mut choker = Choker::new(Instant::ZERO);
//! let mut unchoked = Vec::new();
//! let mut rng = Rng::new(Seed([7; 32]));
//! assert!(choker.tick(choker.deadline(), &[peer], 4, Mode::Leeching, &mut rng, &mut unchoked));
//! assert_eq!(unchoked, [peer.key]);
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use crate::id::PeerKey;
use crate::rng::Rng;
use crate::time::Instant;

mod rank;

pub use rank::{Candidate, Mode, NEWCOMER_TIME, NEWCOMER_WEIGHT, TURN_BYTES, TURN_TIME, optimistic, rank};

/// How long a decision stands. Shorter, and TCP does not get up to speed before it is choked again (BEP 3).
pub const ROUND: Duration = Duration::from_secs(10);

/// How long the optimistic slot stays with one peer: long enough to get a piece, send blocks of it to us and be
/// measured (BEP 3).
pub const OPTIMISTIC_TIME: Duration = Duration::from_secs(30);

/// Decides who is unchoked.
#[derive(Clone, Debug)]
pub struct Choker {
    next_round: Instant,
    refill: Option<Instant>,
    optimistic: Option<PeerKey>,
    optimistic_until: Instant,
}

impl Choker {
    /// A choker whose first round is due at once.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { next_round: now, refill: None, optimistic: None, optimistic_until: Instant::ZERO }
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.refill.map_or(self.next_round, |refill| refill.min(self.next_round))
    }

    /// A slot may be free: an unchoked peer left or lost interest, or a peer became interested. The next `tick`
    /// is due at once and fills free slots without choking anybody who makes use of one.
    pub fn slot_freed(&mut self, now: Instant) {
        self.refill.get_or_insert(now);
    }

    /// The peer in the optimistic slot.
    #[must_use]
    pub const fn optimistic(&self) -> Option<PeerKey> {
        self.optimistic
    }

    /// If a round or a refill is due: puts the keys of all peers to be unchoked into `out`, cleared first, and
    /// says true; every other peer is to be choked. Otherwise `out` is left alone.
    ///
    /// One of `slots` is the optimistic one while leeching and there is more than one. `candidates` are all
    /// peers connected, in any order: the outcome does not depend on it except through `rng`.
    pub fn tick(
        &mut self,
        now: Instant,
        candidates: &[Candidate],
        slots: u32,
        mode: Mode,
        rng: &mut Rng,
        out: &mut Vec<PeerKey>,
    ) -> bool {
        if now < self.deadline() {
            return false;
        }
        self.refill = None;
        out.clear();
        if now >= self.next_round {
            self.next_round = now + ROUND;
            self.round(now, candidates, slots, mode, rng, out);
        } else {
            fill(now, candidates, slots, mode, out);
        }
        true
    }

    fn round(
        &mut self,
        now: Instant,
        candidates: &[Candidate],
        slots: u32,
        mode: Mode,
        rng: &mut Rng,
        out: &mut Vec<PeerKey>,
    ) {
        if mode == Mode::Seeding || slots < 2 {
            self.optimistic = None;
            out.extend(rank(now, candidates, slots, mode));
            return;
        }
        out.extend(rank(now, candidates, slots - 1, mode));
        let wants = |key| candidates.iter().any(|peer| peer.key == key && peer.interested && !peer.snubbed);
        let keep = self.optimistic.filter(|&key| now < self.optimistic_until && wants(key));
        // One that has earned a slot of its own makes room for another.
        if let Some(key) = keep.filter(|key| !out.contains(key)) {
            out.push(key);
            return;
        }
        self.optimistic = optimistic(now, candidates, out, rng);
        self.optimistic_until = now + OPTIMISTIC_TIME;
        match self.optimistic {
            Some(key) => out.push(key),
            // Nobody to try: the slot is not left empty while somebody wants it.
            None => fill_from(rank(now, candidates, slots, mode), slots, out),
        }
    }
}

/// Those who are unchoked and make use of it stay; the best of the others get what is left.
fn fill(now: Instant, candidates: &[Candidate], slots: u32, mode: Mode, out: &mut Vec<PeerKey>) {
    let mut using: Vec<Candidate> =
        candidates.iter().filter(|peer| peer.unchoked && peer.interested).copied().collect();
    using.sort_unstable_by_key(|peer| (peer.last_unchoked, peer.key));
    out.extend(using.iter().take(slots as usize).map(|peer| peer.key));
    fill_from(rank(now, candidates, u32::MAX, mode), slots, out);
}

fn fill_from(ranked: Vec<PeerKey>, slots: u32, out: &mut Vec<PeerKey>) {
    for key in ranked {
        if out.len() >= slots as usize {
            return;
        }
        if !out.contains(&key) {
            out.push(key);
        }
    }
}

#[cfg(test)]
mod tests;
