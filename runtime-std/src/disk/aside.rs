//! Bytes of files that are not wanted and not there: kept in one file beside the torrent's own, each as far from its
//! start as it stands in the torrent. Holes cost nothing, and there is no index that could be lost.
//!
//! Behind the last byte stands whose it is. A file of the same name that does not say so is somebody else's: it is
//! neither read nor written nor removed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use pieceful_core::disk::{DiskError, Existing, Layout, Span, SyncedFile};
use pieceful_core::metainfo::SafePath;
use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

use super::files::{OpenError, TorrentFiles, len_of};
use super::folder::Access;
use super::look::stamp_of;
use super::write_lock;

/// What a file of parts ends with, before its own name.
const MARK: &[u8] = b"pieceful parts 1";

/// Bytes copied at once.
const COPIED: usize = 128 * 1024;

/// Runs of bytes looked at to find out what is kept of a file that is not there.
const RUNS_MAX: usize = 64;

/// Which files of a torrent are aside.
#[derive(Debug, Default)]
pub(super) struct Aside {
    files: RwLock<Files>,
    /// Any was so at some time: of most torrents none ever is, and they need no lock.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Files {
    /// Each with the number of the `Prepare` that said so last.
    files: BTreeMap<u32, u64>,
    /// How many of those were handed over, and how many executed.
    announced: u64,
    executed: u64,
}

/// Where a span lies; it stays there as long as this is kept.
pub(super) struct Placed<'a> {
    pub(super) span: Span,
    _stays: Option<RwLockReadGuard<'a, Files>>,
}

impl Aside {
    /// A `Prepare` is handed over that puts `files` aside: what is handed over after it finds them so, on whichever
    /// worker.
    pub(super) fn announce(&self, files: &[u32]) {
        let mut aside = write_lock(&self.files);
        self.any.fetch_or(!files.is_empty(), Ordering::Release);
        aside.announced += 1;
        let number = aside.announced;
        aside.files.extend(files.iter().map(|file| (*file, number)));
    }

    fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TorrentFiles {
    /// The number by which the file of parts is known, behind those of the layout.
    pub(super) fn parts(&self) -> u32 {
        self.layout.files().len() as u32
    }

    /// Where `span` lies: in its own file, or among the parts.
    pub(super) fn place(&self, span: Span) -> Placed<'_> {
        if !self.aside.any.load(Ordering::Acquire) {
            return Placed { span, _stays: None };
        }
        let aside = self.aside.read();
        if !aside.files.contains_key(&span.file) {
            return Placed { span, _stays: None };
        }
        let (file, offset) = (self.parts(), self.layout.offset_in_parts(span));
        Placed { span: Span { file, offset, ..span }, _stays: Some(aside) }
    }

    /// What is kept of `absent` files; they are aside from now on, if there is a file of parts.
    pub(super) fn see_what_is_kept(
        &self,
        absent: &[u32],
        existing: &mut [Existing],
    ) -> Result<(), DiskError> {
        let (parts, stat) = match self.open_parts(Access::Read) {
            Ok(parts) => parts,
            // It will be said when something is to be written to it.
            Err(OpenError::System(Errno::NOENT) | OpenError::Kind(_)) => return Ok(()),
            Err(error) => return Err(error.of(self, self.parts())),
        };
        self.saw_parts();
        self.mark_written(self.parts()); // by an earlier run, perhaps, and not durable yet
        let stamp = stamp_of(&stat);
        let mut aside = write_lock(&self.aside.files);
        self.aside.any.store(true, Ordering::Release);
        for &file in absent {
            let (Some(place), Some(existing)) =
                (self.layout.files().get(file as usize), existing.get_mut(file as usize))
            else {
                continue;
            };
            aside.files.insert(file, 0);
            let whole = place.start..place.start + place.len;
            let kept: Vec<Range<u64>> = runs(&parts, whole.clone()).take(RUNS_MAX).collect();
            let head =
                kept.first().filter(|run| run.start == whole.start).map_or(0, |run| run.end - run.start);
            let tail = kept.last().filter(|run| run.end == whole.end).map_or(0, |run| run.end - run.start);
            *existing = Existing::Aside { head, tail: tail.min(place.len - head), stamp };
        }
        Ok(())
    }

    /// Names all files that are aside in place of the file of parts.
    pub(super) fn with_aside(&self, mut synced: Vec<SyncedFile>) -> Vec<SyncedFile> {
        if let Some(place) = synced.iter().position(|synced| synced.file == self.parts()) {
            let stamp = synced.swap_remove(place).stamp;
            let aside = self.aside.read();
            synced.extend(aside.files.keys().map(|&file| SyncedFile { file, len: 0, stamp }));
        }
        synced
    }

