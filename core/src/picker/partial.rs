//! The pieces that have been begun, block by block.

use alloc::vec::Vec;

use super::OWNERS_MAX;
use crate::id::{PeerKey, PieceIndex};

/// How far a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody was asked for it.
    #[default]
    Open,
    /// Its owners were asked for it.
    Asked,
    /// It came and is with the disk.
    Writing,
    /// The disk has it.
    Written,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) stage: Stage,
    owners: [PeerKey; OWNERS_MAX],
    owned: u8,
}

impl Slot {
    /// Who was asked for it and has not answered.
    pub(super) fn owners(&self) -> &[PeerKey] {
        &self.owners[..usize::from(self.owned)]
    }

    pub(super) fn add_owner(&mut self, peer: PeerKey) {
        self.owners[usize::from(self.owned)] = peer;
        self.owned += 1;
    }

    /// Says whether it was one.
    pub(super) fn remove_owner(&mut self, peer: PeerKey) -> bool {
        let Some(at) = self.owners().iter().position(|&owner| owner == peer) else { return false };
        self.owned -= 1;
        self.owners[at] = self.owners[usize::from(self.owned)];
        true
    }

    /// It came, from `peer`.
    pub(super) fn came_from(&mut self, peer: PeerKey) {
        self.owned = 0;
        self.owners[0] = peer;
        self.stage = Stage::Writing;
    }

    /// It is there from an earlier run, and nobody knows who sent it.
    pub(super) fn came_from_nobody(&mut self) {
        self.owned = 0;
        self.owners[0] = PeerKey::default();
    }

    /// Who sent it, if it has come.
    pub(super) fn contributor(&self) -> Option<PeerKey> {
        matches!(self.stage, Stage::Writing | Stage::Written).then_some(self.owners[0])
    }
}

#[derive(Debug)]
pub(super) struct Partial {
    pub(super) piece: PieceIndex,
    pub(super) slots: Vec<Slot>,
    /// How many slots are at each [`Stage`].
    pub(super) at: [u32; 4],
    /// No slot before this one is open.
    pub(super) next_open: u32,
    /// The peer that began it or took it over; the null key if none did.
    pub(super) lead: PeerKey,
    /// The lead finishes a piece within seconds.
    pub(super) lead_is_fast: bool,
    /// Only the lead may be asked for any of it.
    pub(super) alone: bool,
    /// Its place in [`Partials::with_open`], or [`NOWHERE`].
    open_place: u32,
}

impl Partial {
    pub(super) const fn count(&self, stage: Stage) -> u32 {
        self.at[stage as usize]
    }

    /// Every block has come.
    pub(super) const fn is_complete(&self) -> bool {
        self.count(Stage::Open) == 0 && self.count(Stage::Asked) == 0
    }

    pub(super) fn set_stage(&mut self, slot: u32, stage: Stage) {
        let before = core::mem::replace(&mut self.slots[slot as usize].stage, stage);
        self.at[before as usize] -= 1;
        self.at[stage as usize] += 1;
        if stage == Stage::Open {
            self.next_open = self.next_open.min(slot);
        }
    }

    /// The first open slot.
    pub(super) fn first_open(&mut self) -> Option<u32> {
        let from = self.next_open as usize;
        let open = self.slots.get(from..)?.iter().position(|slot| slot.stage == Stage::Open);
        self.next_open = open.map_or(self.slots.len(), |ahead| from + ahead) as u32;
        open.map(|_| self.next_open)
    }
}

/// All partial pieces, each under a number that is reused once the piece is judged.
#[derive(Debug, Default)]
pub(super) struct Partials {
    list: Vec<Partial>,
    free: Vec<u32>,
    /// Number of the partial that each piece is, or [`NOWHERE`]; empty while the picker rests.
    of: Vec<u32>,
    /// Numbers of those with an open block, in any order.
    with_open: Vec<u32>,
    /// Slots of all of them.
    slots: u32,
}

pub(super) const NOWHERE: u32 = u32::MAX;

impl Partials {
    /// Lets go of the index, and of all else if no piece is begun.
    pub(super) fn rest(&mut self) {
        if self.len() == 0 {
            *self = Self::default();
        }
        self.of = Vec::new();
    }

