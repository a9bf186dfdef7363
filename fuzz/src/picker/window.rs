//! Which pieces come in order, found the simplest way.

use core::cmp::Reverse;

use pieceful_core::id::PieceIndex;
use pieceful_core::picker::{Has, Priority};

use super::Both;

impl Both {
    /// Whether the first piece for a peer lies in the window, or is of high priority.
    pub(super) fn comes_in_order(&self, has: Has<'_>) -> bool {
        let pieces = || self.pieces.iter().enumerate().filter(|(_, piece)| piece.needed());
        let fresh =
            pieces().filter(|(index, piece)| !piece.begun() && has.contains(PieceIndex(*index as u32)));
        let first = fresh.min_by_key(|(index, piece)| (Reverse(piece.priority), *index));
        let start = pieces().next().map_or(0, |(index, _)| index);
        first.is_some_and(|(index, piece)| {
            piece.priority == Priority::High || ((index - start) as u32) < self.window
        })
    }
}
