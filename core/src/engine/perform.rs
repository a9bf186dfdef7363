//! What torrents want done, turned into outputs: every action gets its handle and its place in the books.

use alloc::string::String;

use super::deadlines::Owner;
use super::limits::TRACKER_BODY_MAX;
use super::{
    Asker, CloseHow, ConnOwner, Engine, Event, FetchRequest, Fetching, NamedBy, Output, SaveKey, Segment,
    Stopping,
};
use crate::cx::Cx;
use crate::id::{ConnId, TorrentId};
use crate::peer;
use crate::torrent::{Action, Torrent, Turn};
use crate::tracker::{self, AnnounceTag, UdpAction};

/// How many times as many HTTP requests are made at once when the engine stops: a thousand torrents have their
/// trackers told in five seconds.
const FAREWELLS: u32 = 8;

impl Engine {
    /// Lets a torrent act, does what it wants, and sees to its deadlines.
    pub(super) fn with_torrent<R>(
        &mut self,
        id: TorrentId,
        act: impl FnOnce(&mut Torrent, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let result = self.let_torrent(id, act)?;
        self.tell_dht(id);
        self.plan_dials(id);
        if let Some(torrent) = self.torrents.get(id) {
            self.deadlines.arm(Owner::Torrent(id), torrent.deadline(self.now));
        }
        self.deadlines.arm(Owner::Uplink, self.common.upload.deadline(self.now));
        Some(result)
    }

    /// As [`with_torrent`](Self::with_torrent), for what changes no deadline: the acknowledgements of a
    /// download come by the hundred thousand.
    pub(super) fn let_torrent<R>(
        &mut self,
        id: TorrentId,
        act: impl FnOnce(&mut Torrent, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let torrent = self.torrents.get_mut(id)?;
        let mut actions = core::mem::take(&mut self.actions);
        let mut turn = self.common.turn(self.now, &mut actions);
        let result = act(torrent, &mut turn);
        for action in actions.drain(..) {
            self.perform(id, action);
        }
        self.actions = actions;
        Some(result)
    }

    fn perform(&mut self, id: TorrentId, action: Action) {
        match action {
            Action::Send { conn, segment } => {
                let segment = match segment {
                    peer::Segment::Bytes(bytes) => Segment::Bytes(bytes),
                    peer::Segment::Block(block) => Segment::Block { torrent: id, block },
                };
                self.out.push_back(Output::Send { conn, segment });
            }
            Action::Disk { task, action } => {
                let op = self.ops.insert((id, task));
                self.out.push_back(Output::Disk { op, torrent: id, action });
            }
            Action::Close { conn, after_send } => {
                self.close_conn(conn, if after_send { CloseHow::AfterSend } else { CloseHow::Now });
            }
            Action::Fetch { tag, url, named_by } => self.fetch(id, tag, url, named_by),
            Action::Udp { tag, host, port, named_by, announce } => {
                self.ask_udp(id, tag, named_by, &host, port, announce);
            }
            Action::CancelAnnounce { tag } => self.cancel_announce(id, tag),
            Action::Save(data) => {
                if let Some(torrent) = self.torrents.get(id) {
                    let key = SaveKey::Torrent(torrent.info_hash());
                    self.out.push_back(Output::Save { key, data });
                }
            }
            Action::DhtNode(address) => self.dht_node_at(address),
            Action::LookUp { place, host } => {
                self.resolves_waiting.push_back((Asker::Link { torrent: id, place }, host));
                self.resolve_on();
            }
            Action::AnnounceNear => self.announce_near(id),
            Action::SaveMetadata(data) => {
                if let Some(torrent) = self.torrents.get(id) {
                    let key = SaveKey::Metadata(torrent.info_hash());
                    self.out.push_back(Output::Save { key, data });
                }
            }
            Action::Event(event) => self.out.push_back(Output::Event(event)),
            Action::Left => self.forget_torrent(id),
        }
    }

    /// Gives up a connection; its handle lives until the driver says that it is gone.
    pub(super) fn close_conn(&mut self, id: ConnId, how: CloseHow) {
        if let Some(conn) = self.conns.get_mut(id)
            && !matches!(conn.owner, ConnOwner::Closing)
        {
            conn.owner = ConnOwner::Closing;
            self.deadlines.disarm_conn(id, &mut conn.armed);
            self.out.push_back(Output::Close { conn: id, how });
        }
    }

    fn forget_torrent(&mut self, id: TorrentId) {
        if let Some(torrent) = self.torrents.remove(id) {
            self.by_hash.remove(&torrent.info_hash().on_the_wire());
        }
        self.tell_dht(id);
        self.deadlines.disarm(Owner::Torrent(id));
        self.deadlines.disarm(Owner::Dial(id));
        self.dial_waiting.remove(&id);
        self.fetches_waiting.retain(|(torrent, ..)| *torrent != id);
        self.resolves_waiting
            .retain(|(asker, _)| !matches!(asker, Asker::Link { torrent, .. } if *torrent == id));
        self.see_to_stopping();
    }

    /// Says that the engine has stopped, once nothing is left.
    pub(super) fn see_to_stopping(&mut self) {
        if self.stopping == Stopping::Asked && self.torrents.is_empty() && self.conns.is_empty() {
            self.stopping = Stopping::Told;
            self.deadlines.end();
            self.out.push_back(Output::Event(Event::Stopped));
        }
    }

    fn fetch(&mut self, id: TorrentId, tag: AnnounceTag, url: String, named_by: NamedBy) {
        let request = FetchRequest { url, limit: TRACKER_BODY_MAX, named_by };
        if self.may_fetch(&request.url) {
            self.begin_fetch(id, tag, request);
        } else {
            self.fetches_waiting.push_back((id, tag, request));
        }
    }

    /// Starts requests that wait, as far as there is room.
    pub(super) fn fetch_on(&mut self) {
        while let Some(next) = self.fetches_waiting.iter().position(|(.., it)| self.may_fetch(&it.url))
            && let Some((id, tag, request)) = self.fetches_waiting.remove(next)
        {
            self.begin_fetch(id, tag, request);
        }
    }

    fn begin_fetch(&mut self, id: TorrentId, tag: AnnounceTag, request: FetchRequest) {
        let host = String::from(host_of(&request.url));
        let fetch = self.fetches.insert(Fetching { owner: Some((id, tag)), host });
        self.out.push_back(Output::Fetch { fetch, request });
    }

    /// Whether there is room for another request: more of it when there is no time to wait. One host gets half of
    /// it at most: many torrents may have the same tracker, and were it dead, nobody would hear of any other.
    fn may_fetch(&self, url: &str) -> bool {
        let usual = self.config.limits.fetches_max;
        let max = if self.stopping == Stopping::No { usual } else { usual.saturating_mul(FAREWELLS) };
        let host = host_of(url);
        let same = || self.fetches.values().filter(|other| other.host == host).count() as u32;
        (self.fetches.len() as u32) < max && same() < max.div_ceil(2)
    }

    fn ask_udp(
        &mut self,
        id: TorrentId,
        tag: AnnounceTag,
        named_by: NamedBy,
        host: &str,
        port: u16,
        announce: tracker::udp::Announce,
    ) {
        self.next_token += 1;
        let token = self.next_token;
        self.asked.insert(token, (id, tag));
        self.with_udp(|udp, cx| udp.ask(token, named_by, host, port, announce, cx));
    }

    /// An HTTP request under way ends by itself some time, and keeps its place until then; its answer is nobody's.
    fn cancel_announce(&mut self, id: TorrentId, tag: AnnounceTag) {
        if let Some(fetching) = self.fetches.values_mut().find(|it| it.owner == Some((id, tag))) {
            fetching.owner = None;
        }
        self.fetches_waiting.retain(|(torrent, other, _)| (*torrent, *other) != (id, tag));
        let token = self.asked.iter().find(|(_, asked)| **asked == (id, tag)).map(|(token, _)| *token);
        if let Some(token) = token {
            self.asked.remove(&token);
            self.udp.cancel(token);
        }
    }

    /// Lets the UDP trackers act, and does what they want.
    pub(super) fn with_udp<R>(
        &mut self,
        act: impl FnOnce(&mut tracker::UdpTrackers, &mut Cx<'_, UdpAction>) -> R,
    ) -> R {
        let mut actions = alloc::vec::Vec::new();
        let mut cx = Cx { now: self.now, rng: &mut self.udp_rng, out: &mut actions };
        let result = act(&mut self.udp, &mut cx);
        for action in actions {
            match action {
                UdpAction::Send { to, data } => self.out.push_back(Output::Datagram { to, data }),
                UdpAction::Resolve { query, host } => {
                    self.resolves_waiting.push_back((Asker::Tracker(query), host));
                    self.resolve_on();
                }
                UdpAction::Answered { token, result } => {
                    if let Some((id, tag)) = self.asked.remove(&token) {
                        self.with_torrent(id, |torrent, turn| torrent.udp_answered(tag, result, turn));
                    }
                }
            }
        }
        self.deadlines.arm(Owner::Udp, self.udp.deadline());
        result
    }

    /// Starts look-ups that wait, as far as there is room.
    pub(super) fn resolve_on(&mut self) {
        while (self.resolves.len() as u32) < self.config.limits.resolves_max
            && let Some((asker, host)) = self.resolves_waiting.pop_front()
        {
            let query = self.resolves.insert(asker);
            self.out.push_back(Output::Resolve { query, host });
        }
    }
}

/// Host and port of an address that was taken apart before.
fn host_of(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    place.split(['/', '?']).next().unwrap_or(place)
}
