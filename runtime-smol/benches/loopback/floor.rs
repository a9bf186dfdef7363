//! The least a download can cost: receive, hash, write, on one thread, with nothing decided on the way.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use pieceful_core::id::{BLOCK_LEN, Digest, PieceIndex};
use pieceful_core::metainfo::{Info, Metainfo};
use rustix::event::{PollFd, PollFlags, poll};
use sha1::{Digest as _, Sha1};

use crate::{Fallible, meter};

pub(crate) const HANDSHAKE_LEN: usize = 68;

/// Requests waiting at a seed: 4 MiB.
const ASKED_MAX: usize = 256;

/// Bytes received at once: they stay in the L2 cache until they are written.
const BUFFER_LEN: usize = 256 << 10;

/// Downloads piece after piece, each from whichever seed is next, in the order asked.
pub(crate) fn leech(torrent: &Path, folder: &Path, peers: &[SocketAddr]) -> Fallible<()> {
    let info = Metainfo::parse(fs::read(torrent)?)?.info;
    let mut todo = Todo { next: 0, left: info.piece_count() };
    let mut files = Files::new(&info, folder);
    let mut seeds = peers.iter().map(|&peer| Seed::connect(peer, &info)).collect::<io::Result<Vec<_>>>()?;
    while todo.left > 0 {
        let ready: Vec<bool> = match &seeds[..] {
            [_] => vec![true],
            _ => {
                let mut polled: Vec<_> =
                    seeds.iter().map(|seed| PollFd::new(&seed.socket, PollFlags::IN)).collect();
                poll(&mut polled, None)?;
                polled.iter().map(|one| !one.revents().is_empty()).collect()
            }
        };
        for (seed, _) in seeds.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            seed.receive(&info, &mut todo, &mut files)?;
            seed.ask(&info, &mut todo)?;
        }
    }
    meter::done();
    Ok(())
}

struct Todo {
    /// The first piece nobody is asked for.
    next: u32,
    /// Pieces not complete.
    left: u32,
}

/// A connection. Its blocks come in the order they were asked for, which is what keeps this simple.
struct Seed {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    greeted: bool,
    unchoked: bool,
    asked: usize,
    /// The piece being asked for, and how far.
    asking: Option<(PieceIndex, u32)>,
    /// Those on their way, oldest first.
    pieces: VecDeque<PieceIndex>,
    /// Of the oldest.
    hasher: Sha1,
    position: u32,
}

impl Seed {
    fn connect(peer: SocketAddr, info: &Info) -> io::Result<Self> {
        let mut socket = TcpStream::connect(peer)?;
        socket.set_nodelay(true)?;
        let mut hello = handshake(info, *b"-FLOOR0-").to_vec();
        hello.extend([0, 0, 0, 1, 2]); // interested
        socket.write_all(&hello)?;
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER_LEN],
            filled: 0,
            greeted: false,
            unchoked: false,
            asked: 0,
            asking: None,
            pieces: VecDeque::new(),
            hasher: Sha1::new(),
            position: 0,
        })
    }

    fn receive(&mut self, info: &Info, todo: &mut Todo, files: &mut Files) -> Fallible<()> {
        let read = self.socket.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            return Err("the seed is gone".into());
        }
        self.filled += read;
        let mut rest = &self.buffer[..self.filled];
        if !self.greeted {
            if rest.len() < HANDSHAKE_LEN {
                return Ok(());
            }
            rest = &rest[HANDSHAKE_LEN..];
            self.greeted = true;
        }
        let mut blocks: Vec<&[u8]> = Vec::new();
        while let Some((message, after)) = split_message(rest) {
            rest = after;
            match message {
                [1] => self.unchoked = true,
                [7, body @ ..] => {
                    let (&piece, block) =
                        self.pieces.front().zip(body.get(8..)).ok_or("nothing was asked")?;
                    self.hasher.update(block);
                    self.position += block.len() as u32;
                    self.asked -= 1;
                    blocks.push(block);
                    if self.position == info.piece_len(piece) {
                        let digest: [u8; 20] = self.hasher.finalize_reset().into();
                        if info.piece_hash(piece) != Some(Digest::Sha1(digest)) {
                            return Err("a piece is not what it should be".into());
                        }
                        files.write(at(info, piece, self.position), &mut blocks)?;
                        self.pieces.pop_front();
                        self.position = 0;
                        todo.left -= 1;
                    }
                }
                _ => {}
            }
        }
        if let Some(&piece) = self.pieces.front() {
            files.write(at(info, piece, self.position), &mut blocks)?;
        }
        let left = rest.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(())
    }

    fn ask(&mut self, info: &Info, todo: &mut Todo) -> io::Result<()> {
        if !self.unchoked || self.asked > ASKED_MAX / 2 {
            return Ok(());
        }
        let mut requests = Vec::new();
        while self.asked < ASKED_MAX {
            let (piece, offset) = match self.asking {
                Some((piece, offset)) if offset < info.piece_len(piece) => (piece, offset),
                _ if todo.next < info.piece_count() => {
                    let piece = PieceIndex(todo.next);
                    todo.next += 1;
                    self.pieces.push_back(piece);
                    (piece, 0)
                }
                _ => break,
            };
            let len = BLOCK_LEN.min(info.piece_len(piece) - offset);
            requests.extend([0, 0, 0, 13, 6]);
            requests.extend([piece.0, offset, len].iter().flat_map(|number| number.to_be_bytes()));
            self.asking = Some((piece, offset + len));
            self.asked += 1;
        }
        self.socket.write_all(&requests)
    }
}

