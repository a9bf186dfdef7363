//! A payload in one or more slices of the buffers it was read into.

use alloc::vec::Vec;

use bytes::Bytes;

/// The bytes of a block as they lie in the read buffers: one slice, or several when reads cut it.
///
/// Nothing is copied: pushing keeps a reference to the buffer. Empty slices are not kept.
///
/// ```
/// use bytes::Bytes;
/// use pieceful_core::chain::Chain;
///
/// let mut block = Chain::new();
/// block.push(Bytes::from_static(b"piece"));
/// block.push(Bytes::from_static(b"ful"));
/// assert_eq!(block.len(), 8);
/// assert_eq!(block.to_vec(), b"pieceful");
/// ```
#[derive(Clone, Default)]
pub struct Chain {
    /// The first two slices lie here without an allocation: a block seldom spans more than two reads.
    head: [Bytes; 2],
    tail: Vec<Bytes>,
    len: usize,
}

impl Chain {
    /// An empty payload.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `part` at the end.
    pub fn push(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        self.len += part.len();
        if let Some(free) = self.head.iter_mut().find(|slice| slice.is_empty()) {
            *free = part;
        } else {
            self.tail.push(part);
        }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not a byte in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices in order, none of them empty.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.head.iter().filter(|slice| !slice.is_empty()).chain(&self.tail)
    }

    /// A copy in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for part in self.parts() {
            all.extend_from_slice(part);
        }
        all
    }
}

impl From<Bytes> for Chain {
    fn from(bytes: Bytes) -> Self {
        let mut chain = Self::new();
        chain.push(bytes);
        chain
    }
}

impl PartialEq for Chain {
    /// Equal bytes, wherever they are cut.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.parts().flat_map(|part| part.iter()).eq(other.parts().flat_map(|part| part.iter()))
    }
}

impl Eq for Chain {}

impl core::fmt::Debug for Chain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Chain({} bytes in {} parts)", self.len, self.parts().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_same_bytes_is_equal() {
        let whole = Chain::from(Bytes::from_static(b"abcdef"));
        let mut cut = Chain::new();
        for letter in [&b"ab"[..], b"", b"c", b"d", b"ef"] {
            cut.push(Bytes::copy_from_slice(letter));
        }
        assert_eq!(whole, cut);
        assert_eq!(cut.parts().count(), 4, "the empty part is not kept");
        assert_ne!(whole, Chain::from(Bytes::from_static(b"abcdeg")));
    }
}
