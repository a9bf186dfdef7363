//! The thread that owns the engine: what it waits for, and who carries out what the engine says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pieceful_core::engine::{
    AddTorrent, Call, CloseHow, Engine, Event, FetchError, FetchRequest, Input, Output, ResolveError,
    StreamEnd,
};
use pieceful_core::id::{ConnId, FetchId, ResolveId, TorrentId};
use pieceful_core::time::Instant;
use socket2::Socket;

use crate::bind::{Datagrams, listeners};
use crate::clock::{Clock, unix_time};
use crate::crew::{Crew, Debt};
use crate::datagram::Udp;
use crate::disk::{Completion, DiskPool, Job};
use crate::events::Hub;
use crate::listener::Listener;
use crate::saver::Saver;
use crate::session::{
    AddError, LINGER_TIME, Options, STOP_TIME, StartError, StopError, prepare_dht, prepare_tape,
};
use crate::store::Store;
use crate::stream::{Stream, Wiring};
use crate::tape::Recorded;
use crate::{entropy, fetcher, resolver};

/// Messages waiting for the engine; the threads that bring them wait when there are more. Each may hold a large
/// buffer, so this bounds memory however many connections there are.
const INBOX_MAX: usize = 64;

/// Messages taken before the engine's wishes are carried out.
const TURN_MAX: usize = 64;

/// How long helper threads get to notice the end. One that waits for a resolver or a web server has nothing to
/// be woken by, and ends by itself later.
const CREW_TIME: Duration = Duration::from_millis(500);

/// What the engine thread waits for.
#[derive(Debug)]
pub(crate) enum Message {
    Input(Input),
    /// With the time it was received at.
    Datagram(Instant, Input),
    Accepted(Socket, SocketAddr),
    /// There are answers at the disk.
    Disk,
    Command(Command),
}

impl Message {
    /// The connection that it is about.
    const fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Input(input) => input.conn(),
            _ => None,
        }
    }
}

/// Something to read from the engine, on its thread.
pub(crate) type Look = Box<dyn FnOnce(&Engine) + Send>;

/// What a handle may ask for.
pub(crate) enum Command {
    Add { spec: Box<AddTorrent>, folder: PathBuf, reply: SyncSender<Result<TorrentId, AddError>> },
    Call(Call),
    Look(Look),
    Stop,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Add { .. } => "Add",
            Self::Call(_) => "Call",
            Self::Look(_) => "Look",
            Self::Stop => "Stop",
        })
    }
}

/// What the handle keeps of a started loop.
pub(crate) struct Started {
    pub(crate) engine: SyncSender<Message>,
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) ended: Ended,
}

/// Tells, once and to everyone, how the loop ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended(Arc<(Mutex<Option<Outcome>>, Condvar)>);

type Outcome = Result<(), StopError>;

impl Ended {
    pub(crate) fn wait(&self) -> Outcome {
        let (outcome, told) = &*self.0;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = told.wait_while(outcome, |outcome| outcome.is_none());
        outcome.unwrap_or_else(PoisonError::into_inner).unwrap_or(Ok(()))
    }
}

/// Tells the world that the loop has ended, also when it panicked.
struct Last {
    events: Arc<Hub>,
    ended: Ended,
    outcome: Outcome,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.events.close();
        let (outcome, told) = &*self.ended.0;
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.outcome);
        told.notify_all();
    }
}

/// Binds, opens and starts everything a session is made of.
pub(crate) fn start(options: Options, events: Arc<Hub>) -> Result<Started, StartError> {
    let Options { listen, udp_port, mut config, state, disk_workers, seed, record } = options;
    let bound = listeners(&listen)?;
    let listening: Vec<SocketAddr> = bound.iter().map(|&(_, address)| address).collect();
    let store = state.map(Store::new);
    prepare_dht(&mut config, store.as_ref(), record.as_ref());
    let seed = seed.map_or_else(entropy::seed, Ok).map_err(StartError::System)?;
    let saver = Saver::start(store).map_err(StartError::System)?;
    let recorder = prepare_tape(record.as_ref())?;
    let clock = Clock::start();
    let datagrams = Datagrams::bind_on(&listening, udp_port, config.lsd)?;
    config.listen_port = listening.first().map(SocketAddr::port);
    config.udp_port = datagrams.port();
    config.unix_time = unix_time();

    let (sender, inbox) = mpsc::sync_channel(INBOX_MAX);
    let crew = Crew::default();
    let waker = sender.clone();
    let workers = disk_workers.or_else(|| thread::available_parallelism().ok()).map_or(1, usize::from);
    // A full inbox needs no waking: the loop looks at the disk every turn.
    let disk = DiskPool::start(workers, move || drop(waker.try_send(Message::Disk)));
    let each = bound.into_iter().map(|(socket, _)| Listener::start(socket, sender.clone(), &crew));
    let host = Host {
        clock,
        listeners: each.flatten().collect(),
        udp: Udp::start(datagrams, clock, &sender, &crew),
        streams: Vec::new(),
        to_flush: Vec::new(),
        lingering: VecDeque::new(),
        pending: Vec::new(),
        jobs: Vec::new(),
        done: Vec::new(),
        saver,
        events: Arc::clone(&events),
        wiring: Wiring {
            engine: sender.clone(),
            disk,
            crew,
            buffers: crate::buffers::Pool::default(),
            large: Arc::new(AtomicUsize::new(0)),
        },
        stopped: false,
    };
    let engine = Recorded::new(config, seed, clock.now(), recorder);
    let ended = Ended::default();
    let last = Last { events, ended: ended.clone(), outcome: Err(StopError::Broken) };
    thread::Builder::new()
        .name("pieceful-engine".into())
        .spawn(move || {
            let mut last = last;
            last.outcome = run(engine, host, &inbox);
        })
        .map_err(StartError::System)?;
    Ok(Started { engine: sender, listening, ended })
}

