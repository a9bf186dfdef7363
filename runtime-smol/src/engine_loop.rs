//! The thread that owns the engine and all sockets: what it waits for, and who carries out what the engine says.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use async_channel::{Receiver, Sender};
use async_io::{Async, Timer};
use futures_lite::future::yield_now;
use pieceful_core::engine::{
    Call, CloseHow, Config, Event, FetchError, FetchRequest, Input, Output, ResolveError, StreamEnd,
};
use pieceful_core::id::{ConnId, FetchId, ResolveId};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use pieceful_std::bind::{Datagrams, end_of, listeners};
use pieceful_std::clock::{Clock, unix_time};
use pieceful_std::disk::{Completion, DiskPool, Job};
use pieceful_std::events::Hub;
use pieceful_std::saver::Saver;
use pieceful_std::session::{LINGER_TIME, STOP_TIME, prepare_dht, prepare_tape};
use pieceful_std::store::Store;
use pieceful_std::tape::{Recorded, Recorder};
use pieceful_std::{AddError, Options, StartError, StopError, entropy, fetcher, resolver};
use smol::{LocalExecutor, Task, unblock};

use crate::datagram::{self, Udp};
use crate::inbox::{Bell, Command, Inbox, Item};
use crate::listener;
use crate::stream::{Shared, Stream};

/// Items taken before the engine's wishes are carried out and other tasks get their turn.
const TURN_MAX: usize = 64;

/// What the handle keeps of a started loop.
pub(crate) struct Started {
    pub(crate) commands: Sender<Command>,
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) ended: Receiver<Outcome>,
}

type Outcome = Result<(), StopError>;

/// Tells the world that the loop has ended, also when it panicked.
struct Last {
    events: Arc<Hub>,
    ended: Sender<Outcome>,
    orders: Receiver<Command>,
    outcome: Outcome,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.events.close();
        // Whoever waits for an answer to a command that came too late learns that there is none.
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
        let _ = self.ended.try_send(self.outcome); // nobody is left to ask
    }
}

/// What can be had on any thread, and so can fail before one is started.
struct Parts {
    config: Config,
    seed: Seed,
    recorder: Option<Recorder>,
    clock: Clock,
    listeners: Vec<TcpListener>,
    datagrams: Datagrams,
    saver: Saver,
    events: Arc<Hub>,
    disk_workers: usize,
}

/// Binds, opens and starts everything a session is made of.
pub(crate) fn start(options: Options, store: Option<Store>, events: Arc<Hub>) -> Result<Started, StartError> {
    let Options { listen, udp_port, mut config, state: _, disk_workers, seed, record } = options;
    let (listeners, listening): (Vec<_>, Vec<_>) = listeners(&listen)?.into_iter().unzip();
    prepare_dht(&mut config, store.as_ref(), record.as_ref());
    let seed = seed.map_or_else(entropy::seed, Ok).map_err(StartError::System)?;
    let saver = Saver::start(store).map_err(StartError::System)?;
    let datagrams = Datagrams::bind_on(&listening, udp_port, config.lsd)?;
    config.listen_port = listening.first().map(SocketAddr::port);
    config.udp_port = datagrams.port();
    config.unix_time = unix_time();
    let disk_workers = disk_workers.or_else(|| thread::available_parallelism().ok()).map_or(1, usize::from);
    let parts = Parts {
        config,
        seed,
        recorder: prepare_tape(record.as_ref())?,
        clock: Clock::start(),
        listeners,
        datagrams,
        saver,
        events: Arc::clone(&events),
        disk_workers,
    };

    // Without a bound: only the application fills it, and only with its own commands.
    let (commands, orders) = async_channel::unbounded();
    let (end, ended) = async_channel::bounded(1);
    let last = Last { events, ended: end, orders: orders.clone(), outcome: Err(StopError::Broken) };
    thread::Builder::new()
        .name("pieceful".into())
        .spawn(move || {
            let mut last = last;
            let executor = Rc::new(LocalExecutor::new());
            // A task like all others: it and they wake each other without leaving the executor.
            let engine = executor.spawn(run(parts, Rc::clone(&executor), orders));
            last.outcome = async_io::block_on(executor.run(engine));
        })
        .map_err(StartError::System)?;
    Ok(Started { commands, listening, ended })
}

