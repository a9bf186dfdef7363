//! Blocks into files: neighbours are joined, so that one system call writes what a socket read.

use std::io::IoSlice;

use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskError, Layout, Span};
use pieceful_core::id::{Block, Digest, DiskOp, PieceIndex};
use rustix::io::Errno;

use super::files::TorrentFiles;
use super::handles::Hand;

/// Bytes written by one call at most. Half of a small L2 cache: the blocks have just been hashed and are still
/// in it.
pub(super) const RUN_LEN_MAX: u32 = 256 * 1024;

/// Slices the system takes in one call (`IOV_MAX` is 1,024 on Linux).
const SLICES_MAX: usize = 1_024;

/// Blocks that follow each other in the torrent, gathered to be written together.
#[derive(Default)]
pub(super) struct Run {
    /// Where it begins; `len` is that of the whole run, which may go on into the next pieces.
    place: Option<Block>,
    blocks: Vec<Chain>,
    pub(super) answers: Vec<Answer>,
}

/// What is answered once a run is written.
pub(super) enum Answer {
    /// `Written`, for bytes of the run up to `end`.
    Written { op: DiskOp, piece: PieceIndex, end: u32 },
    /// The hash of a piece whose last bytes are in the run, or were before it.
    Hashed { op: DiskOp, piece: PieceIndex, digest: Digest },
}

impl Run {
    pub(super) fn is_empty(&self) -> bool {
        self.place.is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        self.place.is_some_and(|place| place.len >= RUN_LEN_MAX)
    }

    /// Whether `block` can be written together with what is gathered.
    pub(super) fn takes(&self, files: &TorrentFiles, block: Block) -> bool {
        let Some(place) = self.place else { return true };
        let at = |block: Block| {
            u64::from(block.piece.0) * u64::from(files.layout.piece_length()) + u64::from(block.offset)
        };
        at(block) == at(place) + u64::from(place.len) && place.len + block.len <= RUN_LEN_MAX
    }

    pub(super) fn push(&mut self, op: DiskOp, block: Block, data: Chain) {
        let place = self.place.get_or_insert(Block { len: 0, ..block });
        place.len += block.len;
        self.answers.push(Answer::Written { op, piece: block.piece, end: place.len });
        self.blocks.push(data);
    }

    /// Writes the run, releases its buffers, and tells how many of its bytes are in the files and what kept the
    /// rest out.
    pub(super) fn write(&mut self, files: &TorrentFiles, hand: &mut Hand<'_>) -> (u32, Option<DiskError>) {
        let Some(place) = self.place.take() else { return (0, None) };
        let result = write(files, hand, place, &self.blocks);
        self.blocks.clear();
        result
    }

    /// Forgets everything gathered.
    pub(super) fn clear(&mut self) {
        self.place = None;
        self.blocks.clear();
        self.answers.clear();
    }
}

fn write(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    place: Block,
    blocks: &[Chain],
) -> (u32, Option<DiskError>) {
    let mut slices: Vec<IoSlice<'_>> =
        blocks.iter().flat_map(|block| block.parts().map(|part| IoSlice::new(part))).collect();
    let mut left = &mut slices[..];
    let mut written = 0;
    let mut spans = spans(&files.layout, place).peekable();
    while let Some(mut span) = spans.next() {
        // Small pieces side by side in one file are one write.
        while let Some(next) =
            spans.next_if(|next| next.file == span.file && next.offset == span.offset + u64::from(span.len))
        {
            span.len += next.len;
        }
        let access = files.to_write(span.file);
        let fd = match hand.get(files, span.file, access) {
            Ok(Some(fd)) => fd,
            Ok(None) => {
                advance(&mut left, span.len as usize); // padding is never stored
                written += span.len;
                continue;
            }
            Err(error) => return (written, Some(error)),
        };
        files.mark_written(span.file);
        let mut done = 0;
        while done < span.len {
            let offset = span.offset + u64::from(done);
            match write_some(fd, left, (span.len - done) as usize, offset) {
                Ok(0) => return (written, Some(files.failed(Errno::IO, span.file))),
                Ok(n) => {
                    advance(&mut left, n);
                    done += n as u32;
                    written += n as u32;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return (written, Some(files.failed(errno, span.file))),
            }
        }
    }
    debug_assert_eq!(written, place.len, "disk: the spans of blocks of the torrent are all of them");
    (written, None)
}

/// The spans of a run, piece by piece.
fn spans(layout: &Layout, run: Block) -> impl Iterator<Item = Span> {
    let mut left = run.len;
    let mut next = Block { len: 0, ..run };
    let pieces = std::iter::from_fn(move || {
        let here = left.min(layout.piece_len(next.piece).saturating_sub(next.offset));
        let block = (here > 0).then_some(Block { len: here, ..next })?;
        left -= here;
        next = Block { piece: PieceIndex(next.piece.0 + 1), offset: 0, len: 0 };
        Some(block)
    });
    pieces.flat_map(|block| layout.spans(block))
}

/// Writes the first of `slices` at `offset`, `len` bytes at most.
fn write_some(
    fd: &std::os::fd::OwnedFd,
    slices: &[IoSlice<'_>],
    len: usize,
    offset: u64,
) -> Result<usize, Errno> {
    let mut fits = 0;
    let mut whole = 0;
    for slice in slices.iter().take(SLICES_MAX) {
        if fits + slice.len() > len {
            break;
        }
        fits += slice.len();
        whole += 1;
    }
    if whole > 0 {
        return rustix::io::pwritev(fd, &slices[..whole], offset);
    }
    // The file ends inside the first slice.
    slices.first().map_or(Ok(0), |slice| rustix::io::pwrite(fd, &slice[..len], offset))
}

/// `IoSlice::advance_slices`, which panics where this stops at the end.
fn advance(slices: &mut &mut [IoSlice<'_>], len: usize) {
    let available = slices.iter().map(|slice| slice.len()).sum::<usize>();
    IoSlice::advance_slices(slices, len.min(available));
}
