//! One TCP connection: a task that reads in bursts, and writes that go straight to the socket.
//!
//! A read takes all there is, up to a buffer full, before the engine hears of it, and the engine has dealt with
//! it before the next one starts. So a fast peer costs one turn of the engine per quarter of a megabyte, and no
//! stream gets further ahead than that.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use bytes::{Buf, Bytes};
use futures_lite::FutureExt;
use pieceful_core::engine::{Input, Segment, StreamEnd};
use pieceful_core::id::{Block, ConnId, PieceIndex, TorrentId};
use pieceful_std::bind::{end_of, outgoing};
use pieceful_std::buffers::{Lease, Pool};
use pieceful_std::disk::{DiskPool, FileRange, Unreadable};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};

use crate::inbox::{Inbox, Item, Notifier};

/// To connect. The engine gives up on a greeting at the same age.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Segments joined in one system call. Linux takes 1,024; a block is two.
const JOINED_MAX: usize = 64;

/// What all streams of a session share.
pub(crate) struct Shared {
    pub(crate) inbox: Rc<Inbox>,
    pub(crate) disk: DiskPool,
    buffers: Pool,
    /// The buffer for the next read, whoever's it is: a read waits for nothing, so one is enough.
    spare: Cell<Option<Lease>>,
}

impl Shared {
    pub(crate) fn new(inbox: Rc<Inbox>, disk: DiskPool) -> Self {
        Self { inbox, disk, buffers: Pool::default(), spare: Cell::new(None) }
    }
}

/// One connection, as the engine's loop and its own tasks see it.
pub(crate) struct Stream {
    conn: ConnId,
    /// There once it is connected.
    socket: OnceCell<Async<TcpStream>>,
    phase: Cell<Phase>,
    reading: Cell<bool>,
    /// What was read last waits for the engine.
    unheard: Cell<bool>,
    reader: Notifier,
    queue: RefCell<VecDeque<Out>>,
    /// A task waits until the socket takes more.
    blocked: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued is still sent; what arrives is no longer of interest.
    Finishing,
    /// We have said goodbye.
    Finished,
}

enum Out {
    Bytes(Bytes),
    Block { torrent: TorrentId, block: Block },
    Files(PieceIndex, VecDeque<FileRange>),
}

/// How far a flush got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) bytes: u32,
    /// The socket is full, and nobody waits for it yet.
    pub(crate) wait: bool,
}

impl Stream {
    pub(crate) fn new(conn: ConnId) -> Rc<Self> {
        Rc::new(Self {
            conn,
            socket: OnceCell::new(),
            phase: Cell::new(Phase::Open),
            reading: Cell::new(true),
            unheard: Cell::new(false),
            reader: Notifier::default(),
            queue: RefCell::default(),
            blocked: Cell::new(false),
        })
    }

    /// Whose connection it is.
    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    /// The whole life of an outgoing connection.
    pub(crate) async fn connect(self: Rc<Self>, to: SocketAddr, shared: Rc<Shared>) {
        let late = async {
            Timer::after(CONNECT_TIME).await;
            Err(ErrorKind::TimedOut.into())
        };
        let end = match dial(to).or(late).await {
            Ok(socket) => {
                let _ = self.socket.set(socket);
                shared.inbox.push(Item::Input(Input::Connected { conn: self.conn }));
                self.read(&shared).await
            }
            Err(error) => end_of(&error),
        };
        shared.inbox.push(Item::Input(Input::Closed { conn: self.conn, end }));
    }

    /// The whole life of an accepted connection.
    pub(crate) async fn accepted(self: Rc<Self>, socket: TcpStream, shared: Rc<Shared>) {
        let end = match Async::new(socket) {
            Ok(socket) => {
                let _ = self.socket.set(socket);
                self.read(&shared).await
            }
            Err(error) => end_of(&error),
        };
        shared.inbox.push(Item::Input(Input::Closed { conn: self.conn, end }));
    }

    /// Waits until the socket takes more. What it takes then is up to the next flush.
    pub(crate) async fn writable(self: Rc<Self>) {
        if let Some(socket) = self.socket.get() {
            let _ = socket.writable().await; // whatever is wrong shows when it is written to
        }
        self.blocked.set(false);
    }

    pub(crate) fn reading(&self, on: bool) {
        self.reading.set(on);
        self.reader.wake();
    }

    /// The engine has dealt with what was read last.
    pub(crate) fn heard(&self) {
        self.unheard.set(false);
        self.reader.wake();
    }

    pub(crate) fn queue(&self, segment: Segment) {
        self.queue.borrow_mut().push_back(match segment {
            Segment::Bytes(bytes) => Out::Bytes(bytes),
            Segment::Block { torrent, block } => Out::Block { torrent, block },
        });
    }

