//! Sets of pieces: what a peer has, what we have, what is still needed.

use alloc::vec::Vec;
use core::fmt;

use crate::id::PieceIndex;

/// A set of pieces out of `len`, which is what a `bitfield` message says (BEP 3).
///
/// Kept in 64-bit words with a running count, so that asking how many is free and comparing two sets of 100,000
/// pieces takes about 1,600 steps. The set of none and the set of all, which is what most peers and torrents
/// have most of the time, take no memory of their own.
///
/// ```
/// use pieceful_core::bitfield::Bitfield;
/// use pieceful_core::id::PieceIndex;
///
/// let theirs = Bitfield::from_wire(&[0b1010_0000, 0b0100_0000], 10).unwrap();
/// let mut ours = Bitfield::new(10);
/// assert!(ours.set(PieceIndex(0)));
/// assert_eq!(theirs.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(2), PieceIndex(9)]);
/// assert!(theirs.has_any_not_in(&ours));
/// assert_eq!(ours.to_wire(), [0b1000_0000, 0]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bitfield {
    /// Piece `i` is bit `i % 64`, counted from the low end, of word `i / 64`; bits past `len` are 0. No words at
    /// all exactly when the set is empty or full.
    words: Vec<u64>,
    len: u32,
    count: u32,
}

/// Why a `bitfield` message is not one of this torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// It has the wrong number of bytes.
    #[error("bitfield of {got} bytes where {want} are due")]
    Length {
        /// Bytes that came.
        got: usize,
        /// Bytes a torrent of this many pieces has.
        want: usize,
    },
    /// A bit past the last piece is set.
    #[error("bitfield with spare bits set")]
    SpareBits,
}

impl Bitfield {
    /// The empty set over `len` pieces.
    #[must_use]
    pub fn new(len: u32) -> Self {
        Self { words: Vec::new(), len, count: 0 }
    }

    /// The set of all `len` pieces.
    #[must_use]
    pub fn full(len: u32) -> Self {
        Self { words: Vec::new(), len, count: len }
    }

    /// The set that the payload of a `bitfield` message names (BEP 3: the high bit of the first byte is piece 0).
    pub fn from_wire(bytes: &[u8], len: u32) -> Result<Self, BitfieldError> {
        let want = Self::wire_len(len);
        if bytes.len() != want {
            return Err(BitfieldError::Length { got: bytes.len(), want });
        }
        let mut words = Vec::with_capacity(len.div_ceil(64) as usize);
        for chunk in bytes.chunks(8) {
            let mut eight = [0; 8];
            for (to, from) in eight.iter_mut().zip(chunk) {
                *to = *from;
            }
            words.push(u64::from_be_bytes(eight).reverse_bits());
        }
        let spare = (64 - len % 64) % 64;
        if words.last().is_some_and(|last| last & !(u64::MAX >> spare) != 0) {
            return Err(BitfieldError::SpareBits);
        }
        let mut set = Self { words, len, count: 0 };
        set.recount();
        Ok(set)
    }

