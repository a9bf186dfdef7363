//! One torrent's files: where they are, who writes to them, and which were written since the last sync.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pieceful_core::disk::{DiskError, Layout};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::SafePath;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::claims::Claims;
use super::error;
use super::folder::{Access, Folder};
use super::lock;

#[derive(Debug)]
pub(super) struct TorrentFiles {
    pub(super) id: TorrentId,
    pub(super) folder: Arc<Folder>,
    pub(super) layout: Arc<Layout>,
    /// One a file of the layout.
    states: Box<[State]>,
    claims: Arc<Claims>,
}

#[derive(Debug, Default)]
struct State {
    /// Since the last sync.
    written: AtomicBool,
    /// Held by the worker that writes. Kernels let one writer into a file at a time, and the others spin at the
    /// door: that took a fifth of a download's processor time. Here they sleep, or see that they can go on
    /// hashing.
    writing: Mutex<()>,
}

impl TorrentFiles {
    pub(super) fn new(id: TorrentId, folder: Arc<Folder>, layout: Arc<Layout>, claims: Arc<Claims>) -> Self {
        let states = layout.files().iter().map(|_| State::default()).collect();
        Self { id, folder, layout, states, claims }
    }

    /// How many neighbouring pieces make `len` bytes, at least 1.
    pub(super) fn pieces_together(&self, len: u32) -> u32 {
        (len / self.layout.piece_length()).max(1)
    }

    /// The path of `file`, unless it is padding or there is no such file.
    pub(super) fn path(&self, file: u32) -> Option<&SafePath> {
        self.layout.files().get(file as usize)?.path.as_ref()
    }

    /// The full path of `file`, for people.
    pub(super) fn show(&self, file: u32) -> PathBuf {
        self.path(file).map(|path| self.folder.show(path)).unwrap_or_default()
    }

    pub(super) fn failed(&self, errno: Errno, file: u32) -> DiskError {
        error::at(errno, Some(file), &self.show(file))
    }

    /// What it takes to write to `file`.
    pub(super) fn to_write(&self, file: u32) -> Access {
        let executable = self.layout.files().get(file as usize).is_some_and(|file| file.executable);
        Access::Write { executable }
    }

    /// Opens `file`, sees that it is a regular file, and to write also that no other torrent does; tells its
    /// length.
    pub(super) fn open(
        &self,
        file: u32,
        path: &SafePath,
        access: Access,
    ) -> Result<(OwnedFd, u64), OpenError> {
        let fd = self.folder.open(path, access).map_err(OpenError::System)?;
        let stat = rustix::fs::fstat(&fd).map_err(OpenError::System)?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if access != Access::Read && !self.claims.claim(&stat, self.id) => {
                "another torrent is being downloaded to it"
            }
            FileType::RegularFile => return Ok((fd, u64::try_from(stat.st_size).unwrap_or(0))),
            FileType::Directory => "a folder is in the way of a file",
            FileType::Fifo | FileType::Socket => "a pipe or socket is in the way of a file",
            _ => "a device is in the way of a file",
        };
        Err(OpenError::Kind(error::in_the_way(file, &self.folder.show(path), what)))
    }

    /// Remembers that `file` has bytes that are not durable yet.
    pub(super) fn mark_written(&self, file: u32) {
        if let Some(state) = self.states.get(file as usize)
            && !state.written.load(Ordering::Relaxed)
        {
            state.written.store(true, Ordering::Release);
        }
    }

    /// The right to write to `file`, which one worker has at a time, once it is free.
    pub(super) fn write_turn(&self, file: u32) -> Option<MutexGuard<'_, ()>> {
        self.states.get(file as usize).map(|state| lock(&state.writing))
    }

    /// Whether some worker is writing to `file` now.
    pub(super) fn is_being_written(&self, file: u32) -> bool {
        let state = self.states.get(file as usize);
        state.is_some_and(|state| matches!(state.writing.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Whether `file` was written since this was last asked.
    pub(super) fn take_written(&self, file: u32) -> bool {
        self.states.get(file as usize).is_some_and(|state| {
            state.written.load(Ordering::Relaxed) && state.written.swap(false, Ordering::Acquire)
        })
    }
}

/// Why a file is not open.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The system said so.
    System(Errno),
    /// It is open, but no regular file, or another torrent's.
    Kind(DiskError),
}

impl OpenError {
    pub(super) fn of(self, files: &TorrentFiles, file: u32) -> DiskError {
        match self {
            Self::System(errno) => files.failed(errno, file),
            Self::Kind(error) => error,
        }
    }
}
