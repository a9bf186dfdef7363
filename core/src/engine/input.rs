//! What a driver tells the engine: things that happened, in the past tense.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::disk::{DiskDone, DiskError};
use crate::id::{ConnId, DiskOp, FetchId, ResolveId};

/// One thing that happened outside.
///
/// None of them can fail: a peer's misbehaviour becomes an event and closes that peer, an id that is no longer
/// live is ignored.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The connection asked for by [`Output::Connect`](super::Output::Connect) is established.
    Connected {
        /// Which.
        conn: ConnId,
    },
    /// Bytes arrived, in order.
    Received {
        /// Where.
        conn: ConnId,
        /// At least one byte. Payload is kept as slices of this very buffer until it is written to disk.
        data: Bytes,
    },
    /// Bytes handed over by [`Output::Send`](super::Output::Send) were taken by the system.
    Sent {
        /// Where.
        conn: ConnId,
        /// How many; the sum over all reports equals the sum of the segments' lengths.
        bytes: u32,
    },
    /// The connection is gone, whoever ended it. Answers every `Connect` that fails and every `Close`; nothing
    /// follows it.
    Closed {
        /// Which.
        conn: ConnId,
        /// How.
        end: StreamEnd,
    },
    /// A UDP datagram arrived.
    Datagram {
        /// Its sender.
        from: SocketAddr,
        /// Its payload.
        data: Bytes,
    },
    /// A disk action ended.
    Disk {
        /// Which.
        op: DiskOp,
        /// How.
        result: Result<DiskDone, DiskError>,
    },
    /// A name look-up ended.
    Resolved {
        /// Which.
        query: ResolveId,
        /// The addresses, at least one, or why there are none.
        result: Result<Vec<IpAddr>, ResolveError>,
    },
    /// An HTTP request ended.
    Fetched {
        /// Which.
        fetch: FetchId,
        /// The final answer after redirects, or why there is none.
        result: Result<Response, FetchError>,
    },
}

impl Input {
    /// The connection that it happened on, if it is one.
    #[must_use]
    pub const fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Connected { conn }
            | Self::Received { conn, .. }
            | Self::Sent { conn, .. }
            | Self::Closed { conn, .. } => Some(*conn),
            Self::Datagram { .. } | Self::Disk { .. } | Self::Resolved { .. } | Self::Fetched { .. } => None,
        }
    }
}

pub use crate::peer::StreamEnd;

/// The answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Response {
    /// The status code of the last hop.
    pub status: u16,
    /// The body after decompression; within the request's limit.
    pub body: Bytes,
    /// The address the last hop was reached at: it decides which addresses the body may name.
    pub from: IpAddr,
}

/// Why an HTTP request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FetchError {
    /// The name did not resolve, the connection failed, TLS failed.
    #[error("could not connect: {0}")]
    Connect(String),
    /// No complete answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The body is longer than allowed, before or after decompression.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The request's limit in bytes.
        limit: u32,
    },
    /// More redirects than allowed.
    #[error("too many redirects")]
    Redirects,
    /// The address, or one a redirect led to, is out of bounds for whoever named it.
    #[error("{0} is not an address this may reach")]
    Scope(IpAddr),
    /// Not a URL this program fetches.
    #[error("not an http or https address")]
    Url,
    /// Not an HTTP answer.
    #[error("not a valid answer: {0}")]
    Protocol(String),
}

/// Why a name has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ResolveError {
    /// There is no such name, or it has no addresses.
    #[error("no such host")]
    NotFound,
    /// The resolver did not answer, or said to try later.
    #[error("the name could not be looked up")]
    Failed,
}
