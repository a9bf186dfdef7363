//! Blocks into files: neighbours are joined, so that one system call writes what a socket read.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskError, Layout, Span};
use pieceful_core::id::{Block, Digest, DiskOp, PieceIndex};
use rustix::io::Errno;

use super::files::TorrentFiles;
use super::handles::Hand;

/// Bytes worth a call. Half of a small L2 cache: the blocks have just been hashed and are still in it.
const RUN_LEN: u32 = 256 * 1024;

/// Bytes gathered at most, while another worker writes to the file.
const RUN_LEN_MAX: u32 = 1024 * 1024;

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

    /// Whether it is to be written now, even if more is to come.
    pub(super) fn is_due(&self, files: &TorrentFiles) -> bool {
        let Some(place) = self.place else { return false };
        let first = || files.layout.spans(Block { len: 1, ..place }).next();
        let busy = || first().is_some_and(|span| files.is_being_written(span.file));
        place.len >= RUN_LEN_MAX || place.len >= RUN_LEN && !busy()
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
    let mut data = Data { parts: blocks.iter().flat_map(Chain::parts), part: &[] };
    let mut slices = Vec::new();
    let mut written = 0;
    let mut spans = spans(&files.layout, place).peekable();
    while let Some(mut span) = spans.next() {
        // Small pieces side by side in one file are one write.
        while let Some(next) =
            spans.next_if(|next| next.file == span.file && next.offset == span.offset + u64::from(span.len))
        {
            span.len += next.len;
        }
        data.take(span.len, &mut slices);
        let placed = files.place(span);
        let span = placed.span;
        let fd = match hand.get(files, span.file, files.to_write(span.file)) {
            Ok(Some(fd)) => fd,
            Ok(None) => {
                written += span.len; // padding is never stored
                continue;
            }
            Err(error) => return (written, Some(error)),
        };
        files.mark_written(span.file);
        let turn = files.write_turn(span.file);
        let (count, result) = write_all(fd, &mut slices, span.offset);
        drop(turn);
        written += count;
        if let Err(errno) = result {
            return (written, Some(files.failed(errno, span.file)));
        }
    }
    debug_assert_eq!(written, place.len, "disk: the spans of blocks of the torrent are all of them");
    (written, None)
}

/// Writes all of `slices` at `offset`, and tells how many bytes that were when it fails.
fn write_all(fd: &OwnedFd, slices: &mut [IoSlice<'_>], offset: u64) -> (u32, Result<(), Errno>) {
    let mut left = slices;
    let mut written = 0;
    while !left.is_empty() {
        let some = &left[..left.len().min(SLICES_MAX)];
        match rustix::io::pwritev(fd, some, offset + u64::from(written)) {
            Ok(0) => return (written, Err(Errno::IO)),
            Ok(n) => {
                IoSlice::advance_slices(&mut left, n);
                written += n as u32;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return (written, Err(errno)),
        }
    }
    (written, Ok(()))
}

/// The bytes of a run that are still to be written.
struct Data<'a, I> {
    parts: I,
    part: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a Bytes>> Data<'a, I> {
    /// Puts the next `len` bytes into `slices`, in place of what is there.
    fn take(&mut self, len: u32, slices: &mut Vec<IoSlice<'a>>) {
        slices.clear();
        let mut left = len as usize;
        while left > 0 {
            if self.part.is_empty() {
                let Some(part) = self.parts.next() else { return };
                self.part = part;
            }
            let (here, rest) = self.part.split_at(left.min(self.part.len()));
            slices.push(IoSlice::new(here));
            self.part = rest;
            left -= here.len();
        }
    }
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
