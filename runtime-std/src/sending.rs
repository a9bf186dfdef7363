//! How queued segments become system calls: small ones joined, blocks straight from their files.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use bytes::Buf;
use pieceful_core::engine::Segment;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use socket2::Socket;

use crate::disk::{DiskPool, FileRange, Unreadable};

/// Segments joined in one system call. Linux takes 1,024; a block is two.
const JOINED_MAX: usize = 64;

/// What the engine's thread sends by itself, as far as the socket takes it at once. Less than a block.
const DIRECT_MAX: u32 = 8 * 1024;

/// One system call's worth, or one block from a file. Returns how many bytes went out.
pub(crate) fn write_some(batch: &mut VecDeque<Segment>, socket: &Socket, disk: &DiskPool) -> io::Result<u32> {
    if let Some(&Segment::Block { torrent, block }) = batch.front() {
        let ranges = disk.file_range(torrent, block);
        for range in ranges.map_err(|_| io::Error::other(Unreadable(block.piece)))? {
            send_range(&range, socket).map_err(|error| Unreadable::or_socket(block.piece, error))?;
        }
        batch.pop_front();
        return Ok(block.len);
    }
    send_joined(batch, socket, SendFlags::empty())
}

/// Sends the bytes up to the next block from a file, as many as fit into one system call.
pub(crate) fn send_joined(
    batch: &mut VecDeque<Segment>,
    socket: &Socket,
    flags: SendFlags,
) -> io::Result<u32> {
    let mut slices = [IoSlice::new(&[]); JOINED_MAX];
    let mut joined = 0;
    for (slice, segment) in slices.iter_mut().zip(&*batch) {
        let Segment::Bytes(bytes) = segment else { break };
        *slice = IoSlice::new(bytes);
        joined += 1;
    }
    // A block's header waits for its payload, so that they leave in one packet.
    let more = if batch.len() > joined { SendFlags::MORE } else { SendFlags::empty() };
    let nothing_else = &mut SendAncillaryBuffer::default();
    let sent = loop {
        match sendmsg(socket.as_fd(), &slices[..joined], nothing_else, SendFlags::NOSIGNAL | more | flags) {
            Err(Errno::INTR) => {}
            sent => break sent?,
        }
    };
    advance(batch, sent);
    Ok(sent as u32)
}

/// Whether it is not worth a thread: a few small messages.
pub(crate) fn is_little(queue: &VecDeque<Segment>) -> bool {
    let bytes = |segment: &Segment| matches!(segment, Segment::Bytes(_)).then(|| segment.len());
    let all = queue.iter().try_fold(0_u32, |sum, segment| Some(sum.saturating_add(bytes(segment)?)));
    queue.len() <= JOINED_MAX && all.is_some_and(|all| all <= DIRECT_MAX)
}

/// Takes `sent` bytes off the front, and segments that are sent to the end.
fn advance(batch: &mut VecDeque<Segment>, mut sent: usize) {
    while let Some(Segment::Bytes(bytes)) = batch.front_mut() {
        let taken = sent.min(bytes.len());
        bytes.advance(taken);
        sent -= taken;
        if !bytes.is_empty() {
            return;
        }
        batch.pop_front();
    }
}

fn send_range(range: &FileRange, socket: &Socket) -> io::Result<()> {
    let mut left = range.len as usize;
    let mut offset = range.offset;
    while left > 0 {
        let sent = match &range.file {
            Some(file) => send_from(file, &mut offset, left, socket)?,
            None => rustix::net::send(socket, &[0; 4096][..left.min(4096)], SendFlags::NOSIGNAL)?,
        };
        if sent == 0 {
            return Err(ErrorKind::UnexpectedEof.into()); // the file is shorter than it was
        }
        left -= sent;
    }
    Ok(())
}

fn send_from(file: &OwnedFd, offset: &mut u64, len: usize, socket: &Socket) -> io::Result<usize> {
    loop {
        match sendfile(socket, file, Some(offset), len) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}
