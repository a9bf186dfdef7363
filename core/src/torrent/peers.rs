//! Connections of a torrent: dialling, taking in, reacting to what a peer did, and letting go.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::known::Outcome;
use super::{Action, Counted, Event, Outside, Slot, Source, Torrent, Turn};
use crate::choke::Recent;
use crate::cx::Cx;
use crate::id::{BLOCK_LEN, ConnId, PeerKey};
use crate::peer::{self, CloseReason, Peer, StreamEnd};
use crate::picker::Picker;
use crate::time::Instant;
use crate::wire::extended::{ExtendedHandshake, ExtensionIds, PEX_ID};
use crate::wire::{Handshake, WireError};

/// A peer that dials us and has sent nothing for this long on another connection has lost that one.
const LOST_TIME: Duration = Duration::from_secs(10);

/// A peer that is read again after a pause is expected to bring what it sends in this part of a second.
const BROUGHT_PART: u64 = 4;

/// Gone peers whose addresses are remembered while pieces they sent parts of are unfinished.
const GONE_MAX: usize = 256;

impl Torrent {
    /// When somebody should be dialled, if there is room and anybody to dial.
    #[must_use]
    pub fn next_dial(&self) -> Option<Instant> {
        let room = self.wants_peers() && !self.is_full();
        room.then(|| self.known.deadline()).flatten()
    }

    /// Takes the address to dial next, if one is due.
    pub fn take_dial(&mut self, now: Instant, outside: &Outside) -> Option<SocketAddr> {
        if self.next_dial()? > now {
            return None;
        }
        let port = self.settings.listen_port.unwrap_or(0);
        self.known.take_due(now, |address| outside.priority(port, address))
    }

    /// A connection to `to` was asked for.
    pub fn dial(&mut self, conn: ConnId, to: SocketAddr, turn: &mut Turn<'_>) -> PeerKey {
        let peer = Peer::dial(self.hello, self.settings.peer, turn.now);
        self.insert(conn, peer, to, false, turn.now)
    }

    /// Takes in a peer that connected to us and named this torrent in `handshake`.
    pub fn take_in(
        &mut self,
        conn: ConnId,
        peer: Peer,
        from: SocketAddr,
        handshake: Handshake,
        turn: &mut Turn<'_>,
    ) -> Result<PeerKey, CloseReason> {
        if !self.wants_peers() {
            return Err(CloseReason::TorrentStopped);
        }
        if !self.make_room(from, turn) {
            return Err(CloseReason::NoRoom);
        }
        let key = self.insert(conn, peer, from, true, turn.now);
        self.greeted(key, handshake, turn);
        self.end_turn(key, turn);
        Ok(key)
    }

    fn insert(
        &mut self,
        conn: ConnId,
        peer: Peer,
        address: SocketAddr,
        incoming: bool,
        now: Instant,
    ) -> PeerKey {
        self.peers.insert(Box::new(Slot {
            conn,
            peer,
            address,
            incoming,
            peer_id: None,
            counted: Counted::No,
            useful: 0,
            since: now,
            last_unchoked: Instant::ZERO,
            sent_before: 0,
            recent: Recent::new(now),
            turns: 0,
            waits: false,
            listens: (!incoming).then_some(address),
        }))
    }

    /// A connection we asked for stands.
    pub fn connected(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        self.with_peer(key, turn, |peer, cx| {
            peer.connected(cx);
            Ok(())
        });
    }

    /// Bytes arrived.
    pub fn received(&mut self, key: PeerKey, data: Bytes, turn: &mut Turn<'_>) {
        self.with_peer(key, turn, |peer, cx| peer.receive(data, cx));
    }

    /// Looks at something in every part of memory that a message of a peer needs. What comes of it means nothing.
    #[must_use]
    pub fn foresee(&self, key: PeerKey) -> u64 {
        let own = self.up.foresee() ^ self.seeding.given() ^ u64::from(self.picker.have().count());
        self.peers.get(key).map_or(own, |slot| own ^ slot.peer.foresee())
    }

