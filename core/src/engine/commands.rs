//! What the owner wants.

use core::net::SocketAddr;

use super::deadlines::Owner;
use super::{AddError, AddTorrent, Engine, RateLimits, SeedingLimits, Selection, Stopping, UploadSlots};
use crate::id::TorrentId;
use crate::time::Instant;
use crate::torrent::{Settings, Source, Torrent};
use crate::tracker::TrackerUrl;

impl Engine {
    /// Takes part in a torrent from now on.
    pub fn add_torrent(&mut self, now: Instant, spec: AddTorrent) -> Result<TorrentId, AddError> {
        self.advance(now);
        if self.stopping != Stopping::No {
            return Err(AddError::Stopping);
        }
        let info_hash = spec.what.info_hash();
        if info_hash.v1().is_none() {
            return Err(AddError::OnlyV2);
        }
        let wire_hash = info_hash.on_the_wire();
        if self.by_hash.contains_key(&wire_hash) {
            return Err(AddError::Duplicate);
        }
        if self.torrents.len() as u32 >= self.config.limits.torrents_max {
            return Err(AddError::TooMany);
        }
        if spec.trackers.iter().any(|url| TrackerUrl::parse(url).is_err()) {
            return Err(AddError::Tracker);
        }
        let limits = self.config.limits;
        let settings = Settings {
            peer_id: self.peer_id,
            client_name: self.config.client_name.clone(),
            listen_port: self.config.listen_port,
            dht_port: self.config.udp_port.or(self.config.listen_port).filter(|_| self.dht.is_some()),
            direct_blocks: self.config.direct_blocks,
            peer: self.peer_limits(),
            peers_max: spec.peers_max.unwrap_or(limits.torrent_connections_max),
            known_max: limits.known_peers_max,
            unchoked_max: limits.unchoked_max,
            pex: self.config.pex,
        };
        let mut actions = core::mem::take(&mut self.actions);
        let mut turn = self.common.turn(self.now, &mut actions);
        let added = self.torrents.try_insert_with_key(|id| Torrent::new(id, spec, settings, &mut turn));
        self.actions = actions;
        let id = added.map_err(|_| AddError::Layout)?;
        self.by_hash.insert(wire_hash, id);
        // What the torrent wanted while it was made is done now that it has its place.
        self.let_torrent(id, |_, _| ());
        self.with_torrent(id, |_, _| ());
        if let Some(metainfo) = self.torrents.get(id).and_then(Torrent::metainfo).cloned()
            && !metainfo.info.private
        {
            self.begin_dht_at(&metainfo.nodes);
        }
        Ok(id)
    }

    /// Leaves a torrent: tells its trackers, closes its files, then says
    /// [`Event::Removed`](super::Event::Removed).
    pub fn remove_torrent(&mut self, now: Instant, id: TorrentId) {
        self.advance(now);
        self.with_torrent(id, Torrent::leave);
    }

    /// Stops a torrent's traffic until [`resume`](Self::resume).
    pub fn pause(&mut self, now: Instant, id: TorrentId) {
        self.advance(now);
        self.with_torrent(id, Torrent::pause);
    }

    /// Goes on with a paused or failed torrent.
    pub fn resume(&mut self, now: Instant, id: TorrentId) {
        self.advance(now);
        self.with_torrent(id, Torrent::resume);
    }

    /// Tells a torrent about a peer the user knows.
    pub fn add_peer(&mut self, now: Instant, id: TorrentId, peer: SocketAddr) {
        self.advance(now);
        self.with_torrent(id, |torrent, turn| torrent.add_peer(peer, Source::User, turn));
    }

    /// Changes the limits for all torrents together.
    pub fn set_limits(&mut self, now: Instant, rates: RateLimits) {
        self.advance(now);
        self.common.upload.set_rate(self.now, rates.upload);
        self.config.rates = rates;
        self.common.slots.set(self.config.upload_slots, rates.upload);
        self.download.set_rate(self.now, rates.download);
        self.common.download_limit = rates.download;
        self.deadlines.arm(Owner::Throttle, Some(self.now));
    }

    /// Changes how many peers are served at once, all torrents together; within seconds that is so.
    pub fn set_upload_slots(&mut self, now: Instant, slots: UploadSlots) {
        self.advance(now);
        self.config.upload_slots = slots;
        self.common.slots.set(slots, self.config.rates.upload);
    }

    /// Changes the limits of one torrent, which hold beside those for all.
    pub fn set_torrent_limits(&mut self, now: Instant, id: TorrentId, rates: RateLimits) {
        self.advance(now);
        self.with_torrent(id, |torrent, turn| torrent.set_rates(rates, turn));
        self.deadlines.arm(Owner::Throttle, Some(self.now));
    }

    /// Changes how many connections a torrent may have; `None` is as many as any. Those that were of least use
    /// are closed at once when there are more.
    pub fn set_torrent_connections(&mut self, now: Instant, id: TorrentId, max: Option<u32>) {
        self.advance(now);
        let max = max.unwrap_or(self.config.limits.torrent_connections_max);
        self.with_torrent(id, |torrent, turn| torrent.set_peers_max(max, turn));
    }

    /// Wants these files of a torrent from now on, and no others: what is not wanted any more is taken back, what is
    /// wanted again is downloaded, and what is there stays.
    pub fn set_files(&mut self, now: Instant, id: TorrentId, files: Selection) {
        self.advance(now);
        self.with_torrent(id, |torrent, turn| torrent.set_files(files, turn));
    }

    /// Changes how long a torrent goes on once it is complete; what it has given so far counts.
    pub fn set_seeding_limits(&mut self, now: Instant, id: TorrentId, limits: SeedingLimits) {
        self.advance(now);
        self.with_torrent(id, |torrent, turn| {
            torrent.set_seeding_limits(limits);
            torrent.tick(turn);
        });
    }

    /// Leaves all torrents, then says [`Event::Stopped`](super::Event::Stopped).
    pub fn shutdown(&mut self, now: Instant) {
        self.advance(now);
        if self.stopping != Stopping::No {
            return;
        }
        self.stopping = Stopping::Asked;
        self.stop_dht();
        self.refuse_greeting();
        let all: alloc::vec::Vec<TorrentId> = self.torrents.keys().collect();
        for id in all {
            self.with_torrent(id, Torrent::leave);
        }
        self.fetch_on(); // there is room for more at once from now on
        self.see_to_stopping();
    }
}
