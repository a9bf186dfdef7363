//! Which peers may download from us: rounds of ten seconds, and slots to try somebody new.
//!
//! While leeching, slots go to those who send us most, measured over two rounds. One of them, and each that nobody
//! has earned, is optimistic: given for thirty seconds to a peer drawn by lot, newcomers three times as likely as
//! others. It ends early if the peer has something for us and gives nothing, and those who took such a turn and gave
//! nothing back hardly ever win again: in the simulator's swarm of fifty a peer that never gives would otherwise have
//! half of what an honest one has.
//!
//! While seeding nobody can earn anything, so everybody has turns of the same length.
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
//!     turns: 0,
//!     sent_since_unchoke: 0,
//!     last_unchoked: Instant::ZERO,
//!     connected_at: Instant::ZERO,
//!     unreturned: 0,
//!     refuses: false,
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
mod recent;

pub use rank::{
    Candidate, Mode, NEWCOMER_TIME, NEWCOMER_WEIGHT, TAKER_FRACTION, TAKER_ROUNDS, TURN_BYTES, TURN_TIME,
    optimistic, rank,
};
pub use recent::Recent;

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
    /// Those who were drawn, and until when their turns last.
    optimistic: Vec<(PeerKey, Instant)>,
}

impl Choker {
    /// A choker whose first round is due at once.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { next_round: now, refill: None, optimistic: Vec::new() }
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.refill.map_or(self.next_round, |refill| refill.min(self.next_round))
    }

    /// Whether the next [`tick`](Self::tick) at `now` judges everybody anew, rather than filling a free slot.
    #[must_use]
    pub fn is_round(&self, now: Instant) -> bool {
        now >= self.next_round
    }

    /// A slot may be free: an unchoked peer left or lost interest, or a peer became interested. The next `tick`
    /// is due at once and fills free slots without choking anybody who makes use of one.
    pub fn slot_freed(&mut self, now: Instant) {
        self.refill.get_or_insert(now);
    }

    /// The peers in optimistic slots.
    pub fn optimistic(&self) -> impl Iterator<Item = PeerKey> {
        self.optimistic.iter().map(|(key, _)| *key)
    }

    /// If a round or a refill is due: puts the keys of all peers to be unchoked into `out`, cleared first, and
    /// says true; every other peer is to be choked. Otherwise `out` is left alone.
    ///
    /// While leeching one of `slots`, if there is more than one, is optimistic, and those that nobody has earned.
    /// `candidates` are all peers connected, in any order: the outcome does not depend on it except through `rng`.
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
        let is_round = self.is_round(now);
        if is_round {
            self.next_round = now + ROUND;
        } else {
            keep_users(candidates, slots, out);
        }
        if mode == Mode::Seeding || slots < 2 {
            self.optimistic.clear();
            fill(rank(now, candidates, u32::MAX, mode), slots, out);
            return true;
        }
        let earners: Vec<Candidate> = candidates.iter().filter(|peer| peer.is_earner()).copied().collect();
        let tries = !is_round && self.optimistic().any(|key| out.contains(&key));
        fill(rank(now, &earners, slots, mode), slots - u32::from(!tries), out);
        self.try_others(now, candidates, slots, is_round, rng, out);
        // Nobody is left to try: no slot stays empty while somebody decent wants it. Those who have slots make use
        // of what is not given to the others.
        let decent: Vec<Candidate> = candidates.iter().filter(|peer| !peer.only_takes()).copied().collect();
        fill(rank(now, &decent, u32::MAX, mode), slots, out);
        true
    }

    /// Gives the slots that are left to peers by lot, those whose turns have not ended first.
    fn try_others(
        &mut self,
        now: Instant,
        candidates: &[Candidate],
        slots: u32,
        is_round: bool,
        rng: &mut Rng,
        out: &mut Vec<PeerKey>,
    ) {
        // A partner would have had time to think of us: its rounds are as long as ours.
        let had_its_chance = |peer: &Candidate| {
            is_round && peer.refuses && peer.unchoked && now.since(peer.last_unchoked) > ROUND
        };
        let wants = |key| {
            let mut peers = candidates.iter().filter(|peer| peer.interested && !peer.snubbed);
            peers.any(|peer| peer.key == key && !had_its_chance(peer))
        };
        self.optimistic.retain(|&(key, until)| {
            if now >= until || !wants(key) {
                return false;
            }
            if out.contains(&key) {
                return !is_round; // one that has earned a slot of its own makes room for another
            }
            let room = out.len() < slots as usize;
            if room {
                out.push(key);
            }
            room
        });
        // One slot is for anybody; the others, which nobody has earned, not for those who only take.
        let first = self.optimistic.is_empty().then(|| optimistic(now, candidates, out, rng)).flatten();
        let mut next = first.filter(|_| out.len() < slots as usize);
        let decent: Vec<Candidate> = candidates.iter().filter(|peer| !peer.only_takes()).copied().collect();
        loop {
            if let Some(key) = next {
                self.optimistic.push((key, now + OPTIMISTIC_TIME));
                out.push(key);
            }
            next = (out.len() < slots as usize).then(|| optimistic(now, &decent, out, rng)).flatten();
            if next.is_none() {
                return;
            }
        }
    }
}

/// Between rounds those who are unchoked and make use of it stay.
fn keep_users(candidates: &[Candidate], slots: u32, out: &mut Vec<PeerKey>) {
    let mut using: Vec<&Candidate> =
        candidates.iter().filter(|peer| peer.unchoked && peer.interested).collect();
    using.sort_unstable_by_key(|peer| (peer.last_unchoked, peer.key));
    out.extend(using.iter().take(slots as usize).map(|peer| peer.key));
}

/// Gives the slots that are left to those who rank highest and have none.
fn fill(ranked: Vec<PeerKey>, slots: u32, out: &mut Vec<PeerKey>) {
    let left = (slots as usize).saturating_sub(out.len());
    let mut taken = out.clone();
    taken.sort_unstable();
    out.extend(ranked.into_iter().filter(|key| taken.binary_search(key).is_err()).take(left));
}

#[cfg(test)]
mod tests;
