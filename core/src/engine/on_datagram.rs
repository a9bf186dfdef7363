//! Datagrams: whose they are shows in how they begin.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::deadlines::Owner;
use super::{Engine, Output};
use crate::cx::Cx;
use crate::id::TorrentId;
use crate::lsd;
use crate::torrent::{Source, Torrent};

impl Engine {
    pub(super) fn on_datagram(&mut self, from: SocketAddr, data: &[u8]) {
        if data.starts_with(lsd::PREFIX) {
            self.on_announcement(from, data);
        } else if self.dht.is_some() && data.first() == Some(&b'd') {
            self.with_dht(|dht, cx| dht.receive(from, data, cx));
        } else {
            self.with_udp(|udp, cx| udp.receive(from, data, cx));
        }
    }

    /// Somebody on the local network says which torrents it has.
    fn on_announcement(&mut self, from: SocketAddr, data: &[u8]) {
        let Some(lsd) = &mut self.lsd else { return };
        let mut actions = Vec::new();
        lsd.receive(from, data, &mut Cx { now: self.now, rng: &mut self.common.rng, out: &mut actions });
        self.on_lsd(actions);
    }

    /// Announces what is due on the local network.
    pub(super) fn tick_lsd(&mut self) {
        let Some(lsd) = &mut self.lsd else { return };
        let (by_hash, torrents) = (&self.by_hash, &self.torrents);
        let torrent = |hash| by_hash.get(&hash).and_then(|id| torrents.get(*id));
        let mut actions = Vec::new();
        let mut cx = Cx { now: self.now, rng: &mut self.common.rng, out: &mut actions };
        lsd.tick(|hash| torrent(hash).is_some_and(Torrent::may_be_found_near), &mut cx);
        self.on_lsd(actions);
    }

    /// From now on a torrent is announced on the local network.
    pub(super) fn announce_near(&mut self, id: TorrentId) {
        if let (Some(lsd), Some(torrent)) = (&mut self.lsd, self.torrents.get(id)) {
            lsd.announce(torrent.info_hash().on_the_wire(), self.now);
            self.deadlines.arm(Owner::Lsd, lsd.deadline());
        }
    }

    fn on_lsd(&mut self, actions: Vec<lsd::Action>) {
        for action in actions {
            match action {
                lsd::Action::Send { to, data } => self.out.push_back(Output::Datagram { to, data }),
                lsd::Action::Found { info_hash, peer } => self.found_near(info_hash, peer),
            }
        }
        if let Some(lsd) = &self.lsd {
            self.deadlines.arm(Owner::Lsd, lsd.deadline());
        }
    }

    /// A neighbour that is new to us may not know us either.
    fn found_near(&mut self, info_hash: [u8; 20], peer: SocketAddr) {
        let Some(&id) = self.by_hash.get(&info_hash) else { return };
        let new = self.with_torrent(id, |torrent, turn| torrent.add_peer(peer, Source::Lsd, turn));
        if let (Some(true), Some(lsd)) = (new, &mut self.lsd) {
            lsd.answer(info_hash, self.now);
        }
    }
}