    /// Executes the next `Prepare`: moves the bytes of files that are aside, and do not `stay` so, to where they
    /// belong.
    pub(super) fn settle_aside(&self, stay: &[u32]) -> Result<(), DiskError> {
        // Held until all of it is done: whoever reads or writes one of the files waits.
        let mut aside = write_lock(&self.aside.files);
        aside.executed += 1;
        let executed = aside.executed;
        let leaves = |file: u32, said: u64| said <= executed && !stay.contains(&file);
        let placed: Vec<u32> =
            aside.files.iter().filter(|(file, said)| leaves(**file, **said)).map(|(file, _)| *file).collect();
        let parts = match self.open_parts(Access::Read) {
            Ok((fd, _)) => Some(fd),
            Err(OpenError::System(Errno::NOENT) | OpenError::Kind(_)) => None,
            Err(error) => return Err(error.of(self, self.parts())),
        };
        for file in placed {
            if let Some(parts) = &parts {
                self.move_out(parts, file)?;
            }
            aside.files.remove(&file);
        }
        if aside.files.is_empty() && parts.is_some() {
            self.remove_parts().map_err(|errno| self.failed(errno, self.parts()))?;
        }
        Ok(())
    }

    /// Copies what is kept of `file` to where it belongs. The file appears with all of that or not at all, as far as the
    /// file system can do so; where it is there already, with other data, its owner has allowed that.
    fn move_out(&self, parts: &OwnedFd, file: u32) -> Result<(), DiskError> {
        let (Some(place), Some(path)) = (self.layout.files().get(file as usize), self.path(file)) else {
            return Ok(());
        };
        let mut runs = runs(parts, place.start..place.start + place.len).peekable();
        if runs.peek().is_none() {
            return Ok(());
        }
        let fill = |to: &OwnedFd| runs.try_for_each(|run| copy(parts, to, run, place.start));
        let failed = |errno| self.failed(errno, file);
        match self.open(file, path, Access::Read) {
            Err(OpenError::System(Errno::NOENT)) => {
                self.create_whole(file, path, fill).map_err(|error| error.of(self, file))?;
            }
            there => {
                there.map_err(|error| error.of(self, file))?;
                let opened = self.open(file, path, self.to_write(file));
                let (fd, _) = opened.map_err(|error| error.of(self, file))?;
                let mut fill = fill;
                fill(&fd).and_then(|()| rustix::fs::fsync(&fd)).map_err(failed)?;
            }
        }
        let parent = std::path::Path::new(path.as_str()).parent().unwrap_or_else(|| std::path::Path::new(""));
        self.folder.sync_names(parent).map_err(failed)?;
        self.mark_written(file); // for its stamp to be told
        Ok(())
    }
}

/// The file is there, is ours, and is a regular one; one that is empty has nothing to lose.
pub(super) fn is_ours(fd: &OwnedFd, stat: &Stat, layout: &Layout) -> Result<bool, Errno> {
    let mark = mark(layout);
    if len_of(stat) == 0 {
        return Ok(true);
    }
    if len_of(stat) != layout.total() + mark.len() as u64 {
        return Ok(false);
    }
    let mut there = vec![0; mark.len()];
    let read = rustix::io::pread(fd, &mut there, layout.total())?;
    Ok(read == mark.len() && there == mark)
}

/// Says whose it is.
pub(super) fn write_mark(fd: &OwnedFd, layout: &Layout) -> Result<(), Errno> {
    let mark = mark(layout);
    if rustix::io::pwrite(fd, &mark, layout.total())? == mark.len() { Ok(()) } else { Err(Errno::IO) }
}

fn mark(layout: &Layout) -> Vec<u8> {
    let name = layout.parts().map(SafePath::as_str).unwrap_or_default();
    [MARK, name.as_bytes()].concat()
}

/// Where bytes were written within `whole`, in order, as far as the file system can tell: else it is all of it.
fn runs(fd: &OwnedFd, whole: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = whole.start;
    std::iter::from_fn(move || {
        let start = match rustix::fs::seek(fd, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => whole.end,
            Err(_) => at,
        };
        if at >= whole.end || start >= whole.end {
            return None;
        }
        let end = rustix::fs::seek(fd, SeekFrom::Hole(start)).unwrap_or(whole.end).min(whole.end);
        at = end;
        (start < end).then_some(start..end)
    })
}

/// Copies a run of the parts to the file that begins at `start` of the torrent.
fn copy(parts: &OwnedFd, to: &OwnedFd, run: Range<u64>, start: u64) -> Result<(), Errno> {
    let mut bytes = vec![0; COPIED];
    let mut at = run.start;
    while at < run.end {
        let len = (run.end - at).min(COPIED as u64) as usize;
        let read = match rustix::io::pread(parts, &mut bytes[..len], at) {
            Err(Errno::INTR) => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(()); // it ends here: what was not kept cannot be moved
        }
        let mut left = &bytes[..read];
        while !left.is_empty() {
            match rustix::io::pwrite(to, left, at - start) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => {
                    left = &left[written..];
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}
