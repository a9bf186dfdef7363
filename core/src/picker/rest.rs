//! A picker that has nothing to choose keeps no array of pieces.
//!
//! What only choosing needs (availabilities, the order, where each partial piece is) takes 16 bytes a piece. Most
//! torrents of a client are complete, or have no peers just now, so they do without: a picker is made at rest,
//! wakes by itself when it is told of a peer's pieces or has to begin a piece, and is put to rest again by its
//! owner.

use alloc::vec;

use super::asked::Asked;
use super::order::{Order, lane_of};
use super::{Picker, Priority};
use crate::id::PieceIndex;

impl Picker {
    /// Lets go of what only choosing needs, unless it is of use yet: while a peer's pieces are counted, or a
    /// block is asked of somebody. Takes a pass over all pieces.
    pub fn rest(&mut self) {
        if self.resting || self.seeds > 0 || self.asked.total() > 0 || self.counts.iter().any(|&n| n > 0) {
            return;
        }
        self.resting = true;
        self.counts = vec![];
        self.order = Order::default();
        self.asked = Asked::default();
        self.partials.rest();
        if self.priorities.iter().all(|&priority| priority == Priority::default()) {
            self.priorities = vec![];
        }
    }

    /// Whether it has let go.
    #[must_use]
    pub const fn is_resting(&self) -> bool {
        self.resting
    }

    /// Makes ready to count and to choose.
    pub(super) fn wake(&mut self) {
        if !self.resting {
            return;
        }
        self.resting = false;
        self.counts = vec![0; self.pieces() as usize];
        self.partials.wake(self.pieces());
        let fresh = self.fresh.iter().map(|piece| (piece.0, lane_of(self.priority(piece))));
        self.order = Order::of(self.pieces(), fresh);
    }

    /// How much `piece` is wanted.
    #[must_use]
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        match self.priorities.get(piece.0 as usize) {
            Some(priority) => *priority,
            None if piece.0 < self.pieces() => Priority::default(),
            None => Priority::Skip,
        }
    }
}
