//! One TCP connection on two threads: one reads ahead of the engine as far as it is let, one writes behind it.
//!
//! Most connections of a client are idle at any time, and hundreds of them should cost next to nothing. So a reader
//! has no buffer in hand while it waits, and there is a writer only while there are blocks to send: requests and
//! other small messages leave from the engine's own thread, which spares the way through another one as well.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Input, Segment, StreamEnd};
use pieceful_core::id::ConnId;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv};
use socket2::Socket;

use crate::bind::{end_of, outgoing};
use crate::buffers::{Lease, Pool};
use crate::crew::{Crew, Debt};
use crate::disk::DiskPool;
use crate::engine_loop::Message;
use crate::sending::{is_little, send_joined, write_some};

/// To connect. The engine gives up on a greeting at the same age.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// What a reader takes at first, enough for a block. One that gets as much at once takes a large buffer for the
/// next read.
const SMALL_LEN: usize = 16 * 1024;

/// Large buffers being read into.
const LARGE_MAX: usize = 24;

/// A writer that had nothing to do for this long ends. Starting another takes some 30 us, so one that is busy,
/// however little, stays.
const WRITER_IDLE: Duration = Duration::from_secs(5);

/// What a reader may have read and the engine not taken yet, in messages. One is in the making while the engine
/// deals with the other; more would only be memory that no limit of the engine's counts.
const UNHEARD_MAX: u32 = 2;

/// What all connections of a session share.
#[derive(Clone, Debug)]
pub(crate) struct Wiring {
    pub(crate) engine: SyncSender<Message>,
    pub(crate) disk: DiskPool,
    pub(crate) crew: Crew,
    pub(crate) buffers: Pool,
    pub(crate) large: Arc<AtomicUsize>,
}

/// The engine thread's hold on a connection. When it lets go, the threads end.
#[derive(Debug)]
pub(crate) struct Stream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    conn: ConnId,
    state: Mutex<State>,
    /// For the writer: there is something to send, or nothing will come any more.
    to_write: Condvar,
    /// For the reader: it may go on.
    to_read: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// There as soon as there is something to shut down.
    socket: Option<Arc<Socket>>,
    reading: bool,
    /// Messages on their way to the engine.
    unheard: u32,
    /// The reader waits for its turn to go on.
    paused: bool,
    queue: VecDeque<Segment>,
    /// Somebody sees to the queue.
    writer: bool,
    /// Why it ends, if the writer knows better than the reader.
    end: Option<StreamEnd>,
}

impl State {
    fn may_read(&self) -> bool {
        self.phase != Phase::Open || self.reading && self.unheard < UNHEARD_MAX
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued is still sent; what arrives is no longer of interest.
    Finishing,
    Dead,
}

impl Stream {
    /// Begins to connect. On failure what the engine has to be told at once.
    pub(crate) fn connect(conn: ConnId, to: SocketAddr, wiring: &Wiring) -> Result<Self, Input> {
        let shared = Shared::new(conn, None);
        let (link, wires) = (Arc::clone(&shared), wiring.clone());
        wiring.crew.spawn_owing("pieceful-peer", Debt::new(&wiring.engine, failed(conn)), move |debt| {
            let end = match link.dial(to) {
                Ok(socket) => {
                    let _ = wires.engine.send(Message::Input(Input::Connected { conn }));
                    link.read_to_the_end(&socket, &wires)
                }
                Err(error) => end_of(&error),
            };
            debt.settle(Input::Closed { conn, end });
        })?;
        Ok(Self(shared))
    }

    /// Takes over an accepted connection. On failure what the engine has to be told at once.
    pub(crate) fn accepted(conn: ConnId, socket: Socket, wiring: &Wiring) -> Result<Self, Input> {
        let socket = Arc::new(socket);
        let shared = Shared::new(conn, Some(Arc::clone(&socket)));
        let (link, wires) = (Arc::clone(&shared), wiring.clone());
        wiring.crew.spawn_owing("pieceful-peer", Debt::new(&wiring.engine, failed(conn)), move |debt| {
            let end = link.read_to_the_end(&socket, &wires);
            debt.settle(Input::Closed { conn, end });
        })?;
        Ok(Self(shared))
    }

    /// Whose connection it is.
    pub(crate) fn conn(&self) -> ConnId {
        self.0.conn
    }

    /// Queues `segment` for the next [`flush`](Self::flush). Says whether it is the first.
    pub(crate) fn queue(&self, segment: Segment) -> bool {
        let mut state = self.0.lock();
        state.queue.push_back(segment);
        state.queue.len() == 1
    }