    /// Sends what is queued, then says goodbye and waits for the other side's.
    pub(crate) fn finish(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Finishing);
        }
        self.reader.wake();
    }

    async fn read(&self, shared: &Shared) -> StreamEnd {
        let Some(socket) = self.socket.get() else { return StreamEnd::Failed };
        loop {
            if let Err(error) = socket.readable().await {
                return end_of(&error);
            }
            loop {
                let may_read =
                    || !self.unheard.get() && (self.reading.get() || self.phase.get() != Phase::Open);
                self.reader.wait_until(may_read).await;
                let lease = shared.spare.take().unwrap_or_else(|| shared.buffers.take());
                let (filled, stop, lease) = burst(socket.get_ref(), lease);
                // What comes after we began to close is read all the same: closing with bytes unread would
                // make the system cut off what we sent last.
                if filled > 0 && self.phase.get() == Phase::Open {
                    let (data, back) = lease.freeze(filled);
                    shared.spare.set(back);
                    self.unheard.set(true);
                    shared.inbox.push(Item::Input(Input::Received { conn: self.conn, data }));
                } else {
                    shared.spare.set(Some(lease));
                }
                match stop {
                    Stop::Full => {}
                    Stop::Empty => break,
                    Stop::End(end) => return end,
                }
            }
        }
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&self, disk: &DiskPool) -> io::Result<Flushed> {
        let mut flushed = Flushed { bytes: 0, wait: false };
        let Some(socket) = self.socket.get() else { return Ok(flushed) };
        if self.blocked.get() {
            return Ok(flushed);
        }
        let socket = socket.get_ref();
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            match write_some(&mut queue, socket, disk) {
                Ok(sent) => flushed.bytes += sent,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    flushed.wait = true;
                    return Ok(flushed);
                }
                Err(error) => return Err(error),
            }
        }
        if self.phase.get() == Phase::Finishing {
            self.phase.set(Phase::Finished);
            socket.shutdown(Shutdown::Write)?;
        }
        Ok(flushed)
    }
}

async fn dial(to: SocketAddr) -> io::Result<Async<TcpStream>> {
    let socket = outgoing(to)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
        result => result?,
    }
    let socket = Async::new(TcpStream::from(socket))?;
    socket.writable().await?;
    socket.get_ref().take_error()?.map_or(Ok(socket), Err)
}

/// Why a burst of reads ended.
enum Stop {
    Full,
    Empty,
    End(StreamEnd),
}

/// Reads until there is nothing left or no room for more.
fn burst(socket: &TcpStream, mut lease: Lease) -> (usize, Stop, Lease) {
    let mut filled = 0;
    let stop = loop {
        let Some(room) = lease.get_mut(filled..).filter(|room| !room.is_empty()) else { break Stop::Full };
        match recv(socket, room, RecvFlags::empty()) {
            Ok((0, _)) => break Stop::End(StreamEnd::Finished),
            Ok((read, _)) => filled += read,
            Err(Errno::WOULDBLOCK) => break Stop::Empty,
            Err(Errno::INTR) => {}
            Err(error) => break Stop::End(end_of(&error.into())),
        }
    };
    (filled, stop, lease)
}

/// One system call's worth. Returns how many bytes went out.
fn write_some(queue: &mut VecDeque<Out>, socket: &TcpStream, disk: &DiskPool) -> io::Result<u32> {
    if let Some(Out::Block { torrent, block }) = queue.front() {
        let (piece, ranges) = (block.piece, disk.file_range(*torrent, *block));
        let ranges = ranges.map_err(|_| io::Error::other(Unreadable(piece)))?;
        queue[0] = Out::Files(piece, ranges.into());
    }
    if let Some(Out::Files(piece, ranges)) = queue.front_mut() {
        let sent = match ranges.front_mut() {
            Some(range) => send_range(range, socket).map_err(|error| Unreadable::or_socket(*piece, error))?,
            None => 0,
        };
        if ranges.front().is_some_and(|range| range.len == 0) {
            ranges.pop_front();
        }
        if ranges.is_empty() {
            queue.pop_front();
        }
        return Ok(sent);
    }
    let mut slices = [IoSlice::new(&[]); JOINED_MAX];
    let mut joined = 0;
    for (slice, out) in slices.iter_mut().zip(&*queue) {
        let Out::Bytes(bytes) = out else { break };
        *slice = IoSlice::new(bytes);
        joined += 1;
    }
    // A block's header waits for its payload, so that they leave in one packet.
    let more = if queue.len() > joined { SendFlags::MORE } else { SendFlags::empty() };
    let nothing_else = &mut SendAncillaryBuffer::default();
    let sent = sendmsg(socket, &slices[..joined], nothing_else, SendFlags::NOSIGNAL | more)?;
    advance(queue, sent);
    Ok(sent as u32)
}

/// Takes `sent` bytes off the front, and segments that are sent to the end.
fn advance(queue: &mut VecDeque<Out>, mut sent: usize) {
    while let Some(Out::Bytes(bytes)) = queue.front_mut() {
        let taken = sent.min(bytes.len());
        bytes.advance(taken);
        sent -= taken;
        if !bytes.is_empty() {
            return;
        }
        queue.pop_front();
    }
}

