//! A block's life: open, asked, with the disk, on disk; and back to open at any step.

use super::partial::Stage;
use super::{Cancel, Contributors, Picker, Received};
use crate::id::{Block, PeerKey, PieceIndex};

impl Picker {
    /// A block came from `from`: says what it is good for.
    ///
    /// Meant for blocks that were asked of `from`, and for late ones (asked once and given back since) which are
    /// to be used all the same. Whether a block nobody asked for is to be used is for the caller to decide.
    pub fn received(&mut self, block: Block, from: PeerKey) -> Received {
        let Some(slot) = self.grid.slot_of(block) else { return Received::NotABlock };
        if self.have.get(block.piece) {
            return Received::Duplicate;
        }
        let known = self.partials.find(block.piece);
        let Some(number) = known.or_else(|| self.begin_unasked(block.piece)) else {
            return Received::Unwanted;
        };
        let partial = self.partials.get_mut(number);
        let stage = partial.slots[slot as usize].stage;
        if matches!(stage, Stage::Writing | Stage::Written) {
            return Received::Duplicate;
        }
        if partial.alone && partial.lead != from {
            return Received::Unwanted;
        }
        let mut cancel = Cancel::default();
        for &owner in partial.slots[slot as usize].owners() {
            self.asked.remove(owner, block.piece, slot);
            if owner != from {
                cancel.push(owner);
            }
        }
        partial.set_stage(slot, Stage::Writing);
        partial.slots[slot as usize].came_from(from);
        let piece_complete = partial.is_complete();
        if stage == Stage::Open {
            self.partials.note_open(number);
        }
        if self.needed.get(block.piece) {
            self.missing -= 1;
            self.open -= u64::from(stage == Stage::Open);
        }
        Received::Wanted { piece_complete, cancel }
    }

    /// The disk has `block`.
    pub fn written(&mut self, block: Block) {
        if let Some((number, slot)) = self.find(block)
            && self.partials.get(number).slots[slot as usize].stage == Stage::Writing
        {
            self.partials.get_mut(number).set_stage(slot, Stage::Written);
        }
    }

    /// The disk could not take `block`: it is open again, and a hash of its piece proves nothing.
    pub fn write_failed(&mut self, block: Block) {
        if let Some((number, slot)) = self.find(block)
            && self.partials.get(number).slots[slot as usize].contributor().is_some()
        {
            self.reopen(number, slot);
            self.end_if_untouched(number);
        }
    }

    /// `from` will not send `block` (a reject, a timeout). Says whether it was asked for it.
    pub fn give_back(&mut self, block: Block, from: PeerKey) -> bool {
        let Some((number, slot)) = self.find(block) else { return false };
        if !self.asked.remove(from, block.piece, slot) {
            return false;
        }
        self.disown(number, slot, from);
        true
    }

    /// `from` will not send anything it was asked for (it choked us, is snubbed, or gone). Takes a step for each
    /// block it was asked for.
    pub fn give_back_all(&mut self, from: PeerKey) {
        while let Some((piece, slot)) = self.asked.pop(from) {
            let number = self.partials.find(piece).expect("picker: a piece with an asked block is partial");
            self.disown(number, slot, from);
        }
        if !self.alone.is_empty() {
            self.release_abandoned(PeerKey::default());
        }
    }

    /// Whether `block` is asked of `peer` now.
    #[must_use]
    pub fn is_asked_of(&self, block: Block, peer: PeerKey) -> bool {
        self.find(block).is_some_and(|(number, slot)| {
            self.partials.get(number).slots[slot as usize].owners().contains(&peer)
        })
    }