    /// Makes the index of so many pieces anew.
    pub(super) fn wake(&mut self, pieces: u32) {
        let mut of = alloc::vec![NOWHERE; pieces as usize];
        for (number, partial) in self.iter() {
            of[partial.piece.0 as usize] = number;
        }
        self.of = of;
    }

    pub(super) const fn len(&self) -> u32 {
        (self.list.len() - self.free.len()) as u32
    }

    /// Blocks of all partial pieces, whatever their stage.
    pub(super) const fn slots(&self) -> u32 {
        self.slots
    }

    pub(super) fn with_open(&self) -> &[u32] {
        &self.with_open
    }

    pub(super) fn find(&self, piece: PieceIndex) -> Option<u32> {
        if self.of.is_empty() {
            return self.iter().find(|(_, partial)| partial.piece == piece).map(|(number, _)| number);
        }
        self.of.get(piece.0 as usize).copied().filter(|&number| number != NOWHERE)
    }

    pub(super) fn get(&self, number: u32) -> &Partial {
        &self.list[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Partial {
        &mut self.list[number as usize]
    }

    pub(super) fn begin(&mut self, piece: PieceIndex, blocks: u32, alone: bool) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.list.push(Partial {
                piece,
                slots: Vec::new(),
                at: [0; 4],
                next_open: 0,
                lead: PeerKey::default(),
                lead_is_fast: false,
                alone: false,
                open_place: NOWHERE,
            });
            self.list.len() as u32 - 1
        });
        let partial = &mut self.list[number as usize];
        partial.piece = piece;
        partial.slots.clear();
        partial.slots.resize(blocks as usize, Slot::default());
        partial.at = [blocks, 0, 0, 0];
        partial.next_open = 0;
        partial.lead = PeerKey::default();
        partial.lead_is_fast = false;
        partial.alone = alone;
        self.slots += blocks;
        self.of[piece.0 as usize] = number;
        self.note_open(number);
        number
    }

    pub(super) fn end(&mut self, number: u32) {
        let partial = &mut self.list[number as usize];
        self.slots -= partial.slots.len() as u32;
        partial.slots.clear();
        partial.at = [0; 4];
        if let Some(number) = self.of.get_mut(partial.piece.0 as usize) {
            *number = NOWHERE;
        }
        self.note_open(number);
        self.free.push(number);
    }

    /// To be called when the count of open blocks may have come to 0 or left it.
    pub(super) fn note_open(&mut self, number: u32) {
        let partial = &mut self.list[number as usize];
        let listed = partial.open_place != NOWHERE;
        if (partial.count(Stage::Open) > 0) == listed {
            return;
        }
        if listed {
            let place = core::mem::replace(&mut partial.open_place, NOWHERE);
            self.with_open.swap_remove(place as usize);
            if let Some(&moved) = self.with_open.get(place as usize) {
                self.list[moved as usize].open_place = place;
            }
        } else {
            partial.open_place = self.with_open.len() as u32;
            self.with_open.push(number);
        }
    }

    /// Those in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Partial)> {
        (0..).zip(&self.list).filter(|(_, partial)| !partial.slots.is_empty())
    }

    /// Panics unless all counts and places are right.
    pub(super) fn check(&self) {
        for (number, partial) in self.iter() {
            assert_eq!(self.find(partial.piece), Some(number));
            for stage in [Stage::Open, Stage::Asked, Stage::Writing, Stage::Written] {
                let count = partial.slots.iter().filter(|slot| slot.stage == stage).count();
                assert_eq!(count as u32, partial.count(stage), "{stage:?} blocks of {:?}", partial.piece);
            }
            let first = partial.slots.iter().position(|slot| slot.stage == Stage::Open);
            assert!(first.is_none_or(|first| first as u32 >= partial.next_open));
            assert_eq!(first.is_some(), self.with_open.contains(&number));
            for slot in &partial.slots {
                assert_eq!(slot.stage == Stage::Asked, !slot.owners().is_empty());
            }
        }
        assert_eq!(self.iter().count() as u32, self.len());
        if !self.of.is_empty() {
            assert_eq!(self.of.iter().filter(|&&number| number != NOWHERE).count() as u32, self.len());
        }
        assert_eq!(self.slots as usize, self.iter().map(|(_, partial)| partial.slots.len()).sum::<usize>());
    }
}
