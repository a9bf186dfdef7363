//! A leecher that is never what a seed waits for: it asks far ahead, and throws away what comes.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use pieceful_core::id::{BLOCK_LEN, PieceIndex};
use pieceful_core::metainfo::{Info, Metainfo};
use socket2::{Domain, Socket, Type};

use crate::{Fallible, floor, meter};

/// Requests waiting at the seed: 4 MiB.
const ASKED_MAX: u64 = 256;

const BUFFER_LEN: usize = 256 << 10;

/// Takes the whole torrent from `seed`, as the `number`th of several that have an address each.
pub(crate) fn run(torrent: &Path, seed: &str, number: &str) -> Fallible<()> {
    let info = Metainfo::parse(fs::read(torrent)?)?.info;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let own = Ipv4Addr::new(127, 0, 0, 30 + number.parse::<u8>()?);
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    socket.connect(&seed.parse::<SocketAddr>()?.into())?;
    socket.set_tcp_nodelay(true)?;
    let mut taker = Taker { socket: socket.into(), blocks: blocks(&info), asked: 0, had: 0, unchoked: false };
    taker.take(&info)?;
    meter::done();
    Ok(())
}

fn blocks(info: &Info) -> Vec<[u32; 3]> {
    let of = |piece: u32| {
        let len = info.piece_len(PieceIndex(piece));
        (0..len).step_by(BLOCK_LEN as usize).map(move |offset| [piece, offset, BLOCK_LEN.min(len - offset)])
    };
    (0..info.piece_count()).flat_map(of).collect()
}

struct Taker {
    socket: TcpStream,
    /// In the order they are asked for, and come.
    blocks: Vec<[u32; 3]>,
    asked: u64,
    had: u64,
    unchoked: bool,
}

impl Taker {
    fn take(&mut self, info: &Info) -> Fallible<()> {
        let mut hello = floor::handshake(info, *b"-TAKER0-").to_vec();
        hello.extend([0, 0, 0, 1, 2]); // interested
        self.socket.write_all(&hello)?;
        let mut buffer = vec![0; BUFFER_LEN];
        self.socket.read_exact(&mut buffer[..floor::HANDSHAKE_LEN])?;
        let mut filled = 0;
        while self.had < self.blocks.len() as u64 {
            let read = self.socket.read(&mut buffer[filled..])?;
            if read == 0 {
                return Err("the seed is gone".into());
            }
            filled += read;
            let mut rest = &buffer[..filled];
            while let Some((message, after)) = floor::split_message(rest) {
                rest = after;
                match message {
                    [0] => return Err("the seed chokes, which it has no reason for".into()),
                    [1] => self.unchoked = true,
                    [7, body @ ..] => self.got(body)?,
                    _ => {}
                }
            }
            let left = rest.len();
            buffer.copy_within(filled - left..filled, 0);
            filled = left;
            self.ask()?;
        }
        Ok(())
    }

    fn got(&mut self, body: &[u8]) -> Fallible<()> {
        let [piece, offset, len] = self.blocks[self.had as usize];
        let place = body.as_chunks::<4>().0.first_chunk::<2>().map(|place| place.map(u32::from_be_bytes));
        if place != Some([piece, offset]) || body.len() != 8 + len as usize {
            return Err("another block than the one that was next".into());
        }
        self.had += 1;
        Ok(())
    }

    fn ask(&mut self) -> io::Result<()> {
        let waiting = self.asked - self.had;
        if !self.unchoked || waiting > ASKED_MAX * 7 / 8 {
            return Ok(());
        }
        let mut requests = Vec::new();
        for block in self.blocks.iter().skip(self.asked as usize).take((ASKED_MAX - waiting) as usize) {
            requests.extend([0, 0, 0, 13, 6]);
            requests.extend(block.iter().flat_map(|number| number.to_be_bytes()));
            self.asked += 1;
        }
        self.socket.write_all(&requests)
    }
}
