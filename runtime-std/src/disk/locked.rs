//! Keeps other processes from writing where a torrent's files lie, and us from writing where theirs do.
//!
//! All files of a torrent lie beneath one name in its download folder: its only file, or the folder of all of
//! them. That is what is locked (`flock`): exclusively to write, shared to read. The lock is advisory, costs one
//! descriptor however many files there are, and ends with the process, also when that is killed.
//!
//! Where a file system has no locks, and beyond [`LOCKS_MAX`] of them, there is none; within the process the
//! claims hold all the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::claims::FileId;
use super::lock;

/// Locks held at once: each takes a descriptor, of which sockets need most.
const LOCKS_MAX: usize = 256;

/// How often a lock that another process has is tried for, and how long after each other. Who only looks whether
/// one is held lets go of it at once.
const ATTEMPTS: u32 = 4;
const ATTEMPT_EVERY: Duration = Duration::from_millis(5);

/// The locks of a pool. Torrents of one pool that share a folder share its lock: among themselves they have
/// their claims.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<FileId, Held>>);

#[derive(Debug)]
struct Held {
    fd: OwnedFd,
    users: u32,
    /// Those of them that write.
    writers: u32,
}

/// A torrent's part in a lock.
#[derive(Debug)]
pub(super) struct Lock {
    locks: Arc<Locks>,
    id: FileId,
    writes: bool,
}

/// Another process is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contended;

impl Locks {
    /// Whether no other process writes to what `fd` is.
    pub(super) fn is_free(&self, fd: &OwnedFd) -> bool {
        let held = lock(&self.0);
        let ours = rustix::fs::fstat(fd).is_ok_and(|stat| held.contains_key(&(stat.st_dev, stat.st_ino)));
        ours || set(fd, false) != Err(Contended)
    }

    /// Locks what `fd` is. `None` where that cannot be.
    pub(super) fn take(self: &Arc<Self>, fd: OwnedFd, writes: bool) -> Result<Option<Lock>, Contended> {
        let mut held = lock(&self.0);
        let Ok(stat) = rustix::fs::fstat(&fd) else { return Ok(None) };
        let (id, room) = ((stat.st_dev, stat.st_ino), held.len() < LOCKS_MAX);
        match held.entry(id) {
            Entry::Occupied(mut held) => held.get_mut().join(writes)?,
            Entry::Vacant(free) => {
                if !room || !set(&fd, writes)? {
                    return Ok(None);
                }
                free.insert(Held { fd, users: 1, writers: writes.into() });
            }
        }
        Ok(Some(Lock { locks: Arc::clone(self), id, writes }))
    }
}

impl Lock {
    pub(super) const fn writes(&self) -> bool {
        self.writes
    }

    /// Its torrent writes from now on, or reads.
    pub(super) fn change(&mut self, writes: bool) -> Result<(), Contended> {
        if self.writes != writes
            && let Some(held) = lock(&self.locks.0).get_mut(&self.id)
        {
            // Joined before it is left, so that it stays held.
            held.join(writes)?;
            held.leave(self.writes);
            self.writes = writes;
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = lock(&self.locks.0);
        if let Entry::Occupied(mut held) = held.entry(self.id) {
            held.get_mut().leave(self.writes);
            if held.get().users == 0 {
                held.remove();
            }
        }
    }
}

impl Held {
    fn join(&mut self, writes: bool) -> Result<(), Contended> {
        if writes && self.writers == 0 && set(&self.fd, true).is_err() {
            let _ = set(&self.fd, false); // what could not be changed is lost: those who read had it
            return Err(Contended);
        }
        self.users += 1;
        self.writers += u32::from(writes);
        Ok(())
    }

    fn leave(&mut self, writes: bool) {
        self.users -= 1;
        self.writers -= u32::from(writes);
        if writes && self.writers == 0 && self.users > 0 {
            let _ = set(&self.fd, false); // nobody is in the way of less
        }
    }
}

/// Locks `fd`, exclusively if it is written; says whether it could be.
fn set(fd: &OwnedFd, writes: bool) -> Result<bool, Contended> {
    let how =
        if writes { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::NonBlockingLockShared };
    for attempt in 1..=ATTEMPTS {
        match rustix::fs::flock(fd, how) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if attempt < ATTEMPTS => std::thread::sleep(ATTEMPT_EVERY),
            Err(Errno::WOULDBLOCK) => break,
            Err(Errno::INTR) => {}
            Err(_) => return Ok(false), // not on this file system
        }
    }
    Err(Contended)
}
