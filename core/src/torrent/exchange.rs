//! Peer exchange (BEP 11): each peer is told whom else we are connected to, and whoever it names is a hint.
//!
//! What is told is kept once for all peers, as a list of changes in the order they happened: somebody came, or is gone.
//! Each peer has a place in it, up to which it has been told. So a thousand peers that have nothing new to hear cost a
//! number each, and no timer.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Slot, Source, Torrent, Turn};
use crate::id::PeerKey;
use crate::scope::{self, NamedBy};
use crate::time::Instant;
use crate::wire::holepunch::HolepunchError;
use crate::wire::pex::{PEX_PEERS_MAX, PexFlags, PexMessage};

/// From news, or the wish to hear any, to the message: what happens meanwhile goes with it.
const GATHER: Duration = Duration::from_secs(1);
/// A peer is told no more often (BEP 11).
const AGAIN: Duration = Duration::from_secs(60);

/// Whom we are connected to, and who was told so.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The number of the latest change.
    change: u64,
    /// Those who are here, by the change with which they came.
    here: BTreeMap<u64, (PeerKey, SocketAddr)>,
    came: BTreeMap<PeerKey, u64>,
    /// The latest who are gone, oldest first.
    gone: VecDeque<Gone>,
    listeners: BTreeMap<PeerKey, Listener>,
    /// Who is told next.
    due: BTreeSet<(Instant, PeerKey)>,
    /// The first of `due`.
    next: Option<Instant>,
    /// Who has been told everything.
    content: Vec<PeerKey>,
}

#[derive(Debug)]
struct Gone {
    change: u64,
    came: u64,
    address: SocketAddr,
}

/// A peer that wants to be told.
#[derive(Debug)]
struct Listener {
    /// The latest change it was told.
    told: u64,
    not_before: Instant,
    /// Its place in `due`, if it has one.
    due: Option<Instant>,
}

impl Exchange {
    /// A peer can be reached at `address`.
    fn came(&mut self, peer: PeerKey, address: SocketAddr, now: Instant) {
        if !self.came.contains_key(&peer) {
            self.change += 1;
            self.here.insert(self.change, (peer, address));
            self.came.insert(peer, self.change);
            self.wake(now);
        }
    }

    /// A peer is gone.
    pub(super) fn left(&mut self, peer: PeerKey, now: Instant) {
        self.hush(peer);
        let Some(came) = self.came.remove(&peer) else { return };
        let Some((_, address)) = self.here.remove(&came) else { return };
        self.change += 1;
        if self.gone.len() == PEX_PEERS_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone { change: self.change, came, address });
        self.wake(now);
    }

    /// A peer wants to be told.
    fn listen(&mut self, peer: PeerKey, now: Instant) {
        if let Entry::Vacant(place) = self.listeners.entry(peer) {
            place.insert(Listener { told: 0, not_before: now, due: None });
            self.schedule(peer, now + GATHER);
        }
    }

    /// A peer does not want to be told any more.
    fn hush(&mut self, peer: PeerKey) {
        if let Some(Listener { due: Some(due), .. }) = self.listeners.remove(&peer) {
            self.due.remove(&(due, peer));
            self.next = self.due.first().map(|(at, _)| *at);
        }
    }

    /// There are news for those who had heard everything.
    fn wake(&mut self, now: Instant) {
        for peer in core::mem::take(&mut self.content) {
            self.schedule(peer, now + GATHER);
        }
    }

    fn schedule(&mut self, peer: PeerKey, at: Instant) {
        let Some(listener) = self.listeners.get_mut(&peer).filter(|listener| listener.due.is_none()) else {
            return;
        };
        let at = at.max(listener.not_before);
        listener.due = Some(at);
        self.due.insert((at, peer));
        self.next = self.next.map_or(Some(at), |next| Some(next.min(at)));
    }

    /// When the next is to be told.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn take_due(&mut self, now: Instant) -> Option<PeerKey> {
        self.next.filter(|at| *at <= now)?;
        let (_, peer) = self.due.pop_first()?;
        self.next = self.due.first().map(|(at, _)| *at);
        self.listeners.get_mut(&peer)?.due = None;
        Some(peer)
    }

    /// What `peer` has not been told and may be, and up to which change that goes.
    fn news(
        &self,
        peer: PeerKey,
        may: impl Fn(IpAddr) -> bool,
        flags: impl Fn(PeerKey) -> PexFlags,
    ) -> (PexMessage, u64) {
        let told = self.listeners.get(&peer).map_or(self.change, |listener| listener.told);
        let (mut message, mut until) = (PexMessage::default(), self.change);
        for (change, (other, address)) in self.here.range(told + 1..) {
            if message.added.len() == PEX_PEERS_MAX {
                until = change - 1;
                break;
            }
            if *other != peer && may(address.ip()) {
                message.added.push((*address, flags(*other)));
            }
        }
        let gone =
            self.gone.iter().filter(|gone| gone.came <= told && told < gone.change && gone.change <= until);
        message.dropped = gone.map(|gone| gone.address).filter(|address| may(address.ip())).collect();
        (message, until)
    }

    /// `peer` was told all up to a change, by a message if there was anything to say.
    fn told(&mut self, peer: PeerKey, until: u64, by_message: bool, now: Instant) {
        let Some(listener) = self.listeners.get_mut(&peer) else { return };
        listener.told = until;
        if by_message {
            listener.not_before = now + AGAIN;
        }
        self.rest(peer, now);
    }

    /// `peer` waits for news, or for the time at which it may hear the rest of them.
    fn rest(&mut self, peer: PeerKey, now: Instant) {
        match self.listeners.get(&peer) {
            Some(listener) if listener.told < self.change => self.schedule(peer, now + AGAIN),
            Some(_) => self.content.push(peer),
            None => {}
        }
    }
}