    /// The payload of the `bitfield` message that names this set.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
        bytes.truncate(Self::wire_len(self.len));
        bytes
    }

    /// Bytes of a `bitfield` message's payload for a torrent of `len` pieces.
    #[must_use]
    pub const fn wire_len(len: u32) -> usize {
        len.div_ceil(8) as usize
    }

    /// How many pieces there could be.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// How many pieces are in the set.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether no piece is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every piece is in the set; so a set over no pieces is both full and empty.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether `piece` is in the set; no when there is no such piece.
    #[must_use]
    pub fn get(&self, piece: PieceIndex) -> bool {
        match self.words.get(piece.0 as usize / 64) {
            Some(word) => word >> (piece.0 % 64) & 1 == 1,
            None => piece.0 < self.len && self.is_full(),
        }
    }

    /// Puts `piece` into the set; says whether it is new there. A piece that does not exist is left out.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.len || self.get(piece) {
            return false;
        }
        self.spell_out();
        self.words[piece.0 as usize / 64] |= 1 << (piece.0 % 64);
        self.count += 1;
        self.settle();
        true
    }

    /// Takes `piece` out of the set; says whether it was there.
    pub fn clear(&mut self, piece: PieceIndex) -> bool {
        if !self.get(piece) {
            return false;
        }
        self.spell_out();
        self.words[piece.0 as usize / 64] &= !(1 << (piece.0 % 64));
        self.count -= 1;
        self.settle();
        true
    }

    /// The pieces in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        ones(self.words())
    }

    /// The pieces not in the set, ascending.
    pub fn missing(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        ones(self.words().map(|word| !word)).take_while(|piece| piece.0 < self.len)
    }

    /// The pieces in both sets, ascending.
    pub fn both<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = PieceIndex> + 'a {
        ones(self.words().zip(other.words()).map(|(a, b)| a & b))
    }

    /// Whether a piece is in both sets.
    #[must_use]
    pub fn has_any_in(&self, other: &Self) -> bool {
        self.words().zip(other.words()).any(|(a, b)| a & b != 0)
    }

    /// Whether a piece is in this set and not in `other`.
    #[must_use]
    pub fn has_any_not_in(&self, other: &Self) -> bool {
        let theirs = other.words().chain(core::iter::repeat(0));
        self.words().zip(theirs).any(|(a, b)| a & !b != 0)
    }

    /// Puts every piece of `other` into this set.
    pub fn add_all(&mut self, other: &Self) {
        self.combine(other, |a, b| a | b);
    }

    /// Leaves only what is also in `other`.
    pub fn keep_only(&mut self, other: &Self) {
        self.combine(other, |a, b| a & b);
    }

    /// Takes every piece of `other` out of this set.
    pub fn remove_all(&mut self, other: &Self) {
        self.combine(other, |a, b| a & !b);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.len, other.len, "sets of different torrents");
        self.spell_out();
        let theirs = other.words().chain(core::iter::repeat(0));
        for (a, b) in self.words.iter_mut().zip(theirs) {
            *a = with(*a, b);
        }
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> ((64 - self.len % 64) % 64);
        }
        self.recount();
    }

    pub(crate) fn foresee(&self) -> u64 {
        self.words.first().copied().unwrap_or_default()
    }

    /// All words, those of a set that keeps none as well.
    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        let kept = self.words.iter().copied();
        let bits = if self.words.is_empty() { self.count } else { 0 };
        let full = core::iter::repeat_n(u64::MAX, bits as usize / 64);
        let last = (!bits.is_multiple_of(64)).then(|| u64::MAX >> (64 - bits % 64));
        let none = if self.words.is_empty() && self.count == 0 { self.len.div_ceil(64) } else { 0 };
        kept.chain(full).chain(last).chain(core::iter::repeat_n(0, none as usize))
    }

    /// Gets the words that a change is made to.
    fn spell_out(&mut self) {
        if self.words.is_empty() {
            self.words = self.words().collect();
        }
    }

    /// Lets go of words that say nothing.
    fn settle(&mut self) {
        if self.count == 0 || self.count == self.len {
            self.words = Vec::new();
        }
    }

    fn recount(&mut self) {
        self.count = self.words.iter().map(|word| word.count_ones()).sum();
        self.settle();
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.count, self.len)
    }
}

