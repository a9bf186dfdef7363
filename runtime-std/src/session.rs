//! The handle an application holds: what it may ask of a running client, and what it is told.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{
    self, AddTorrent, Call, Config, Engine, PeerStatus, RateLimits, SaveKey, Saved, SeedingLimits, Selection,
    TorrentStatus, UploadSlots, What,
};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Metainfo;
use pieceful_core::rng::Seed;

use crate::engine_loop::{self, Command, Message};
use crate::events::{Events, Hub};
use crate::store::{METADATA_KEPT_MAX, Store};
use crate::tape::{RecordOptions, Recorder};

/// How long [`Session::stop`] gives trackers to be told and files to be closed.
pub const STOP_TIME: Duration = Duration::from_secs(6);

/// How long a connection that is to close may take to send what is left and to hear the other side's goodbye.
pub const LINGER_TIME: Duration = Duration::from_secs(5);

/// How a session is set up. The default listens on nothing and keeps nothing for the next run; blocks go from the
/// page cache to the socket without passing through this process
/// ([`Config::direct_blocks`]), which costs half of what reading them does.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to accept connections over TCP, and on the same port UDP where that is free. Port 0 is any port.
    pub listen: Vec<SocketAddr>,
    /// Another UDP port than that: for the DHT, and to ask trackers from.
    pub udp_port: Option<u16>,
    /// The engine's settings; `listen_port`, `udp_port` and `unix_time` are filled in here.
    pub config: Config,
    /// The folder for what an engine wants kept for the next run; created when it is missing.
    pub state: Option<PathBuf>,
    /// Threads that read, write and hash; by default one for each core.
    pub disk_workers: Option<NonZeroUsize>,
    /// What all random choices follow from; by default from the system.
    pub seed: Option<Seed>,
    /// Put everything the engine is told on a [tape](crate::tape).
    pub record: Option<RecordOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            udp_port: None,
            config: Config { direct_blocks: true, ..Config::default() },
            state: None,
            disk_workers: None,
            seed: None,
            record: None,
        }
    }
}

/// Why a session did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address to listen on is in use, not ours, or not permitted.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The state folder cannot be made or used.
    #[error("cannot use {}: {source}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The tape cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system has no random numbers to give, or no thread.
    #[error("cannot start: {0}")]
    System(io::Error),
}

/// Why a torrent was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The engine would not have it.
    #[error(transparent)]
    Engine(#[from] engine::AddError),
    /// There is no such folder, and cannot be.
    #[error("cannot use {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The session has been stopped.
    #[error("the session has been stopped")]
    Stopped,
}

/// Why a session did not end in good order. It has ended all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// Trackers, peers or the disk did not answer in time and were left behind.
    #[error("not everything ended within {} seconds", STOP_TIME.as_secs())]
    TimedOut,
    /// Its thread ended in a panic.
    #[error("the session broke down: this is a bug")]
    Broken,
}

/// A running client with any number of torrents.
///
/// A handle: clones are the same session. When the last one is dropped the session shuts down in the
/// background; [`stop`](Self::stop) waits for that.
#[derive(Clone, Debug)]
pub struct Session(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: SyncSender<Message>,
    events: Arc<Hub>,
    listening: Vec<SocketAddr>,
    store: Option<Store>,
    ended: engine_loop::Ended,
}

