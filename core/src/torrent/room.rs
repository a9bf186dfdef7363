//! Who gives way when a torrent has as many connections as it may have: peers that have been of no use, then those of
//! whom there are too many from one network.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::{Slot, Torrent, Turn};
use crate::id::PeerKey;
use crate::peer::CloseReason;
use crate::scope;
use crate::time::Instant;

/// So long a peer that we dialled may take to say that it has something we want, or wants something of ours.
/// Those that came by themselves get no time at all once others come: a crowd that comes back as soon as it is
/// shown out would otherwise keep every place, while an honest peer says what it has in its first breath.
const GRACE: Duration = Duration::from_secs(10);
/// So long one that could be of use may be of none.
const GRACE_PROMISING: Duration = Duration::from_secs(60);
/// A network with more than one of so many places is a crowd.
const CROWD_PART: u32 = 10;
/// Most that give way at a time to addresses that nobody has tried yet: what waits there may be worse.
const TURNOVER: usize = 10;

impl Torrent {
    pub(super) fn is_full(&self) -> bool {
        self.peers.len() as u32 >= self.settings.peers_max
    }

    /// Makes room for a peer that is there and has said what it is here for; says whether there is room.
    ///
    /// One of no use gives way; of those, one of a crowd first, and for somebody of a crowd no others. If all are of
    /// use, the one that exchanges least does among those of the network with most of them, unless the newcomer's
    /// would have as many: one host can look as busy as a hundred peers, and as eager to come.
    pub(super) fn make_room(&mut self, from: SocketAddr, turn: &mut Turn<'_>) -> bool {
        if !self.is_full() {
            return true;
        }
        let mut networks: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for slot in self.peers.values() {
            *networks.entry(network(slot.address)).or_default() += 1;
        }
        let connections = |address| networks.get(&network(address)).copied().unwrap_or(0);
        let of_crowd = |address| connections(address) > self.settings.peers_max / CROWD_PART;
        let port = self.settings.listen_port.unwrap_or(0);
        let of_equals = |slot: &Slot| (turn.outside.priority(port, slot.address), slot.since);
        let idle = self
            .idle(turn.now)
            .filter(|(_, slot)| of_crowd(slot.address) || !of_crowd(from))
            .min_by_key(|(_, slot)| (worth(slot), !of_crowd(slot.address), of_equals(slot)));
        let least = || {
            let (largest, most) = networks.iter().max_by_key(|(_, peers)| **peers)?;
            let rate = |slot: &Slot| slot.peer.down_rate(turn.now) + slot.peer.up_rate(turn.now);
            let theirs = self.peers.iter().filter(|(_, slot)| network(slot.address) == *largest);
            let theirs = theirs.map(|(key, slot)| (key, &**slot));
            let least = theirs.min_by_key(|(_, slot)| (rate(slot), worth(slot), Reverse(slot.since)));
            least.filter(|_| *most > connections(from) + 1)
        };
        let Some((key, _)) = idle.or_else(least) else { return false };
        self.close(key, CloseReason::NoRoom, turn);
        !self.is_full()
    }

    /// Makes room for those that are due to be dialled. Only peers that show no sign of use give way.
    pub(super) fn make_room_to_dial(&mut self, turn: &mut Turn<'_>) {
        if !self.is_full() || !self.known.is_due(turn.now) {
            return;
        }
        let idle = self.idle(turn.now).filter(|(_, slot)| !is_promising(slot));
        let mut idle: Vec<_> = idle.map(|(key, slot)| (worth(slot), slot.since, key)).collect();
        idle.sort_unstable();
        for (.., key) in idle.into_iter().take(TURNOVER) {
            self.close(key, CloseReason::NoRoom, turn);
        }
    }

    /// Connections, those still being opened included.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.peers.len() as u32
    }

    /// Ends a connection for the sake of another torrent: one of no use, or else the one that exchanges least.
    pub fn give_way(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let idle = self.idle(now).min_by_key(|(_, slot)| (worth(slot), slot.since)).map(|(key, _)| key);
        let rate = |slot: &Slot| slot.peer.down_rate(now) + slot.peer.up_rate(now);
        let least = || {
            let open = self.peers.iter().filter(|(_, slot)| slot.peer.is_open());
            open.min_by_key(|(_, slot)| (rate(slot), worth(slot), slot.since)).map(|(key, _)| key)
        };
        if let Some(key) = idle.or_else(least) {
            self.close(key, CloseReason::NoRoom, turn);
        }
    }

    /// So many connections and no more from now on: those that exchange least go first.
    pub fn set_peers_max(&mut self, max: u32, turn: &mut Turn<'_>) {
        self.settings.peers_max = max;
        let now = turn.now;
        let rate = |slot: &Slot| slot.peer.down_rate(now) + slot.peer.up_rate(now);
        let mut all: Vec<_> =
            self.peers.iter().map(|(key, slot)| (rate(slot), worth(slot), slot.since, key)).collect();
        all.sort_unstable();
        for (.., key) in all.into_iter().rev().skip(max as usize) {
            self.close(key, CloseReason::NoRoom, turn);
        }
    }

    /// Peers that have been here for long enough and neither gave nor took anything. One that waits for us to
    /// serve it is not to blame for that, and those we are still connecting to have a deadline of their own.
    fn idle(&self, now: Instant) -> impl Iterator<Item = (PeerKey, &Slot)> {
        let finished = self.is_finished();
        let peers = self.peers.iter().map(|(key, slot)| (key, &**slot));
        peers.filter(move |(_, slot)| {
            let totals = slot.peer.totals();
            let exchanged = totals.payload_down > totals.unasked || totals.payload_up > 0;
            let waits = finished && slot.peer.is_interested();
            slot.peer_id.is_some() && !exchanged && !waits && slot.since + grace(slot) <= now
        })
    }
}

/// What one owner commonly has at least: the neighbours of an IPv4 address, the subnet of an IPv6 one.
fn network(address: SocketAddr) -> IpAddr {
    match scope::plain(address.ip()) {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Who gives way first: the smallest; of equals the one of the lowest canonical priority (BEP 40).
const fn worth(slot: &Slot) -> (bool, bool) {
    (is_promising(slot), !slot.incoming)
}

const fn grace(slot: &Slot) -> Duration {
    match (is_promising(slot), slot.incoming) {
        (true, _) => GRACE_PROMISING,
        (false, true) => Duration::ZERO,
        (false, false) => GRACE,
    }
}

/// Whether there is something it could give us, or we it.
const fn is_promising(slot: &Slot) -> bool {
    slot.useful > 0 || slot.peer.is_interested() || slot.peer.is_early() && slot.peer.has_metadata()
}