/// Turns until the engine has stopped, or its time is up.
async fn run(mut parts: Parts, executor: Rc<LocalExecutor<'static>>, orders: Receiver<Command>) -> Outcome {
    let Parts { config, seed, clock, recorder, .. } = &mut parts;
    let mut engine = Recorded::new(config.clone(), *seed, clock.now(), recorder.take());
    let mut host = Host::new(parts, executor, orders);
    let mut stop_by = None;
    let mut items = Vec::with_capacity(TURN_MAX);
    loop {
        let wake = host.drain(&mut engine);
        if host.stopped {
            return Ok(());
        }
        if stop_by.is_some_and(|at| at <= host.clock.now()) {
            return Err(StopError::TimedOut);
        }
        host.wait([wake, stop_by].into_iter().flatten().min()).await;
        host.shared.inbox.take(TURN_MAX, &mut items);
        engine.foresee(items.iter().filter_map(Item::conn));
        for item in items.drain(..) {
            host.handle(&mut engine, item, &mut stop_by);
        }
        host.settle(&mut engine);
        engine.handle_timeout(host.clock.now());
    }
}

/// Everything outside the engine.
struct Host {
    clock: Clock,
    executor: Rc<LocalExecutor<'static>>,
    shared: Rc<Shared>,
    bell: Arc<Bell>,
    alarm: Alarm,
    udp: Udp,
    /// By the slot of their id. One that is here is one whose end the engine has yet to be told.
    streams: Vec<Option<Entry>>,
    /// Streams with something new to send.
    to_flush: Vec<ConnId>,
    /// Connections told to close after sending, and when their time is up; soonest first.
    lingering: VecDeque<(Instant, ConnId)>,
    /// What carrying out a wish has to tell at once.
    pending: Vec<Input>,
    jobs: Vec<Job>,
    done: Vec<Completion>,
    saver: Saver,
    events: Arc<Hub>,
    accepting: Vec<Task<()>>,
    /// Ended with the session, not before.
    _tasks: Vec<Task<()>>,
    stopped: bool,
}

/// A stream with its tasks, which end when it is dropped.
struct Entry {
    stream: Rc<Stream>,
    _life: Task<()>,
    /// Waits for the socket to take more.
    writable: Option<Task<()>>,
}

impl Host {
    fn new(parts: Parts, executor: Rc<LocalExecutor<'static>>, orders: Receiver<Command>) -> Self {
        let inbox = Rc::new(Inbox::default());
        let bell = Arc::new(Bell::default());
        let disk = {
            let bell = Arc::clone(&bell);
            DiskPool::start(parts.disk_workers, move || bell.ring())
        };
        let accepting = parts.listeners.into_iter().filter_map(|socket| Async::new(socket).ok());
        let accepting = accepting.map(|socket| executor.spawn(listener::accept(socket, Rc::clone(&inbox))));
        let accepting = accepting.collect();
        let udp = parts.datagrams.convert(|socket| Async::new(socket).map(Rc::new));
        let scratch = datagram::scratch();
        let mut tasks: Vec<Task<()>> = udp
            .sockets()
            .map(|socket| {
                let (socket, scratch) = (Rc::clone(socket), Rc::clone(&scratch));
                executor.spawn(datagram::receive(socket, scratch, parts.clock, Rc::clone(&inbox)))
            })
            .collect();
        let to = Rc::clone(&inbox);
        tasks.push(executor.spawn(async move {
            while let Ok(command) = orders.recv().await {
                to.push(Item::Command(command));
            }
        }));
        Self {
            clock: parts.clock,
            executor,
            shared: Rc::new(Shared::new(inbox, disk)),
            bell,
            alarm: Alarm::default(),
            udp,
            streams: Vec::new(),
            to_flush: Vec::new(),
            lingering: VecDeque::new(),
            pending: Vec::new(),
            jobs: Vec::new(),
            done: Vec::new(),
            saver: parts.saver,
            events: parts.events,
            accepting,
            _tasks: tasks,
            stopped: false,
        }
    }

