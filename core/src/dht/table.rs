//! The nodes we know, more of them the closer they are to us (BEP 5, "Routing Table").

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::bucket::{Bucket, Health, Node};
use super::contact::network;
use super::{Contact, NodeId};
use crate::rng::Rng;
use crate::time::Instant;

/// A bucket nothing happens in for so long is looked after (BEP 5).
const REFRESH_TIME: Duration = Duration::from_secs(15 * 60);

/// A node is asked again when this long has gone by since its last answer: before it becomes questionable.
const PROBE_TIME: Duration = Duration::from_secs(12 * 60);

/// The nodes of one family.
#[derive(Debug)]
pub(super) struct Table {
    own: NodeId,
    /// Bucket `n` has the nodes that share `n` bits with our id; the last one those that share more, too.
    buckets: Vec<Bucket>,
    /// Who is reached where, those that wait too.
    at: BTreeMap<SocketAddr, NodeId>,
}

impl Table {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, buckets: Vec::from([Bucket::default()]), at: BTreeMap::new() }
    }

    pub(super) const fn own(&self) -> NodeId {
        self.own
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.buckets.iter().flat_map(|bucket| &bucket.nodes)
    }

    pub(super) fn count(&self, health: Health, now: Instant) -> usize {
        self.nodes().filter(|node| node.health(now) == health).count()
    }

    /// Whether there are this many nodes that answer, or did.
    pub(super) fn has(&self, least: usize, now: Instant) -> bool {
        self.nodes().filter(|node| node.health(now) != Health::Bad).take(least).count() >= least
    }

    pub(super) fn get(&mut self, address: SocketAddr) -> Option<&mut Node> {
        let id = *self.at.get(&address)?;
        let place = self.place(&id);
        self.buckets.get_mut(place)?.all_mut().find(|node| node.contact.address == address)
    }

    /// A node answered us. `proven`: it could not have seen the question coming.
    pub(super) fn answered(&mut self, contact: Contact, proven: bool, now: Instant) {
        if contact.id == self.own {
            return;
        }
        let place = self.place(&contact.id);
        if let Some(node) = self.get(contact.address) {
            if node.contact.id == contact.id {
                node.has_answered(proven, now);
                self.touch(place, now);
                return;
            }
            self.remove(contact.address); // it has started anew, under another name
        }
        let mut node = Node::new(contact, now);
        node.has_answered(proven, now);
        self.insert(node, now);
    }

    /// A node answered under another name than the one it was known by.
    pub(super) fn renamed(&mut self, contact: Contact, proven: bool, now: Instant) {
        if self.get(contact.address).is_some() {
            self.remove(contact.address);
            self.answered(contact, proven, now);
        }
    }

    /// A node that somebody else, or an earlier run, knew of.
    pub(super) fn remember(&mut self, contact: Contact, now: Instant) {
        if contact.id != self.own && !self.at.contains_key(&contact.address) {
            self.insert(Node::new(contact, now), now);
        }
    }

    /// A node left a question without an answer.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Instant) {
        let Some(node) = self.get(address) else { return };
        node.has_failed();
        let id = node.contact.id;
        let place = self.place(&id);
        let Some(bucket) = self.buckets.get_mut(place) else { return };
        if let Some(waiting) = bucket.waiting.iter().position(|node| node.contact.address == address) {
            bucket.waiting.remove(waiting);
            self.at.remove(&address);
        } else if let Some(gone) = bucket.make_good(now) {
            self.at.remove(&gone.contact.address);
        }
    }

    /// Whether a node that asks us might find a place, should it answer.
    pub(super) fn has_room_for(&self, contact: Contact, now: Instant) -> bool {
        if contact.id == self.own || self.at.contains_key(&contact.address) {
            return false;
        }
        let place = self.place(&contact.id);
        let Some(bucket) = self.buckets.get(place) else { return false };
        let worse = |node: &Node| {
            node.health(now) != Health::Good || !node.verified && contact.id.fits(contact.address.ip())
        };
        !self.is_taken(contact.address.ip(), now)
            && (!bucket.is_full() || place + 1 == self.buckets.len() || bucket.nodes.iter().any(worse))
    }

    /// The `most` nodes closest to `target` that are of use, nearest first.
    pub(super) fn closest(
        &self,
        target: &NodeId,
        most: usize,
        of_use: impl Fn(&Node) -> bool,
    ) -> Vec<Contact> {
        let mut near: Vec<_> = self
            .nodes()
            .filter(|node| of_use(node))
            .map(|node| (node.contact.id.distance(target), node.contact))
            .collect();
        near.sort_unstable();
        near.truncate(most);
        near.into_iter().map(|(_, contact)| contact).collect()
    }

    /// A node that has not answered for long, with an id next to which it can be asked for others: so its bucket
    /// stays fresh, too.
    pub(super) fn stalest(&self, now: Instant, rng: &mut Rng) -> Option<(Contact, NodeId)> {
        let (_, node) = self.nodes().map(|node| (probe_at(node), node)).min_by_key(|(at, _)| *at)?;
        (probe_at(node) <= now).then(|| (node.contact, self.id_in(self.place(&node.contact.id), rng)))
    }

    /// An id in a bucket that nothing has happened in for long.
    pub(super) fn refresh(&mut self, now: Instant, rng: &mut Rng) -> Option<NodeId> {
        let place = self.buckets.iter().position(|bucket| bucket.changed + REFRESH_TIME <= now)?;
        self.touch(place, now);
        Some(self.id_in(place, rng))
    }

    /// When [`stalest`](Self::stalest) or [`refresh`](Self::refresh) have something next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.nodes().map(probe_at).min()?;
        let stale = self.buckets.iter().map(|bucket| bucket.changed + REFRESH_TIME).min();
        Some(stale.map_or(first, |stale| stale.min(first)))
    }

    /// Takes another id: everyone gets the place that follows from it.
    pub(super) fn set_own(&mut self, own: NodeId, now: Instant) {
        let old = core::mem::replace(self, Self::new(own));
        for node in old.buckets.into_iter().flat_map(|bucket| bucket.nodes.into_iter().chain(bucket.waiting))
        {
            self.insert(node, now);
        }
    }

    fn id_in(&self, place: usize, rng: &mut Rng) -> NodeId {
        self.own.random_near(place, place + 1 == self.buckets.len(), rng)
    }

    fn place(&self, id: &NodeId) -> usize {
        self.own.shared_bits(id).min(self.buckets.len() - 1)
    }

    fn touch(&mut self, place: usize, now: Instant) {
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.changed = now;
        }
    }

    /// Whether another node has the same address, which on the internet nobody needs to.
    fn is_taken(&self, address: IpAddr, now: Instant) -> bool {
        self.same_address(address).is_some_and(|node| node.health(now) != Health::Bad)
    }

    fn same_address(&self, address: IpAddr) -> Option<&Node> {
        network(address)?;
        let (first, last) = (SocketAddr::new(address, 0), SocketAddr::new(address, u16::MAX));
        let (at, id) = self.at.range(first..=last).next()?;
        self.buckets.get(self.place(id))?.nodes.iter().find(|node| node.contact.address == *at)
    }

    fn insert(&mut self, node: Node, now: Instant) {
        let address = node.contact.address;
        let same_name = |it: &&Node| it.contact.id == node.contact.id;
        let place = self.place(&node.contact.id);
        let double = self.buckets.get(place).and_then(|bucket| bucket.nodes.iter().find(same_name));
        for other in [double, self.same_address(address.ip())].into_iter().flatten() {
            if other.health(now) != Health::Bad {
                return;
            }
        }
        let gone = [double, self.same_address(address.ip())].map(|other| other.map(|it| it.contact.address));
        for address in gone.into_iter().flatten() {
            self.remove(address);
        }
        let mut place = self.place(&node.contact.id);
        while place + 1 == self.buckets.len()
            && self.buckets.len() < NodeId::BITS
            && self.buckets.get(place).is_some_and(Bucket::is_full)
        {
            self.split(now);
            place = self.place(&node.contact.id);
        }
        self.at.insert(address, node.contact.id);
        if let Some(gone) = self.buckets.get_mut(place).and_then(|bucket| bucket.take(node, now)) {
            self.at.remove(&gone.contact.address);
        }
    }

    /// Cuts the bucket that our id is in into two.
    fn split(&mut self, now: Instant) {
        let Some(last) = self.buckets.pop() else { return };
        let bits = self.buckets.len();
        let mut halves = [Bucket::default(), Bucket::default()];
        for half in &mut halves {
            half.changed = last.changed;
        }
        let own = self.own;
        let half_of = |node: &Node| usize::from(own.shared_bits(&node.contact.id) > bits);
        for node in last.nodes {
            halves[half_of(&node)].nodes.push(node);
        }
        for node in last.waiting {
            if let Some(gone) = halves[half_of(&node)].take(node, now) {
                self.at.remove(&gone.contact.address);
            }
        }
        self.buckets.extend(halves);
    }

    fn remove(&mut self, address: SocketAddr) {
        let Some(id) = self.at.remove(&address) else { return };
        let place = self.place(&id);
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.nodes.retain(|node| node.contact.address != address);
            bucket.waiting.retain(|node| node.contact.address != address);
        }
    }
}

/// When a node is asked whether it is still there. One that does not answer is asked again after a while: it may only
/// be we who were cut off.
fn probe_at(node: &Node) -> Instant {
    (node.heard() + PROBE_TIME).max(node.touched + PROBE_TIME / 6)
}

#[cfg(test)]
mod tests;