    /// The driver's system took some bytes. Says whether it had been given so many.
    pub fn sent(&mut self, key: PeerKey, bytes: u32, turn: &mut Turn<'_>) -> bool {
        let Some(slot) = self.peers.get_mut(key) else { return true };
        let held = slot.peer.sent(bytes, turn.now);
        let (blocks, metadata) = (slot.peer.requests_waiting() > 0, slot.peer.waits_for_metadata());
        if metadata {
            let info = self.info();
            self.let_act(key, turn, |peer, cx| {
                peer.serve_metadata(&info, cx);
                Ok(())
            });
        }
        if blocks {
            self.serve(key, turn);
        }
        if blocks || metadata {
            self.end_turn(key, turn);
        }
        held
    }

    /// The stream ended by itself.
    pub fn closed(&mut self, key: PeerKey, end: StreamEnd, turn: &mut Turn<'_>) {
        self.forget(key, CloseReason::Stream(end), turn);
        if let StreamEnd::Unreadable(piece) = end {
            self.doubt(piece, turn);
        }
    }

    /// A peer's deadline has come.
    pub fn tick_peer(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        self.with_peer(key, turn, Peer::tick);
    }

    /// When [`tick_peer`](Self::tick_peer) is next of use.
    #[must_use]
    pub fn peer_deadline(&self, key: PeerKey, now: Instant) -> Option<Instant> {
        self.peers.get(key).map(|slot| slot.peer.deadline(now))
    }

    /// Reading from a peer stopped, or goes on: what it cannot tell us meanwhile is not held against it.
    pub fn set_reading(&mut self, key: PeerKey, on: bool, now: Instant) {
        if let Some(slot) = self.peers.get_mut(key) {
            slot.peer.set_reading(on, now);
        }
    }

    /// Whether `key` is connected.
    #[must_use]
    pub fn has_peer(&self, key: PeerKey) -> bool {
        self.peers.contains_key(key)
    }

    /// Whether a peer still owes us blocks: only such a peer is ever stopped from sending while the disk is behind.
    #[must_use]
    pub fn owes_blocks(&self, key: PeerKey) -> bool {
        self.peers.get(key).is_some_and(|slot| slot.peer.asked().len() > 0)
    }

    /// What a peer that was not read from may bring at once, in bytes, as far as its pace tells: none if it owes nothing.
    #[must_use]
    pub fn may_bring(&self, key: PeerKey, now: Instant) -> u64 {
        let Some(slot) = self.peers.get(key).filter(|slot| slot.peer.asked().len() > 0) else { return 0 };
        let owed = slot.peer.asked().len() as u64 * u64::from(BLOCK_LEN);
        owed.min((slot.peer.down_rate(now) / BROUGHT_PART).max(u64::from(BLOCK_LEN)))
    }

    /// Whether a peer sends blocks that nobody asked for, or may be about to.
    #[must_use]
    pub fn brings_unasked(&self, key: PeerKey) -> bool {
        self.peers.get(key).is_some_and(|slot| slot.peer.brings_unasked())
    }

    /// Lets a peer do something, then reacts to what came of it.
    pub(super) fn with_peer(
        &mut self,
        key: PeerKey,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Peer, &mut Cx<'_, peer::Action>) -> Result<(), CloseReason>,
    ) {
        self.let_act(key, turn, act);
        self.end_turn(key, turn);
    }

