//! The thread that owns the engine: what it waits for, and who carries out what the engine says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use pieceful_core::engine::{AddTorrent, Engine, Output};
use pieceful_core::id::TorrentId;
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;

use crate::events::Hub;
use crate::session::{AddError, Options, StartError, StopError};

/// What the engine thread waits for.
pub(crate) enum Message {
    Command(Command),
}

/// What a handle may ask for.
pub(crate) enum Command {
    Add { spec: Box<AddTorrent>, folder: PathBuf, reply: SyncSender<Result<TorrentId, AddError>> },
    Act(Box<dyn FnOnce(&mut Engine, Instant) + Send>),
    Stop,
}

/// What the handle keeps of a started loop.
pub(crate) struct Started {
    pub(crate) engine: SyncSender<Message>,
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) ended: Ended,
}

/// Tells, once and to everyone, how the loop ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended(Arc<(Mutex<Option<Result<(), StopError>>>, Condvar)>);

impl Ended {
    pub(crate) fn wait(&self) -> Result<(), StopError> {
        let (end, told) = &*self.0;
        let end = end.lock().unwrap_or_else(PoisonError::into_inner);
        let end = told.wait_while(end, |end| end.is_none()).unwrap_or_else(PoisonError::into_inner);
        (*end).unwrap_or(Ok(()))
    }

    fn tell(&self, how: Result<(), StopError>) {
        let (end, told) = &*self.0;
        *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        told.notify_all();
    }
}

pub(crate) fn start(options: Options, events: Arc<Hub>) -> Result<Started, StartError> {
    let (engine, inbox) = mpsc::sync_channel(256);
    let ended = Ended::default();
    let end = ended.clone();
    thread::Builder::new()
        .name("pieceful-engine".into())
        .spawn(move || {
            run(options, &inbox);
            events.close();
            end.tell(Ok(()));
        })
        .map_err(StartError::System)?;
    Ok(Started { engine, listening: Vec::new(), ended })
}

fn run(options: Options, inbox: &Receiver<Message>) {
    let mut engine = Engine::new(options.config, options.seed.unwrap_or(Seed([0; 32])), Instant::ZERO);
    while let Ok(Message::Command(command)) = inbox.recv() {
        match command {
            Command::Add { spec, folder: _, reply } => {
                let added = engine.add_torrent(Instant::ZERO, *spec);
                let _ = reply.send(added.map_err(AddError::from));
            }
            Command::Act(act) => act(&mut engine, Instant::ZERO),
            Command::Stop => return,
        }
        while !matches!(engine.poll(), Output::Idle { .. }) {}
    }
}
