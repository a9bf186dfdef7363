//! Blocks of pieces that are not whole, from one run to the next.

use super::Picker;
use super::partial::Stage;
use crate::bitfield::Bitfield;
use crate::id::PieceIndex;

impl Picker {
    /// Of each piece that is begun and not judged, the blocks that the disk has. Pieces to be had from one peer only are
    /// left out: what is there of them has to be that peer's.
    pub fn written_blocks(&self) -> impl Iterator<Item = (PieceIndex, Bitfield)> + '_ {
        let begun = self.partials.iter().map(|(_, partial)| partial);
        begun.filter(|partial| !partial.alone && partial.count(Stage::Written) > 0).map(|partial| {
            let mut blocks = Bitfield::new(partial.slots.len() as u32);
            for (number, slot) in (0..).zip(&partial.slots) {
                if slot.stage == Stage::Written {
                    blocks.set(PieceIndex(number));
                }
            }
            (partial.piece, blocks)
        })
    }

    /// The disk has these blocks of `piece` from an earlier run; nobody is to blame for them. Says whether they are used:
    /// not if the piece is there, is not wanted or has been begun.
    pub fn restore(&mut self, piece: PieceIndex, blocks: &Bitfield) -> bool {
        let Some(number) = self.begin(piece) else { return false };
        for block in blocks.iter() {
            let partial = self.partials.get_mut(number);
            let Some(slot) = partial.slots.get_mut(block.0 as usize) else { break };
            slot.came_from_nobody();
            partial.set_stage(block.0, Stage::Written);
            self.missing -= 1;
            self.open -= 1;
        }
        self.partials.note_open(number);
        self.end_if_untouched(number);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerKey;
    use crate::picker::{Has, PickOptions, Received};
    use crate::rng::{Rng, Seed};
    use alloc::vec::Vec;

    const PLAIN: PickOptions<'static> = PickOptions { allowed: None, suggested: &[], fast_peer: false };

    #[test]
    fn blocks_of_an_earlier_run_are_not_asked_for_again_and_nobody_is_blamed_for_them() {
        let mut peers = slotmap::SlotMap::<PeerKey, ()>::with_key();
        let (peer, mut rng) = (peers.insert(()), Rng::new(Seed([1; 32])));
        let mut picker = Picker::new(2, 64 << 10, 128 << 10);
        let blocks = Bitfield::from_wire(&[0b1010_0000], 4).unwrap();
        assert!(picker.restore(PieceIndex(1), &blocks));
        assert!(!picker.restore(PieceIndex(1), &blocks), "begun already");
        picker.check();
        assert_eq!(picker.missing_blocks(), 6);
        assert_eq!(picker.written_blocks().collect::<Vec<_>>(), [(PieceIndex(1), blocks)]);
        let mut asked = Vec::new();
        picker.pick(peer, Has::All, 2, &PLAIN, &mut rng, &mut asked);
        assert_eq!(
            asked.iter().map(|block| (block.piece.0, block.offset)).collect::<Vec<_>>(),
            [(1, 16 << 10), (1, 48 << 10)]
        );
        for &block in &asked {
            assert!(matches!(picker.received(block, peer), Received::Wanted { .. }));
            picker.written(block);
        }
        assert_eq!(
            picker.contributors(PieceIndex(1)).sole(),
            None,
            "half of it came from nobody who is known"
        );
        picker.failed(PieceIndex(1));
        assert_eq!(picker.missing_blocks(), 8);
        picker.check();
    }
}
