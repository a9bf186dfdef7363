//! Calls as values: what happened to an engine can be kept, and played again to another one.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::{AddError, AddTorrent, Engine, Input, RateLimits, SeedingLimits, Selection, UploadSlots};
use crate::id::{ConnId, TorrentId};
use crate::time::Instant;

/// One call of an [`Engine`] that is not a look at it.
///
/// An engine made with the same [`Config`](super::Config) and [`Seed`](crate::rng::Seed) that gets the same calls
/// at the same times says the same.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Call {
    /// [`Engine::add_torrent`]
    Add(Box<AddTorrent>),
    /// [`Engine::remove_torrent`]
    Remove(TorrentId),
    /// [`Engine::pause`]
    Pause(TorrentId),
    /// [`Engine::resume`]
    Resume(TorrentId),
    /// [`Engine::add_peer`]
    AddPeer(TorrentId, SocketAddr),
    /// [`Engine::set_limits`]
    SetLimits(RateLimits),
    /// [`Engine::set_torrent_limits`]
    SetTorrentLimits(TorrentId, RateLimits),
    /// [`Engine::set_torrent_connections`]
    SetTorrentConnections(TorrentId, Option<u32>),
    /// [`Engine::set_files`]
    SetFiles(TorrentId, Selection),
    /// [`Engine::set_seeding_limits`]
    SetSeedingLimits(TorrentId, SeedingLimits),
    /// [`Engine::set_upload_slots`]
    SetUploadSlots(UploadSlots),
    /// [`Engine::shutdown`]
    Shutdown,
    /// [`Engine::accept`]
    Accept(SocketAddr),
    /// [`Engine::handle`]
    Handle(Input),
    /// [`Engine::handle_timeout`]
    Timeout,
}

/// What a [`Call`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Nothing: what comes of it comes out of [`Engine::poll`].
    Nothing,
    /// From [`Call::Add`].
    Added(Result<TorrentId, AddError>),
    /// From [`Call::Accept`].
    Accepted(Option<ConnId>),
}

impl Engine {
    /// Does what `call` says, as the method of its name.
    pub fn call(&mut self, now: Instant, call: Call) -> Returned {
        match call {
            Call::Add(spec) => return Returned::Added(self.add_torrent(now, *spec)),
            Call::Accept(from) => return Returned::Accepted(self.accept(now, from)),
            Call::Remove(id) => self.remove_torrent(now, id),
            Call::Pause(id) => self.pause(now, id),
            Call::Resume(id) => self.resume(now, id),
            Call::AddPeer(id, peer) => self.add_peer(now, id, peer),
            Call::SetLimits(rates) => self.set_limits(now, rates),
            Call::SetTorrentLimits(id, rates) => self.set_torrent_limits(now, id, rates),
            Call::SetTorrentConnections(id, max) => self.set_torrent_connections(now, id, max),
            Call::SetFiles(id, files) => self.set_files(now, id, files),
            Call::SetSeedingLimits(id, limits) => self.set_seeding_limits(now, id, limits),
            Call::SetUploadSlots(slots) => self.set_upload_slots(now, slots),
            Call::Shutdown => self.shutdown(now),
            Call::Handle(input) => self.handle(now, input),
            Call::Timeout => self.handle_timeout(now),
        }
        Returned::Nothing
    }
}
