//! Which files stay open: the ones used last, over all torrents, up to a fixed number.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use pieceful_core::disk::DiskError;
use pieceful_core::id::TorrentId;
use rustix::fs::Advice;
use rustix::io::Errno;

use super::files::{OpenError, TorrentFiles};
use super::folder::Access;
use super::lock;

/// The open files. Shared by all workers; each keeps the one it used last in its [`Hand`].
pub(super) struct Handles {
    max: usize,
    /// Files will be read from start to end: the system is to read far ahead.
    sequential: bool,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: HashMap<(TorrentId, u32), Entry>,
    /// Counts uses, so that the least recent is the smallest.
    uses: u64,
}

struct Entry {
    fd: Arc<OwnedFd>,
    writable: bool,
    used: u64,
}

impl Handles {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), sequential: false, open: Mutex::default() }
    }

    /// The same for files that are read once, from start to end.
    pub(super) fn sequential(max: usize) -> Self {
        Self { sequential: true, ..Self::new(max) }
    }

    /// `file`, opened as `access` asks; `None` when it is padding.
    fn get(
        &self,
        files: &TorrentFiles,
        file: u32,
        access: Access,
    ) -> Result<Option<Arc<OwnedFd>>, DiskError> {
        let Some(path) = files.path(file) else { return Ok(None) };
        let writable = access != Access::Read;
        if let Some(fd) = self.find(files.id, file, writable) {
            return Ok(Some(fd));
        }
        let opened = match files.open(file, path, access) {
            Err(OpenError::System(Errno::MFILE | Errno::NFILE)) => {
                self.close_all();
                files.open(file, path, access)
            }
            opened => opened,
        };
        let (fd, _) = opened.map_err(|error| error.of(files, file))?;
        if self.sequential {
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential); // advice may be ignored
        }
        let fd = Arc::new(fd);
        self.keep(files.id, file, Arc::clone(&fd), writable);
        Ok(Some(fd))
    }

    /// Closes one of a torrent's files.
    pub(super) fn forget_file(&self, torrent: TorrentId, file: u32) {
        let closed = lock(&self.open).files.remove(&(torrent, file));
        drop(closed);
    }

    /// Closes a torrent's files.
    pub(super) fn forget(&self, torrent: TorrentId) {
        lock(&self.open).files.retain(|(of, _), _| *of != torrent);
    }

    fn find(&self, torrent: TorrentId, file: u32, writable: bool) -> Option<Arc<OwnedFd>> {
        let mut open = lock(&self.open);
        open.uses += 1;
        let uses = open.uses;
        let entry = open.files.get_mut(&(torrent, file))?;
        entry.used = uses;
        (entry.writable || !writable).then(|| Arc::clone(&entry.fd))
    }

    fn keep(&self, torrent: TorrentId, file: u32, fd: Arc<OwnedFd>, writable: bool) {
        let mut open = lock(&self.open);
        let mut oldest = None;
        if open.files.len() >= self.max && !open.files.contains_key(&(torrent, file)) {
            // Opening a file costs far more than looking through this many.
            let key = open.files.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            oldest = key.and_then(|key| open.files.remove(&key));
        }
        let used = open.uses;
        let replaced = open.files.insert((torrent, file), Entry { fd, writable, used });
        drop(open);
        drop((oldest, replaced)); // closed without the lock
    }

    fn close_all(&self) {
        let files = std::mem::take(&mut lock(&self.open).files);
        drop(files);
    }
}

/// One thread's way to the open files: the file it used last costs it no lock.
pub(super) struct Hand<'a> {
    handles: &'a Handles,
    last: Option<Last>,
}

struct Last {
    torrent: TorrentId,
    file: u32,
    writable: bool,
    fd: Arc<OwnedFd>,
}

impl<'a> Hand<'a> {
    pub(super) const fn new(handles: &'a Handles) -> Self {
        Self { handles, last: None }
    }

    /// `file`, opened as `access` asks; `None` when it is padding.
    pub(super) fn get(
        &mut self,
        files: &TorrentFiles,
        file: u32,
        access: Access,
    ) -> Result<Option<&Arc<OwnedFd>>, DiskError> {
        let writable = access != Access::Read;
        let hit = self.last.as_ref().is_some_and(|last| {
            last.file == file && last.torrent == files.id && (last.writable || !writable)
        });
        if !hit {
            let Some(fd) = self.handles.get(files, file, access)? else { return Ok(None) };
            self.last = Some(Last { torrent: files.id, file, writable, fd });
        }
        Ok(self.last.as_ref().map(|last| &last.fd))
    }

    /// Lets go of the file in hand.
    pub(super) fn release(&mut self) {
        self.last = None;
    }
}
