//! Whether a torrent's files are what the torrent says: every piece hashed, on all cores, nothing changed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pieceful_core::disk::{DiskError, DiskErrorKind, Layout, LayoutError};
use pieceful_core::id::PieceIndex;
use pieceful_core::metainfo::Info;

pub use crate::disk::sweep::Progress;
use crate::disk::sweep::Sweep;

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Pieces that hash to what the torrent says.
    pub pieces_ok: u32,
    /// Pieces of the torrent.
    pub pieces_total: u32,
    /// Bytes of those pieces, without padding.
    pub bytes_ok: u64,
    /// Every piece is right, and every file is there and ends where it should.
    pub complete: bool,
    /// Piece by piece, whether it is right.
    pub have: Vec<bool>,
}

/// Why nothing can be said about a torrent's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The torrent's own numbers.
    #[error("the torrent cannot be laid out: {0}")]
    Layout(#[from] LayoutError),
    /// A file is there, but the system does not let us read it.
    #[error("{0}")]
    Disk(#[from] DiskError),
}

/// Hashes the torrent's files in `folder`, on `workers` threads.
///
/// Files that are missing, too short, or not regular files at all are pieces that are not right; a file that
/// goes on after its end leaves its pieces right, but the torrent not complete. `progress` is called from all
/// threads, after about each MiB, and at the end.
///
/// # Errors
/// When a file cannot be read for a reason that says nothing about its content.
pub fn verify(
    info: &Info,
    folder: &Path,
    workers: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, VerifyError> {
    let sweep = Sweep::new(Layout::of(info)?, folder.to_path_buf(), workers);
    let layout = sweep.layout();
    let have = Mutex::new(vec![false; layout.pieces() as usize]);
    let failure = Mutex::new(None);
    let each = |piece: PieceIndex, digest| match digest {
        Ok(digest) => {
            if info.piece_hash(piece) == Some(digest) {
                have.lock().unwrap_or_else(PoisonError::into_inner)[piece.0 as usize] = true;
            }
            true
        }
        Err(error) => says_something(error)
            .map_err(|error| *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error))
            .is_ok(),
    };
    sweep.run(&each, &|at| {
        progress(at);
        true
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let have = have.into_inner().unwrap_or_else(PoisonError::into_inner);
    let right = || (0..).map(PieceIndex).zip(&have).filter(|(_, have)| **have).map(|(piece, _)| piece);
    let pieces_ok = right().count() as u32;
    let complete = pieces_ok == layout.pieces() && lengths_are_right(&sweep)?;
    let bytes_ok = right().map(|piece| layout.stored_in(piece)).sum();
    Ok(Verified { pieces_ok, pieces_total: layout.pieces(), bytes_ok, complete, have })
}

fn lengths_are_right(sweep: &Sweep) -> Result<bool, DiskError> {
    for (index, file) in (0..).zip(sweep.layout().files()) {
        match sweep.file_len(index) {
            Ok(len) if len == file.len => {}
            Ok(_) => return Ok(false),
            Err(error) => return says_something(error).map(|()| false),
        }
    }
    Ok(true)
}

/// Tells errors that mean "not the right data" from those that mean "cannot know".
fn says_something(error: DiskError) -> Result<(), DiskError> {
    match error.kind {
        DiskErrorKind::Missing | DiskErrorKind::InTheWay => Ok(()),
        DiskErrorKind::NoSpace
        | DiskErrorKind::Denied
        | DiskErrorKind::InUse
        | DiskErrorKind::TooManyOpen
        | DiskErrorKind::Io => Err(error),
    }
}
