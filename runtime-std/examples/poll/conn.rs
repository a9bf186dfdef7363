//! A TCP connection that never blocks.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use bytes::{Buf as _, Bytes};
use pieceful_core::engine::{Input, StreamEnd};
use pieceful_core::id::ConnId;
use pieceful_std::bind;
use rustix::event::PollFlags;
use rustix::io::Errno;

pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    /// What is to be sent; no bytes at all are the end.
    pub(crate) out: VecDeque<Bytes>,
    connecting: bool,
    pub(crate) reading: bool,
}

impl Conn {
    pub(crate) fn new(socket: TcpStream, connecting: bool) -> Self {
        Self { socket, out: VecDeque::new(), connecting, reading: true }
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::OUT, self.connecting || !self.out.is_empty());
        interest.set(PollFlags::IN, self.reading && !self.connecting);
        interest
    }

    /// Sends and receives what the socket takes and gives at once, and tells of it.
    pub(crate) fn exchange(&mut self, conn: ConnId, mut tell: impl FnMut(Input)) -> Result<(), StreamEnd> {
        if self.connecting {
            at_once(self.socket.take_error().and_then(|error| error.map_or(Ok(0), Err)))?;
            self.connecting = false;
            tell(Input::Connected { conn });
        }
        while let Some(bytes) = self.out.front_mut() {
            match at_once(self.socket.write(bytes))? {
                Some(0) => return Err(StreamEnd::Finished),
                Some(sent) => {
                    bytes.advance(sent);
                    tell(Input::Sent { conn, bytes: sent as u32 });
                }
                None => return Ok(()),
            }
            self.out.pop_front_if(|bytes| bytes.is_empty());
        }
        let mut buffer = [0; 1 << 16];
        match at_once(if self.reading { self.socket.read(&mut buffer) } else { return Ok(()) })? {
            Some(0) => Err(StreamEnd::Finished),
            Some(read) => {
                tell(Input::Received { conn, data: Bytes::copy_from_slice(&buffer[..read]) });
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// `None`: not now.
fn at_once(result: io::Result<usize>) -> Result<Option<usize>, StreamEnd> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some).map_err(|error| bind::end_of(&error)),
    }
}

/// A connection that will stand later, or fail.
pub(crate) fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = bind::outgoing(to)?;
    socket.set_nonblocking(true)?;
    let connected = socket.connect(&to.into()).or_else(|error| match Errno::from_io_error(&error) {
        Some(Errno::INPROGRESS) => Ok(()),
        _ => Err(error),
    });
    connected.map(|()| socket.into())
}