    fn let_act(
        &mut self,
        key: PeerKey,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Peer, &mut Cx<'_, peer::Action>) -> Result<(), CloseReason>,
    ) {
        let mut actions = core::mem::take(turn.scratch);
        let Some(slot) = self.peers.get_mut(key) else { return };
        let result = act(&mut slot.peer, &mut Cx { now: turn.now, rng: turn.rng, out: &mut actions });
        let mut greeting = None;
        // The peer has taken in what it was told already, so that is counted before anything that could close
        // it: what is taken back then is what was counted.
        let gone = |action: &peer::Action| matches!(action, peer::Action::DontHave(_));
        if actions.iter().any(|action| matches!(action, peer::Action::Has)) {
            self.told_all(key);
        } else if actions.iter().any(gone) && self.no_longer_a_seed(key) {
            // Counted as it stands after all of them.
        } else {
            for action in &actions {
                match action {
                    peer::Action::Have(piece) => self.told_have(key, *piece),
                    peer::Action::DontHave(piece) => self.told_gone(key, *piece),
                    _ => {}
                }
            }
        }
        for action in actions.drain(..) {
            match action {
                peer::Action::Greeted(handshake) => greeting = Some(handshake),
                action => self.react(key, action, turn),
            }
        }
        *turn.scratch = actions;
        match (result, greeting) {
            (Err(reason), _) => self.close(key, reason, turn),
            (Ok(()), Some(handshake)) => self.greeted(key, handshake, turn),
            (Ok(()), None) => self.close_if_seed(key, turn),
        }
    }

