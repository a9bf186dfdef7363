//! What always holds between two calls.

use super::order::lane_of;
use super::partial::Stage;
use super::{OWNERS_MAX, Picker, Priority};
use crate::id::PieceIndex;

impl Picker {
    /// Panics unless everything the picker keeps agrees with everything else. Looks at every piece and block: for
    /// tests, simulations and fuzzing.
    pub fn check(&self) {
        self.partials.check();
        self.asked.check();
        self.order.check(|piece| (lane_of(self.priority(PieceIndex(piece))), self.counts[piece as usize]));
        let (mut open, mut missing) = (0, 0);
        for piece in (0..self.pieces()).map(PieceIndex) {
            let needed = !self.have.get(piece) && self.priority(piece) != Priority::Skip;
            assert_eq!(self.needed.get(piece), needed, "{piece:?} needed");
            let begun = self.partials.find(piece).is_some();
            assert!(!(begun && self.have.get(piece)), "{piece:?} is there and partial");
            assert_eq!(self.fresh.get(piece), needed && !begun, "{piece:?} fresh");
            let in_order = self.fresh.get(piece) && !self.resting;
            assert_eq!(self.order.holds(piece.0), in_order, "{piece:?} in the order");
            if needed {
                let left = self.blocks_left(piece);
                open += left.0;
                missing += left.1;
            }
        }
        assert_eq!((self.open, self.missing), (open, missing), "open and missing blocks");
        self.check_owners();
    }

    /// Requests under way, of all peers.
    #[must_use]
    pub fn asked_in_all(&self) -> usize {
        self.asked.total() as usize
    }

    fn check_owners(&self) {
        let mut owned = 0;
        for (_, partial) in self.partials.iter() {
            assert!(
                partial.count(Stage::Open) as usize != partial.slots.len(),
                "{:?} is untouched",
                partial.piece
            );
            for slot in &partial.slots {
                assert!(slot.owners().len() <= OWNERS_MAX);
                assert!(!partial.alone || slot.owners().iter().all(|&owner| owner == partial.lead));
                owned += slot.owners().len();
            }
            assert_eq!(partial.alone, self.alone.contains(&partial.piece));
        }
        assert_eq!(owned, self.asked.total() as usize, "requests under way");
        for (peer, piece, slot) in self.asked.iter() {
            assert!(self.is_asked_of(self.grid.block(piece, slot), peer), "{peer:?} owns {piece:?} {slot}");
        }
    }
}
