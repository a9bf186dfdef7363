//! The thread that owns the engine and all sockets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use async_channel::{Receiver, Sender};
use pieceful_core::engine::{AddTorrent, Engine, Output};
use pieceful_core::id::TorrentId;
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use pieceful_std::events::Hub;
use pieceful_std::{AddError, Options, StartError, StopError};

/// What a handle may ask for.
pub(crate) enum Command {
    Add { spec: Box<AddTorrent>, folder: PathBuf, reply: Sender<Result<TorrentId, AddError>> },
    Act(Box<dyn FnOnce(&mut Engine, Instant) + Send>),
    Stop,
}

/// What the handle keeps of a started loop.
pub(crate) struct Started {
    pub(crate) commands: Sender<Command>,
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) ended: Receiver<Result<(), StopError>>,
}

pub(crate) fn start(options: Options, events: Arc<Hub>) -> Result<Started, StartError> {
    // Without a bound: only the application fills it, and only with its own commands.
    let (commands, inbox) = async_channel::unbounded();
    let (end, ended) = async_channel::bounded(1);
    thread::Builder::new()
        .name("pieceful".into())
        .spawn(move || {
            smol::block_on(run(options, &inbox));
            events.close();
            let _ = end.try_send(Ok(()));
        })
        .map_err(StartError::System)?;
    Ok(Started { commands, listening: Vec::new(), ended })
}

async fn run(options: Options, inbox: &Receiver<Command>) {
    let mut engine = Engine::new(options.config, options.seed.unwrap_or(Seed([0; 32])), Instant::ZERO);
    while let Ok(command) = inbox.recv().await {
        match command {
            Command::Add { spec, folder: _, reply } => {
                let added = engine.add_torrent(Instant::ZERO, *spec);
                let _ = reply.try_send(added.map_err(AddError::from));
            }
            Command::Act(act) => act(&mut engine, Instant::ZERO),
            Command::Stop => return,
        }
        while !matches!(engine.poll(), Output::Idle { .. }) {}
    }
}
