//! The handle an application holds, in async form.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use pieceful_core::engine::{
    AddTorrent, Call, Engine, PeerStatus, RateLimits, SeedingLimits, Selection, TorrentStatus, UploadSlots,
};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Metainfo;
use pieceful_std::events::Hub;
use pieceful_std::session::{prepare, prepare_store};
use pieceful_std::store::Store;
use pieceful_std::{AddError, Options, SessionEvent, StartError, StopError};
use smol::unblock;

use crate::engine_loop;
use crate::inbox::Command;

/// A running client with any number of torrents.
///
/// A handle: clones are the same session. When the last one is dropped the session shuts down in the
/// background; [`stop`](Self::stop) waits for that. What returns at once only queues a command; commands are
/// carried out in the order they were given.
#[derive(Clone, Debug)]
pub struct Session(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    commands: Sender<Command>,
    events: Arc<Hub>,
    listening: Vec<SocketAddr>,
    store: Option<Store>,
    ended: Receiver<Result<(), StopError>>,
}

impl Session {
    /// Binds the addresses and starts the threads.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let events = Arc::new(Hub::default());
        let store = prepare_store(options.state.as_deref())?;
        let engine_loop::Started { commands, listening, ended } =
            engine_loop::start(options, store.clone(), Arc::clone(&events))?;
        Ok(Self(Arc::new(Shared { commands, events, listening, store, ended })))
    }

    /// The TCP addresses connections are accepted on, in the order of [`Options::listen`].
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.0.listening
    }

    /// Takes part in a torrent whose files lie, or will lie, in `folder`, which is made if it is missing.
    ///
    /// What an earlier session kept about it is used unless `spec.saved` is given.
    pub async fn add(&self, spec: AddTorrent, folder: &Path) -> Result<TorrentId, AddError> {
        let (reply, answer) = async_channel::bounded(1);
        let (folder, store) = (folder.to_owned(), self.0.store.clone());
        let (spec, folder) = unblock(move || prepare(spec, &folder, store.as_ref())).await?;
        self.send(Command::Add { spec: Box::new(spec), folder, reply });
        answer.recv().await.unwrap_or(Err(AddError::Stopped))
    }

    /// Leaves a torrent; its files stay. Followed by [`Event::Removed`](pieceful_core::engine::Event::Removed).
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
    pub async fn dht(&self) -> Option<pieceful_core::dht::Status> {
        self.ask(Engine::dht).await.flatten()
    }

    /// A torrent's numbers; `None` when there is no such torrent (any more).
    pub async fn status(&self, id: TorrentId) -> Option<TorrentStatus> {
        self.ask(move |engine| engine.torrent(id)).await.flatten()
    }

    /// What a torrent is; `None` as long as only its magnet link is known, and when there is no such torrent.
    pub async fn metainfo(&self, id: TorrentId) -> Option<Arc<Metainfo>> {
        self.ask(move |engine| engine.metainfo(id).cloned()).await.flatten()
    }

    /// The numbers of a torrent's connected peers.
    pub async fn peers(&self, id: TorrentId) -> Vec<PeerStatus> {
        self.ask(move |engine| engine.peers(id).collect()).await.unwrap_or_default()
    }

    /// The torrents there are.
    pub async fn torrents(&self) -> Vec<TorrentId> {
        self.ask(|engine| engine.torrents().collect()).await.unwrap_or_default()
    }

    /// What happens from now on. Subscribe before [`add`](Self::add) to miss nothing of a torrent.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.0.events.subscribe())
    }

    /// Leaves all torrents, tells their trackers, closes everything, and returns when that is done, after
    /// [`STOP_TIME`](pieceful_std::session::STOP_TIME) at the latest. Stopping again is harmless.
    pub async fn stop(&self) -> Result<(), StopError> {
        self.send(Command::Stop);
        // Closed without a word: it was told to whoever asked first.
        self.0.ended.recv().await.unwrap_or(Ok(()))
    }

    fn tell(&self, call: Call) {
        self.send(Command::Call(call));
    }

    async fn ask<T: Send + 'static>(&self, look: impl FnOnce(&Engine) -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = async_channel::bounded(1);
        let look = Box::new(move |engine: &Engine| {
            let _ = reply.try_send(look(engine)); // the asker is gone: nobody to tell
        });
        self.send(Command::Look(look));
        answer.recv().await.ok()
    }

    /// A session that has ended takes no commands, and need not.
    fn send(&self, command: Command) {
        let _ = self.0.commands.try_send(command);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.commands.try_send(Command::Stop);
    }
}

/// Events from the moment of subscribing.
#[derive(Debug)]
pub struct Events(pieceful_std::Events);

impl Events {
    /// The next event; `None` when the session is over.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// The next event, waiting no longer than `limit`. `None` when there was none in time, or the session is
    /// over ([`is_over`](Self::is_over) tells which).
    pub async fn next_timeout(&mut self, limit: Duration) -> Option<SessionEvent> {
        let late = async {
            async_io::Timer::after(limit).await;
            None
        };
        self.next().or(late).await
    }

    /// Whether the session is over and every event was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}
