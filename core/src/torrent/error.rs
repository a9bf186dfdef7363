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
}
