//! What the owner decides about one torrent.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::disk::Allocation;
use crate::metainfo::Metainfo;
use crate::picker::PieceOrder;

use super::seeding::SeedingLimits;

/// Highest rates in payload bytes per second; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateLimits {
    /// Towards us.
    pub download: Option<u64>,
    /// Away from us.
    pub upload: Option<u64>,
}

/// A torrent to take part in.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// Only serve: nothing is written, not even to files that are longer than they should be. Where pieces are
    /// missing the torrent fails with [`TorrentError::Incomplete`](super::TorrentError::Incomplete).
    pub serve_only: bool,
    /// How long it goes on once it is complete.
    pub seeding: SeedingLimits,
    /// Stands still until it is resumed: its files are not looked at before.
    pub paused: bool,
    /// What an earlier run saved under [`SaveKey::Torrent`](crate::engine::SaveKey::Torrent).
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
            serve_only: false,
            seeding: SeedingLimits::default(),
            paused: false,
            saved: None,
        }
    }
}