fn send_range(range: &mut FileRange, socket: &TcpStream) -> io::Result<u32> {
    let len = range.len as usize;
    let sent = match &range.file {
        Some(file) => sendfile(socket, file, Some(&mut range.offset), len)?,
        None => send(socket, &[0; 4096][..len.min(4096)], SendFlags::NOSIGNAL)?,
    };
    if sent == 0 {
        return Err(ErrorKind::UnexpectedEof.into()); // the file is shorter than it was
    }
    range.len -= sent as u32;
    Ok(sent as u32)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use futures_lite::future::yield_now;
    use smol::LocalExecutor;

    use super::*;

    struct World {
        executor: LocalExecutor<'static>,
        shared: Rc<Shared>,
    }

    impl World {
        fn new() -> Self {
            let shared = Shared::new(Rc::default(), DiskPool::start(1, || {}));
            Self { executor: LocalExecutor::new(), shared: Rc::new(shared) }
        }

        /// An outgoing stream, with the other side in the test's hand. It ends with its task.
        fn pair(&self) -> (Rc<Stream>, smol::Task<()>, TcpStream) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let stream = Stream::new(ConnId::default());
            let to = listener.local_addr().unwrap();
            let life = self.executor.spawn(Rc::clone(&stream).connect(to, Rc::clone(&self.shared)));
            assert!(matches!(self.next(), Input::Connected { .. }));
            (stream, life, listener.accept().unwrap().0)
        }

        /// What the engine gets next.
        fn next(&self) -> Input {
            async_io::block_on(self.executor.run(async {
                let mut items = Vec::new();
                let inbox = &self.shared.inbox;
                loop {
                    inbox.take(1, &mut items);
                    match items.pop() {
                        Some(Item::Input(input)) => return input,
                        Some(_) => panic!("only inputs come from a stream"),
                        None => Timer::after(Duration::from_micros(100)).await,
                    };
                }
            }))
        }
    }

    fn bytes(data: &'static [u8]) -> Segment {
        Segment::Bytes(Bytes::from_static(data))
    }

    #[test]
    fn segments_arrive_in_order_then_the_goodbye_and_all_of_it_is_accounted_for() {
        let world = World::new();
        let (stream, _life, mut peer) = world.pair();
        for part in [&b"one "[..], b"two ", b"three"] {
            stream.queue(bytes(part));
        }
        stream.finish();
        assert_eq!(stream.flush(&world.shared.disk).unwrap(), Flushed { bytes: 13, wait: false });
        let mut all = String::new();
        peer.read_to_string(&mut all).unwrap();
        assert_eq!(all, "one two three");
        peer.write_all(b"not of interest any more").unwrap();
        drop(peer);
        assert!(matches!(world.next(), Input::Closed { end: StreamEnd::Finished, .. }));
    }

    #[test]
    fn bytes_stay_with_the_sender_while_the_engine_is_behind_or_has_stopped_reading() {
        let world = World::new();
        let (stream, _life, mut peer) = world.pair();
        peer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let chunk = vec![7; 1 << 20];
        let mut sent = 0;
        let mut fill = |peer: &mut TcpStream, stop: usize| {
            while sent < stop
                && peer.write(&chunk).is_ok_and(|taken| {
                    sent += taken;
                    true
                })
            {}
            sent
        };
        let first = fill(&mut peer, 1 << 16);
        let Input::Received { data, .. } = world.next() else { panic!("bytes come first") };
        let mut received = data.len();
        let all = fill(&mut peer, 256 << 20).max(first);
        assert!(all < 256 << 20, "somebody reads");
        assert!(world.shared.inbox.is_empty(), "one burst at a time");
        stream.reading(false);
        stream.heard();
        async_io::block_on(world.executor.run(async {
            for _ in 0..100 {
                yield_now().await;
            }
        }));
        assert!(world.shared.inbox.is_empty(), "not while paused");
        stream.reading(true);
        drop(peer);
        while let Input::Received { data, .. } = world.next() {
            assert!(data.iter().all(|&byte| byte == 7));
            received += data.len();
            stream.heard();
        }
        assert_eq!(received, all);
    }

    #[test]
    fn a_full_socket_is_waited_for_and_takes_the_rest() {
        let world = World::new();
        let (stream, _life, mut peer) = world.pair();
        let whole = Bytes::from((0..32 << 20).map(|at| at as u8).collect::<Vec<u8>>());
        for start in (0..whole.len()).step_by(100_000) {
            let end = whole.len().min(start + 100_000);
            stream.queue(Segment::Bytes(whole.slice(start..end)));
        }
        stream.finish();
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        let mut sent = 0;
        loop {
            let flushed = stream.flush(&world.shared.disk).unwrap();
            sent += flushed.bytes;
            if !flushed.wait {
                break;
            }
            async_io::block_on(world.executor.run(Rc::clone(&stream).writable()));
        }
        assert_eq!(sent as usize, whole.len());
        assert!(reader.join().unwrap() == whole);
    }

    #[test]
    fn nobody_there_is_told_once() {
        let world = World::new();
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let stream = Stream::new(ConnId::default());
        world.executor.spawn(stream.connect(nobody, Rc::clone(&world.shared))).detach();
        assert!(matches!(world.next(), Input::Closed { end: StreamEnd::Refused, .. }));
        assert!(world.shared.inbox.is_empty() && world.executor.is_empty());
    }
}