/// Turns until the engine has stopped, or its time is up.
fn run(mut engine: Recorded, mut host: Host, inbox: &Receiver<Message>) -> Outcome {
    let mut stop_by = None;
    loop {
        let wake = host.drain(&mut engine);
        if host.stopped {
            return host.close(inbox, Ok(()));
        }
        if stop_by.is_some_and(|at| at <= host.clock.now()) {
            return host.close(inbox, Err(StopError::TimedOut));
        }
        let messages = host.wait(inbox, [wake, stop_by].into_iter().flatten().min());
        engine.foresee(messages.iter().filter_map(Message::conn));
        for message in messages {
            host.handle(&mut engine, message, &mut stop_by);
        }
        host.settle(&mut engine);
        engine.handle_timeout(host.clock.now());
    }
}

/// Everything outside the engine.
struct Host {
    clock: Clock,
    listeners: Vec<Listener>,
    udp: Udp,
    /// By the slot of their id. One that is here is one whose end the engine has yet to be told.
    streams: Vec<Option<Stream>>,
    /// Those with something new in their queues.
    to_flush: Vec<ConnId>,
    /// Connections told to close after sending, and when their time is up; soonest first.
    lingering: VecDeque<(Instant, ConnId)>,
    /// What carrying out a wish has to tell at once.
    pending: Vec<Input>,
    jobs: Vec<Job>,
    done: Vec<Completion>,
    saver: Saver,
    events: Arc<Hub>,
    wiring: Wiring,
    stopped: bool,
}

impl Host {
    /// Carries out everything the engine wants. Returns when it wants to be woken.
    fn drain(&mut self, engine: &mut Recorded) -> Option<Instant> {
        let wake = loop {
            match engine.poll() {
                Output::Idle { wake } => break wake,
                output => self.perform(output),
            }
        };
        debug_assert!(engine.breaches().is_none(), "the driver broke the contract: {:?}", engine.breaches());
        self.wiring.disk.submit(&mut self.jobs);
        self.flush();
        wake.map(|wake| wake.at)
    }

