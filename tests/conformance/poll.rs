//! The driver that is an example, `runtime-std/examples/poll`, on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pieceful_core::dht;
use pieceful_core::engine::{AddTorrent, Config, Event, TorrentStatus};
use pieceful_core::id::TorrentId;
use pieceful_std::session::STOP_TIME;
use pieceful_std::tape::RecordOptions;
use pieceful_tests::conformance;

use crate::example::Driver;

/// How long a command waits for its turn.
const TURN: Duration = Duration::from_millis(5);

type Command = Box<dyn FnOnce(&mut Driver) + Send>;

pub(crate) struct Poll {
    listening: SocketAddr,
    commands: Sender<Command>,
    events: Receiver<Event>,
    thread: JoinHandle<bool>,
}

/// Takes turns until the engine has stopped; false when that takes too long, or the driver broke the contract.
fn run(mut driver: Driver, commands: &Receiver<Command>, events: &Sender<Event>) -> bool {
    let mut until = None;
    loop {
        loop {
            match commands.try_recv() {
                Ok(command) => command(&mut driver),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) if until.is_none() => {
                    driver.engine.shutdown(driver.clock.now());
                    until = Some(Instant::now() + STOP_TIME);
                }
                Err(std::sync::mpsc::TryRecvError::Disconnected) => break,
            }
        }
        if driver.turn(TURN).is_err() || until.is_some_and(|until| Instant::now() > until) {
            return false;
        }
        while let Some(event) = driver.events.pop_front() {
            if event == Event::Stopped {
                return driver.engine.breaches().is_none();
            }
            drop(events.send(event)); // the test may have seen enough
        }
    }
}

impl Poll {
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Driver) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let command: Command = Box::new(move |driver| drop(answer.send(question(driver))));
        self.commands.send(command).expect("a driver that runs");
        answered.recv().expect("a driver that answers")
    }
}

impl conformance::Driver for Poll {
    fn start(listen: SocketAddr, config: Config, _: RecordOptions) -> io::Result<Self> {
        let driver = Driver::new(listen, config)?;
        let listening = driver.listener.local_addr()?;
        let ((commands, told), (tells, events)) = (channel(), channel());
        let thread = thread::spawn(move || run(driver, &told, &tells));
        Ok(Self { listening, commands, events, thread })
    }

    fn listening(&self) -> SocketAddr {
        self.listening
    }

    fn next(&mut self, limit: Duration) -> Option<Event> {
        self.events.recv_timeout(limit).ok()
    }

    fn add(&self, spec: AddTorrent, folder: &Path) -> TorrentId {
        let folder = folder.to_owned();
        self.ask(move |driver| {
            let torrent =
                driver.engine.add_torrent(driver.clock.now(), spec).expect("a torrent that can be added");
            driver.disk.add_torrent(torrent, folder);
            torrent
        })
    }

    fn remove(&self, torrent: TorrentId) {
        self.ask(move |driver| driver.engine.remove_torrent(driver.clock.now(), torrent));
    }

    fn pause(&self, torrent: TorrentId, paused: bool) {
        self.ask(move |driver| {
            let now = driver.clock.now();
            if paused { driver.engine.pause(now, torrent) } else { driver.engine.resume(now, torrent) }
        });
    }

    fn status(&self, torrent: TorrentId) -> TorrentStatus {
        self.ask(move |driver| driver.engine.torrent(torrent)).expect("a torrent that is there")
    }

    fn dht(&self) -> Option<dht::Status> {
        self.ask(move |driver| driver.engine.dht())
    }

    fn stop(self) -> bool {
        drop(self.commands);
        self.thread.join().is_ok_and(|in_order| in_order)
    }
}
