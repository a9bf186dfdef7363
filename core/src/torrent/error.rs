//! Why a torrent cannot go on.

use alloc::string::String;

use crate::disk::DiskError;

/// Why a torrent cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TorrentError {
    /// Storage failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
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
