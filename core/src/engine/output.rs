//! What the engine tells a driver: things to do, in the imperative.

use alloc::string::String;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::disk::DiskAction;
use crate::id::{Block, ConnId, DiskOp, FetchId, InfoHash, ResolveId, TorrentId};
use crate::time::Instant;
use crate::torrent::Event;

/// One thing for the driver to do.
///
/// What the driver holds on the engine's behalf it acknowledges, exactly once, also on failure: `Connect` by
/// `Connected` or `Closed`, `Send` by `Sent` (or by `Closed`, for the rest), `Close` by `Closed`, `Disk` by
/// `Disk`, `Resolve` by `Resolved`, `Fetch` by `Fetched`. The engine bounds the unacknowledged sum of each.
#[derive(Debug)]
pub enum Output {
    /// Open a TCP connection.
    Connect {
        /// Its name from now on.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// Send these bytes after all earlier segments of the connection.
    Send {
        /// Where.
        conn: ConnId,
        /// What.
        segment: Segment,
    },
    /// Start or stop reading from the connection. Every connection starts with reading on.
    Reading {
        /// Which.
        conn: ConnId,
        /// On, or off.
        on: bool,
    },
    /// End the connection.
    Close {
        /// Which.
        conn: ConnId,
        /// At once, or when everything is sent.
        how: CloseHow,
    },
    /// Send a UDP datagram, from the socket of the destination's address family, or, to one of
    /// [the groups](crate::lsd::GROUPS), from each that has joined it. May be dropped.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// The payload.
        data: Bytes,
    },
    /// Hand an action to the disk workers.
    Disk {
        /// The name to answer with.
        op: DiskOp,
        /// Whose files.
        torrent: TorrentId,
        /// What to do.
        action: DiskAction,
    },
    /// Look up a host name.
    Resolve {
        /// The name to answer with.
        query: ResolveId,
        /// A host name, never a literal address.
        host: String,
    },
    /// Make one HTTP GET request.
    Fetch {
        /// The name to answer with.
        fetch: FetchId,
        /// What and under which limits.
        request: FetchRequest,
    },
    /// Keep these bytes for the next run; the last ones for a key replace all earlier ones.
    Save {
        /// Under which name.
        key: SaveKey,
        /// What; empty means: forget it.
        data: Bytes,
    },
    /// Something the application may want to know.
    Event(Event),
    /// Nothing more to do now. The only output that tells the deadline.
    Idle {
        /// When to call [`Engine::handle_timeout`](super::Engine::handle_timeout), or `None`: not before the
        /// next input.
        wake: Option<Wake>,
    },
}

/// The next deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at: Instant,
    /// Which kind of component asked for it, for logs.
    pub reason: &'static str,
}

/// A run of bytes to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Bytes(Bytes),
    /// These bytes of a file, fetched by the driver itself as it sends them (`sendfile`). Only when
    /// [`Config::direct_blocks`](super::Config::direct_blocks) is set. A driver that cannot read them ends the
    /// connection: the header is gone already, so nothing else can stand in their place.
    Block {
        /// Whose files.
        torrent: TorrentId,
        /// Which bytes.
        block: Block,
    },
}

impl Segment {
    /// Length in bytes on the wire.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u32,
            Self::Block { block, .. } => block.len,
        }
    }

    /// Whether there is not a byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// When everything handed over has been sent.
    AfterSend,
    /// Now; what is not sent is dropped.
    Now,
}

/// One HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// Longest body to accept, in bytes, before and after decompression.
    pub limit: u32,
    /// Who named the URL: decides which addresses it may lead to (see [`crate::scope`]).
    pub named_by: NamedBy,
}

pub use crate::scope::NamedBy;

/// What saved bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SaveKey {
    /// A torrent: comes back as [`AddTorrent::saved`](super::AddTorrent::saved).
    Torrent(InfoHash),
    /// The DHT node: comes back as [`DhtConfig::saved`](super::DhtConfig::saved).
    Dht,
    /// What a magnet link names (BEP 9), the same in whatever folder the torrent lies: comes back as
    /// [`AddTorrent::saved_metadata`](super::AddTorrent::saved_metadata).
    Metadata(InfoHash),
}
