//! How a torrent's files are reached: beneath its download folder, through real folders only, never through a
//! symbolic link, and nothing but regular files.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pieceful_core::metainfo::SafePath;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To be read; it has to be there.
    Read,
    /// To be read and written; created with its folders where it is missing.
    Write {
        /// Marked executable if it is created.
        executable: bool,
    },
    /// The same, and it must not be there yet.
    Create {
        /// Marked executable.
        executable: bool,
    },
}

/// A download folder. Opened once; everything is named relative to it from then on, so it may be renamed, and
/// nobody who swaps a folder for a link can lead us elsewhere.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: OnceLock<OwnedFd>,
}

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, dir: OnceLock::new() }
    }

    /// The full path of `path`, for people.
    pub(super) fn show(&self, path: &SafePath) -> PathBuf {
        self.path.join(path.as_str())
    }

    /// Opens the file at `path`. That it is a regular one is for the caller to check: opening does neither
    /// follow links nor wait, whatever is there.
    pub(super) fn open(&self, path: &SafePath, access: Access) -> Result<OwnedFd, Errno> {
        let dir = self.dir(access != Access::Read)?;
        let relative = Path::new(path.as_str());
        match open_beneath(dir, relative, flags(access), mode(access)) {
            Err(Errno::NOENT) if access != Access::Read => {
                make_parents(dir, path)?;
                open_beneath(dir, relative, flags(access), mode(access))
            }
            result => result,
        }
    }

    /// Creates the file at `path`, which must not be there, with what `fill` puts into it. Others see it with all of
    /// that or not at all; where the file system has no files without a name, perhaps with a part of it.
    pub(super) fn create_whole(
        &self,
        path: &SafePath,
        access: Access,
        mut fill: impl FnMut(&OwnedFd) -> Result<(), Errno>,
    ) -> Result<OwnedFd, Errno> {
        let dir = self.dir(true)?;
        make_parents(dir, path)?;
        let relative = Path::new(path.as_str());
        let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = open_beneath(dir, parent.unwrap_or(Path::new(".")), folder, Mode::empty())?;
        let nameless = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::openat(&parent, ".", nameless, mode(access)) {
            fill(&fd)?;
            rustix::fs::fsync(&fd)?;
            let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let named = rustix::fs::linkat(CWD, itself, &parent, path.file_name(), AtFlags::SYMLINK_FOLLOW);
            match named {
                Ok(()) => return Ok(fd),
                Err(Errno::EXIST) => return Err(Errno::EXIST),
                Err(_) => {} // there is no /proc here
            }
        }
        let fd = open_beneath(dir, relative, flags(access), mode(access))?;
        fill(&fd)?;
        rustix::fs::fsync(&fd)?;
        Ok(fd)
    }

    /// Removes the file at `path`, which has no folder of its own.
    pub(super) fn remove(&self, path: &SafePath) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.dir(false)?, path.as_str(), AtFlags::empty())
    }

    /// The full path of `name` in it, for people.
    pub(super) fn show_name(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is called `name` here, a file or a folder, if it can be read.
    pub(super) fn look_at(&self, name: &str) -> Option<OwnedFd> {
        open_beneath(self.dir(false).ok()?, Path::new(name), flags(Access::Read), Mode::empty()).ok()
    }

    /// Makes the names of what was created beneath `parent` durable.
    pub(super) fn sync_names(&self, parent: &Path) -> Result<(), Errno> {
        let dir = self.dir(false)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        rustix::fs::fsync(open_beneath(dir, parent, flags, Mode::empty())?)
    }

    fn dir(&self, create: bool) -> Result<BorrowedFd<'_>, Errno> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir.as_fd());
        }
        // The user named this folder: links on the way to it are theirs.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Err(Errno::NOENT) if create => {
                std::fs::create_dir_all(&self.path)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                rustix::fs::open(&self.path, flags, Mode::empty())?
            }
            opened => opened?,
        };
        Ok(self.dir.get_or_init(|| opened).as_fd())
    }
}

fn flags(access: Access) -> OFlags {
    // NONBLOCK: a FIFO or a device in the way must not hang a worker. It means nothing to a regular file.
    let always = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    match access {
        Access::Read => always | OFlags::RDONLY,
        Access::Write { .. } => always | OFlags::RDWR | OFlags::CREATE,
        Access::Create { .. } => always | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
    }
}

const fn mode(access: Access) -> Mode {
    match access {
        Access::Read => Mode::empty(),
        Access::Write { executable } | Access::Create { executable } => {
            Mode::from_raw_mode(if executable { 0o777 } else { 0o666 })
        }
    }
}

fn open_beneath(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    if !has_openat2() {
        return open_by_steps(dir, path, flags, mode);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for _ in 0..RETRIES_MAX {
        match rustix::fs::openat2(dir, path, flags, mode, resolve) {
            // The kernel could not rule out a race with a rename.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// A rename that races with every one of so many attempts is no accident.
const RETRIES_MAX: u32 = 16;

/// Linux has it since 5.6; some sandboxes refuse it.
fn has_openat2() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(rustix::fs::CWD, "/", flags, Mode::empty(), ResolveFlags::empty()).is_ok()
    })
}

/// `openat2` by hand: one component at a time, so that none of them can be a link.
fn open_by_steps(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return rustix::fs::openat(dir, path, flags, mode);
    };
    let mut at: Option<OwnedFd> = None;
    for component in parent {
        at = Some(step(at.as_ref().map_or(dir, |at| at.as_fd()), component.as_ref())?);
    }
    rustix::fs::openat(at.as_ref().map_or(dir, |at| at.as_fd()), name, flags | OFlags::NOFOLLOW, mode)
}

/// Creates the folders that lead to `path`, one by one: `mkdirat` follows links in all but the last component.
fn make_parents(dir: BorrowedFd<'_>, path: &SafePath) -> Result<(), Errno> {
    let components = path.components();
    let parents = components.len() - 1;
    let mut at: Option<OwnedFd> = None;
    for component in components.take(parents) {
        let here = at.as_ref().map_or(dir, |at| at.as_fd());
        match rustix::fs::mkdirat(here, component, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        at = Some(step(here, component.as_ref())?);
    }
    Ok(())
}

fn step(dir: BorrowedFd<'_>, component: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, component, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn going_step_by_step_is_as_careful_as_openat2() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("a/b")).unwrap();
        fs::write(place.path().join("a/b/file"), b"data").unwrap();
        std::os::unix::fs::symlink("b", place.path().join("a/link")).unwrap();
        std::os::unix::fs::symlink("file", place.path().join("a/b/link")).unwrap();
        let dir = fs::File::open(place.path()).unwrap();
        for how in [open_by_steps, open_beneath] {
            let open = |path: &str, access| how(dir.as_fd(), path.as_ref(), flags(access), mode(access));
            for access in [Access::Read, Access::Write { executable: false }] {
                assert!(open("a/b/file", access).is_ok());
                for path in ["a/link/file", "a/b/link", "a/b/file/x"] {
                    assert!(matches!(open(path, access), Err(Errno::LOOP | Errno::NOTDIR)), "{path}");
                }
                assert!(matches!(open("a/none/file", access), Err(Errno::NOENT)));
            }
            assert!(open("a/b/new", Access::Write { executable: false }).is_ok());
            fs::remove_file(place.path().join("a/b/new")).unwrap();
        }
    }
}
