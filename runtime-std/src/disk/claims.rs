//! Which torrent writes to which file: never two to the same one, by whatever names they reach it.

use std::collections::HashMap;
use std::sync::Mutex;

use pieceful_core::id::TorrentId;
use rustix::fs::Stat;

use super::lock;

/// The files being written, over all torrents of a pool.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By device and inode: folders may be links, names may differ.
    writers: Mutex<HashMap<(u64, u64), TorrentId>>,
}

impl Claims {
    /// Gives the file to `torrent`, unless another torrent has it; says whether it is `torrent`'s.
    pub(super) fn claim(&self, file: &Stat, torrent: TorrentId) -> bool {
        *lock(&self.writers).entry((file.st_dev, file.st_ino)).or_insert(torrent) == torrent
    }

    /// Gives up all files of `torrent`.
    pub(super) fn release(&self, torrent: TorrentId) {
        lock(&self.writers).retain(|_, writer| *writer != torrent);
    }
}
