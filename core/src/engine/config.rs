//! What the owner of an engine decides.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::limits::Limits;
use crate::disk::Allocation;
use crate::metainfo::Metainfo;

/// Settings of an engine, fixed when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Wall-clock time when the engine is made, since 1970. Time itself is always taken from the driver's
    /// monotonic clock.
    pub unix_time: Duration,
    /// The TCP port others can reach us at; told to trackers and peers.
    pub listen_port: Option<u16>,
    /// The two letters and four digits of the peer id (BEP 20), such as `*b"PF0100"`.
    pub client_tag: [u8; 6],
    /// The name told to peers in the extension handshake (BEP 10, `v`), such as `pieceful 0.1.0`.
    pub client_name: String,
    /// Leave reading blocks to the driver, as [`Segment::Block`](super::Segment::Block).
    pub direct_blocks: bool,
    /// A number for every queue.
    pub limits: Limits,
    /// Bytes per second, all torrents together.
    pub rates: RateLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unix_time: Duration::ZERO,
            listen_port: None,
            client_tag: *b"PF0100",
            client_name: String::from(concat!("pieceful ", env!("CARGO_PKG_VERSION"))),
            direct_blocks: false,
            limits: Limits::default(),
            rates: RateLimits::default(),
        }
    }
}

/// Highest rates in payload bytes per second; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Towards us.
    pub download: Option<u64>,
    /// Away from us.
    pub upload: Option<u64>,
}

/// A torrent to take part in.
#[derive(Clone, Debug)]
pub struct AddTorrent {
    /// What it is.
    pub metainfo: Arc<Metainfo>,
    /// Peers the user named: trusted, and dialled first.
    pub peers: Vec<SocketAddr>,
    /// Trackers the user named, each a tier of its own before the torrent's (BEP 12).
    pub trackers: Vec<String>,
    /// Which piece comes next.
    pub order: PieceOrder,
    /// How file space is taken.
    pub allocation: Allocation,
    /// Whether files that hold other data may be overwritten.
    pub overwrite: bool,
    /// Most connections of this torrent.
    pub peers_max: Option<u32>,
    /// Bytes per second of this torrent.
    pub rates: RateLimits,
    /// What an earlier run saved under [`SaveKey::Torrent`](super::SaveKey::Torrent).
    pub saved: Option<Bytes>,
}

impl AddTorrent {
    /// `metainfo` with everything else as it usually is.
    #[must_use]
    pub fn new(metainfo: Arc<Metainfo>) -> Self {
        Self {
            metainfo,
            peers: Vec::new(),
            trackers: Vec::new(),
            order: PieceOrder::default(),
            allocation: Allocation::default(),
            overwrite: false,
            peers_max: None,
            rates: RateLimits::default(),
            saved: None,
        }
    }
}

pub use crate::picker::PieceOrder;

/// Why a torrent was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The engine has this torrent already.
    #[error("this torrent is there already")]
    Duplicate,
    /// The engine has as many torrents as its limits allow.
    #[error("too many torrents")]
    TooMany,
    /// A tracker the user named is not one we can speak to.
    #[error("a tracker address must begin with http://, https:// or udp://")]
    Tracker,
    /// The engine is shutting down.
    #[error("shutting down")]
    Stopping,
}