    pub(super) fn react(&mut self, key: PeerKey, action: peer::Action, turn: &mut Turn<'_>) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        match action {
            peer::Action::Got { block, data } => self.got(key, block, data, turn),
            peer::Action::Send(segment) => turn.out.push(Action::Send { conn: slot.conn, segment }),
            peer::Action::Withdrawn(block) => self.withdrawn(key, block),
            peer::Action::Wasted(bytes) => self.past.wasted += u64::from(bytes),
            peer::Action::Requested(block) => self.requested(key, block, turn),
            peer::Action::Cancelled(block) => slot.peer.forgo(block),
            // Somebody to give a slot to, or a slot to give to somebody: the choker looks at once.
            peer::Action::Interested(_) => self.choker.slot_freed(turn.now),
            peer::Action::Extended => self.extended(key, turn),
            peer::Action::DhtPort(port) => {
                if !self.known.is_private() {
                    turn.out.push(Action::DhtNode(SocketAddr::new(slot.address.ip(), port)));
                }
            }
            peer::Action::MetadataRequested(piece) => {
                let info = self.info();
                self.let_act(key, turn, |peer, cx| peer.admit_metadata(piece, &info, cx));
            }
            peer::Action::MetadataGot { piece, total, data } => {
                self.got_metadata(key, piece, total, &data, turn);
            }
            peer::Action::MetadataRejected(piece) => self.rejected_metadata(key, piece, turn),
            // What may be asked now is looked at at the end of every turn.
            peer::Action::Unchoked | peer::Action::Choked | peer::Action::Hint | peer::Action::Snubbed => {}
            peer::Action::Has | peer::Action::Have(_) | peer::Action::DontHave(_) => {} // let_act has counted them
            peer::Action::Exchanged(message) => self.heard_of(key, &message, turn),
            peer::Action::Rendezvous(with) => self.refuse_rendezvous(key, with, turn),
            peer::Action::Greeted(_) => unreachable!("let_act keeps greetings back"),
        }
    }

    /// What every turn ends with: new requests, then everything gathered leaves in one segment.
    pub(super) fn end_turn(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        // What one that is late had to give back goes to others, if any of them wants it. It would take it again
        // else, and a piece that comes from one peer alone might never come.
        if self.peers.get(key).is_some_and(|slot| slot.peer.is_snubbed()) {
            self.feed_starved(turn);
        }
        self.fill(key, turn);
        self.feed_starved(turn);
        self.ask_metadata(turn);
        self.flush(key, turn);
        self.see_to_seeding(turn);
    }

    pub(super) fn flush(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        let mut actions = core::mem::take(turn.scratch);
        if let Some(slot) = self.peers.get_mut(key) {
            slot.peer.flush(&mut Cx { now: turn.now, rng: turn.rng, out: &mut actions });
            for action in actions.drain(..) {
                if let peer::Action::Send(segment) = action {
                    turn.out.push(Action::Send { conn: slot.conn, segment });
                }
            }
        }
        *turn.scratch = actions;
    }

    /// Both handshakes are there: is this peer to be kept?
    fn greeted(&mut self, key: PeerKey, handshake: Handshake, turn: &mut Turn<'_>) {
        if let Err(reason) = self.admit(key, &handshake, turn) {
            return self.close(key, reason, turn);
        }
        let Some(slot) = self.peers.get_mut(key) else { return };
        slot.peer_id = Some(handshake.peer_id);
        turn.out.push(Action::Event(Event::PeerConnected { torrent: self.id, peer: slot.address }));
        let your_ip = Some(slot.address.ip());
        let extension = ExtendedHandshake { your_ip, ..self.extension() };
        self.tell_of(key, turn.now);
        let have = self.picker.have().clone();
        let hello = self.hello;
        self.let_act(key, turn, |peer, cx| peer.open(hello, &have, &extension, cx));
    }

    /// What we say about ourselves (BEP 10).
    pub(super) fn extension(&self) -> ExtendedHandshake {
        ExtendedHandshake {
            ids: ExtensionIds { ut_pex: self.exchange.is_some().then_some(PEX_ID), ..ExtensionIds::OURS },
            upload_only: self.is_finished(),
            client: Some(self.settings.client_name.clone()),
            port: self.settings.listen_port,
            request_queue: Some(self.settings.peer.requests_max),
            metadata_size: self.metainfo.as_ref().map(|metainfo| metainfo.info.raw.len() as u32),
            ..ExtendedHandshake::default()
        }
    }

    fn admit(&mut self, key: PeerKey, handshake: &Handshake, turn: &mut Turn<'_>) -> Result<(), CloseReason> {
        let Some(slot) = self.peers.get(key) else { return Ok(()) };
        let (address, incoming) = (slot.address, slot.incoming);
        if handshake.peer_id == self.hello.peer_id {
            return Err(CloseReason::Ourselves);
        }
        if self.known.is_banned(address) || self.judge.is_banned(address.ip(), handshake.peer_id) {
            return Err(CloseReason::Banned);
        }
        // The same peer twice: each dialled the other at once, or it came back before we saw it go. Both sides
        // have to keep the same connection, so it is the one that the higher peer id dialled.
        let twin = self.peers.iter().find(|(other, slot)| {
            *other != key
                && slot.peer_id == Some(handshake.peer_id)
                && slot.address.ip() == address.ip()
                && (slot.incoming || incoming)
        });
        let Some((twin, other)) = twin else { return Ok(()) };
        let keep_incoming = handshake.peer_id > self.hello.peer_id;
        // If the peer has lost the old connection without our knowing, nothing comes on it any more.
        if other.peer.is_silent(turn.now, LOST_TIME) {
            self.close(twin, CloseReason::Silent, turn);
            Ok(())
        } else if other.incoming != incoming && incoming == keep_incoming {
            self.close(twin, CloseReason::Duplicate, turn);
            Ok(())
        } else {
            Err(CloseReason::Duplicate)
        }
    }

    /// Ends a connection for a reason of ours.
    pub(super) fn close(&mut self, key: PeerKey, reason: CloseReason, turn: &mut Turn<'_>) {
        if let Some(conn) = self.forget(key, reason, turn) {
            // A torrent that stops after giving enough owes the last of it still.
            turn.out.push(Action::Close { conn, after_send: self.is_finished() && self.paused });
        }
    }

    /// What becomes of a seed, if nothing is missing: it may be of use again only where something was not wanted.
    fn without_need(&self) -> Option<Outcome> {
        let outcome = if self.picker.is_complete() { Outcome::Useless } else { Outcome::Resting };
        self.is_finished().then_some(outcome)
    }

    /// Lets go of a peer: its requests, its pieces in the availability, its place.
    fn forget(&mut self, key: PeerKey, reason: CloseReason, turn: &mut Turn<'_>) -> Option<ConnId> {
        let slot = self.peers.remove(key)?;
        super::status::add(&mut self.past.peers, slot.peer.totals());
        self.picker.give_back_all(key);
        self.freed = true;
        uncount(&mut self.picker, slot.counted, &slot.peer);
        if let Some(exchange) = &mut self.exchange {
            exchange.left(key, turn.now);
        }
        if self.peers.is_empty() {
            self.picker.rest();
            turn.slots.leave(self.id);
        }
        self.starved.remove(&key);
        let totals = slot.peer.totals();
        if totals.payload_down > totals.unasked {
            if self.gone.len() == GONE_MAX {
                self.gone.pop_front();
            }
            self.gone.push_back((key, slot.address));
        }
        if !slot.peer.is_choked() {
            self.choker.slot_freed(turn.now);
        }
        if let Some(listens) = slot.listens {
            self.known.ended(listens, outcome(&slot, &reason, self.without_need()), turn.now, turn.rng);
        }
        turn.out.push(Action::Event(Event::PeerClosed {
            torrent: Some(self.id),
            peer: slot.address,
            reason,
        }));
        self.feed_starved(turn);
        self.lost_source(key, turn);
        Some(slot.conn)
    }

    /// Everything that is wanted is here: closes the peers that cannot be of use any more, which are seeds like us, and forgets
    /// how rare the pieces are.
    pub(super) fn close_seeds(&mut self, turn: &mut Turn<'_>) {
        for slot in self.peers.values_mut() {
            uncount(&mut self.picker, core::mem::replace(&mut slot.counted, Counted::No), &slot.peer);
        }
        self.picker.rest();
        let seeds: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, slot)| slot.peer.has_told() && slot.peer.has().is_full())
            .map(|(key, _)| key)
            .collect();
        for key in seeds {
            self.close(key, CloseReason::NothingToExchange, turn);
        }
    }

    /// Its extension handshake: a peer that connected to us may tell where it listens, so that it can be
    /// dialled when this connection is gone.
    fn extended(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        if let Some(ip) = slot.peer.extension().and_then(|theirs| theirs.your_ip) {
            turn.outside.seen_as(ip);
        }
        let size = slot.peer.offered_metadata();
        if slot.listens.is_none()
            && let Some(port) = slot.peer.extension().and_then(|theirs| theirs.port)
        {
            let address = SocketAddr::new(slot.address.ip(), port);
            slot.listens = self.known.hold(address, Source::Incoming, turn.now, turn.rng).then_some(address);
        }
        self.tell_of(key, turn.now);
        self.see_who_listens(key, turn.now);
        if let Some(size) = size {
            self.offered_metadata(key, size);
        }
    }
}

