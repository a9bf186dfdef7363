//! Why a torrent cannot go on.

use alloc::string::String;

use crate::disk::DiskError;
use crate::metainfo::MetainfoError;

/// Why a torrent cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TorrentError {
    /// Storage failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The metadata that the magnet link names has come, and is of no use.
    #[error("the magnet link leads to a torrent that cannot be used: {0}")]
    Metadata(#[from] MetainfoError),
    /// The magnet link names a v1 torrent and a v2 torrent that are not the same.
    #[error("the two info-hashes of the magnet link name different torrents")]
    TwoTorrents,
    /// A file that is there holds something else, and was not to be overwritten.
    #[error("{path} is there already and holds other data")]
    OtherData {
        /// Its path below the download folder.
        path: String,
    },
    /// It was to be served only, and not all of it is there.
    #[error("{missing} of {pieces} pieces are missing or wrong")]
    Incomplete {
        /// Pieces that are missing or wrong.
        missing: u32,
        /// All pieces.
        pieces: u32,
    },
}
