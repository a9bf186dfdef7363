//! Why an announce failed, by name.

use alloc::string::String;
use core::net::IpAddr;
use core::time::Duration;

use crate::bencode::BencodeError;

/// Why an announce failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackerError {
    /// No answer.
    #[error("no answer in time")]
    TimedOut,
    /// The tracker refused, in its own words.
    #[error("{reason}")]
    Failure {
        /// Its `failure reason`: control characters removed, cut to 256 characters.
        reason: String,
        /// When it wants to be asked again (BEP 31).
        retry: Retry,
    },
    /// An HTTP status other than success, and no `failure reason` with it.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The body of an HTTP answer is not what BEP 3 says.
    #[error("the answer makes no sense: {0}")]
    Body(#[from] BodyError),
    /// The HTTP request itself failed.
    #[error("{0}")]
    Fetch(String),
    /// A datagram that answers our request has this action and length, and no answer has.
    #[error("the answer makes no sense: action {action} in {len} bytes")]
    Datagram {
        /// BEP 15's action; `u32::MAX` where the datagram is too short to have one.
        action: u32,
        /// Bytes in the datagram.
        len: usize,
    },
    /// There is no such host, or it has no addresses.
    #[error("no such host")]
    NoSuchHost,
    /// The name could not be looked up for now.
    #[error("the name could not be looked up")]
    LookUp,
    /// The tracker's address is out of bounds for whoever named it ([`crate::scope`]).
    #[error("{0} is not an address this tracker may be at")]
    Scope(IpAddr),
    /// More announces are under way than [`super::UDP_REQUESTS_MAX`].
    #[error("too many announces at once")]
    Busy,
}

/// What is wrong with the body of an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Not bencoded.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// Bencoded, but no dictionary.
    #[error("not a dictionary")]
    NotADictionary,
    /// `peers` is neither a string nor a list.
    #[error("peers is neither a string nor a list")]
    Peers,
    /// A scrape answer that does not speak of this torrent.
    #[error("nothing about this torrent")]
    OtherTorrent,
}

/// What a tracker that refuses says about trying again (BEP 31, `retry in`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: we back off as after any failure.
    Unsaid,
    /// Not before this has passed.
    After(Duration),
    /// Not at all, until the torrent is started again.
    Never,
}

/// Why a text is not the address of a tracker we can speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme.
    #[error("a tracker address must begin with http://, https:// or udp://")]
    Scheme,
    /// No host, or one with characters that host names do not have.
    #[error("a tracker address needs a host name")]
    Host,
    /// Not a port; a UDP tracker has to have one.
    #[error("the port of a tracker address must be a number from 1 to 65535")]
    Port,
    /// Spaces or control characters.
    #[error("a tracker address may not hold spaces or control characters")]
    Character,
    /// Longer than [`super::URL_LEN_MAX`].
    #[error("a tracker address may have at most {max} bytes", max = super::URL_LEN_MAX)]
    TooLong,
}
