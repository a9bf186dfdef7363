//! A piece's hash, taken block by block while the bytes are still in the processor's cache.

use core::fmt;

use sha1::{Digest as _, Sha1};

use crate::chain::Chain;
use crate::id::Digest;

/// Hashes one piece from its start, as far as its blocks come in order.
///
/// Whoever writes blocks offers each one; what arrives out of order is refused and has to be read back from the
/// file later, from [`position`](Self::position) on. So a piece that comes in order is hashed without a single
/// read, and any other with as few as possible.
///
/// ```
/// use pieceful_core::disk::PieceHasher;
///
/// let mut hasher = PieceHasher::new();
/// assert!(hasher.absorb_slice(0, b"piece"));
/// assert!(!hasher.absorb_slice(9, b"late"), "bytes 5 to 8 are missing");
/// assert!(hasher.absorb_slice(5, b"ful"));
/// assert_eq!(hasher.position(), 8);
/// assert!(hasher.finish(8).is_some());
/// ```
#[derive(Clone, Default)]
pub struct PieceHasher {
    // The 16 KiB leaves of a v2 torrent (BEP 52) will be taken here too: the bytes pass once for both.
    sha1: Sha1,
    position: u32,
}

impl PieceHasher {
    /// A hasher at the start of a piece.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes it has seen: the offset of the next one it takes.
    #[must_use]
    pub const fn position(&self) -> u32 {
        self.position
    }

    /// Takes the block at `offset` if it is the next one; otherwise leaves everything as it is and says `false`.
    pub fn absorb(&mut self, offset: u32, block: &Chain) -> bool {
        if !self.takes(offset, block.len()) {
            return false;
        }
        for part in block.parts() {
            self.sha1.update(part);
        }
        self.position += block.len() as u32;
        true
    }

    /// [`absorb`](Self::absorb) for bytes that lie in one place.
    pub fn absorb_slice(&mut self, offset: u32, bytes: &[u8]) -> bool {
        if !self.takes(offset, bytes.len()) {
            return false;
        }
        self.sha1.update(bytes);
        self.position += bytes.len() as u32;
        true
    }

    /// Takes `len` zero bytes: a padding file (BEP 47), which is hashed and never stored. `false` as in
    /// [`absorb`](Self::absorb).
    pub fn absorb_zeros(&mut self, offset: u32, len: u32) -> bool {
        if !self.takes(offset, len as usize) {
            return false;
        }
        let mut left = len as usize;
        while left > 0 {
            let zeros = &ZEROS[..left.min(ZEROS.len())];
            self.sha1.update(zeros);
            left -= zeros.len();
        }
        self.position += len;
        true
    }

    /// The digest of a piece of `len` bytes, if it has seen exactly those.
    #[must_use]
    pub fn finish(self, len: u32) -> Option<Digest> {
        (self.position == len).then(|| Digest::Sha1(self.sha1.finalize().into()))
    }

    fn takes(&self, offset: u32, len: usize) -> bool {
        offset == self.position && len <= (u32::MAX - self.position) as usize
    }
}

static ZEROS: [u8; 4096] = [0; 4096];

impl fmt::Debug for PieceHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceHasher(at {})", self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use bytes::Bytes;

    fn sha1(bytes: &[u8]) -> Digest {
        Digest::Sha1(Sha1::digest(bytes).into())
    }

    #[test]
    fn blocks_in_order_give_the_hash_of_the_whole_however_they_are_cut() {
        let whole: vec::Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        let mut hasher = PieceHasher::new();
        let mut cut = Chain::new();
        for part in whole[..40_000].chunks(7_001) {
            cut.push(Bytes::copy_from_slice(part));
        }
        assert!(hasher.absorb(0, &cut));
        assert!(hasher.absorb_slice(40_000, &whole[40_000..]));
        assert_eq!(hasher.finish(100_000), Some(sha1(&whole)));
    }

    #[test]
    fn a_block_out_of_order_changes_nothing() {
        let mut hasher = PieceHasher::new();
        assert!(!hasher.absorb_slice(3, b"def"));
        assert!(hasher.absorb_slice(0, b"abc"));
        assert!(!hasher.absorb_slice(0, b"abc"), "not twice");
        assert_eq!(hasher.position(), 3, "from here on it has to be read back");
        assert!(hasher.absorb_slice(3, b"def"));
        assert_eq!(hasher.finish(6), Some(sha1(b"abcdef")));
    }

    #[test]
    fn a_piece_not_seen_to_its_end_has_no_hash() {
        let mut hasher = PieceHasher::new();
        hasher.absorb_slice(0, b"abc");
        assert_eq!(hasher.clone().finish(4), None);
        assert_eq!(hasher.finish(2), None);
        assert_eq!(PieceHasher::new().finish(0), Some(sha1(b"")));
    }

    #[test]
    fn padding_hashes_as_zeros() {
        let mut hasher = PieceHasher::new();
        assert!(hasher.absorb_slice(0, b"a"));
        assert!(hasher.absorb_zeros(1, 10_000));
        let mut whole = vec![0; 10_001];
        whole[0] = b'a';
        assert_eq!(hasher.finish(10_001), Some(sha1(&whole)));
    }
}
