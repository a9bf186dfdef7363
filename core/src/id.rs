//! The names of things: torrents, peers, pieces, blocks, and the handles drivers acknowledge with.

use alloc::string::String;
use core::fmt;

use data_encoding::HEXLOWER;

/// A piece's hash: SHA-1 in BitTorrent v1 (BEP 3), SHA-256 in v2 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Digest {
    /// 20 bytes of SHA-1.
    Sha1([u8; 20]),
    /// 32 bytes of SHA-256.
    Sha256([u8; 32]),
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1(bytes) => f.write_str(&HEXLOWER.encode(bytes)),
            Self::Sha256(bytes) => f.write_str(&HEXLOWER.encode(bytes)),
        }
    }
}

/// What names a torrent: the hash of its `info` dictionary, as v1, v2 or (for a hybrid) both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHash {
    v1: Option<[u8; 20]>,
    v2: Option<[u8; 32]>,
}

impl InfoHash {
    /// The SHA-1 of a v1 torrent's `info` (BEP 3).
    #[must_use]
    pub const fn from_v1(sha1: [u8; 20]) -> Self {
        Self { v1: Some(sha1), v2: None }
    }

    /// The SHA-256 of a v2 torrent's `info` (BEP 52).
    #[must_use]
    pub const fn from_v2(sha256: [u8; 32]) -> Self {
        Self { v1: None, v2: Some(sha256) }
    }

    /// Both hashes of a hybrid torrent.
    #[must_use]
    pub const fn hybrid(sha1: [u8; 20], sha256: [u8; 32]) -> Self {
        Self { v1: Some(sha1), v2: Some(sha256) }
    }

    /// The v1 hash, where there is one.
    #[must_use]
    pub const fn v1(&self) -> Option<[u8; 20]> {
        self.v1
    }

    /// The v2 hash, where there is one.
    #[must_use]
    pub const fn v2(&self) -> Option<[u8; 32]> {
        self.v2
    }

    /// The 20 bytes that stand for the torrent in handshakes, trackers and the DHT: the v1 hash, or the first
    /// 20 bytes of the v2 hash (BEP 52).
    #[must_use]
    pub fn on_the_wire(&self) -> [u8; 20] {
        match (self.v1, self.v2) {
            (Some(sha1), _) => sha1,
            (None, Some(sha256)) => {
                let mut cut = [0; 20];
                cut.copy_from_slice(&sha256[..20]);
                cut
            }
            (None, None) => unreachable!("InfoHash: no constructor leaves both hashes out"),
        }
    }

    /// Lower-case hex of [`on_the_wire`](Self::on_the_wire): how people and programs name the torrent.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.on_the_wire())
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// A peer's 20-byte name for one run (BEP 3), by custom with its program's name at the front (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.0.escape_ascii())
    }
}

/// A piece of a torrent, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PieceIndex(pub u32);

impl fmt::Debug for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Bytes in a block as everyone asks for them; only the last block of a piece may be shorter (BEP 3).
pub const BLOCK_LEN: u32 = 16 * 1024;

/// A run of bytes in one piece: what a `request` asks for and a `piece` message carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The piece it lies in.
    pub piece: PieceIndex,
    /// Bytes from the start of the piece.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}+{}({})", self.piece, self.offset, self.len)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece {} offset {} length {}", self.piece, self.offset, self.len)
    }
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        slotmap::new_key_type! { $($(#[$doc])* pub struct $name;)* }
        $(impl $name {
            /// The slot this handle stands in. At most one live handle has it at a time, so a driver may keep
            /// its side in a plain `Vec` and compare the whole handle to tell a stale one.
            #[must_use]
            pub fn slot(self) -> usize {
                (slotmap::Key::data(&self).as_ffi() & u64::from(u32::MAX)) as usize
            }
        })*
    };
}

handles! {
    /// One TCP connection, made by the engine: in [`Output::Connect`](crate::engine::Output::Connect) or by
    /// [`Engine::accept`](crate::engine::Engine::accept).
    ConnId,
    /// One torrent of an engine.
    TorrentId,
    /// One disk action under way.
    DiskOp,
    /// One HTTP request under way.
    FetchId,
    /// One name look-up under way.
    ResolveId,
    /// One peer among those a torrent is connected to.
    PeerKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v2_hash_is_cut_to_20_bytes_on_the_wire_and_v1_comes_first() {
        let mut sha256 = [9; 32];
        sha256[20..].fill(1);
        assert_eq!(InfoHash::from_v2(sha256).on_the_wire(), [9; 20]);
        assert_eq!(InfoHash::hybrid([5; 20], sha256).on_the_wire(), [5; 20]);
    }

    #[test]
    fn a_reused_slot_has_another_handle() {
        let mut conns: slotmap::SlotMap<ConnId, ()> = slotmap::SlotMap::with_key();
        let first = conns.insert(());
        conns.remove(first);
        let second = conns.insert(());
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
    }
}
