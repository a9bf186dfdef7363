//! What always holds of a torrent between two calls.

use alloc::vec;

use super::{Counted, Torrent};
use crate::id::PieceIndex;

impl Torrent {
    /// Panics unless the picker agrees with itself, and with the peers about who was asked for what and how many have
    /// each piece. Looks at every piece: for tests, simulations and fuzzing.
    pub fn check(&self) {
        self.picker.check();
        self.check_availability();
        let mut asked = 0;
        for (key, slot) in &self.peers {
            for &block in slot.peer.asked() {
                assert!(
                    self.picker.is_asked_of(block, key),
                    "the picker does not know that {block} is asked for"
                );
                asked += 1;
            }
        }
        assert_eq!(asked, self.picker.asked_in_all(), "requests of peers, and of the picker");
    }

    fn check_availability(&self) {
        let mut have = vec![0; self.picker.pieces() as usize];
        let mut seeds = 0;
        for slot in self.peers.values() {
            match slot.counted {
                Counted::No => {}
                Counted::Bits => slot.peer.has().iter().for_each(|piece| have[piece.0 as usize] += 1),
                Counted::Seed => seeds += 1,
            }
        }
        for (piece, have) in (0..).map(PieceIndex).zip(have) {
            assert_eq!(self.picker.availability(piece), have + seeds, "peers that have {piece:?}");
        }
    }
}
