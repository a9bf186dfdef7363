//! One torrent's files: where they are, who writes to them, and which were written since the last sync.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pieceful_core::disk::{DiskError, Layout};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::SafePath;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::aside::{self, Aside};
use super::claims::{Claims, Taken};
use super::folder::{Access, Folder};
use super::locked::{Contended, Lock};
use super::{error, lock};

#[derive(Debug)]
pub(super) struct TorrentFiles {
    pub(super) id: TorrentId,
    pub(super) folder: Arc<Folder>,
    pub(super) layout: Arc<Layout>,
    /// One a file of the layout, and one of the parts.
    states: Box<[State]>,
    claims: Arc<Claims>,
    lock: Mutex<Option<Lock>>,
    /// What those were that were there, until it is settled what becomes of them.
    seen: Mutex<BTreeMap<u32, Seen>>,
    pub(super) aside: Aside,
    /// Held while a file is created, so that our own is not taken for somebody else's.
    creating: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Since the last sync.
    written: AtomicBool,
    /// When it was looked at, or created by us since.
    there: AtomicBool,
    /// Held by the worker that writes. Kernels let one writer into a file at a time, and the others spin at the
    /// door: that took a fifth of a download's processor time. Here they sleep, or see that they can go on
    /// hashing.
    writing: Mutex<()>,
}

/// By what a file is known to be as it was: device, inode, length, and when it was written last.
type Seen = (u64, u64, i64, i64, i64);

impl TorrentFiles {
    pub(super) fn new(id: TorrentId, folder: Arc<Folder>, layout: Arc<Layout>, claims: Arc<Claims>) -> Self {
        // One more for the parts.
        let states = (0..=layout.files().len()).map(|_| State::default()).collect();
        let (lock, seen, creating, aside) = Default::default();
        Self { id, folder, layout, states, claims, lock, seen, aside, creating }
    }

    /// Remembers that `file` is there, and as what, before its bytes are looked at.
    pub(super) fn saw(&self, file: u32, stat: &Stat) {
        if let Some(state) = self.states.get(file as usize) {
            state.there.store(true, Ordering::Release);
            lock(&self.seen).insert(file, seen(stat));
            // First come, first served; who comes too late learns of it when it is settled who writes.
            let _ = self.claims.look(stat, self.id);
        }
    }

    /// Fails when another process writes to the files. Creates and changes nothing.
    pub(super) fn see_whether_free(&self) -> Result<(), DiskError> {
        let Some(fd) = self.top().and_then(|top| self.folder.look_at(top)) else { return Ok(()) };
        let free = self.claims.locks.is_free(&fd);
        if free { Ok(()) } else { Err(self.contended("another process is downloading to it")) }
    }

    /// Says what becomes of the files from now on: they are written to by nobody but us, or only read.
    pub(super) fn settle(&self, writes: bool) -> Result<(), DiskError> {
        let settled = self.settle_files(writes);
        if settled.is_err() {
            self.claims.release(self.id);
            *lock(&self.lock) = None;
        }
        settled
    }

    fn settle_files(&self, writes: bool) -> Result<(), DiskError> {
        if !writes && lock(&self.lock).as_ref().is_some_and(Lock::writes) {
            self.claims.write_no_more(self.id);
            return self.lock(false);
        }
        self.lock(writes)?;
        // What is not there yet is claimed when it is created.
        for (file, then) in std::mem::take(&mut *lock(&self.seen)) {
            let Some(path) = self.path(file) else { continue };
            let (_, stat) = self.open(file, path, Access::Read).map_err(|error| error.of(self, file))?;
            self.claim(file, &stat, writes)?;
            if seen(&stat) != then {
                return Err(error::in_use(
                    Some(file),
                    &self.show(file),
                    "it has changed while it was checked",
                ));
            }
        }
        Ok(())
    }

    fn claim(&self, file: u32, stat: &Stat, writes: bool) -> Result<(), DiskError> {
        self.claims.claim(stat, self.id, writes).map_err(|taken| {
            let by = match taken {
                Taken::Written => DOWNLOADED,
                Taken::Read => "another torrent uses it",
            };
            error::in_use(Some(file), &self.show(file), by)
        })
    }

    /// Keeps other processes out, as far as there is something to lock.
    fn lock(&self, writes: bool) -> Result<(), DiskError> {
        let mut held = lock(&self.lock);
        let locked = match &mut *held {
            Some(lock) => lock.change(writes),
            None => match self.top().and_then(|top| self.folder.look_at(top)) {
                Some(fd) => self.claims.locks.take(fd, writes).map(|lock| *held = lock),
                None => Ok(()),
            },
        };
        locked.map_err(|Contended| self.contended("another process is using it"))
    }

    fn contended(&self, by: &str) -> DiskError {
        error::in_use(None, &self.folder.show_name(self.top().unwrap_or_default()), by)
    }

    /// The name in the download folder beneath which all files lie.
    fn top(&self) -> Option<&str> {
        self.layout.files().iter().find_map(|file| file.path.as_ref()?.components().next())
    }

    /// How many neighbouring pieces make `len` bytes, at least 1.
    pub(super) fn pieces_together(&self, len: u32) -> u32 {
        (len / self.layout.piece_length()).max(1)
    }

    /// The path of `file`, unless it is padding or there is no such file.
    pub(super) fn path(&self, file: u32) -> Option<&SafePath> {
        if file == self.parts() {
            return self.layout.parts();
        }
        self.layout.files().get(file as usize)?.path.as_ref()
    }

    /// The full path of `file`, for people.
    pub(super) fn show(&self, file: u32) -> PathBuf {
        self.path(file).map(|path| self.folder.show(path)).unwrap_or_default()
    }

