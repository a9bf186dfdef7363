//! The last blocks: asked of several peers, so that no slow one holds up the end.

use alloc::vec::Vec;

use super::partial::Stage;
use super::{Has, OWNERS_MAX, Picker};
use crate::id::{Block, PeerKey};
use crate::rng::Rng;

/// Blocks looked at in one call. The search begins at a random piece, so what is left out once is found another
/// time; and each of these blocks is asked of somebody in any case.
const LOOKS_MAX: u32 = 1024;

impl Picker {
    /// Asks `peer` for blocks that others have been asked for, those with the fewest owners first.
    pub(super) fn ask_again(
        &mut self,
        peer: PeerKey,
        has: Has<'_>,
        want: u32,
        rng: &mut Rng,
        out: &mut Vec<Block>,
    ) {
        let start = rng.below(self.partials.numbers());
        let mut left = want as usize;
        for owners in 1..OWNERS_MAX {
            let chosen = self.asked_of_others(peer, has, owners, left, start);
            for &(number, slot) in &chosen {
                let partial = self.partials.get_mut(number);
                partial.slots[slot as usize].add_owner(peer);
                self.asked.push(peer, partial.piece, slot);
                out.push(self.grid.block(partial.piece, slot));
            }
            left -= chosen.len();
            if left == 0 {
                return;
            }
        }
    }

    fn asked_of_others(
        &self,
        peer: PeerKey,
        has: Has<'_>,
        owners: usize,
        want: usize,
        start: u32,
    ) -> Vec<(u32, u32)> {
        let mut chosen = Vec::new();
        let mut looks = LOOKS_MAX;
        let numbers = self.partials.numbers();
        for number in (start..numbers).chain(0..start) {
            looks = looks.saturating_sub(1);
            let partial = self.partials.get(number);
            if partial.count(Stage::Asked) == 0
                || partial.alone
                || !self.needed.get(partial.piece)
                || !has.contains(partial.piece)
            {
                continue;
            }
            for (number_of_slot, slot) in (0..).zip(&partial.slots) {
                if chosen.len() == want || looks == 0 {
                    return chosen;
                }
                looks -= 1;
                if slot.owners().len() == owners && !slot.owners().contains(&peer) {
                    chosen.push((number, number_of_slot));
                }
            }
        }
        chosen
    }
}