    /// Sends what is queued: a little of it at once, and then says how many bytes, all else by the writer.
    pub(crate) fn flush(&self, wiring: &Wiring) -> u32 {
        let mut state = self.0.lock();
        if state.queue.is_empty() {
            return 0;
        }
        if state.writer {
            drop(state);
            self.0.to_write.notify_one();
            return 0;
        }
        let socket = state.socket.clone();
        let mut sent = 0;
        if let Some(socket) = socket.as_ref().filter(|_| is_little(&state.queue)) {
            match send_joined(&mut state.queue, socket, SendFlags::DONTWAIT) {
                Ok(bytes) => sent = bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    drop(state);
                    self.0.kill(); // the reader notices and has the last word
                    return 0;
                }
            }
            if state.queue.is_empty() {
                if state.phase == Phase::Finishing {
                    let _ = socket.shutdown(Shutdown::Write); // not connected any more: just as well
                }
                return sent;
            }
        }
        state.writer = true;
        drop(state);
        let (link, wires) = (Arc::clone(&self.0), wiring.clone());
        let started = wiring.crew.spawn("pieceful-send", move || {
            let written = socket.map(|socket| write(&link, &socket, &wires));
            if let Some(Err(error)) = &written {
                link.lock().end = Some(end_of(error)).filter(|end| matches!(end, StreamEnd::Unreadable(_)));
            }
            if !matches!(written, Some(Ok(()))) {
                link.kill(); // the reader notices and has the last word
            }
        });
        if !started {
            self.0.kill();
        }
        sent
    }

    pub(crate) fn reading(&self, on: bool) {
        let mut state = self.0.lock();
        state.reading = on;
        self.0.let_read(state);
    }

    /// The engine takes what was read first.
    pub(crate) fn heard(&self) {
        let mut state = self.0.lock();
        state.unheard = state.unheard.saturating_sub(1);
        self.0.let_read(state);
    }

    /// Sends what is queued, then says goodbye and waits for the other side's.
    pub(crate) fn finish(&self) {
        let mut state = self.0.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
            let nobody = !state.writer && state.queue.is_empty();
            if let Some(socket) = state.socket.as_ref().filter(|_| nobody) {
                let _ = socket.shutdown(Shutdown::Write); // not connected any more: just as well
            }
        }
        drop(state);
        self.0.to_write.notify_one();
        self.0.to_read.notify_one();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.kill();
    }
}

fn failed(conn: ConnId) -> Input {
    Input::Closed { conn, end: StreamEnd::Failed }
}

impl Shared {
    fn new(conn: ConnId, socket: Option<Arc<Socket>>) -> Arc<Self> {
        let state = State {
            phase: Phase::Open,
            socket,
            reading: true,
            unheard: 0,
            paused: false,
            queue: VecDeque::new(),
            writer: false,
            end: None,
        };
        Arc::new(Self { conn, state: Mutex::new(state), to_write: Condvar::new(), to_read: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the reader if it waits and need not.
    fn let_read(&self, mut state: MutexGuard<'_, State>) {
        if state.may_read() && std::mem::take(&mut state.paused) {
            drop(state);
            self.to_read.notify_one();
        }
    }

    /// Waits until there may be more to read, and tells in which phase.
    fn wait_to_read(&self) {
        let mut state = self.lock();
        while !state.may_read() {
            state.paused = true;
            state = self.to_read.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.paused = false;
    }

    fn dial(&self, to: SocketAddr) -> io::Result<Arc<Socket>> {
        let socket = Arc::new(outgoing(to)?);
        {
            let mut state = self.lock();
            if state.phase == Phase::Dead {
                return Err(ErrorKind::NotConnected.into());
            }
            state.socket = Some(Arc::clone(&socket));
        }
        socket.connect_timeout(&to.into(), CONNECT_TIME)?;
        Ok(socket)
    }

    fn read_to_the_end(&self, socket: &Socket, wiring: &Wiring) -> StreamEnd {
        let end = read(self, socket, wiring);
        self.kill();
        self.lock().end.unwrap_or(end)
    }

    /// Ends both threads, wherever they wait: in a system call or here.
    fn kill(&self) {
        let mut state = self.lock();
        state.phase = Phase::Dead;
        state.queue.clear();
        if let Some(socket) = &state.socket {
            let _ = socket.shutdown(Shutdown::Both); // not connected, or not any more: just as well
        }
        drop(state);
        self.to_write.notify_one();
        self.to_read.notify_one();
    }
}

fn read(shared: &Shared, socket: &Socket, wiring: &Wiring) -> StreamEnd {
    let mut expects_much = false;
    loop {
        shared.wait_to_read();
        if let Err(error) = wait_for_bytes(socket) {
            return end_of(&error);
        }
        let mut large = if expects_much { Large::take(wiring) } else { None };
        let mut small = if large.is_none() { vec![0; SMALL_LEN] } else { Vec::new() };
        let into = large.as_mut().map_or(&mut small[..], |large| &mut large.lease[..]);
        let (filled, end) = burst(socket, into);
        if filled == 0 {
            match end {
                Some(end) => return end,
                None => continue,
            }
        }
        if shared.lock().phase != Phase::Open {
            if let Some(end) = end {
                return end;
            }
            continue; // read all the same: closing with bytes unread would cut off what we sent last
        }
        expects_much = filled >= SMALL_LEN;
        let data = match large {
            Some(large) => large.lease.freeze(filled).0,
            None => {
                small.truncate(filled);
                small.shrink_to_fit(); // a few bytes do not hold on to room for many
                Bytes::from(small)
            }
        };
        shared.lock().unheard += 1;
        if wiring.engine.send(Message::Input(Input::Received { conn: shared.conn, data })).is_err() {
            return StreamEnd::Failed;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Waits for bytes, or for the end.
fn wait_for_bytes(socket: &Socket) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], None) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready.map(|_| ())?),
        }
    }
}

/// Takes all the bytes there are. What comes while they are copied comes along: a buffer that is
/// handed on full wastes no memory, and the engine hears of a fast peer less often.
fn burst(socket: &Socket, into: &mut [u8]) -> (usize, Option<StreamEnd>) {
    let mut filled = 0;
    while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
        match recv(socket, room, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return (filled, Some(StreamEnd::Finished)),
            Ok((read, _)) => filled += read,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => break,
            Err(error) => return (filled, Some(end_of(&error.into()))),
        }
    }
    (filled, None)
}