/// Where bytes up to `end` of a piece end in the torrent.
fn at(info: &Info, piece: PieceIndex, end: u32) -> u64 {
    u64::from(piece.0) * u64::from(info.piece_length) + u64::from(end)
}

/// The torrent's files end to end, one of them open.
struct Files {
    /// Where each ends in the torrent.
    paths: Vec<(u64, PathBuf)>,
    open: Option<(usize, File)>,
}

impl Files {
    fn new(info: &Info, folder: &Path) -> Self {
        let mut end = 0;
        let paths = info.files.iter().map(|file| {
            end += file.length;
            (end, folder.join(file.path.to_string()))
        });
        Self { paths: paths.collect(), open: None }
    }

    /// Writes `data`, which ends at `end`, and leaves it empty.
    fn write(&mut self, end: u64, data: &mut Vec<&[u8]>) -> io::Result<()> {
        let mut offset = end - data.iter().map(|part| part.len() as u64).sum::<u64>();
        let mut slices = Vec::with_capacity(data.len());
        let mut parts = data.drain(..).peekable();
        while parts.peek().is_some() {
            let which = self.paths.partition_point(|(end, _)| *end <= offset);
            let start = which.checked_sub(1).map_or(0, |before| self.paths[before].0);
            let mut room = (self.paths[which].0 - offset) as usize;
            slices.clear();
            while let Some(part) = parts.peek_mut().filter(|_| room > 0) {
                let (here, rest) = part.split_at(part.len().min(room));
                slices.push(IoSlice::new(here));
                room -= here.len();
                *part = rest;
                if rest.is_empty() {
                    parts.next();
                }
            }
            offset += write_all(self.open(which)?, &mut slices, offset - start)?;
        }
        Ok(())
    }

    fn open(&mut self, which: usize) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != which) {
            let path = &self.paths[which].1;
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            let file = match options.open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(path.parent().unwrap_or(path))?;
                    options.open(path)?
                }
                opened => opened?,
            };
            self.open = Some((which, file));
        }
        self.open.as_ref().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn write_all(file: &File, mut slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<u64> {
    let mut written = 0;
    while !slices.is_empty() {
        let count = rustix::io::pwritev(file, slices, offset + written)?;
        IoSlice::advance_slices(&mut slices, count);
        written += count as u64;
    }
    Ok(written)
}

/// A handshake that offers only BEP 3.
pub(crate) fn handshake(info: &Info, client: [u8; 8]) -> [u8; HANDSHAKE_LEN] {
    let mut bytes = [b'-'; HANDSHAKE_LEN];
    bytes[0] = 19;
    bytes[1..20].copy_from_slice(b"BitTorrent protocol");
    bytes[20..28].fill(0);
    bytes[28..48].copy_from_slice(&info.info_hash.on_the_wire());
    bytes[48..56].copy_from_slice(&client);
    bytes[56..].copy_from_slice(
        &(meter::now() % 1_000_000_000_000 + 1_000_000_000_000).to_string().as_bytes()[..12],
    );
    bytes
}

/// The first message without its length, and what follows it.
pub(crate) fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

/// Three numbers off the wire.
pub(crate) fn three(bytes: &[u8]) -> Option<[u32; 3]> {
    let (numbers, _) = bytes.as_chunks::<4>();
    let &[one, two, three] = numbers else { return None };
    Some([one, two, three].map(u32::from_be_bytes))
}
