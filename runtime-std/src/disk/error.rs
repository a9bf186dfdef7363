//! What the system's error numbers mean to the engine.

use std::io;
use std::path::Path;

use pieceful_core::disk::{DiskError, DiskErrorKind};
use pieceful_core::id::PieceIndex;
use rustix::io::Errno;

/// The failure `errno` at `path`, which is file number `file` of the layout.
pub(super) fn at(errno: Errno, file: Option<u32>, path: &Path) -> DiskError {
    DiskError { kind: kind(errno), file, message: format!("{}: {errno}", path.display()) }
}

/// Something that is not a regular file stands at `path`.
pub(super) fn in_the_way(file: Option<u32>, path: &Path, what: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::InTheWay, file, message: format!("{}: {what}", path.display()) }
}

/// Somebody else uses what is at `path`.
pub(super) fn in_use(file: Option<u32>, path: &Path, by: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::InUse, file, message: format!("{}: {by}", path.display()) }
}

/// The file at `path` ends before what was to be read.
pub(super) fn too_short(file: u32, path: &Path) -> DiskError {
    DiskError {
        kind: DiskErrorKind::Missing,
        file: Some(file),
        message: format!("{}: shorter than the torrent says", path.display()),
    }
}

/// An action on a torrent that is not open, or on bytes it does not have.
pub(super) fn not_open() -> DiskError {
    plain(DiskErrorKind::Missing, "the torrent's files are not open")
}

/// A block outside the torrent.
pub(super) fn no_such_block() -> DiskError {
    plain(DiskErrorKind::Missing, "no such block in the torrent")
}

/// The workers have been stopped.
pub(super) fn stopped() -> DiskError {
    plain(DiskErrorKind::Io, "the disk workers have been stopped")
}

/// A worker panicked over it.
pub(super) fn panicked() -> DiskError {
    plain(DiskErrorKind::Io, "a disk worker failed: this is a bug")
}

fn plain(kind: DiskErrorKind, message: &str) -> DiskError {
    DiskError { kind, file: None, message: message.to_owned() }
}

fn kind(errno: Errno) -> DiskErrorKind {
    match errno {
        // FBIG: the file system, or a resource limit, has no room for a file this long.
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => DiskErrorKind::NoSpace,
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => DiskErrorKind::Denied,
        // XDEV: the way leads out of the download folder. NXIO: a socket or a FIFO without a reader.
        Errno::LOOP | Errno::ISDIR | Errno::NOTDIR | Errno::XDEV | Errno::NXIO | Errno::NODEV => {
            DiskErrorKind::InTheWay
        }
        Errno::NOENT => DiskErrorKind::Missing,
        Errno::MFILE | Errno::NFILE => DiskErrorKind::TooManyOpen,
        _ => DiskErrorKind::Io,
    }
}

/// A block that was to be sent to a peer could not be read from its file, after its header had left.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("piece {0} cannot be read")]
pub struct Unreadable(pub PieceIndex);

impl Unreadable {
    /// What becomes of an error that came while a block of `piece` was sent: it may be the socket's as well as the file's.
    #[must_use]
    pub fn or_socket(piece: PieceIndex, error: io::Error) -> io::Error {
        let is_files =
            error.kind() == io::ErrorKind::UnexpectedEof || Errno::from_io_error(&error) == Some(Errno::IO);
        if is_files { io::Error::other(Self(piece)) } else { error }
    }
}
