//! Connections: opened, accepted, read from, sent to, gone.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Bound;

use bytes::Bytes;

use super::deadlines::Owner;
use super::{CloseHow, Conn, ConnOwner, Engine, Event, Output, Stopping, Stranger, StreamEnd};
use crate::cx::Cx;
use crate::id::{ConnId, PeerKey, TorrentId};
use crate::peer::{self, CloseReason, Peer};
use crate::time::Instant;
use crate::torrent::Torrent;

/// A read this short holds news rather than blocks, in bytes.
const SMALL_TALK: u64 = 512;

impl Engine {
    /// Sees to it that peers of a torrent are dialled when they are due. Those that are due now wait for the timer as
    /// well: who is dialled first must not depend on how the stream that named them was cut.
    pub(super) fn plan_dials(&mut self, id: TorrentId) {
        if !self.dial_waiting.contains(&id)
            && let Some(at) = self.torrents.get(id).and_then(Torrent::next_dial)
        {
            if at > self.now {
                self.deadlines.arm(Owner::Dial(id), Some(at));
            } else {
                self.deadlines.arm_exactly(Owner::Dial(id), self.now);
            }
        }
    }

    /// Dials the peers of a torrent that are due, in turn with those of others.
    pub(super) fn dial(&mut self, id: TorrentId) {
        match self.torrents.get(id).and_then(Torrent::next_dial) {
            Some(at) if at <= self.now => {
                self.dial_waiting.insert(id);
                self.dial_on();
            }
            at => self.deadlines.arm(Owner::Dial(id), at),
        }
    }

    /// As far as there is room for connections, torrents that wait for it take turns, a peer at a time.
    pub(super) fn dial_on(&mut self) {
        let Some(share) = self.dial_share() else { return };
        let mut left_out = 0;
        while self.connecting < self.config.limits.connecting_max
            && self.stopping == Stopping::No
            && left_out < self.dial_waiting.len()
        {
            let after = (Bound::Excluded(self.dialled_last), Bound::Unbounded);
            let next = self.dial_waiting.range(after).next().or_else(|| self.dial_waiting.first());
            let Some(&id) = next else { return };
            self.dialled_last = id;
            if !self.may_dial(id, share) {
                left_out += 1;
                continue;
            }
            left_out = 0;
            self.dial_one(id);
            match self.torrents.get(id).and_then(Torrent::next_dial) {
                Some(at) if at <= self.now => {}
                at => {
                    self.dial_waiting.remove(&id);
                    self.deadlines.arm(Owner::Dial(id), at);
                }
            }
        }
    }

    fn dial_one(&mut self, id: TorrentId) {
        let outside = &self.common.outside;
        let to = self.torrents.get_mut(id).and_then(|torrent| torrent.take_dial(self.now, outside));
        let Some(to) = to else { return };
        let conn = self.conns.insert(Conn {
            owner: ConnOwner::Closing,
            connecting: true,
            stalled: false,
            throttled: false,
            armed: Instant::NEVER,
        });
        self.connecting += 1;
        self.out.push_back(Output::Connect { conn, to });
        let peer = self.let_torrent(id, |torrent, turn| torrent.dial(conn, to, turn));
        if let (Some(peer), Some(conn)) = (peer, self.conns.get_mut(conn)) {
            conn.owner = ConnOwner::Torrent(id, peer);
        }
        self.arm_conn(conn);
    }

    pub(super) fn on_accept(&mut self, from: SocketAddr) -> Option<ConnId> {
        let limits = self.config.limits;
        if self.stopping != Stopping::No || self.torrents.is_empty() {
            return None;
        }
        if self.greeting.len() as u32 >= limits.greeting_max
            && let Some(oldest) = self.greeting.pop_front()
        {
            self.refuse(oldest, CloseReason::NoRoom);
        }
        if self.conns.len() as u32 >= limits.connections_max.saturating_add(limits.greeting_max) {
            return None;
        }
        let peer = Peer::answer(self.peer_limits(), self.now);
        let conn = self.conns.insert(Conn {
            owner: ConnOwner::Greeting(Box::new(Stranger { peer, from })),
            connecting: false,
            stalled: false,
            throttled: false,
            armed: Instant::NEVER,
        });
        self.greeting.push_back(conn);
        self.arm_conn(conn);
        Some(conn)
    }

