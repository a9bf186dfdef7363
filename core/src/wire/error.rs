//! What a peer did that no conforming peer does, as far as its bytes alone show it.

use crate::bencode::BencodeError;

/// A violation of the peer protocol. The stream cannot be read any further.
///
/// Lengths are the message's own: the value of its prefix, id included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The stream does not begin with the protocol's name (BEP 3). An encrypted stream (MSE) looks like this.
    #[error("the handshake does not begin with the BitTorrent protocol string")]
    ProtocolString,
    /// The prefix promises more than this message, or any message, may have.
    #[error("a message{} of {len} bytes, at most {max} are allowed", named(*.id))]
    TooLong {
        /// The message, `None` when it is longer than any of them may be.
        id: Option<u8>,
        /// Its length.
        len: u32,
        /// The longest allowed.
        max: u32,
    },
    /// The prefix promises less than this message's fields take.
    #[error("message {id} of {len} bytes, at least {min} are needed")]
    TooShort {
        /// The message.
        id: u8,
        /// Its length.
        len: u32,
        /// The shortest possible.
        min: u32,
    },
    /// A message of fixed size with another one.
    #[error("message {id} of {got} bytes instead of {want}")]
    Length {
        /// The message.
        id: u8,
        /// Its length.
        got: u32,
        /// The only length it can have.
        want: u32,
    },
    /// A bitfield that does not fit the torrent's number of pieces.
    #[error("a bitfield of {got} bytes instead of {want}")]
    BitfieldLength {
        /// Bytes of bits.
        got: u32,
        /// Bytes the torrent's pieces take.
        want: u32,
    },
    /// An extension handshake that is not bencode (BEP 10).
    #[error("the extension handshake is not bencode: {0}")]
    ExtendedHandshake(#[from] BencodeError),
    /// An extension handshake that is another bencoded value than a dictionary.
    #[error("the extension handshake is not a dictionary")]
    ExtendedNotDictionary,
}

fn named(id: Option<u8>) -> impl core::fmt::Display {
    core::fmt::from_fn(move |f| id.map_or(Ok(()), |id| write!(f, " {id}")))
}
