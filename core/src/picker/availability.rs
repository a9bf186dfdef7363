//! How many peers have each piece.
//!
//! A seed counts once for the whole torrent, so its coming and going touches no piece.

use super::order::lane_of;
use super::{Has, Picker};
use crate::bitfield::Bitfield;
use crate::id::PieceIndex;

/// When more than one piece in so many changes at once, everything is sorted anew at the next pick, which costs
/// a pass over all pieces however many peers came in between. Measured with 100,000 pieces, moving one piece
/// takes 15 ns and sorting all of them a millisecond, so for a single peer neither is much better.
const BULK: u32 = 2;

impl Picker {
    /// A peer got `piece` (`have`, BEP 3). Takes the same few steps for any torrent.
    pub fn saw_have(&mut self, piece: PieceIndex) {
        self.wake();
        let Some(count) = self.counts.get_mut(piece.0 as usize) else { return };
        let before = *count;
        *count += 1;
        if self.order.holds(piece.0) {
            self.order.raise(piece.0, lane_of(self.priority(piece)), before);
        }
    }

    /// A peer came that has these pieces. It is to be withdrawn as [`gone_bitfield`](Self::gone_bitfield) with
    /// the pieces it has by then, also if it has all of them by then.
    pub fn saw_bitfield(&mut self, has: &Bitfield) {
        self.wake();
        if has.count() > self.pieces() / BULK {
            self.order.set_stale();
        }
        for piece in has.iter() {
            self.saw_have(piece);
        }
    }

    /// A peer came that has every piece (`have all`, BEP 6, or a full bitfield).
    pub fn saw_seed(&mut self) {
        self.seeds += 1;
    }

    /// A peer that had these pieces is gone.
    pub fn gone_bitfield(&mut self, has: &Bitfield) {
        if has.count() > self.pieces() / BULK {
            self.order.set_stale();
        }
        if self.counts.is_empty() {
            return;
        }
        for piece in has.iter() {
            self.gone_have(piece);
        }
    }

    /// A peer that was counted piece by piece no longer has `piece`.
    pub fn gone_have(&mut self, piece: PieceIndex) {
        let Some(count) = self.counts.get_mut(piece.0 as usize) else { return };
        let before = *count;
        debug_assert!(before > 0, "picker: a peer that goes was seen to come");
        *count = before.saturating_sub(1);
        if before > 0 && self.order.holds(piece.0) {
            self.order.lower(piece.0, lane_of(self.priority(piece)), before);
        }
    }

    /// A peer that came as a seed is gone.
    pub fn gone_seed(&mut self) {
        debug_assert!(self.seeds > 0, "picker: a seed that goes was seen to come");
        self.seeds = self.seeds.saturating_sub(1);
    }

    /// How many peers have `piece`.
    #[must_use]
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        if piece.0 >= self.pieces() {
            return 0;
        }
        self.counts.get(piece.0 as usize).copied().unwrap_or(0) + self.seeds
    }

    /// Whether a peer has a piece that is wanted and not there. For a bitfield, 64 pieces a step until the first
    /// hit: a microsecond for 100,000 pieces at worst, and for a `have` there is [`needs`](Self::needs).
    #[must_use]
    pub fn is_interesting(&self, has: Has<'_>) -> bool {
        match has {
            Has::All => !self.needed.is_empty(),
            Has::Some(pieces) => pieces.has_any_in(&self.needed),
        }
    }

    /// Whether `piece` is wanted and not there.
    #[must_use]
    pub fn needs(&self, piece: PieceIndex) -> bool {
        self.needed.get(piece)
    }
}