    /// Sends what this turn has queued, all of it for one connection together.
    fn flush(&mut self) {
        let mut conns = std::mem::take(&mut self.to_flush);
        for conn in conns.drain(..) {
            let bytes = self.stream(conn).map_or(0, |stream| stream.flush(&self.wiring));
            if bytes > 0 {
                self.pending.push(Input::Sent { conn, bytes });
            }
        }
        self.to_flush = conns;
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { conn, to } => {
                let stream = Stream::connect(conn, to, &self.wiring);
                self.keep(stream, conn);
            }
            Output::Send { conn, segment } => {
                if self.stream(conn).is_some_and(|stream| stream.queue(segment)) {
                    self.to_flush.push(conn);
                }
            }
            Output::Reading { conn, on } => {
                if let Some(stream) = self.stream(conn) {
                    stream.reading(on);
                }
            }
            Output::Close { conn, how: CloseHow::Now } => {
                self.end(conn, StreamEnd::Finished);
            }
            Output::Close { conn, how: CloseHow::AfterSend } => {
                if let Some(stream) = self.stream(conn) {
                    stream.finish();
                    self.lingering.push_back((self.clock.now() + LINGER_TIME, conn));
                }
            }
            Output::Datagram { to, data } => self.udp.send(to, &data),
            Output::Disk { op, torrent, action } => self.jobs.push(Job { op, torrent, action }),
            Output::Resolve { query, host } => self.resolve(query, host),
            Output::Fetch { fetch, request } => self.fetch(fetch, request),
            Output::Save { key, data } => self.saver.save(key, data),
            Output::Event(event) => {
                match &event {
                    Event::Stopped => self.stopped = true,
                    Event::Removed { torrent } => self.saver.forgets(*torrent),
                    _ => {}
                }
                self.events.tell(&event);
            }
            Output::Idle { .. } => {}
        }
    }

    /// Waits until there is something to do, and takes what there is. Nothing, if it only got late.
    fn wait(&mut self, inbox: &Receiver<Message>, wake: Option<Instant>) -> Vec<Message> {
        let mut messages = Vec::new();
        let wake = [wake, self.lingering.front().map(|&(at, _)| at)].into_iter().flatten().min();
        let first = if !self.pending.is_empty() {
            inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout)
        } else if let Some(at) = wake {
            inbox.recv_timeout(self.clock.until(at))
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        messages.extend(first); // never disconnected: we hold a sender ourselves
        messages.extend(inbox.try_iter().take(TURN_MAX - 1));
        messages
    }

    fn handle(&mut self, engine: &mut Recorded, message: Message, stop_by: &mut Option<Instant>) {
        let now = self.clock.now();
        match message {
            Message::Input(input) => {
                if self.admit(&input) {
                    engine.handle(now, input);
                }
            }
            // Noticed by another thread: the engine may have been told of something later meanwhile.
            Message::Datagram(received, input) => engine.handle(received.max(engine.now()), input),
            Message::Accepted(socket, from) => {
                if let Some(conn) = engine.accept(now, from) {
                    let stream = Stream::accepted(conn, socket, &self.wiring);
                    self.keep(stream, conn);
                }
            }
            Message::Disk => {} // looked at every turn
            Message::Command(Command::Look(look)) => look(engine),
            Message::Command(Command::Call(call)) => drop(engine.call(now, call)),
            Message::Command(Command::Add { spec, folder, reply }) => {
                let info_hash = spec.what.info_hash();
                let added = engine.add_torrent(now, spec);
                if let Ok(torrent) = added {
                    self.wiring.disk.add_torrent(torrent, folder.clone());
                    self.saver.knows(info_hash, torrent, folder);
                }
                let _ = reply.send(added.map_err(AddError::from)); // the asker is gone: nobody to tell
            }
            Message::Command(Command::Stop) => {
                if stop_by.is_none() {
                    *stop_by = Some(now + STOP_TIME);
                    self.listeners.clear();
                    engine.call(now, Call::Shutdown);
                }
            }
        }
    }

    /// Tells the engine what has come up here and at the disk.
    fn settle(&mut self, engine: &mut Recorded) {
        let now = self.clock.now();
        while self.lingering.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, conn)) = self.lingering.pop_front() {
                self.end(conn, StreamEnd::TimedOut);
            }
        }
        for input in std::mem::take(&mut self.pending) {
            engine.handle(now, input);
        }
        self.wiring.disk.completions(&mut self.done);
        for (op, result) in self.done.drain(..) {
            engine.handle(now, Input::Disk { op, result });
        }
    }

    /// Whether this is news to the engine: what a connection brings after its end is not.
    fn admit(&mut self, input: &Input) -> bool {
        match *input {
            Input::Connected { conn } | Input::Sent { conn, .. } => self.stream(conn).is_some(),
            Input::Received { conn, .. } => self.stream(conn).map(Stream::heard).is_some(),
            Input::Closed { conn, .. } => self.take(conn).is_some(),
            Input::Datagram { .. } | Input::Disk { .. } | Input::Resolved { .. } | Input::Fetched { .. } => {
                true
            }
        }
    }

    fn stream(&self, conn: ConnId) -> Option<&Stream> {
        self.streams.get(conn.slot())?.as_ref().filter(|stream| stream.conn() == conn)
    }

    fn take(&mut self, conn: ConnId) -> Option<Stream> {
        self.streams.get_mut(conn.slot())?.take_if(|stream| stream.conn() == conn)
    }

    fn keep(&mut self, stream: Result<Stream, Input>, conn: ConnId) {
        match stream {
            Ok(stream) => {
                let slot = conn.slot();
                if self.streams.len() <= slot {
                    self.streams.resize_with(slot + 1, || None);
                }
                self.streams[slot] = Some(stream);
            }
            Err(closed) => self.pending.push(closed),
        }
    }

    fn end(&mut self, conn: ConnId, end: StreamEnd) {
        if self.take(conn).is_some() {
            self.pending.push(Input::Closed { conn, end });
        }
    }

    fn resolve(&mut self, query: ResolveId, host: String) {
        let debt =
            Debt::new(&self.wiring.engine, Input::Resolved { query, result: Err(ResolveError::Failed) });
        let started = self.wiring.crew.spawn_owing("pieceful-dns", debt, move |debt| {
            debt.settle(Input::Resolved { query, result: resolver::look_up(&host) });
        });
        self.pending.extend(started.err());
    }

    fn fetch(&mut self, fetch: FetchId, request: FetchRequest) {
        let failed = Err(FetchError::Connect("no thread to be had".into()));
        let debt = Debt::new(&self.wiring.engine, Input::Fetched { fetch, result: failed });
        let started = self.wiring.crew.spawn_owing("pieceful-fetch", debt, move |debt| {
            debt.settle(Input::Fetched { fetch, result: fetcher::fetch(&request) });
        });
        self.pending.extend(started.err());
    }

    /// Lets go of everything and waits, but not long, for the threads.
    fn close(mut self, inbox: &Receiver<Message>, outcome: Outcome) -> Outcome {
        let crew = self.wiring.crew.clone();
        self.saver.stop();
        self.wiring.disk.stop();
        drop(self);
        let until = std::time::Instant::now() + CREW_TIME;
        while crew.wait(Duration::from_millis(1)) > 0 && std::time::Instant::now() < until {
            for message in inbox.try_iter() {
                drop(message); // makes room for threads that wait to tell us something
            }
        }
        outcome
    }
}
