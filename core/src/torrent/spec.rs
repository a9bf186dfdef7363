//! What the owner decides about one torrent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::disk::Allocation;
use crate::id::InfoHash;
use crate::metainfo::{Magnet, Metainfo};
use crate::picker::PieceOrder;

use super::seeding::SeedingLimits;
use super::selection::Selection;

/// Highest rates in payload bytes per second; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateLimits {
    /// Towards us.
    pub download: Option<u64>,
    /// Away from us.
    pub upload: Option<u64>,
}

/// Which torrent, and how much is known of it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum What {
    /// A .torrent file.
    Metainfo(Arc<Metainfo>),
    /// A magnet link: the metadata comes from peers (BEP 9).
    Magnet(Box<Magnet>),
}

impl What {
    /// The torrent's name.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        match self {
            Self::Metainfo(metainfo) => metainfo.info.info_hash,
            Self::Magnet(magnet) => magnet.info_hash,
        }
    }

    /// The files it asks for by itself: those that a link selects (BEP 53); all, if nobody selects any.
    #[must_use]
    pub fn selection(&self) -> Selection {
        match self {
            Self::Magnet(magnet) if !magnet.select.is_empty() => {
                Selection::only(magnet.select.iter().cloned())
            }
            _ => Selection::all(),
        }
    }
}

impl From<Arc<Metainfo>> for What {
    fn from(metainfo: Arc<Metainfo>) -> Self {
        Self::Metainfo(metainfo)
    }
}

impl From<Magnet> for What {
    fn from(magnet: Magnet) -> Self {
        Self::Magnet(Box::new(magnet))
    }
}

/// A torrent to take part in.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddTorrent {
    /// What it is.
    pub what: What,
    /// Peers the user named: trusted, and dialled first.
    pub peers: Vec<SocketAddr>,
    /// Trackers the user named, each a tier of its own before the torrent's (BEP 12).
    pub trackers: Vec<String>,
    /// Which files are wanted, and how much. Where nothing is said, those that the magnet link
    /// [selects](Magnet::select), or all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub files: Option<Selection>,
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
    /// Of a magnet link, fetch nothing but the metadata: once that is there the torrent is paused, before anything is
    /// done on disk.
    pub metadata_only: bool,
    /// Hash all files, also those that are as they were when they were saved.
    pub check: bool,
    /// What an earlier run saved under [`SaveKey::Torrent`](crate::engine::SaveKey::Torrent).
    pub saved: Option<Bytes>,
    /// What an earlier run saved under [`SaveKey::Metadata`](crate::engine::SaveKey::Metadata): a magnet link's metadata
    /// is not fetched again then.
    pub saved_metadata: Option<Bytes>,
}

impl AddTorrent {
    /// This torrent, with everything else as it usually is.
    #[must_use]
    pub fn new(what: impl Into<What>) -> Self {
        Self {
            what: what.into(),
            peers: Vec::new(),
            trackers: Vec::new(),
            files: None,
            order: PieceOrder::default(),
            allocation: Allocation::default(),
            overwrite: false,
            peers_max: None,
            rates: RateLimits::default(),
            serve_only: false,
            seeding: SeedingLimits::default(),
            paused: false,
            metadata_only: false,
            check: false,
            saved: None,
            saved_metadata: None,
        }
    }
}