    /// What `peer` was asked for and has not sent, in the order asked.
    pub fn asked_of(&self, peer: PeerKey) -> impl Iterator<Item = Block> + '_ {
        self.asked.of(peer).map(|(piece, slot)| self.grid.block(piece, slot))
    }

    /// Whether the disk has every block of `piece`, which has not been judged yet.
    #[must_use]
    pub fn is_written(&self, piece: PieceIndex) -> bool {
        let partial = self.partials.find(piece).map(|number| self.partials.get(number));
        partial.is_some_and(|partial| partial.count(Stage::Written) as usize == partial.slots.len())
    }

    /// The hash of `piece` is right: we have it now. Returns who sent it.
    ///
    /// `None`, and nothing changes, unless every block of it is [`written`](Self::written): a hash of anything
    /// else says nothing about what is on disk.
    pub fn passed(&mut self, piece: PieceIndex) -> Option<Contributors> {
        let number = self.partials.find(piece)?;
        if !self.is_written(piece) {
            return None;
        }
        let contributors = self.contributors(piece);
        self.partials.end(number);
        self.alone.remove(&piece);
        self.needed.clear(piece);
        self.have.set(piece);
        Some(contributors)
    }

    /// The hash of `piece` is wrong: every block of it that came is open again. Returns who sent them.
    pub fn failed(&mut self, piece: PieceIndex) -> Contributors {
        let contributors = self.contributors(piece);
        if let Some(number) = self.partials.find(piece) {
            for slot in 0..self.grid.blocks_in(piece) {
                if self.partials.get(number).slots[slot as usize].contributor().is_some() {
                    self.reopen(number, slot);
                }
            }
            self.end_if_untouched(number);
        }
        contributors
    }

    /// Who sent which block of `piece`, until it has [`passed`](Self::passed) or [`failed`](Self::failed).
    #[must_use]
    pub fn contributors(&self, piece: PieceIndex) -> Contributors {
        let Some(number) = self.partials.find(piece) else { return Contributors::default() };
        let slots = self.partials.get(number).slots.iter();
        Contributors { by_block: slots.map(|slot| slot.contributor().unwrap_or_default()).collect() }
    }

    /// From now on `piece` is taken from one peer only, so that a wrong hash has one culprit.
    ///
    /// Whoever is asked for it first gets all of it. When that peer gives it back and owes nothing more of it,
    /// what it sent is dropped and another may begin anew. Ends when the piece has passed. To be called right
    /// after [`failed`](Self::failed); a piece that is partly there is begun anew.
    pub fn set_alone(&mut self, piece: PieceIndex) {
        if piece.0 >= self.pieces() || self.have.get(piece) || !self.alone.insert(piece) {
            return;
        }
        if let Some(number) = self.partials.find(piece) {
            self.drop_all(number);
        }
    }

    /// Lets go of pieces that are a peer's alone while nothing is asked of that peer; not of `except`'s.
    pub(super) fn release_abandoned(&mut self, except: PeerKey) {
        let abandoned = |picker: &Self, piece: PieceIndex| {
            let number = picker.partials.find(piece)?;
            let partial = picker.partials.get(number);
            let given_up = !partial.is_complete() && partial.count(Stage::Asked) == 0;
            (given_up && partial.lead != except && !picker.asked.is_busy(partial.lead)).then_some(number)
        };
        while let Some(number) = self.alone.iter().find_map(|&piece| abandoned(self, piece)) {
            self.drop_all(number);
        }
    }

    /// Makes every block of a partial piece open, whoever was asked for it or sent it; it is no longer partial.
    ///
    /// The disk may still be writing some of them. It does everything about one piece in order, so it writes
    /// what comes in their stead after them and before any hash.
    pub(super) fn drop_all(&mut self, number: u32) {
        let piece = self.partials.get(number).piece;
        for slot in 0..self.grid.blocks_in(piece) {
            let before = self.partials.get(number).slots[slot as usize];
            for &owner in before.owners() {
                self.asked.remove(owner, piece, slot);
                self.partials.get_mut(number).slots[slot as usize].remove_owner(owner);
            }
            self.reopen(number, slot);
        }
        self.end_if_untouched(number);
    }

    /// `from`, already struck off the list of what it was asked for, no longer owns a block.
    fn disown(&mut self, number: u32, slot: u32, from: PeerKey) {
        let partial = self.partials.get_mut(number);
        let owned = partial.slots[slot as usize].remove_owner(from);
        debug_assert!(owned, "picker: a block on a peer's list is the peer's");
        if partial.slots[slot as usize].owners().is_empty() {
            self.reopen(number, slot);
            let partial = self.partials.get(number);
            if partial.alone && partial.count(Stage::Asked) == 0 {
                self.drop_all(number);
            } else {
                self.end_if_untouched(number);
            }
        }
    }

    fn reopen(&mut self, number: u32, slot: u32) {
        let partial = self.partials.get_mut(number);
        let stage = partial.slots[slot as usize].stage;
        partial.set_stage(slot, Stage::Open);
        self.partials.note_open(number);
        if self.needed.get(self.partials.get(number).piece) {
            self.open += u64::from(stage != Stage::Open);
            self.missing += u64::from(matches!(stage, Stage::Writing | Stage::Written));
        }
    }

    /// A piece of which every block is open is as good as one that was never begun.
    pub(super) fn end_if_untouched(&mut self, number: u32) {
        let partial = self.partials.get(number);
        if partial.count(Stage::Open) as usize == partial.slots.len() {
            let piece = partial.piece;
            self.partials.end(number);
            self.put_in_order(piece);
        }
    }

    /// Begins a piece because a block of it came; not for what is not wanted, or has to come from one peer.
    fn begin_unasked(&mut self, piece: PieceIndex) -> Option<u32> {
        if self.alone.contains(&piece) { None } else { self.begin(piece) }
    }

    fn find(&self, block: Block) -> Option<(u32, u32)> {
        let slot = self.grid.slot_of(block)?;
        Some((self.partials.find(block.piece)?, slot))
    }
}