/// A large buffer being read into.
struct Large {
    lease: Lease,
    _permit: Permit,
}

impl Large {
    fn take(wiring: &Wiring) -> Option<Self> {
        let permit = Permit::take(&wiring.large)?;
        Some(Self { lease: wiring.buffers.take(), _permit: permit })
    }
}

struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let permit = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::Relaxed) < LARGE_MAX).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn write(shared: &Shared, socket: &Socket, wiring: &Wiring) -> io::Result<()> {
    let mut batch: VecDeque<Segment> = VecDeque::new();
    loop {
        {
            let state = shared.lock();
            let idle = |state: &mut State| state.queue.is_empty() && state.phase == Phase::Open;
            let waited = shared.to_write.wait_timeout_while(state, WRITER_IDLE, idle);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.queue.is_empty() {
                state.writer = false;
                if state.phase == Phase::Finishing {
                    socket.shutdown(Shutdown::Write)?;
                }
                return Ok(());
            }
            std::mem::swap(&mut batch, &mut state.queue);
        }
        while !batch.is_empty() {
            let sent = write_some(&mut batch, socket, &wiring.disk)?;
            let sent = Input::Sent { conn: shared.conn, bytes: sent };
            wiring.engine.send(Message::Input(sent)).map_err(|_| ErrorKind::BrokenPipe)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::mpsc::{self, Receiver};

    use pieceful_core::disk::{DiskAction, Layout, LayoutFile};
    use pieceful_core::id::{Block, DiskOp, PieceIndex, TorrentId};
    use pieceful_core::metainfo::SafePath;

    use super::*;
    use crate::disk::Job;

    const SOON: Duration = Duration::from_secs(20);

    fn wiring() -> (Wiring, Receiver<Message>) {
        let (engine, inbox) = mpsc::sync_channel(100_000);
        let wiring = Wiring {
            engine,
            disk: DiskPool::start(1, || {}),
            crew: Crew::default(),
            buffers: Pool::default(),
            large: Arc::default(),
        };
        (wiring, inbox)
    }

    /// An outgoing stream, with the other side in the test's hand.
    fn pair(wiring: &Wiring, inbox: &Receiver<Message>) -> (Stream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = Stream::connect(ConnId::default(), listener.local_addr().unwrap(), wiring).unwrap();
        let (peer, _) = listener.accept().unwrap();
        assert!(matches!(next(inbox), Input::Connected { .. }));
        (stream, peer)
    }

    fn next(inbox: &Receiver<Message>) -> Input {
        match inbox.recv_timeout(SOON).unwrap() {
            Message::Input(input) => input,
            other => panic!("{other:?}"),
        }
    }

    fn bytes(data: &'static [u8]) -> Segment {
        Segment::Bytes(Bytes::from_static(data))
    }

    #[test]
    fn segments_arrive_in_order_then_the_goodbye_and_all_of_it_is_accounted_for() {
        let (wiring, inbox) = wiring();
        let (stream, mut peer) = pair(&wiring, &inbox);
        for part in [&b"one "[..], b"two ", b"three"] {
            stream.queue(bytes(part));
        }
        let direct = stream.flush(&wiring);
        stream.finish();
        let mut all = String::new();
        peer.read_to_string(&mut all).unwrap();
        assert_eq!(all, "one two three");
        peer.write_all(b"not of interest any more").unwrap();
        drop(peer);
        let mut sent = direct;
        let end = loop {
            match next(&inbox) {
                Input::Sent { bytes, .. } => sent += bytes,
                Input::Closed { end, .. } => break end,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((sent, end), (13, StreamEnd::Finished));
        assert_eq!(wiring.crew.wait(SOON), 0, "both threads have ended");
    }

    #[test]
    fn bytes_stay_with_the_sender_while_the_engine_is_behind_or_has_stopped_reading() {
        let (wiring, inbox) = wiring();
        let (stream, mut peer) = pair(&wiring, &inbox);
        peer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let chunk = vec![7; 1 << 20];
        let mut sent = 0;
        while let Ok(taken) = peer.write(&chunk) {
            sent += taken;
            assert!(sent < 256 << 20, "somebody reads");
        }
        let mut received = 0;
        stream.reading(false);
        for _ in 0..UNHEARD_MAX {
            let Input::Received { data, .. } = next(&inbox) else { panic!("bytes come first") };
            received += data.len();
            stream.heard();
        }
        assert!(inbox.recv_timeout(Duration::from_millis(50)).is_err(), "that was all the reader was let");
        stream.reading(true);
        drop(peer);
        while let Input::Received { data, .. } = next(&inbox) {
            assert!(data.iter().all(|&byte| byte == 7));
            received += data.len();
            stream.heard();
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn letting_go_ends_the_threads_wherever_they_wait() {
        let (wiring, inbox) = wiring();
        let (stream, peer) = pair(&wiring, &inbox);
        for _ in 0..1_000 {
            stream.queue(Segment::Bytes(Bytes::from(vec![0; 1 << 16])));
            stream.flush(&wiring); // more than goes out: the peer is deaf
        }
        drop(stream);
        assert_eq!(wiring.crew.wait(SOON), 0);

        let (stream, peer_too) = pair_after_end(&wiring, &inbox);
        stream.reading(false);
        drop(stream);
        assert_eq!(wiring.crew.wait(SOON), 0);
        drop((peer, peer_too));
    }

    fn pair_after_end(wiring: &Wiring, inbox: &Receiver<Message>) -> (Stream, TcpStream) {
        inbox.try_iter().for_each(drop);
        pair(wiring, inbox)
    }

    #[test]
    fn nobody_there_is_told_once() {
        let (wiring, inbox) = wiring();
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let _stream = Stream::connect(ConnId::default(), nobody, &wiring).unwrap();
        assert!(matches!(next(&inbox), Input::Closed { end: StreamEnd::Refused, .. }));
        assert_eq!(wiring.crew.wait(SOON), 0);
        assert!(inbox.try_recv().is_err());
    }

    #[test]
    fn blocks_go_from_file_to_socket_and_one_that_is_not_there_ends_the_connection() {
        let (wiring, inbox) = wiring();
        let folder = tempfile::tempdir().unwrap();
        let torrent = TorrentId::default();
        let named =
            |name: &str, len| LayoutFile { path: Some(SafePath::single(name)), ..LayoutFile::unnamed(len) };
        let layout = Layout::new(10, [named("a", 4), LayoutFile::unnamed(3), named("b", 13)]).unwrap();
        fs::write(folder.path().join("a"), "abcd").unwrap();
        fs::write(folder.path().join("b"), "efg").unwrap(); // 10 bytes short
        wiring.disk.add_torrent(torrent, folder.path().to_owned());
        let open = DiskAction::Open { layout: Arc::new(layout) };
        wiring.disk.submit(&mut vec![Job { op: DiskOp::default(), torrent, action: open }]);

        let (stream, mut peer) = pair(&wiring, &inbox);
        let block = |piece, offset, len| Block { piece: PieceIndex(piece), offset, len };
        stream.queue(bytes(b"<"));
        stream.queue(Segment::Block { torrent, block: block(0, 1, 9) });
        stream.queue(bytes(b">"));
        stream.queue(Segment::Block { torrent, block: block(1, 0, 10) });
        stream.flush(&wiring);
        let mut all = Vec::new();
        let _ = peer.read_to_end(&mut all); // cut off
        assert_eq!(all, b"<bcd\0\0\0efg>");
        assert_eq!(wiring.crew.wait(SOON), 0);
    }
}
