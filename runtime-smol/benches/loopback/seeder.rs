//! A seed that is never what a leecher waits for: a blocking thread per connection, its bytes in memory, one
//! system call for all the requests that came together.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use pieceful_core::metainfo::{Info, Metainfo};

use crate::payload::Payload;
use crate::{Fallible, floor, meter};

/// Requests answered by one call; each takes two slices.
const TOGETHER_MAX: usize = 64;

/// Requests a leecher may have waiting here.
const REQQ: u32 = 2_000;

/// Listens on `count` addresses, prints them, then the time of the first request, and ends when its input does.
pub(crate) fn run(torrent: &Path, count: &str) -> Fallible<()> {
    let info = Arc::new(Metainfo::parse(fs::read(torrent)?)?.info);
    let payload = Arc::new(Payload::new());
    let asked = Arc::new(AtomicBool::new(false));
    let mut addresses = Vec::new();
    for at in 0..count.parse()? {
        // An address each: several connections to one look like one peer with many.
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 10 + at), 0))?;
        addresses.push(listener.local_addr()?.to_string());
        let (info, payload, asked) = (Arc::clone(&info), Arc::clone(&payload), Arc::clone(&asked));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (info, payload, asked) = (Arc::clone(&info), Arc::clone(&payload), Arc::clone(&asked));
                // A leecher that is done closes with requests on the way.
                thread::spawn(move || drop(serve(socket, &info, &payload, &asked)));
            }
        });
    }
    println!("{}", addresses.join(" "));
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve(mut socket: TcpStream, info: &Info, payload: &Payload, asked: &AtomicBool) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut theirs = [0; floor::HANDSHAKE_LEN];
    socket.read_exact(&mut theirs)?;
    let mut hello = floor::handshake(info, *b"-SEED00-").to_vec();
    if theirs[25] & 0x10 != 0 {
        let dictionary = format!("d1:mde4:reqqi{REQQ}ee");
        message(&mut hello, 20, &[&[0], dictionary.as_bytes()].concat());
    }
    hello.extend(has_all(info));
    socket.write_all(&hello)?;

    let mut requests = Requests::new();
    while let Some(requests) = requests.read(&mut socket)? {
        if !requests.is_empty() && !asked.swap(true, Ordering::Relaxed) {
            println!("{}", meter::now());
        }
        for some in requests.chunks(TOGETHER_MAX) {
            answer(&mut socket, info, payload, some)?;
        }
    }
    Ok(())
}

/// What a leecher asks for.
pub(crate) struct Requests {
    buffer: Vec<u8>,
    filled: usize,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; 64 << 10], filled: 0 }
    }

    /// The requests (piece, offset, length) among what comes next; `None` at the end.
    pub(crate) fn read(&mut self, socket: &mut TcpStream) -> io::Result<Option<Vec<(u32, u32, u32)>>> {
        let read = socket.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            return Ok(None);
        }
        self.filled += read;
        let mut requests = Vec::new();
        let mut rest = &self.buffer[..self.filled];
        while let Some((message, after)) = floor::split_message(rest) {
            rest = after;
            if let [6, request @ ..] = message
                && let Some([piece, offset, len]) = floor::three(request)
            {
                requests.push((piece, offset, len));
            }
        }
        let left = rest.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(Some(requests))
    }
}

/// A handshake, that we have everything, and that requests are welcome.
pub(crate) fn hello(info: &Info, client: [u8; 8]) -> Vec<u8> {
    let mut hello = floor::handshake(info, client).to_vec();
    hello.extend(has_all(info));
    hello
}

fn has_all(info: &Info) -> Vec<u8> {
    let mut messages = Vec::new();
    let pieces = info.piece_count() as usize;
    let mut have = vec![0xff; pieces.div_ceil(8)];
    if let (Some(last), rest @ 1..) = (have.last_mut(), pieces % 8) {
        *last = 0xff << (8 - rest);
    }
    message(&mut messages, 5, &have);
    message(&mut messages, 1, &[]);
    messages
}

fn answer(
    socket: &mut TcpStream,
    info: &Info,
    payload: &Payload,
    requests: &[(u32, u32, u32)],
) -> io::Result<()> {
    let heads: Vec<[u8; 13]> =
        requests.iter().map(|&(piece, offset, len)| head(piece, offset, len)).collect();
    let mut slices = Vec::with_capacity(2 * requests.len());
    for (&(piece, offset, len), head) in requests.iter().zip(&heads) {
        let at = u64::from(piece) * u64::from(info.piece_length) + u64::from(offset);
        slices.push(IoSlice::new(head));
        slices.push(IoSlice::new(payload.at(at, len as usize)));
    }
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let sent = socket.write_vectored(left)?;
        IoSlice::advance_slices(&mut left, sent);
    }
    Ok(())
}

/// What stands before a block.
pub(crate) fn head(piece: u32, offset: u32, len: u32) -> [u8; 13] {
    let mut head = [7; 13];
    head[..4].copy_from_slice(&(9 + len).to_be_bytes());
    head[5..9].copy_from_slice(&piece.to_be_bytes());
    head[9..].copy_from_slice(&offset.to_be_bytes());
    head
}

fn message(into: &mut Vec<u8>, kind: u8, body: &[u8]) {
    into.extend((1 + body.len() as u32).to_be_bytes());
    into.push(kind);
    into.extend(body);
}