/// The numbers of the bits that are 1.
fn ones(words: impl Iterator<Item = u64>) -> impl Iterator<Item = PieceIndex> {
    (0_u32..).step_by(64).zip(words).flat_map(|(base, mut word)| {
        core::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros())?;
            word &= word - 1;
            Some(PieceIndex(base + bit))
        })
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn set_of(len: u32, pieces: &[u32]) -> Bitfield {
        let mut set = Bitfield::new(len);
        for &piece in pieces {
            set.set(PieceIndex(piece));
        }
        set
    }

    fn numbers(pieces: impl Iterator<Item = PieceIndex>) -> Vec<u32> {
        pieces.map(|piece| piece.0).collect()
    }

    #[test]
    fn the_wire_form_has_piece_0_in_the_high_bit_and_comes_back_the_same() {
        for len in [0, 1, 7, 8, 9, 63, 64, 65, 128, 200] {
            let mut set = Bitfield::new(len);
            for piece in (0..len).step_by(3) {
                set.set(PieceIndex(piece));
            }
            assert_eq!(set.to_wire().len(), Bitfield::wire_len(len));
            assert_eq!(Bitfield::from_wire(&set.to_wire(), len), Ok(set));
            assert_eq!(Bitfield::from_wire(&Bitfield::full(len).to_wire(), len), Ok(Bitfield::full(len)));
        }
        assert_eq!(set_of(16, &[0, 15]).to_wire(), [0x80, 0x01]);
    }

    #[test]
    fn a_bitfield_of_the_wrong_length_or_with_spare_bits_is_refused_by_name() {
        assert_eq!(Bitfield::from_wire(&[0], 9), Err(BitfieldError::Length { got: 1, want: 2 }));
        assert_eq!(Bitfield::from_wire(&[0; 3], 9), Err(BitfieldError::Length { got: 3, want: 2 }));
        assert_eq!(Bitfield::from_wire(&[0, 0x40], 9), Err(BitfieldError::SpareBits));
        assert!(Bitfield::from_wire(&[0, 0x80], 9).is_ok());
    }

    #[test]
    fn pieces_that_do_not_exist_are_in_no_set() {
        let mut set = Bitfield::full(65);
        assert!(!set.get(PieceIndex(65)) && !set.get(PieceIndex(u32::MAX)));
        assert!(!set.set(PieceIndex(65)) && !set.clear(PieceIndex(1 << 20)));
        assert_eq!(set.count(), 65);
        assert_eq!(numbers(Bitfield::new(65).missing()), (0..65).collect::<Vec<_>>());
    }

    #[test]
    fn the_count_follows_every_change() {
        let mut set = set_of(130, &[0, 64, 129]);
        assert!(!set.set(PieceIndex(64)) && set.clear(PieceIndex(64)) && !set.clear(PieceIndex(64)));
        assert_eq!(set.count(), 2);
        set.add_all(&set_of(130, &[1, 129]));
        assert_eq!((set.count(), numbers(set.iter())), (3, vec![0, 1, 129]));
        set.remove_all(&set_of(130, &[0]));
        set.keep_only(&set_of(130, &[0, 129]));
        assert_eq!((set.count(), numbers(set.iter())), (1, vec![129]));
    }

    #[test]
    fn none_and_all_are_the_same_sets_however_they_came_about_and_take_no_memory() {
        for len in [0, 1, 63, 64, 65, 130] {
            let mut set = Bitfield::new(len);
            for piece in 0..len {
                assert!(set.set(PieceIndex(piece)) && set.get(PieceIndex(piece)));
            }
            assert_eq!(set, Bitfield::full(len));
            assert_eq!(set.words.capacity(), 0);
            assert_eq!(numbers(set.iter()), (0..len).collect::<Vec<_>>());
            assert_eq!(numbers(set.both(&Bitfield::full(len))).len(), len as usize);
            assert!(!set.has_any_in(&Bitfield::new(len)) && !set.has_any_not_in(&Bitfield::full(len)));
            let mut rest = set.clone();
            rest.remove_all(&set);
            assert_eq!(rest, Bitfield::new(len));
            rest.add_all(&set);
            assert_eq!(rest, set);
            for piece in 0..len {
                assert!(set.clear(PieceIndex(piece)) && !set.get(PieceIndex(piece)));
            }
            assert_eq!(set, Bitfield::new(len));
            assert_eq!(set.words.capacity(), 0);
        }
    }

    #[test]
    fn differences_and_intersections_are_seen_in_any_word() {
        let (ours, theirs) = (set_of(200, &[1, 150]), set_of(200, &[1, 150, 199]));
        assert!(theirs.has_any_not_in(&ours) && !ours.has_any_not_in(&theirs));
        assert!(ours.has_any_in(&theirs) && !ours.has_any_in(&set_of(200, &[2, 199])));
        assert_eq!(numbers(ours.both(&theirs)), [1, 150]);
    }
}
