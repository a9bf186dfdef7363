//! Whole torrents: what is there already, making files ready, making them durable.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use pieceful_core::disk::{Allocation, DiskError, Existing, SyncedFile};
use rustix::fs::{FallocateFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::error;
use super::files::{OpenError, TorrentFiles, len_of};
use super::folder::Access;

/// What the disk has of each file. Creates and changes nothing.
pub(super) fn existing(files: &TorrentFiles) -> Result<Vec<Existing>, DiskError> {
    files.see_whether_free()?;
    let all = 0..files.layout.files().len() as u32;
    let mut existing = all.clone().map(|file| existing_file(files, file)).collect::<Result<Vec<_>, _>>()?;
    let is_absent = |file: &u32| existing[*file as usize] == Existing::Absent && files.path(*file).is_some();
    let absent: Vec<u32> = all.filter(is_absent).collect();
    if !absent.is_empty() {
        files.see_what_is_kept(&absent, &mut existing)?;
    }
    Ok(existing)
}

fn existing_file(files: &TorrentFiles, file: u32) -> Result<Existing, DiskError> {
    let Some(path) = files.path(file) else { return Ok(Existing::Absent) };
    let (fd, stat) = match files.open(file, path, Access::Read) {
        Err(OpenError::System(Errno::NOENT)) => return Ok(Existing::Absent),
        opened => opened.map_err(|error| error.of(files, file))?,
    };
    let len = len_of(&stat);
    files.saw(file, &stat);
    files.mark_written(file); // by an earlier run, perhaps, and not durable yet
    // Space that is reserved but was never written counts as a hole.
    let has_data = len > 0
        && match rustix::fs::seek(&fd, SeekFrom::Data(0)) {
            Err(Errno::NXIO) => false,
            Ok(_) | Err(_) => true, // a file system that cannot tell: better to hash zeros than to lose data
        };
    Ok(Existing::Present { len, has_data, stamp: stamp_of(&stat) })
}

/// When a file was last written to, in nanoseconds.
pub(super) fn stamp_of(stat: &Stat) -> u64 {
    (stat.st_mtime as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_mtime_nsec)
}

/// Creates `which` files where they are missing, cuts those that are too long, reserves space if asked to.
pub(super) fn prepare(files: &TorrentFiles, which: &[u32], allocation: Allocation) -> Result<(), DiskError> {
    which.iter().try_for_each(|&file| prepare_file(files, file, allocation))
}

fn prepare_file(files: &TorrentFiles, file: u32, allocation: Allocation) -> Result<(), DiskError> {
    let Some(path) = files.path(file) else { return Ok(()) };
    let want = files.layout.files()[file as usize].len;
    let opened = files.open(file, path, files.to_write(file));
    let (fd, stat) = opened.map_err(|error| error.of(files, file))?;
    files.mark_written(file);
    if len_of(&stat) > want {
        rustix::fs::ftruncate(&fd, want).map_err(|errno| files.failed(errno, file))?;
    }
    if allocation == Allocation::Full && want > 0 {
        match retrying(|| rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, want)) {
            // Some file systems cannot reserve space: then it is taken as blocks arrive.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(files.failed(errno, file)),
        }
    }
    Ok(())
}

/// Files synced one by one; more are synced with all of their file system. Each sync by itself waits for the
/// disk, which makes thousands of small files a matter of minutes.
const SYNCED_SINGLY_MAX: usize = 16;

/// Makes every file written since the last time durable, and the names of those files.
///
/// When it fails, all of them count as still to be synced.
pub(super) fn sync(files: &TorrentFiles) -> Result<Vec<SyncedFile>, DiskError> {
    let all = 0..=files.parts();
    let written: Vec<u32> = all.filter(|&file| files.take_written(file)).collect();
    let synced = if written.len() > SYNCED_SINGLY_MAX {
        sync_systems(files, &written)
    } else {
        sync_singly(files, &written)
    };
    if synced.is_err() {
        written.iter().for_each(|&file| files.mark_written(file));
    }
    synced.map(|synced| files.with_aside(synced))
}

/// A file that is to be synced, as it is now: whoever writes to it meanwhile makes it another one than this.
fn before_sync(files: &TorrentFiles, file: u32) -> Option<Result<(OwnedFd, Stat, SyncedFile), DiskError>> {
    let opened = files.open(file, files.path(file)?, Access::Read);
    let with_name = |(fd, stat): (OwnedFd, Stat)| {
        let synced = SyncedFile { file, len: len_of(&stat), stamp: stamp_of(&stat) };
        (fd, stat, synced)
    };
    if file == files.parts() && matches!(opened, Err(OpenError::System(Errno::NOENT))) {
        return None; // its bytes were moved and made durable elsewhere
    }
    Some(opened.map(with_name).map_err(|error| error.of(files, file)))
}

fn sync_singly(files: &TorrentFiles, written: &[u32]) -> Result<Vec<SyncedFile>, DiskError> {
    let mut parents = BTreeSet::new();
    let mut all = Vec::new();
    for &file in written {
        let (Some(path), Some(opened)) = (files.path(file), before_sync(files, file)) else { continue };
        let (fd, _, synced) = opened?;
        retrying(|| rustix::fs::fsync(&fd)).map_err(|errno| files.failed(errno, file))?;
        all.push(synced);
        // The folders between it and the download folder may be new as well.
        for folder in Path::new(path.as_str()).ancestors().skip(1) {
            if !parents.insert(folder) {
                break;
            }
        }
    }
    parents.into_iter().try_for_each(|parent| {
        let named = files.folder.sync_names(parent);
        named.map_err(|errno| error::at(errno, None, parent))
    })?;
    Ok(all)
}

fn sync_systems(files: &TorrentFiles, written: &[u32]) -> Result<Vec<SyncedFile>, DiskError> {
    let mut systems = BTreeMap::new();
    let mut all = Vec::new();
    for &file in written {
        // Opened each, because a file that somebody has removed is not durable.
        let Some(opened) = before_sync(files, file) else { continue };
        let (fd, stat, synced) = opened?;
        systems.entry(stat.st_dev).or_insert((fd, file));
        all.push(synced);
    }
    systems.into_values().try_for_each(|(fd, file)| {
        retrying(|| rustix::fs::syncfs(&fd)).map_err(|errno| files.failed(errno, file))
    })?;
    Ok(all)
}

fn retrying<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
