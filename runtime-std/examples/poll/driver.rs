//! A whole driver in one thread: sockets that do not block, and poll(2). Files, name look-ups and HTTP are this crate's.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{CloseHow, Config, Engine, Event, Input, Output, Segment, StreamEnd};
use pieceful_core::id::ConnId;
use pieceful_core::time::Instant;
use pieceful_std::disk::{DiskPool, Job};
use pieceful_std::{bind, clock::Clock, entropy, fetcher, resolver};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::conn::{Conn, dial};

pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) events: VecDeque<Event>,
    pub(crate) listener: TcpListener,
    pub(crate) disk: DiskPool,
    pub(crate) clock: Clock,
    conns: BTreeMap<ConnId, Conn>,
    udp: UdpSocket,
    /// What other threads found out; a byte in the pipe says that there is something.
    answers: (Sender<Input>, Receiver<Input>),
    pipe: (UnixStream, UnixStream),
}

impl Driver {
    pub(crate) fn new(listen: SocketAddr, config: Config) -> io::Result<Self> {
        let (listener, pipe) = (TcpListener::bind(listen)?, UnixStream::pair()?);
        let udp = UdpSocket::bind(listener.local_addr()?)?;
        listener.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        pipe.0.set_nonblocking(true)?;
        let wake = pipe.1.try_clone()?;
        let disk = DiskPool::start(2, move || drop((&wake).write(&[0])));
        let config = Config { listen_port: Some(listener.local_addr()?.port()), ..config };
        let engine = Engine::new(config, entropy::seed()?, Instant::ZERO);
        let (events, clock, conns) = (VecDeque::new(), Clock::start(), BTreeMap::new());
        Ok(Self { engine, events, listener, disk, clock, conns, udp, answers: channel(), pipe })
    }

    /// Does all there is to do, waits for the next thing to happen, but no longer than `most`, and reports it.
    pub(crate) fn turn(&mut self, most: Duration) -> io::Result<()> {
        let mut jobs = Vec::new();
        let wake = loop {
            match self.engine.poll() {
                Output::Idle { wake } => break wake,
                output => self.perform(output, &mut jobs),
            }
        };
        self.disk.submit(&mut jobs);

        let wait = wake.map_or(most, |wake| self.clock.until(wake.at).min(most));
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let mut fds = vec![PollFd::new(&self.pipe.0, PollFlags::IN), PollFd::new(&self.udp, PollFlags::IN)];
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        // One that is not to be read would be reported all the time once the other side has hung up.
        let polled = self.conns.iter().filter(|(_, conn)| !conn.interest().is_empty());
        fds.extend(polled.clone().map(|(_, conn)| PollFd::new(&conn.socket, conn.interest())));
        poll(&mut fds, Some(&wait))?;
        let ready = polled.zip(&fds[3..]).filter(|(_, fd)| !fd.revents().is_empty());
        let ready: Vec<ConnId> = ready.map(|((conn, _), _)| *conn).collect();
        ready.into_iter().for_each(|conn| self.exchange(conn));

        while let Ok((socket, from)) = self.listener.accept() {
            if let Some(conn) = self.engine.accept(self.clock.now(), from) {
                socket.set_nonblocking(true)?;
                self.conns.insert(conn, Conn::new(socket, false));
            }
        }
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = self.udp.recv_from(&mut buffer) {
            self.tell(Input::Datagram { from, data: Bytes::copy_from_slice(&buffer[..len]) });
        }
        while self.pipe.0.read(&mut buffer).is_ok() {}
        let mut done = Vec::new();
        self.disk.completions(&mut done);
        done.into_iter().for_each(|(op, result)| self.tell(Input::Disk { op, result }));
        while let Ok(answer) = self.answers.1.try_recv() {
            self.tell(answer);
        }
        self.engine.handle_timeout(self.clock.now());
        Ok(())
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input);
    }

    fn perform(&mut self, output: Output, jobs: &mut Vec<Job>) {
        match output {
            Output::Connect { conn, to } => match dial(to) {
                Ok(socket) => drop(self.conns.insert(conn, Conn::new(socket, true))),
                Err(error) => self.tell(Input::Closed { conn, end: bind::end_of(&error) }),
            },
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                self.conns.entry(conn).and_modify(|its| its.out.push_back(bytes));
            }
            Output::Reading { conn, on } => drop(self.conns.entry(conn).and_modify(|its| its.reading = on)),
            Output::Close { conn, how } => match self.conns.remove(&conn) {
                Some(mut its) if how == CloseHow::AfterSend && !its.out.is_empty() => {
                    its.out.push_back(Bytes::new());
                    self.conns.insert(conn, its);
                }
                _ => self.tell(Input::Closed { conn, end: StreamEnd::Finished }),
            },
            Output::Datagram { to, data } => drop(self.udp.send_to(&data, to)),
            Output::Disk { op, torrent, action } => jobs.push(Job { op, torrent, action }),
            Output::Resolve { query, host } => {
                self.ask(move || Input::Resolved { query, result: resolver::look_up(&host) });
            }
            Output::Fetch { fetch, request } => {
                self.ask(move || Input::Fetched { fetch, result: fetcher::fetch(&request) });
            }
            Output::Event(event) => self.events.push_back(event),
            // Blocks come from files only if the configuration says so, and this driver keeps nothing.
            Output::Send { .. } | Output::Save { .. } | Output::Idle { .. } => {}
        }
    }

    /// Has another thread find something out; the engine keeps the number of questions small.
    fn ask(&self, question: impl FnOnce() -> Input + Send + 'static) {
        let (answers, wake) = (self.answers.0.clone(), self.pipe.1.try_clone());
        std::thread::spawn(move || drop((answers.send(question()), wake.map(|mut wake| wake.write(&[0])))));
    }

    /// Sends and receives what a connection takes and gives at once.
    fn exchange(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.remove(&id) else { return };
        match conn.exchange(id, |input| self.tell(input)) {
            Ok(()) => drop(self.conns.insert(id, conn)),
            Err(end) => self.tell(Input::Closed { conn: id, end }),
        }
    }
}