    pub(super) fn failed(&self, errno: Errno, file: u32) -> DiskError {
        error::at(errno, Some(file).filter(|file| *file != self.parts()), &self.show(file))
    }

    /// What it takes to write to `file`.
    pub(super) fn to_write(&self, file: u32) -> Access {
        Access::Write { executable: self.is_executable(file) }
    }

    fn to_create(&self, file: u32) -> Access {
        Access::Create { executable: self.is_executable(file) }
    }

    fn is_executable(&self, file: u32) -> bool {
        self.layout.files().get(file as usize).is_some_and(|file| file.executable)
    }

    /// Opens `file`, sees that it is a regular file, and to write also that no other torrent does; tells its
    /// length.
    pub(super) fn open(
        &self,
        file: u32,
        path: &SafePath,
        access: Access,
    ) -> Result<(OwnedFd, Stat), OpenError> {
        let writes = access != Access::Read;
        let fd = if writes { self.open_to_write(file, path, access)? } else { self.open_as(path, access)? };
        let stat = rustix::fs::fstat(&fd).map_err(OpenError::System)?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                if file == self.parts() {
                    self.see_whose(&fd, &stat, writes)?;
                }
                if writes {
                    self.claim(file, &stat, true).map_err(OpenError::Kind)?;
                }
                return Ok((fd, stat));
            }
            FileType::Directory => "a folder is in the way of a file",
            FileType::Fifo | FileType::Socket => "a pipe or socket is in the way of a file",
            _ => "a device is in the way of a file",
        };
        Err(OpenError::Kind(error::in_the_way(Some(file), &self.folder.show(path), what)))
    }

    /// Opens the file of parts, if there is one, or to write to it.
    pub(super) fn open_parts(&self, access: Access) -> Result<(OwnedFd, Stat), OpenError> {
        match self.layout.parts() {
            Some(path) => self.open(self.parts(), path, access),
            None => Err(OpenError::System(Errno::NOENT)),
        }
    }

    /// Only what we have made ourselves is taken for the file of parts.
    fn see_whose(&self, fd: &OwnedFd, stat: &Stat, writes: bool) -> Result<(), OpenError> {
        if !aside::is_ours(fd, stat, &self.layout).map_err(OpenError::System)? {
            let path = self.show(self.parts());
            return Err(OpenError::Kind(error::in_the_way(
                None,
                &path,
                "another file is in the way of the parts of files",
            )));
        }
        if writes && len_of(stat) == 0 {
            aside::write_mark(fd, &self.layout).map_err(OpenError::System)?;
        }
        Ok(())
    }

    /// The file of parts is there.
    pub(super) fn saw_parts(&self) {
        if let Some(state) = self.states.last() {
            state.there.store(true, Ordering::Release);
        }
    }

    /// Whether no file of parts is in use.
    pub(super) fn has_no_parts(&self) -> bool {
        self.states.last().is_some_and(|state| !state.there.load(Ordering::Acquire))
    }

    /// Removes the file of parts, which is there and ours.
    pub(super) fn remove_parts(&self) -> Result<(), Errno> {
        let Some((path, state)) = self.layout.parts().zip(self.states.last()) else { return Ok(()) };
        self.folder.remove(path)?;
        state.there.store(false, Ordering::Release);
        state.written.store(false, Ordering::Release);
        Ok(())
    }

    /// Creates `file` with what `fill` puts into it.
    pub(super) fn create_whole(
        &self,
        file: u32,
        path: &SafePath,
        fill: impl FnMut(&OwnedFd) -> Result<(), Errno>,
    ) -> Result<(), OpenError> {
        let _creating = lock(&self.creating);
        let fd = match self.folder.create_whole(path, self.to_create(file), fill) {
            Err(Errno::EXIST) => return Err(self.appeared(file, path)),
            created => created.map_err(OpenError::System)?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(OpenError::System)?;
        self.lock(true).map_err(OpenError::Kind)?;
        self.claim(file, &stat, true).map_err(OpenError::Kind)?;
        if let Some(state) = self.states.get(file as usize) {
            state.there.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn open_as(&self, path: &SafePath, access: Access) -> Result<OwnedFd, OpenError> {
        self.folder.open(path, access).map_err(OpenError::System)
    }

    /// Opens what was there when it was looked at or that we have created; creates what is missing. A file that
    /// somebody else has made meanwhile is theirs.
    fn open_to_write(&self, file: u32, path: &SafePath, access: Access) -> Result<OwnedFd, OpenError> {
        self.lock(true).map_err(OpenError::Kind)?;
        let Some(State { there, .. }) = self.states.get(file as usize) else {
            return self.open_as(path, access);
        };
        if there.load(Ordering::Acquire) {
            return self.open_as(path, access);
        }
        let _creating = lock(&self.creating);
        if there.load(Ordering::Acquire) {
            return self.open_as(path, access);
        }
        let fd = match self.open_as(path, self.to_create(file)) {
            Err(OpenError::System(Errno::EXIST)) => return Err(self.appeared(file, path)),
            created => created?,
        };
        self.lock(true).map_err(OpenError::Kind)?; // what was not there to be locked before
        there.store(true, Ordering::Release);
        Ok(fd)
    }

    /// Why a file that was not there cannot be created.
    fn appeared(&self, file: u32, path: &SafePath) -> OpenError {
        match self.open(file, path, Access::Read) {
            Err(error) => error,
            Ok((_, stat)) => {
                let by =
                    if self.claims.is_used(&stat) { DOWNLOADED } else { "somebody else has just created it" };
                OpenError::Kind(error::in_use(Some(file), &self.show(file), by))
            }
        }
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

const DOWNLOADED: &str = "another torrent is being downloaded to it";

/// The length of a file.
pub(super) fn len_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn seen(stat: &Stat) -> Seen {
    (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec as i64)
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
