//! The whole client as one state machine: [`Engine`].

use alloc::collections::VecDeque;
use core::net::SocketAddr;

use crate::id::{ConnId, TorrentId};
use crate::rng::{Rng, Seed};
use crate::time::Instant;

pub mod config;
mod event;
mod input;
pub mod limits;
mod output;
mod views;

pub use config::{AddError, AddTorrent, Config, PieceOrder, RateLimits};
pub use event::{Event, TorrentError};
pub use input::{FetchError, Input, ResolveError, Response, StreamEnd};
pub use limits::Limits;
pub use output::{CloseHow, FetchRequest, NamedBy, Output, SaveKey, Segment, Wake};
pub use views::{PeerStatus, TorrentState, TorrentStatus, Traffic};

/// A BitTorrent client without any I/O.
///
/// Calls come in four kinds: [`handle`](Self::handle) and [`handle_timeout`](Self::handle_timeout) say what
/// happened outside; [`accept`](Self::accept) and the commands ([`add_torrent`](Self::add_torrent), ...) say
/// what is wanted; [`poll`](Self::poll) takes out what there is to do; the views tell numbers.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    rng: Rng,
    now: Instant,
    out: VecDeque<Output>,
}

impl Engine {
    /// An engine that has nothing to do yet.
    #[must_use]
    pub fn new(config: Config, seed: Seed, now: Instant) -> Self {
        Self { config, rng: Rng::new(seed), now, out: VecDeque::new() }
    }

    /// Something happened outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let _ = (now, input);
    }

    /// Time has passed. May be called early, late or repeatedly; costs next to nothing when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// A connection from `from` was accepted. `None`: close it, there is no room.
    pub fn accept(&mut self, now: Instant, from: SocketAddr) -> Option<ConnId> {
        let _ = (now, from);
        None
    }

    /// Takes part in a torrent from now on.
    pub fn add_torrent(&mut self, now: Instant, spec: AddTorrent) -> Result<TorrentId, AddError> {
        let _ = (now, spec);
        Err(AddError::Stopping)
    }

    /// Leaves a torrent: tells its trackers, closes its files, then says [`Event::Removed`].
    pub fn remove_torrent(&mut self, now: Instant, id: TorrentId) {
        let _ = (now, id);
    }

    /// Stops a torrent's traffic until [`resume`](Self::resume).
    pub fn pause(&mut self, now: Instant, id: TorrentId) {
        let _ = (now, id);
    }

    /// Goes on with a paused or failed torrent.
    pub fn resume(&mut self, now: Instant, id: TorrentId) {
        let _ = (now, id);
    }

    /// Tells a torrent about a peer the user knows.
    pub fn add_peer(&mut self, now: Instant, id: TorrentId, peer: SocketAddr) {
        let _ = (now, id, peer);
    }

    /// Changes the limits for all torrents together.
    pub fn set_limits(&mut self, now: Instant, rates: RateLimits) {
        let _ = (now, rates);
    }

    /// Leaves all torrents, then says [`Event::Stopped`].
    pub fn shutdown(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next thing to do. Call until it says [`Output::Idle`].
    pub fn poll(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Idle { wake: None })
    }

    /// A torrent's numbers.
    #[must_use]
    pub fn torrent(&self, id: TorrentId) -> Option<TorrentStatus> {
        let _ = id;
        None
    }

    /// The numbers of a torrent's connected peers.
    pub fn peers(&self, id: TorrentId) -> impl Iterator<Item = PeerStatus> + '_ {
        let _ = id;
        core::iter::empty()
    }

    /// The torrents there are.
    pub fn torrents(&self) -> impl Iterator<Item = TorrentId> + '_ {
        core::iter::empty()
    }
}
