//! Why a datagram is no message, and why something is not taken on.

use alloc::vec::Vec;

use crate::bencode::BencodeError;

/// Why a datagram is no [`Message`](super::Message).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is longer than any message.
    #[error("a datagram of {len} bytes")]
    Length {
        /// Its length in bytes.
        len: usize,
    },
    /// It is not bencoded.
    #[error("not bencoded: {0}")]
    Bencode(#[from] BencodeError),
    /// It has no transaction id, or one that is empty or too long to be echoed.
    #[error("no transaction id that can be echoed")]
    Transaction,
    /// It is neither a query nor a reply nor an error.
    #[error("neither a query nor a reply nor an error")]
    Kind,
    /// A query without the arguments it must have.
    #[error("a query whose arguments are missing or of the wrong length")]
    Query {
        /// By which it can be refused.
        transaction: Vec<u8>,
    },
    /// A reply or an error without what it must have.
    #[error("a reply whose values are missing or of the wrong length")]
    Reply,
}

/// Why saved state is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not bencoded.
    #[error("not bencoded: {0}")]
    Bencode(#[from] BencodeError),
    /// It is of another version of this program, or not of this program at all.
    #[error("written by another version")]
    Version,
    /// A part of it has the wrong length.
    #[error("a part has the wrong length")]
    Length,
}

/// There is no room for more torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many torrents")]
pub struct TooMany;
