//! Whole torrents: what is there already, making files ready, making them durable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pieceful_core::disk::{Allocation, DiskError, Existing};
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::error;
use super::files::{OpenError, TorrentFiles};
use super::folder::Access;

/// What the disk has of each file. Creates and changes nothing.
pub(super) fn existing(files: &TorrentFiles) -> Result<Vec<Existing>, DiskError> {
    (0..files.layout.files().len() as u32).map(|file| existing_file(files, file)).collect()
}

fn existing_file(files: &TorrentFiles, file: u32) -> Result<Existing, DiskError> {
    let Some(path) = files.path(file) else { return Ok(Existing::Absent) };
    let (fd, len) = match files.open(file, path, Access::Read) {
        Err(OpenError::System(Errno::NOENT)) => return Ok(Existing::Absent),
        opened => opened.map_err(|error| error.of(files, file))?,
    };
    // Space that is reserved but was never written counts as a hole.
    let has_data = len > 0
        && match rustix::fs::seek(&fd, SeekFrom::Data(0)) {
            Err(Errno::NXIO) => false,
            Ok(_) | Err(_) => true, // a file system that cannot tell: better to hash zeros than to lose data
        };
    Ok(Existing::Present { len, has_data })
}

/// Creates `which` files where they are missing, cuts those that are too long, reserves space if asked to.
pub(super) fn prepare(files: &TorrentFiles, which: &[u32], allocation: Allocation) -> Result<(), DiskError> {
    which.iter().try_for_each(|&file| prepare_file(files, file, allocation))
}

fn prepare_file(files: &TorrentFiles, file: u32, allocation: Allocation) -> Result<(), DiskError> {
    let Some(path) = files.path(file) else { return Ok(()) };
    let want = files.layout.files()[file as usize].len;
    let opened = files.open(file, path, files.to_write(file));
    let (fd, len) = opened.map_err(|error| error.of(files, file))?;
    files.mark_written(file);
    if len > want {
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

/// Makes every file written since the last time durable, and the names of those files.
///
/// When it fails, all of them count as still to be synced.
pub(super) fn sync(files: &TorrentFiles) -> Result<(), DiskError> {
    let mut parents = BTreeSet::new();
    let mut synced = Vec::new();
    let result = (0..files.layout.files().len() as u32)
        .filter(|&file| files.take_written(file))
        .try_for_each(|file| {
            synced.push(file);
            sync_file(files, file, &mut parents)
        });
    let result = result.and_then(|()| {
        parents.iter().try_for_each(|parent| {
            let named = files.folder.sync_names(parent);
            named.map_err(|errno| error::at(errno, None, parent))
        })
    });
    if result.is_err() {
        synced.iter().for_each(|&file| files.mark_written(file));
    }
    result
}

fn sync_file(files: &TorrentFiles, file: u32, parents: &mut BTreeSet<PathBuf>) -> Result<(), DiskError> {
    let Some(path) = files.path(file) else { return Ok(()) };
    let (fd, _) = files.open(file, path, Access::Read).map_err(|error| error.of(files, file))?;
    retrying(|| rustix::fs::fsync(&fd)).map_err(|errno| files.failed(errno, file))?;
    // The folders between it and the download folder may be new as well.
    for folder in Path::new(path.as_str()).ancestors().skip(1) {
        if !parents.insert(folder.to_path_buf()) {
            break;
        }
    }
    Ok(())
}

fn retrying<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
