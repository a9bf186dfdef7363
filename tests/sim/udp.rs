//! Datagrams: lost, late, twice and out of order as a world decides, and translated by routers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::Input;
use pieceful_core::scope::{self, Scope};

use crate::World;
use crate::link::Lossy;
use crate::queue::{Datagram, Step};

/// What happens to datagrams on their way, each in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UdpProfile {
    /// How many get lost.
    pub lost: u32,
    /// How many arrive twice.
    pub doubled: u32,
    /// Each is late by up to this much, so that they overtake one another.
    pub jitter: Duration,
    /// Longer ones get lost; 0 is without limit.
    pub mtu: usize,
}

impl World {
    /// A node sends a datagram.
    pub(crate) fn datagram(&mut self, node: usize, to: SocketAddr, data: &Bytes) {
        if to.ip().is_multicast() {
            return self.datagram_to_all(node, data);
        }
        let now = self.queue.now;
        let Some(nat) = self.nodes.get(node).map(|node| node.spec.nat) else { return };
        let own = self.nodes[node].address;
        let from = self.nodes[node].mappings.outward(nat, own, to, now);
        let other = self.node_of(to.ip());
        let arrives = match other {
            Some(other) => self.passes(node, other),
            None => self.is_online(node),
        };
        for way in if arrives { self.fates(node, other, data.len()) } else { Vec::new() } {
            self.queue.after(way, Step::datagram(from, to, data.clone()));
        }
    }

    /// A node sends to a group: everybody in its network of private addresses hears it, itself as well.
    fn datagram_to_all(&mut self, node: usize, data: &Bytes) {
        let from = self.nodes[node].address;
        for other in 0..self.nodes.len() {
            let to = self.nodes[other].address;
            let private = |address: SocketAddr| scope::scope(address.ip()) == Some(Scope::Private);
            let near = private(from) && private(to) && to.is_ipv4() == from.is_ipv4();
            if near && self.passes(node, other) {
                for way in self.fates(node, Some(other), data.len()) {
                    self.queue.after(way, Step::datagram(from, to, data.clone()));
                }
            }
        }
    }

    /// What becomes of a datagram between a node and another, or somebody outside: when each of its copies arrives.
    pub(crate) fn fates(&mut self, node: usize, other: Option<usize>, len: usize) -> Vec<Duration> {
        let of = |node: usize| self.nodes[node].engine().and_then(|owner| owner.services.datagrams);
        let profile = of(node).or_else(|| other.and_then(of)).unwrap_or(self.udp);
        let lossy = other.and_then(|other| Lossy::between(self.links[node].link, self.links[other].link));
        let lost = self.rng.below(1000) < profile.lost
            || profile.mtu > 0 && len > profile.mtu
            || lossy.is_some_and(|lossy| lossy.loses(&mut self.rng));
        let copies = if lost { 0 } else { 1 + u32::from(self.rng.below(1000) < profile.doubled) };
        let far = other.map_or(Duration::ZERO, |other| self.links[other].link.delay);
        let way = self.links[node].link.delay + far;
        let jitter = profile.jitter.as_micros() as u32 + 1;
        (0..copies).map(|_| way + Duration::from_micros(self.rng.below(jitter).into())).collect()
    }

    /// A datagram is where it was sent to.
    pub(crate) fn datagram_arrives(&mut self, Datagram { from, to, data }: Datagram) {
        if let Some(tracker) = self.tracker_by(to) {
            return self.ask_tracker(tracker, from, &data);
        }
        let Some(node) = self.node_of(to.ip()) else { return };
        let (now, at) = (self.queue.now, &self.nodes[node]);
        if at.mappings.lets_in(at.spec.nat, at.address, from, to, now)
            && self.is_on(node)
            && !self.sleeps(node)
        {
            self.input(node, Input::Datagram { from, data });
        }
    }
}
