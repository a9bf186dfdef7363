//! A peer of a torrent of which only the info-hash is known: what it says it has is kept, and held against the number
//! of pieces once that is there.

use alloc::vec::Vec;

use super::{Action, CloseReason, Peer};
use crate::bitfield::{Bitfield, BitfieldError};
use crate::cx::Cx;
use crate::id::PieceIndex;

/// What a peer says it has while nobody knows how many pieces there are. Never larger than the bitfield of the largest
/// torrent there can be: the decoder takes no longer one, and no `have` beyond it.
#[derive(Debug, Default)]
pub(super) struct Early {
    told: bool,
    all: bool,
    /// Bytes of the bitfield that came, if one did.
    len: Option<usize>,
    /// As in a `bitfield` message (BEP 3), as long as what was named needs.
    has: Vec<u8>,
}

impl Early {
    /// A second one names what has come since, as from aria2; it has to be as long as the first.
    pub(super) fn bitfield(&mut self, bits: &[u8]) -> Result<(), BitfieldError> {
        if let Some(want) = self.len.filter(|len| *len != bits.len()) {
            return Err(BitfieldError::Length { got: bits.len(), want });
        }
        (self.told, self.len) = (true, Some(bits.len()));
        self.reach(bits.len());
        for (have, more) in self.has.iter_mut().zip(bits) {
            *have |= more;
        }
        Ok(())
    }

    pub(super) const fn have_all(&mut self) {
        (self.told, self.all) = (true, true);
    }

    pub(super) const fn have_none(&mut self) {
        self.told = true;
    }

    pub(super) fn have(&mut self, piece: PieceIndex) {
        self.told = true;
        let place = piece.0 as usize / 8;
        self.reach(place + 1);
        self.has[place] |= 0x80 >> (piece.0 % 8);
    }

    /// One that has all and takes a piece back refuses it when it is asked for it.
    pub(super) fn dont_have(&mut self, piece: PieceIndex) {
        if let Some(byte) = self.has.get_mut(piece.0 as usize / 8) {
            *byte &= !(0x80 >> (piece.0 % 8));
        }
    }

    fn reach(&mut self, len: usize) {
        if self.has.len() < len {
            self.has.resize(len, 0);
        }
    }

    /// What it has of `pieces`, if it has said so, and if all of that can be.
    fn of(mut self, pieces: u32) -> Result<Option<Bitfield>, CloseReason> {
        let want = Bitfield::wire_len(pieces);
        if let Some(got) = self.len.filter(|len| *len != want) {
            return Err(BitfieldError::Length { got, want }.into());
        }
        if let Some(place) = self.has.iter().rposition(|byte| *byte != 0).filter(|place| *place >= want) {
            let piece = PieceIndex(place as u32 * 8 + 7 - self.has[place].trailing_zeros());
            return Err(CloseReason::NoSuchPiece { piece, pieces });
        }
        self.has.resize(want, 0);
        let has = Bitfield::from_wire(&self.has, pieces)?;
        Ok(self.told.then(|| if self.all { Bitfield::full(pieces) } else { has }))
    }
}

impl Peer {
    /// The torrent has so many pieces: a peer that was [taken in](Self::open) without that number being known has what
    /// it said meanwhile. An error names what cannot be: close it.
    pub fn know_pieces(&mut self, pieces: u32, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        let Some(early) = self.early.take() else { return Ok(()) };
        self.count_pieces(pieces);
        let has = early.of(pieces)?;
        let named = self.allowed.iter().chain(&self.suggested).max();
        if let Some(&piece) = named.filter(|piece| piece.0 >= pieces) {
            return Err(CloseReason::NoSuchPiece { piece, pieces });
        }
        if let Some(has) = has {
            (self.told, self.has) = (true, has);
            cx.out.push(Action::Has);
        }
        Ok(())
    }
}
