//! What can be wrong with bencoded input.

/// Why input is not bencode, or more of it than the reader allows. Positions are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input ends inside a value.
    #[error("the input ends at byte {at}, inside a value")]
    Truncated {
        /// Length of the input.
        at: usize,
    },
    /// No value begins with this byte.
    #[error("byte {byte:#04x} at {at} begins no value")]
    Unexpected {
        /// Where.
        at: usize,
        /// Which byte.
        byte: u8,
    },
    /// An integer without digits, with another character among them, with leading zeros, or `-0`.
    #[error("the integer at {at} is not written in the one allowed form")]
    Integer {
        /// Where its `i` is.
        at: usize,
    },
    /// An integer outside 64 bits with sign.
    #[error("the integer at {at} does not fit 64 bits")]
    IntegerRange {
        /// Where its `i` is.
        at: usize,
    },
    /// A string's length with leading zeros, another character in it or no colon after it.
    #[error("the string at {at} has no length in the one allowed form")]
    Length {
        /// Where its length begins.
        at: usize,
    },
    /// A string longer than what is left of the input.
    #[error("the string at {at} is longer than the {left} bytes left")]
    TooLong {
        /// Where its length begins.
        at: usize,
        /// Bytes after the colon.
        left: usize,
    },
    /// A dictionary key that is not a string.
    #[error("the dictionary key at {at} is not a string")]
    Key {
        /// Where.
        at: usize,
    },
    /// A dictionary that ends after a key.
    #[error("the dictionary that ends at {at} has a key without a value")]
    NoValue {
        /// Where its `e` is.
        at: usize,
    },
    /// More lists and dictionaries inside one another than allowed.
    #[error("nested deeper than {max} at byte {at}")]
    Depth {
        /// Where the first one too many begins.
        at: usize,
        /// [`Limits::depth`](super::Limits::depth).
        max: u32,
    },
    /// More values than allowed, keys counted.
    #[error("more than {max} values")]
    Tokens {
        /// [`Limits::tokens`](super::Limits::tokens).
        max: u32,
    },
    /// Something follows the value.
    #[error("{left} bytes after the end of the value")]
    Trailing {
        /// How many bytes.
        left: usize,
    },
    /// The input is larger than any that is read here: 4 GiB.
    #[error("{len} bytes are too many to read")]
    Size {
        /// Length of the input.
        len: usize,
    },
}
