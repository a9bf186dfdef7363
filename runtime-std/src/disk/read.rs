//! Blocks out of files.

use bytes::Bytes;
use pieceful_core::disk::{DiskError, Span};
use pieceful_core::id::Block;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::files::TorrentFiles;
use super::folder::Access;
use super::handles::Hand;
use super::{FileRange, error};

/// `block` in memory of its own.
pub(super) fn read(files: &TorrentFiles, hand: &mut Hand<'_>, block: Block) -> Result<Bytes, DiskError> {
    check(files, block)?;
    let len = block.len as usize;
    let mut spans = files.layout.spans(block);
    let (span, rest) = (spans.next(), spans.next());
    let (Some(span), None) = (span, rest) else {
        let mut bytes = vec![0; len];
        read_into(files, hand, block, &mut bytes)?;
        return Ok(Bytes::from(bytes));
    };
    let placed = files.place(span);
    let span = placed.span;
    let Some(fd) = hand.get(files, span.file, Access::Read)? else { return Ok(Bytes::from(vec![0; len])) };
    // Nearly every block lies in one file: straight into fresh memory, which nobody has to clear first.
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let offset = span.offset + bytes.len() as u64;
        match rustix::io::pread(fd, spare_capacity(&mut bytes), offset) {
            Ok(0) => return Err(error::too_short(span.file, &files.show(span.file))),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(files.failed(errno, span.file)),
        }
    }
    bytes.truncate(len); // the allocator may have given more
    Ok(Bytes::from(bytes))
}

/// `block` into `into`, which is just as long.
pub(super) fn read_into(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    block: Block,
    into: &mut [u8],
) -> Result<(), DiskError> {
    check(files, block)?;
    if into.len() != block.len as usize {
        return Err(error::no_such_block());
    }
    let mut left = into;
    for span in files.layout.spans(block) {
        let (here, rest) = left.split_at_mut(span.len as usize);
        read_span(files, hand, span, here)?;
        left = rest;
    }
    Ok(())
}

/// The bytes of `span` into `into`, which is just as long. Padding reads as zeros.
pub(super) fn read_span(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    span: Span,
    into: &mut [u8],
) -> Result<(), DiskError> {
    let placed = files.place(span);
    let span = placed.span;
    let Some(fd) = hand.get(files, span.file, Access::Read)? else {
        into.fill(0);
        return Ok(());
    };
    let mut done = 0;
    while done < into.len() {
        match rustix::io::pread(fd, &mut into[done..], span.offset + done as u64) {
            Ok(0) => return Err(error::too_short(span.file, &files.show(span.file))),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(files.failed(errno, span.file)),
        }
    }
    Ok(())
}

/// Where `block` lies.
pub(super) fn ranges(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    block: Block,
) -> Result<Vec<FileRange>, DiskError> {
    check(files, block)?;
    let range = |span: Span| {
        let placed = files.place(span);
        let span = placed.span;
        let file = hand.get(files, span.file, Access::Read)?.cloned();
        Ok(FileRange { file, offset: span.offset, len: span.len })
    };
    files.layout.spans(block).map(range).collect()
}

fn check(files: &TorrentFiles, block: Block) -> Result<(), DiskError> {
    if files.layout.contains(block) { Ok(()) } else { Err(error::no_such_block()) }
}