    pub(super) const fn peer_limits(&self) -> peer::Limits {
        let limits = &self.config.limits;
        peer::Limits {
            asked_max: limits.asked_max,
            requests_max: limits.requests_queued_max,
            send_bytes_max: limits.send_bytes_max,
        }
    }

    /// Closes a connection that never came to belong to a torrent.
    fn refuse(&mut self, id: ConnId, reason: CloseReason) {
        self.greeting.retain(|greeting| *greeting != id);
        let Some(Conn { owner: ConnOwner::Greeting(stranger), .. }) = self.conns.get(id) else { return };
        self.out.push_back(Output::Event(Event::PeerClosed { torrent: None, peer: stranger.from, reason }));
        self.close_conn(id, CloseHow::Now);
    }

    pub(super) fn on_connected(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !core::mem::replace(&mut conn.connecting, false) {
            self.breaches.connected_twice += 1;
            return;
        }
        self.connecting -= 1;
        if let ConnOwner::Torrent(torrent, peer) = conn.owner {
            self.with_torrent(torrent, |torrent, turn| torrent.connected(peer, turn));
        }
        self.dial_on();
    }

    pub(super) fn on_received(&mut self, id: ConnId, data: Bytes) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let bytes = data.len() as u64;
        self.breaches.empty_read += u64::from(bytes == 0);
        match &mut conn.owner {
            ConnOwner::Closing => return,
            ConnOwner::Torrent(torrent, peer) => {
                let (torrent, peer) = (*torrent, *peer);
                self.with_torrent(torrent, |torrent, turn| torrent.received(peer, data, turn));
                self.hold_back(id, torrent, peer, bytes);
            }
            ConnOwner::Greeting(_) => self.greet(id, data),
        }
        self.arm_conn(id);
    }

    /// A connection that has not named its torrent says something: perhaps just that.
    fn greet(&mut self, id: ConnId, data: Bytes) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let ConnOwner::Greeting(stranger) = &mut conn.owner else { return };
        let mut actions = Vec::new();
        let mut cx = Cx { now: self.now, rng: &mut self.common.rng, out: &mut actions };
        if let Err(reason) = stranger.peer.receive(data, &mut cx) {
            return self.refuse(id, reason);
        }
        let Some(peer::Action::Greeted(handshake)) = actions.pop() else { return };
        let Some(&torrent) = self.by_hash.get(&handshake.info_hash) else {
            return self.refuse(id, CloseReason::WrongTorrent);
        };
        let ConnOwner::Greeting(stranger) = core::mem::replace(&mut conn.owner, ConnOwner::Closing) else {
            return;
        };
        let Stranger { peer, from } = *stranger;
        self.greeting.retain(|greeting| *greeting != id);
        if !self.may_stay(torrent) {
            let event = Event::PeerClosed { torrent: Some(torrent), peer: from, reason: CloseReason::NoRoom };
            self.out.push_back(Output::Event(event));
            self.disarm_conn(id);
            self.out.push_back(Output::Close { conn: id, how: CloseHow::Now });
            return;
        }
        // The torrent may have closed the peer again by the time it returns: then nobody is to be told of it.
        let taken =
            self.let_torrent(torrent, |torrent, turn| torrent.take_in(id, peer, from, handshake, turn));
        if let Some(Ok(peer)) = taken
            && self.torrents.get(torrent).is_some_and(|torrent| torrent.has_peer(peer))
        {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.owner = ConnOwner::Torrent(torrent, peer);
            }
        } else {
            self.disarm_conn(id);
            self.out.push_back(Output::Close { conn: id, how: CloseHow::Now });
        }
        if let Some(Err(reason)) = taken {
            let event = Event::PeerClosed { torrent: Some(torrent), peer: from, reason };
            self.out.push_back(Output::Event(event));
        }
        self.with_torrent(torrent, |_, _| ());
    }

    /// Stops reading from a connection while the disk is behind or a download limit is used up. Only those
    /// that just brought something are stopped, so this costs nothing for all others.
    fn hold_back(&mut self, id: ConnId, torrent: TorrentId, peer: PeerKey, bytes: u64) {
        self.end_promise(id);
        self.download.spend(self.now, bytes);
        let all = self.download.available_at(self.now, 1);
        let own = self.torrents.get_mut(torrent).and_then(|torrent| torrent.throttle(self.now, bytes));
        let until = own.map_or(all, |own| own.max(all));
        let owes = self.torrents.get(torrent).is_some_and(|torrent| torrent.owes_blocks(peer));
        let brings = |torrent: &Torrent| torrent.brings_unasked(peer);
        let is_news = !owes && bytes < SMALL_TALK && !self.torrents.get(torrent).is_some_and(brings);
        let Some(conn) = self.conns.get_mut(id) else { return };
        // Whoever owes nothing is heard at any time, but for those who bring blocks all the same, in however small
        // parts: the others would have nothing left of the limit.
        if is_news || matches!(conn.owner, ConnOwner::Closing) {
            return;
        }
        let was_reading = !conn.stalled && !conn.throttled;
        if owes && self.common.budget.is_full() && !conn.stalled {
            conn.stalled = true;
            self.stalled.push(id);
        }
        if until > self.now && !conn.throttled {
            conn.throttled = true;
            self.throttled.push(id);
            self.deadlines.arm(Owner::Throttle, Some(until));
        }
        if was_reading && (conn.stalled || conn.throttled) {
            self.set_reading(id, false);
        }
    }

    fn set_reading(&mut self, id: ConnId, on: bool) {
        let Some(conn) = self.conns.get(id) else { return };
        if let ConnOwner::Torrent(torrent, peer) = conn.owner
            && let Some(torrent) = self.torrents.get_mut(torrent)
        {
            torrent.set_reading(peer, on, self.now);
            self.out.push_back(Output::Reading { conn: id, on });
        }
    }

    /// The disk has caught up: reading goes on.
    pub(super) fn read_stalled(&mut self) {
        if self.stalled.is_empty() || !self.common.budget.has_eased() {
            return;
        }
        for id in core::mem::take(&mut self.stalled) {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.stalled = false;
            if !conn.throttled {
                self.set_reading(id, true);
                self.arm_conn(id);
            }
        }
    }

    /// The download limit allows more: reading goes on, from as many connections as there is room for a block of,
    /// those first that have waited longest.
    pub(super) fn read_throttled(&mut self) {
        let mut still = Vec::new();
        let mut waiting = core::mem::take(&mut self.throttled).into_iter();
        for id in waiting.by_ref() {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            let all = self.download.available_at(self.now, 1);
            if all > self.now {
                still.push(id);
                self.deadlines.arm(Owner::Throttle, Some(all));
                break; // and all the others wait for the same
            }
            if let ConnOwner::Torrent(torrent, peer) = conn.owner
                && let Some(torrent) = self.torrents.get_mut(torrent)
            {
                if let Some(until) = torrent.throttle(self.now, 0) {
                    still.push(id);
                    self.deadlines.arm(Owner::Throttle, Some(until));
                    continue;
                }
                // Counted now, as if it were here: were all of them let loose at once, a hundred connections would
                // bring megabytes before the limit could tell.
                let promise = torrent.may_bring(peer, self.now);
                if promise > 0 {
                    torrent.throttle(self.now, promise);
                    self.download.spend(self.now, promise);
                    self.released.insert(id, promise);
                }
            }
            conn.throttled = false;
            if !conn.stalled {
                self.set_reading(id, true);
                self.arm_conn(id);
            }
        }
        still.extend(waiting);
        self.throttled = still;
    }

    /// What was promised to a connection has come, or never will.
    fn end_promise(&mut self, id: ConnId) {
        if self.released.is_empty() {
            return;
        }
        let Some(promise) = self.released.remove(&id) else { return };
        self.download.give_back(promise);
        if let Some(Conn { owner: ConnOwner::Torrent(torrent, _), .. }) = self.conns.get(id)
            && let Some(torrent) = self.torrents.get_mut(*torrent)
        {
            torrent.unthrottle(promise);
        }
    }

    pub(super) fn on_sent(&mut self, id: ConnId, bytes: u32) {
        if let Some(Conn { owner: ConnOwner::Torrent(torrent, peer), .. }) = self.conns.get(id) {
            let (torrent, peer) = (*torrent, *peer);
            let held = self.let_torrent(torrent, |torrent, turn| torrent.sent(peer, bytes, turn));
            self.breaches.sent_too_much += u64::from(held == Some(false));
            // The blocks that follow may have to wait for a limit, and nothing else may ever ask for them again;
            // or these were the last it gives, and trackers are to be told so.
            if let Some(waiting) = self.torrents.get(torrent).filter(|torrent| torrent.is_held_back()) {
                self.deadlines.arm(Owner::Torrent(torrent), waiting.deadline(self.now));
                self.deadlines.arm(Owner::Uplink, self.common.upload.deadline(self.now));
            }
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnId, end: StreamEnd) {
        self.end_promise(id);
        let Some(mut conn) = self.conns.remove(id) else { return };
        self.deadlines.disarm_conn(id, &mut conn.armed);
        if conn.connecting {
            self.connecting -= 1;
        }
        match conn.owner {
            ConnOwner::Torrent(torrent, peer) => {
                self.with_torrent(torrent, |torrent, turn| torrent.closed(peer, end, turn));
            }
            ConnOwner::Greeting(stranger) => {
                self.greeting.retain(|greeting| *greeting != id);
                let reason = CloseReason::Stream(end);
                let event = Event::PeerClosed { torrent: None, peer: stranger.from, reason };
                self.out.push_back(Output::Event(event));
            }
            ConnOwner::Closing => {}
        }
        self.look_for_room = Instant::ZERO; // a place is free
        self.dial_on();
        self.see_to_stopping();
    }

    /// Sees to it that a connection is woken in time.
    pub(super) fn arm_conn(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let at = match &conn.owner {
            ConnOwner::Greeting(stranger) => Some(stranger.peer.deadline(self.now)),
            ConnOwner::Torrent(torrent, peer) => {
                self.torrents.get(*torrent).and_then(|torrent| torrent.peer_deadline(*peer, self.now))
            }
            ConnOwner::Closing => None,
        };
        self.deadlines.arm_conn(id, &mut conn.armed, at);
    }

    /// A connection that ends is not woken any more.
    pub(super) fn disarm_conn(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.deadlines.disarm_conn(id, &mut conn.armed);
        }
    }

    /// A connection's deadline has come.
    pub(super) fn tick_conn(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.armed = Instant::NEVER;
        match &mut conn.owner {
            ConnOwner::Torrent(torrent, peer) => {
                let (torrent, peer) = (*torrent, *peer);
                self.with_torrent(torrent, |torrent, turn| torrent.tick_peer(peer, turn));
            }
            ConnOwner::Greeting(stranger) => {
                let mut actions = Vec::new();
                let mut cx = Cx { now: self.now, rng: &mut self.common.rng, out: &mut actions };
                let result = stranger.peer.tick(&mut cx);
                if let Err(reason) = result {
                    self.refuse(id, reason);
                }
            }
            ConnOwner::Closing => {}
        }
        self.arm_conn(id);
    }

    /// Closes whoever has not named a torrent yet.
    pub(super) fn refuse_greeting(&mut self) {
        for id in core::mem::take(&mut self.greeting) {
            self.refuse(id, CloseReason::TorrentStopped);
        }
    }
}