impl Torrent {
    /// A peer can be reached where we reached it, or where it says that it listens: others may hear of it.
    pub(super) fn tell_of(&mut self, key: PeerKey, now: Instant) {
        if let Some(exchange) = &mut self.exchange
            && let Some(slot) = self.peers.get(key)
            && let Some(listens) = slot.listens
        {
            exchange.came(key, listens, now);
        }
    }

    /// A peer said whether it wants to hear of others.
    pub(super) fn see_who_listens(&mut self, key: PeerKey, now: Instant) {
        let Some(exchange) = &mut self.exchange else { return };
        let theirs = self.peers.get(key).and_then(|slot| slot.peer.extension());
        if theirs.and_then(|theirs| theirs.ids.ut_pex).is_some_and(|id| id > 0) {
            exchange.listen(key, now);
        } else {
            exchange.hush(key);
        }
    }

    /// Tells those whose time has come.
    pub(super) fn tick_exchange(&mut self, turn: &mut Turn<'_>) {
        while let Some(exchange) = &mut self.exchange
            && let Some(key) = exchange.take_due(turn.now)
        {
            let Some(slot) = self.peers.get(key) else { continue };
            let receiver = named_by(slot.address);
            let may = |address| scope::may_name(receiver, address);
            let flags = |other| self.peers.get(other).map_or(PexFlags::default(), |slot| flags(slot));
            let (message, until) = exchange.news(key, may, flags);
            if message.is_empty() {
                exchange.told(key, until, false, turn.now);
            } else if self.peers.get_mut(key).is_some_and(|slot| slot.peer.exchange(&message)) {
                exchange.told(key, until, true, turn.now);
            } else {
                exchange.rest(key, turn.now); // it does not take what it is sent
            }
            self.flush(key, turn);
        }
    }

    /// A peer names others. It may not name what it cannot reach itself, and seeds are of no use to a seed.
    pub(super) fn heard_of(&mut self, key: PeerKey, message: &PexMessage, turn: &mut Turn<'_>) {
        let Some(slot) = self.peers.get(key).filter(|_| self.exchange.is_some()) else { return };
        let sender = named_by(slot.address);
        let finished = self.is_finished();
        for (address, flags) in &message.added {
            let of_use = !(finished && flags.has(PexFlags::UPLOAD_ONLY));
            if of_use && scope::may_name(sender, address.ip()) {
                self.known.add(*address, Source::Pex, turn.now, turn.rng);
            }
        }
    }

    /// A peer wants to be introduced to another, which we do for nobody (BEP 55): says why not.
    pub(super) fn refuse_rendezvous(&mut self, key: PeerKey, with: SocketAddr, turn: &Turn<'_>) {
        let Some(slot) = self.peers.get(key) else { return };
        let is_us = self.settings.listen_port == Some(with.port()) && turn.outside.is_at(with.ip());
        let connected =
            || self.peers.values().find(|slot| slot.address == with || slot.listens == Some(with));
        let error = if is_us {
            HolepunchError::NoSelf
        } else if with.port() == 0 || !scope::may_name(named_by(slot.address), with.ip()) {
            HolepunchError::NoSuchPeer
        } else if connected().is_none() {
            HolepunchError::NotConnected
        } else {
            HolepunchError::NoSupport
        };
        if let Some(slot) = self.peers.get_mut(key) {
            slot.peer.refuse_rendezvous(with, error);
        }
    }
}

/// Who names what a peer at `address` does, or is told what it is.
fn named_by(address: SocketAddr) -> NamedBy {
    NamedBy::Host(scope::scope(address.ip()).unwrap_or(scope::Scope::Global))
}

fn flags(slot: &Slot) -> PexFlags {
    let seed = slot.peer.is_upload_only() || slot.peer.has_told() && slot.peer.has().is_full();
    let ids = slot.peer.extension().map(|theirs| theirs.ids).unwrap_or_default();
    PexFlags::default()
        .with(PexFlags::UPLOAD_ONLY, seed)
        .with(PexFlags::HOLEPUNCH, ids.ut_holepunch.is_some_and(|id| id > 0))
        .with(PexFlags::CONNECTABLE, !slot.incoming)
}