impl Session {
    /// Binds the addresses and starts the threads.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let events = Arc::new(Hub::default());
        let store = prepare_store(options.state.as_deref())?;
        let engine_loop::Started { engine, listening, ended } =
            engine_loop::start(options, Arc::clone(&events))?;
        Ok(Self(Arc::new(Shared { engine, events, listening, store, ended })))
    }

    /// The TCP addresses connections are accepted on, in the order of [`Options::listen`].
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.0.listening
    }

    /// Takes part in a torrent whose files lie, or will lie, in `folder`, which is made if it is missing.
    ///
    /// What an earlier session kept about it is used unless `spec.saved` is given.
    pub fn add(&self, spec: AddTorrent, folder: &Path) -> Result<TorrentId, AddError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let (spec, folder) = prepare(spec, folder, self.0.store.as_ref())?;
        self.send(Command::Add { spec: Box::new(spec), folder, reply });
        answer.recv().unwrap_or(Err(AddError::Stopped))
    }

    /// Leaves a torrent; its files stay. Followed by [`Event::Removed`](engine::Event::Removed).
    pub fn remove(&self, id: TorrentId) {
        self.tell(Call::Remove(id));
    }

    /// Stops a torrent's traffic.
    pub fn pause(&self, id: TorrentId) {
        self.tell(Call::Pause(id));
    }

    /// Goes on with a paused or failed torrent.
    pub fn resume(&self, id: TorrentId) {
        self.tell(Call::Resume(id));
    }

    /// Tells a torrent about a peer the user knows.
    pub fn add_peer(&self, id: TorrentId, peer: SocketAddr) {
        self.tell(Call::AddPeer(id, peer));
    }

    /// Changes the limits for all torrents together.
    pub fn set_limits(&self, rates: RateLimits) {
        self.tell(Call::SetLimits(rates));
    }

    /// Changes how many peers are served at once, all torrents together.
    pub fn set_upload_slots(&self, slots: UploadSlots) {
        self.tell(Call::SetUploadSlots(slots));
    }

    /// Changes the limits of one torrent, which hold beside those for all.
    pub fn set_torrent_limits(&self, id: TorrentId, rates: RateLimits) {
        self.tell(Call::SetTorrentLimits(id, rates));
    }

    /// Changes how many connections a torrent may have; `None` is as many as any.
    pub fn set_torrent_connections(&self, id: TorrentId, max: Option<u32>) {
        self.tell(Call::SetTorrentConnections(id, max));
    }

    /// Wants these files of a torrent from now on, and no others.
    pub fn set_files(&self, id: TorrentId, files: Selection) {
        self.tell(Call::SetFiles(id, files));
    }

    /// Changes how long a torrent goes on once it is complete; what it has given so far counts.
    pub fn set_seeding_limits(&self, id: TorrentId, limits: SeedingLimits) {
        self.tell(Call::SetSeedingLimits(id, limits));
    }

    /// The DHT node's numbers; `None` when there is none.
    #[must_use]
    pub fn dht(&self) -> Option<pieceful_core::dht::Status> {
        self.ask(Engine::dht).flatten()
    }

    /// A torrent's numbers; `None` when there is no such torrent (any more).
    #[must_use]
    pub fn status(&self, id: TorrentId) -> Option<TorrentStatus> {
        self.ask(move |engine| engine.torrent(id)).flatten()
    }

    /// What a torrent is; `None` as long as only its magnet link is known, and when there is no such torrent.
    #[must_use]
    pub fn metainfo(&self, id: TorrentId) -> Option<Arc<Metainfo>> {
        self.ask(move |engine| engine.metainfo(id).cloned()).flatten()
    }

    /// The numbers of a torrent's connected peers.
    #[must_use]
    pub fn peers(&self, id: TorrentId) -> Vec<PeerStatus> {
        self.ask(move |engine| engine.peers(id).collect()).unwrap_or_default()
    }

    /// The torrents there are.
    #[must_use]
    pub fn torrents(&self) -> Vec<TorrentId> {
        self.ask(|engine| engine.torrents().collect()).unwrap_or_default()
    }

    /// What happens from now on. Subscribe before [`add`](Self::add) to miss nothing of a torrent.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.events.subscribe()
    }

    /// Leaves all torrents, tells their trackers, closes everything, and returns when that is done, after
    /// [`STOP_TIME`] at the latest. Stopping again is harmless.
    pub fn stop(&self) -> Result<(), StopError> {
        self.send(Command::Stop);
        self.0.ended.wait()
    }

    fn tell(&self, call: Call) {
        self.send(Command::Call(call));
    }

    fn ask<T: Send + 'static>(&self, look: impl FnOnce(&Engine) -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        let look = Box::new(move |engine: &Engine| {
            let _ = reply.send(look(engine)); // the asker is gone: nobody to tell
        });
        self.send(Command::Look(look));
        answer.recv().ok()
    }

    /// A session that has ended takes no commands, and need not.
    fn send(&self, command: Command) {
        let _ = self.0.engine.send(Message::Command(command));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.engine.send(Message::Command(Command::Stop));
    }
}

/// The store in the state folder, which is made now so that a wrong one is noticed now. What it keeps of torrents that
/// nobody came back to does not grow for ever.
pub fn prepare_store(folder: Option<&Path>) -> Result<Option<Store>, StartError> {
    let Some(path) = folder else { return Ok(None) };
    std::fs::create_dir_all(path).map_err(|source| StartError::State { path: path.to_owned(), source })?;
    let store = Store::new(path);
    if let Err(error) = store.prune_metadata(METADATA_KEPT_MAX) {
        tracing::warn!(%error, "old metadata is not removed");
    }
    Ok(Some(store))
}

/// Completes the settings of the DHT node, if there is to be one, by what an earlier session kept of it. On a tape
/// that is to have nobody's address there is none: its datagrams are full of addresses.
pub fn prepare_dht(config: &mut Config, store: Option<&Store>, record: Option<&RecordOptions>) {
    if record.is_some_and(|record| record.scrub) {
        config.dht = None;
    }
    if let (Some(dht), Some(store)) = (&mut config.dht, store)
        && dht.saved.is_none()
    {
        match store.load(SaveKey::Dht, Path::new("")) {
            Ok(saved) => dht.saved = saved.map(Bytes::from),
            Err(error) => tracing::warn!(%error, "the nodes of the DHT that were known are not read"),
        }
    }
}

/// The tape a session is recorded on.
pub fn prepare_tape(options: Option<&RecordOptions>) -> Result<Option<Recorder>, StartError> {
    let Some(options) = options else { return Ok(None) };
    let recorder = Recorder::create(options);
    recorder.map(Some).map_err(|source| StartError::Record { path: options.file.clone(), source })
}

/// Completes what is to be added: the folder as an absolute path, and what an earlier session kept.
pub fn prepare(
    mut spec: AddTorrent,
    folder: &Path,
    store: Option<&Store>,
) -> Result<(AddTorrent, PathBuf), AddError> {
    let folder =
        std::path::absolute(folder).map_err(|source| AddError::Folder { path: folder.to_owned(), source })?;
    if let Some(store) = store {
        let info_hash = spec.what.info_hash();
        let load = |saved: &mut Option<Bytes>, key, instead| {
            if saved.is_none() {
                match store.load(key, &folder) {
                    Ok(found) => *saved = found.map(Bytes::from),
                    Err(error) => tracing::warn!(%error, "saved state not read; {instead}"),
                }
            }
        };
        let key = SaveKey::Torrent(info_hash);
        load(&mut spec.saved, key, "the files are checked instead");
        if spec.saved.as_deref().is_some_and(|saved| Saved::read(saved).is_err()) {
            store.set_aside(key, &folder); // the engine says what is wrong with it
        }
        if let What::Magnet(_) = spec.what {
            load(&mut spec.saved_metadata, SaveKey::Metadata(info_hash), "the metadata is fetched again");
        }
    }
    Ok((spec, folder))
}
