//! All pieces of a torrent hashed as its files have them, on all cores: what `verify` and `create` do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pieceful_core::disk::{DiskError, Layout, PieceHasher};
use pieceful_core::id::{Digest, PieceIndex, TorrentId};

use super::files::{OpenError, TorrentFiles, len_of};
use super::folder::{Access, Folder};
use super::handles::{Hand, Handles};
use super::hash;

/// Bytes a thread takes on at once: enough to read ahead in one go, few enough that no thread is left alone
/// with the last of them for long.
const STRETCH_LEN_MAX: u64 = 16 << 20;
const STRETCH_LEN_MIN: u64 = 1 << 20;

/// How far a sweep has come. Threads report on their own, so of two reports the earlier may be the higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pieces looked at.
    pub pieces_done: u32,
    /// Pieces in all.
    pub pieces_total: u32,
    /// Bytes looked at, padding included.
    pub bytes_done: u64,
    /// Bytes in all, padding included.
    pub bytes_total: u64,
}

/// The files to sweep over. Nothing is ever created or changed.
pub(crate) struct Sweep {
    files: TorrentFiles,
    workers: usize,
}

/// What is made of each piece's hash: `false` ends the sweep.
pub(crate) type Each<'a> = &'a (dyn Fn(PieceIndex, Result<Digest, DiskError>) -> bool + Sync);

impl Sweep {
    pub(crate) fn new(layout: Layout, folder: PathBuf, workers: usize) -> Self {
        let folder = Arc::new(Folder::new(folder));
        let files = TorrentFiles::new(TorrentId::default(), folder, Arc::new(layout), Arc::default());
        Self { files, workers: workers.max(1) }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.files.layout
    }

    /// The length of `file`, if it is there, and a regular file or padding.
    pub(crate) fn file_len(&self, file: u32) -> Result<u64, DiskError> {
        let Some(path) = self.files.path(file) else {
            return Ok(self.layout().files().get(file as usize).map_or(0, |file| file.len));
        };
        let opened = self.files.open(file, path, Access::Read);
        opened.map(|(_, stat)| len_of(&stat)).map_err(|error: OpenError| error.of(&self.files, file))
    }

    /// Hashes every piece, and tells `progress` after about each MiB and at the end; each of the two can end it
    /// early. `false` when one of them did.
    pub(crate) fn run(&self, each: Each<'_>, progress: &(dyn Fn(Progress) -> bool + Sync)) -> bool {
        let layout = self.layout();
        let shares = self.workers as u64 * 8;
        let stretch = (layout.total() / shares).clamp(STRETCH_LEN_MIN, STRETCH_LEN_MAX);
        let common = Common {
            sweep: self,
            each,
            progress,
            stretch: (stretch / u64::from(layout.piece_length())).max(1) as u32,
            next: AtomicU32::new(0),
            done: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        };
        let stretches = layout.pieces().div_ceil(common.stretch) as usize;
        std::thread::scope(|scope| {
            for _ in 1..self.workers.min(stretches) {
                scope.spawn(|| common.work());
            }
            common.work();
        });
        !common.ended.load(Ordering::Relaxed) && common.report(layout.pieces())
    }
}

struct Common<'a> {
    sweep: &'a Sweep,
    each: Each<'a>,
    progress: &'a (dyn Fn(Progress) -> bool + Sync),
    /// Pieces a thread takes on at once.
    stretch: u32,
    next: AtomicU32,
    done: AtomicU32,
    ended: AtomicBool,
}

impl Common<'_> {
    fn work(&self) {
        // Every thread has descriptors of its own: the system reads ahead by how each one is used.
        let handles = Handles::sequential(4);
        let mut hand = Hand::new(&handles);
        let mut chunk = vec![0; hash::CHUNK_LEN];
        let pieces = self.sweep.layout().pieces();
        let mut unreported = 0;
        loop {
            // One stretch a thread beyond the end at most, so this cannot wrap round.
            let first = self.next.fetch_add(self.stretch, Ordering::Relaxed);
            if first >= pieces {
                return;
            }
            for piece in first..pieces.min(first.saturating_add(self.stretch)) {
                if self.ended.load(Ordering::Relaxed) {
                    return;
                }
                let piece = PieceIndex(piece);
                let hasher = PieceHasher::new();
                let digest = hash::complete(&self.sweep.files, &mut hand, piece, hasher, &mut chunk);
                let goes_on = (self.each)(piece, digest);
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                unreported += self.sweep.layout().piece_len(piece);
                if !goes_on || (unreported >= 1 << 20 && !self.report(done)) {
                    self.ended.store(true, Ordering::Relaxed);
                }
                if unreported >= 1 << 20 {
                    unreported = 0;
                }
            }
        }
    }

    fn report(&self, pieces_done: u32) -> bool {
        let layout = self.sweep.layout();
        (self.progress)(Progress {
            pieces_done,
            pieces_total: layout.pieces(),
            bytes_done: (u64::from(pieces_done) * u64::from(layout.piece_length())).min(layout.total()),
            bytes_total: layout.total(),
        })
    }
}
