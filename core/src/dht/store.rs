//! The peers that others have announced to us: for half an hour, and not more of them than there is room for.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::bloom::Bloom;
use super::contact::network;
use super::{Family, NodeId};
use crate::compact;
use crate::rng::Rng;
use crate::scope;
use crate::time::Instant;

/// Torrents we keep peers of.
pub const STORED_TORRENTS_MAX: usize = 2_000;
/// Peers we keep of one torrent and family; beyond these the oldest goes.
pub const STORED_PEERS_MAX: usize = 500;
/// Bytes that all peers take together: 200,000 of them over IPv4.
const STORED_BYTES_MAX: usize = 2_000_000;
/// An announce is good for so long; whoever goes on announces again in half that time.
const EXPIRY: Duration = Duration::from_secs(30 * 60);
/// What is too old is looked for this often.
const SWEEP_TIME: Duration = Duration::from_secs(60);

/// Peers by torrent.
#[derive(Debug, Default)]
pub(super) struct Store {
    torrents: BTreeMap<[u8; 20], Swarm>,
    /// Bytes of all peers.
    bytes: usize,
    swept: Instant,
}

/// The peers of one torrent: the DHT over IPv6 is another one, but the torrent is the same.
#[derive(Debug, Default)]
struct Swarm {
    v4: Vec<Peer<6>>,
    v6: Vec<Peer<18>>,
}

/// A peer in as few bytes as can be: a full store has very many.
#[derive(Clone, Copy, Debug)]
struct Peer<const N: usize> {
    address: [u8; N],
    /// When it announced itself: [`stamp`], and in the lowest bit whether it has everything.
    stamp: [u8; 2],
}

impl<const N: usize> Peer<N> {
    fn address(&self) -> Option<SocketAddr> {
        compact::read(&self.address)
    }

    const fn is_seed(&self) -> bool {
        self.stamp[1] & 1 == 1
    }

    /// Ages are told apart up to 36 hours, more than a peer is kept.
    fn age(&self, now: Instant) -> u16 {
        ((stamp(now) & !1).wrapping_sub(u16::from_be_bytes(self.stamp) & !1)) / 2
    }

    fn is_over(&self, now: Instant) -> bool {
        u64::from(self.age(now)) * STAMP_UNIT.as_secs() >= EXPIRY.as_secs()
    }
}

/// Times are kept in units of so much.
const STAMP_UNIT: Duration = Duration::from_secs(4);

/// A time in 15 bits above a free one.
const fn stamp(now: Instant) -> u16 {
    ((now.as_micros() / STAMP_UNIT.as_micros() as u64) << 1) as u16
}

/// What is told about a torrent.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) peers: Vec<SocketAddr>,
    pub(super) filters: [Bloom; 2],
}

impl Store {
    pub(super) fn torrents(&self) -> usize {
        self.torrents.len()
    }

    pub(super) fn peers(&self) -> usize {
        self.torrents.values().map(|swarm| swarm.v4.len() + swarm.v6.len()).sum()
    }

    /// Keeps a peer; says whether there was room. `own` is our id: torrents far from it are somebody else's to keep.
    pub(super) fn put(
        &mut self,
        own: &NodeId,
        info_hash: [u8; 20],
        peer: SocketAddr,
        seed: bool,
        now: Instant,
    ) -> bool {
        if now.since(self.swept) >= SWEEP_TIME {
            self.sweep(now);
        }
        if !self.torrents.contains_key(&info_hash) && self.torrents.len() >= STORED_TORRENTS_MAX {
            self.sweep(now);
            if self.torrents.len() >= STORED_TORRENTS_MAX && !self.make_room(own, &info_hash) {
                return false;
            }
        }
        let swarm = self.torrents.entry(info_hash).or_default();
        let may_grow = self.bytes < STORED_BYTES_MAX;
        let mut address = Vec::with_capacity(18);
        compact::put(peer, &mut address);
        let (before, kept) = match Family::of(peer) {
            Family::V4 => (swarm.v4.len() * 8, keep(&mut swarm.v4, &address, seed, may_grow, now)),
            Family::V6 => (swarm.v6.len() * 20, keep(&mut swarm.v6, &address, seed, may_grow, now)),
        };
        let after = match Family::of(peer) {
            Family::V4 => swarm.v4.len() * 8,
            Family::V6 => swarm.v6.len() * 20,
        };
        self.bytes = self.bytes + after - before;
        if swarm.v4.is_empty() && swarm.v6.is_empty() {
            self.torrents.remove(&info_hash);
        }
        kept
    }

