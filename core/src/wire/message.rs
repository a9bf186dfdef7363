//! The messages peers exchange after the handshake (BEP 3, 5, 6, 10).

use bytes::Bytes;

use crate::chain::Chain;
use crate::id::{Block, PieceIndex};

/// One message. What it says is only as well-formed as its lengths: whether a piece exists, or a block lies in
/// it, is for the receiver to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Four zero bytes: still there.
    KeepAlive,
    /// Requests are not answered from now on (BEP 3).
    Choke,
    /// Requests are answered from now on.
    Unchoke,
    /// The receiver has something the sender wants.
    Interested,
    /// The receiver has nothing the sender wants.
    NotInterested,
    /// The sender has this piece now.
    Have(PieceIndex),
    /// Which pieces the sender has: highest bit of the first byte first. A copy, so it may be kept.
    Bitfield(Bytes),
    /// Send me this block.
    Request(Block),
    /// A block.
    Piece {
        /// Which; `len` is the length of `data`.
        block: Block,
        /// Its bytes, as slices of the buffers they were read into.
        data: Chain,
    },
    /// That request is no longer needed.
    Cancel(Block),
    /// The UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// The sender would rather serve this piece than others (BEP 6).
    Suggest(PieceIndex),
    /// A bitfield of ones (BEP 6).
    HaveAll,
    /// A bitfield of zeros (BEP 6).
    HaveNone,
    /// That request will not be answered (BEP 6).
    Reject(Block),
    /// Blocks of this piece are answered although the receiver is choked (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of an extension (BEP 10); `id` 0 is the extension handshake.
    Extended {
        /// As the receiver's extension handshake assigned it.
        id: u8,
        /// What the extension defines. A copy, so it may be kept.
        payload: Bytes,
    },
    /// A message of a protocol we do not speak; its body is skipped and never held.
    Unknown {
        /// Its id.
        id: u8,
    },
}

/// Message ids as they stand on the wire.
pub(super) mod id {
    pub(crate) const CHOKE: u8 = 0;
    pub(crate) const UNCHOKE: u8 = 1;
    pub(crate) const INTERESTED: u8 = 2;
    pub(crate) const NOT_INTERESTED: u8 = 3;
    pub(crate) const HAVE: u8 = 4;
    pub(crate) const BITFIELD: u8 = 5;
    pub(crate) const REQUEST: u8 = 6;
    pub(crate) const PIECE: u8 = 7;
    pub(crate) const CANCEL: u8 = 8;
    pub(crate) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(crate) const EXTENDED: u8 = 20;
}
