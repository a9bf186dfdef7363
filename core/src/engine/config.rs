//! What the owner of an engine decides.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::limits::Limits;

/// Settings of an engine, fixed when it is made.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// Wall-clock time when the engine is made, since 1970. Time itself is always taken from the driver's
    /// monotonic clock.
    pub unix_time: Duration,
    /// The TCP port others can reach us at; told to trackers and peers.
    pub listen_port: Option<u16>,
    /// The UDP port others can reach us at, if it is not the same; told to peers that take part in the DHT.
    pub udp_port: Option<u16>,
    /// The two letters and four digits of the peer id (BEP 20), such as `*b"PF0100"`.
    pub client_tag: [u8; 6],
    /// The name told to peers in the extension handshake (BEP 10, `v`), such as `pieceful 0.1.0`.
    pub client_name: String,
    /// Tell peers whom else we are connected to, and hear the same from them (BEP 11). Never of a private torrent.
    pub pex: bool,
    /// Announce torrents on the local network, and heed what others announce there (BEP 14). Never a private torrent,
    /// and only where the driver sends to, and takes from, [the groups](crate::lsd::GROUPS).
    pub lsd: bool,
    /// Leave reading blocks to the driver, as [`Segment::Block`](super::Segment::Block).
    pub direct_blocks: bool,
    /// A number for every queue.
    pub limits: Limits,
    /// Bytes per second, all torrents together.
    pub rates: RateLimits,
    /// Peers served at once, all torrents together.
    pub upload_slots: UploadSlots,
    /// Take part in the DHT (BEP 5), for torrents that are not private.
    pub dht: Option<DhtConfig>,
}

/// How an engine takes part in the DHT.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DhtConfig {
    /// Nodes to begin at when nobody is known: host names or literal addresses, and UDP ports.
    pub bootstrap: Vec<(String, u16)>,
    /// Answer nobody and say so (BEP 43): for machines that cannot be reached, or pay for their traffic. Never so by
    /// itself, since there is no telling: a router that is shut to most is open to whoever was asked a moment ago, and
    /// nobody takes a node into its table that has not answered it.
    pub read_only: bool,
    /// Take part over IPv4.
    pub ipv4: bool,
    /// Take part over IPv6.
    pub ipv6: bool,
    /// What an earlier run saved under [`SaveKey::Dht`](super::SaveKey::Dht).
    pub saved: Option<Bytes>,
}

impl Default for DhtConfig {
    fn default() -> Self {
        Self { bootstrap: Vec::new(), read_only: false, ipv4: true, ipv6: true, saved: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unix_time: Duration::ZERO,
            listen_port: None,
            udp_port: None,
            client_tag: *b"PF0100",
            client_name: String::from(concat!("pieceful ", env!("CARGO_PKG_VERSION"))),
            pex: true,
            lsd: false,
            direct_blocks: false,
            limits: Limits::default(),
            rates: RateLimits::default(),
            upload_slots: UploadSlots::default(),
            dht: None,
        }
    }
}

pub use crate::picker::PieceOrder;
pub use crate::torrent::{AddTorrent, RateLimits, UploadSlots, What};

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
    /// The torrent's files do not fit into pieces that can be counted.
    #[error("the torrent is too large")]
    Layout,
    /// A magnet link that names a v2 torrent only (BEP 52).
    #[error("the magnet link names a v2 torrent, which cannot be downloaded yet")]
    OnlyV2,
    /// The engine is shutting down.
    #[error("shutting down")]
    Stopping,
}