    /// What we know of a torrent, for somebody at `to`: up to `most` peers of its family, any of them, and none that
    /// it could not reach ([`crate::scope`]).
    pub(super) fn get(
        &self,
        info_hash: &[u8; 20],
        to: SocketAddr,
        noseed: bool,
        most: usize,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Known> {
        let swarm = self.torrents.get(info_hash)?;
        let mut known = Known::default();
        let all =
            swarm.v4.iter().filter(|peer| !peer.is_over(now)).map(|peer| (peer.address(), peer.is_seed()));
        let all = all.chain(
            swarm.v6.iter().filter(|peer| !peer.is_over(now)).map(|peer| (peer.address(), peer.is_seed())),
        );
        let own_scope = scope::scope(to.ip());
        for (address, seed) in all {
            let Some(address) = address else { continue };
            if scope::scope(address.ip()) < own_scope {
                continue;
            }
            known.filters[usize::from(!seed)].insert(address.ip());
            if address.is_ipv4() == to.is_ipv4() && address != to && !(noseed && seed) {
                known.peers.push(address);
            }
        }
        rng.shuffle(&mut known.peers);
        known.peers.truncate(most);
        Some(known)
    }

    /// All peers we know of a torrent.
    pub(super) fn all(&self, info_hash: &[u8; 20], now: Instant) -> Vec<SocketAddr> {
        let Some(swarm) = self.torrents.get(info_hash) else { return Vec::new() };
        let v4 = swarm.v4.iter().filter(|peer| !peer.is_over(now)).map(Peer::address);
        let v6 = swarm.v6.iter().filter(|peer| !peer.is_over(now)).map(Peer::address);
        v4.chain(v6).flatten().collect()
    }

    /// Up to `most` torrents, any of them.
    pub(super) fn sample(&self, most: usize, rng: &mut Rng) -> Vec<[u8; 20]> {
        let count = self.torrents.len() as u32;
        let skip = rng.below(count.max(1)) as usize;
        let from_there = self.torrents.keys().skip(skip);
        let mut hashes: Vec<[u8; 20]> =
            from_there.chain(self.torrents.keys().take(skip)).take(most).copied().collect();
        rng.shuffle(&mut hashes);
        hashes
    }

    /// Forgets what is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.bytes = 0;
        let bytes = &mut self.bytes;
        self.torrents.retain(|_, swarm| {
            swarm.v4.retain(|peer| !peer.is_over(now));
            swarm.v6.retain(|peer| !peer.is_over(now));
            swarm.v4.shrink_to(swarm.v4.len() * 2);
            swarm.v6.shrink_to(swarm.v6.len() * 2);
            *bytes += swarm.v4.len() * 8 + swarm.v6.len() * 20;
            !swarm.v4.is_empty() || !swarm.v6.is_empty()
        });
    }

    /// Gives up the torrent farthest from us, if it is farther than `info_hash`.
    fn make_room(&mut self, own: &NodeId, info_hash: &[u8; 20]) -> bool {
        let far = |hash: &[u8; 20]| own.distance(&NodeId(*hash));
        let Some(farthest) = self.torrents.keys().max_by_key(|hash| far(hash)).copied() else { return false };
        if far(&farthest) <= far(info_hash) {
            return false;
        }
        if let Some(gone) = self.torrents.remove(&farthest) {
            self.bytes -= gone.v4.len() * 8 + gone.v6.len() * 20;
        }
        true
    }
}

/// Keeps a peer in the place of the one it was before, or of the oldest.
fn keep<const N: usize>(
    peers: &mut Vec<Peer<N>>,
    address: &[u8],
    seed: bool,
    may_grow: bool,
    now: Instant,
) -> bool {
    let Ok(address) = <[u8; N]>::try_from(address) else { return false };
    let stamp = (stamp(now) & !1 | u16::from(seed)).to_be_bytes();
    let peer = Peer { address, stamp };
    // On the internet an address counts once, whatever its port (BEP 33).
    let global = compact::read(&address).is_some_and(|address| network(address.ip()).is_some());
    let same = if global { N - 2 } else { N };
    let old = peers.iter().position(|it| it.address[..same] == address[..same]);
    let oldest = || (0..peers.len()).max_by_key(|place| peers[*place].age(now));
    match old.or_else(|| if may_grow && peers.len() < STORED_PEERS_MAX { None } else { oldest() }) {
        Some(place) => peers[place] = peer,
        None if may_grow => {
            if peers.len() == peers.capacity() {
                peers.reserve_exact(peers.len() / 4 + 1); // doubling would cost as much again as all peers
            }
            peers.push(peer);
        }
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests;