/// Takes a peer's pieces out of the availability.
fn uncount(picker: &mut Picker, counted: Counted, peer: &Peer) {
    match counted {
        Counted::No => {}
        Counted::Bits => picker.gone_bitfield(peer.has()),
        Counted::Seed => picker.gone_seed(),
    }
}

/// How a connection went, for the book of known peers.
///
/// `nothing_left` is what becomes of somebody who has nothing for us, if nothing is missing now.
fn outcome(slot: &Slot, reason: &CloseReason, nothing_left: Option<Outcome>) -> Outcome {
    let totals = slot.peer.totals();
    match reason {
        CloseReason::Anew => Outcome::Fruitful,
        // That was our doing, and when it goes on they are as good as they were.
        CloseReason::TorrentStopped if slot.peer_id.is_some() => Outcome::Fruitful,
        CloseReason::Ourselves | CloseReason::Duplicate => Outcome::Useless,
        CloseReason::NothingToExchange => nothing_left.unwrap_or(Outcome::Useless),
        // Another program, or another protocol, answers there.
        CloseReason::WrongTorrent | CloseReason::Wire(WireError::ProtocolString) => Outcome::Misbehaved,
        reason if reason.is_misbehaviour() => Outcome::Misbehaved,
        _ if let Some(outcome) = nothing_left
            && slot.peer.has_told()
            && slot.peer.has().is_full() =>
        {
            outcome
        }
        _ if totals.payload_down > totals.unasked => Outcome::Fruitful,
        _ if slot.peer_id.is_some() => Outcome::Fruitless,
        _ => Outcome::Failed,
    }
}