    /// Carries out everything the engine wants. Returns when it wants to be woken.
    fn drain(&mut self, engine: &mut Recorded) -> Option<Instant> {
        let wake = loop {
            match engine.poll() {
                Output::Idle { wake } => break wake,
                output => self.perform(output),
            }
        };
        debug_assert!(engine.breaches().is_none(), "the driver broke the contract: {:?}", engine.breaches());
        self.shared.disk.submit(&mut self.jobs);
        let mut to_flush = std::mem::take(&mut self.to_flush);
        for conn in to_flush.drain(..) {
            self.flush(conn);
        }
        self.to_flush = to_flush;
        wake.map(|wake| wake.at)
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { conn, to } => {
                let stream = Stream::new(conn);
                let life = Rc::clone(&stream).connect(to, Rc::clone(&self.shared));
                self.keep(stream, life);
            }
            Output::Send { conn, segment } => {
                if let Some(entry) = entry(&mut self.streams, conn) {
                    entry.stream.queue(segment);
                    // The segments of one connection come together: looking at the last is enough.
                    if self.to_flush.last() != Some(&conn) {
                        self.to_flush.push(conn);
                    }
                }
            }
            Output::Reading { conn, on } => {
                if let Some(entry) = entry(&mut self.streams, conn) {
                    entry.stream.reading(on);
                }
            }
            Output::Close { conn, how: CloseHow::Now } => self.end(conn, StreamEnd::Finished),
            Output::Close { conn, how: CloseHow::AfterSend } => {
                if let Some(entry) = entry(&mut self.streams, conn) {
                    entry.stream.finish();
                    self.to_flush.push(conn);
                    self.lingering.push_back((self.clock.now() + LINGER_TIME, conn));
                }
            }
            Output::Datagram { to, data } => datagram::send_now(&self.udp, to, &data),
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

    /// Gives other tasks a turn, and waits until there is something to do or it is time to wake.
    async fn wait(&mut self, wake: Option<Instant>) {
        let wake = [wake, self.lingering.front().map(|&(at, _)| at)].into_iter().flatten().min();
        if !self.pending.is_empty() || !self.shared.inbox.is_empty() {
            return yield_now().await;
        }
        poll_fn(|cx| {
            if !self.shared.inbox.is_empty() || self.bell.poll_rung(cx) {
                return Poll::Ready(());
            }
            self.shared.inbox.register(cx);
            match wake {
                Some(at) if at > self.clock.now() => self.alarm.poll_at(at, &self.clock, cx),
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        })
        .await;
    }

    fn handle(&mut self, engine: &mut Recorded, item: Item, stop_by: &mut Option<Instant>) {
        let now = self.clock.now();
        match item {
            Item::Input(Input::Received { conn, data }) => {
                if let Some(entry) = entry(&mut self.streams, conn) {
                    entry.stream.heard();
                    engine.handle(now, Input::Received { conn, data });
                }
            }
            Item::Input(Input::Closed { conn, end }) => {
                if self.take(conn).is_some() {
                    engine.handle(now, Input::Closed { conn, end });
                }
            }
            Item::Input(Input::Connected { conn }) => {
                if entry(&mut self.streams, conn).is_some() {
                    self.to_flush.push(conn); // told to close before it was open, it has a goodbye to say
                    engine.handle(now, Input::Connected { conn });
                }
            }
            // Sent bytes are told where they are sent, in `flush`; what is left belongs to no stream.
            Item::Input(input) => engine.handle(now, input),
            // It waited for its turn: the engine may have been told of something later meanwhile.
            Item::Datagram(received, input) => engine.handle(received.max(engine.now()), input),
            Item::Accepted(socket, from) => {
                if let Some(conn) = engine.accept(now, from) {
                    let stream = Stream::new(conn);
                    let life = Rc::clone(&stream).accepted(socket, Rc::clone(&self.shared));
                    self.keep(stream, life);
                }
            }
            Item::Writable(conn) => self.to_flush.push(conn),
            Item::Command(Command::Look(look)) => look(engine),
            Item::Command(Command::Call(call)) => drop(engine.call(now, call)),
            Item::Command(Command::Add { spec, folder, reply }) => {
                let info_hash = spec.what.info_hash();
                let added = engine.add_torrent(now, spec);
                if let Ok(torrent) = added {
                    self.shared.disk.add_torrent(torrent, folder.clone());
                    self.saver.knows(info_hash, torrent, folder);
                }
                let _ = reply.try_send(added.map_err(AddError::from)); // the asker is gone: nobody to tell
            }
            Item::Command(Command::Stop) => {
                if stop_by.is_none() {
                    *stop_by = Some(now + STOP_TIME);
                    self.accepting.clear();
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
        self.bell.hear(); // before the answers are taken: one that comes later rings again
        self.shared.disk.completions(&mut self.done);
        for (op, result) in self.done.drain(..) {
            engine.handle(now, Input::Disk { op, result });
        }
    }

    /// Writes what is queued for a stream, and has the rest written when the socket takes more.
    fn flush(&mut self, conn: ConnId) {
        let Some(entry) = entry(&mut self.streams, conn) else { return };
        match entry.stream.flush(&self.shared.disk) {
            Ok(flushed) => {
                if flushed.bytes > 0 {
                    self.pending.push(Input::Sent { conn, bytes: flushed.bytes });
                }
                if flushed.wait {
                    let (stream, inbox) = (Rc::clone(&entry.stream), Rc::clone(&self.shared.inbox));
                    entry.writable = Some(self.executor.spawn(async move {
                        stream.writable().await;
                        inbox.push(Item::Writable(conn));
                    }));
                }
            }
            Err(error) => self.end(conn, end_of(&error)),
        }
    }

    fn keep(&mut self, stream: Rc<Stream>, life: impl Future<Output = ()> + 'static) {
        let slot = stream.conn().slot();
        if self.streams.len() <= slot {
            self.streams.resize_with(slot + 1, || None);
        }
        let life = self.executor.spawn(life);
        self.streams[slot] = Some(Entry { stream, _life: life, writable: None });
    }

    fn take(&mut self, conn: ConnId) -> Option<Entry> {
        self.streams.get_mut(conn.slot())?.take_if(|entry| entry.stream.conn() == conn)
    }

    fn end(&mut self, conn: ConnId, end: StreamEnd) {
        if self.take(conn).is_some() {
            self.pending.push(Input::Closed { conn, end });
        }
    }

    fn resolve(&mut self, query: ResolveId, host: String) {
        self.elsewhere(
            move || resolver::look_up(&host),
            move |result| Input::Resolved { query, result: result.unwrap_or(Err(ResolveError::Failed)) },
        );
    }

    fn fetch(&mut self, fetch: FetchId, request: FetchRequest) {
        self.elsewhere(
            move || fetcher::fetch(&request),
            move |result| {
                let broken = || Err(FetchError::Protocol("the request failed: this is a bug".into()));
                Input::Fetched { fetch, result: result.unwrap_or_else(broken) }
            },
        );
    }

    /// Has something done that blocks; `None` if it panics. The engine bounds how many there are.
    fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        tell: impl FnOnce(Option<T>) -> Input + 'static,
    ) {
        let inbox = Rc::clone(&self.shared.inbox);
        let task = async move {
            let done = unblock(move || catch_unwind(AssertUnwindSafe(work)).ok()).await;
            inbox.push(Item::Input(tell(done)));
        };
        self.executor.spawn(task).detach();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.streams.clear();
        self.saver.stop();
        self.shared.disk.stop();
    }
}

fn entry(streams: &mut [Option<Entry>], conn: ConnId) -> Option<&mut Entry> {
    streams.get_mut(conn.slot())?.as_mut().filter(|entry| entry.stream.conn() == conn)
}

/// One timer that is moved as seldom as possible: going off too early costs less than being set each turn.
#[derive(Default)]
struct Alarm(Option<(Instant, Timer)>);

impl Alarm {
    fn poll_at(&mut self, at: Instant, clock: &Clock, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.0, Some((set, _)) if set <= at) {
            let Some(system) = clock.system(at) else { return Poll::Pending }; // never
            match &mut self.0 {
                Some((set, timer)) => {
                    timer.set_at(system);
                    *set = at;
                }
                none => *none = Some((at, Timer::at(system))),
            }
        }
        let Some((_, timer)) = &mut self.0 else { return Poll::Pending };
        let rung = Pin::new(timer).poll(cx).map(drop);
        if rung.is_ready() {
            self.0 = None;
        }
        rung
    }
}
