//! The way to the nodes closest to an id: ask the closest ones known for closer ones, until there are none (BEP 5).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::bucket::BUCKET_NODES;
use super::contact::network;
use super::{Contact, Distance, Family, NodeId};

/// Questions of one lookup under way at once, not counting those that take long.
const ALPHA: usize = 4;
/// Nodes remembered by one lookup; the farthest go.
const CANDIDATES_MAX: usize = 80;
/// Questions one lookup asks at most. Twenty to forty are usual.
const ASKED_MAX: u32 = 100;
/// After so many of the nodes it named have left us without an answer, and more than have answered, a node is not
/// believed before others.
const DEAD_ENDS: u32 = 2;
/// Peers one lookup tells of; more are not worth the memory.
const FOUND_MAX: usize = 1_000;

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To know the nodes around an id.
    Nodes,
    /// To find a torrent's peers, and to tell the closest nodes what to keep, if anything.
    Peers,
}

/// A lookup under way.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: NodeId,
    pub(super) family: Family,
    pub(super) goal: Goal,
    /// Nearest first; those whose id is not known come last.
    candidates: Vec<Candidate>,
    /// How many of the nodes that a node named have answered, and how many not.
    named: BTreeMap<SocketAddr, (u32, u32)>,
    found: BTreeSet<SocketAddr>,
    asked: u32,
    answered: u32,
}

#[derive(Debug)]
struct Candidate {
    distance: Option<Distance>,
    id: Option<NodeId>,
    address: SocketAddr,
    /// Who named it; nobody did if it was in our table.
    by: Option<SocketAddr>,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Asked,
    Slow,
    Answered { token: Option<Vec<u8>> },
    Failed,
}

impl Lookup {
    pub(super) const fn new(target: NodeId, family: Family, goal: Goal) -> Self {
        Self {
            target,
            family,
            goal,
            candidates: Vec::new(),
            named: BTreeMap::new(),
            found: BTreeSet::new(),
            asked: 0,
            answered: 0,
        }
    }

    /// Nodes that have answered.
    pub(super) const fn answered(&self) -> u32 {
        self.answered
    }

    /// Nodes that were asked.
    pub(super) const fn asked(&self) -> u32 {
        self.asked
    }

    /// Peers that were found.
    pub(super) fn found(&self) -> usize {
        self.found.len()
    }

    pub(super) fn has_candidates(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// A node that may be asked. Of one network on the internet there is one, or whoever has a network would have all
    /// the nodes closest to any id.
    pub(super) fn add(&mut self, contact: Contact, by: Option<SocketAddr>) {
        let distance = contact.id.distance(&self.target);
        if let Some(known) = self.candidates.iter().position(|it| it.address == contact.address) {
            if by.is_none_or(|by| self.is_believed(by))
                && let Some(known) = self.candidates.get_mut(known)
            {
                known.by = by;
            }
            return;
        }
        let own = network(contact.address.ip());
        let taken = |it: &Candidate| {
            own.is_some() && network(it.address.ip()) == own && !matches!(it.state, State::Failed)
        };
        if self.candidates.iter().any(taken) {
            return;
        }
        let new = Candidate {
            distance: Some(distance),
            id: Some(contact.id),
            address: contact.address,
            by,
            state: State::New,
        };
        let place = self.candidates.partition_point(|it| it.distance.is_some_and(|other| other <= distance));
        self.candidates.insert(place, new);
        if self.candidates.len() > CANDIDATES_MAX {
            // Whoever is under way or has answered stays: there are fewer of them than there is room.
            let last = self.candidates.iter().rposition(|it| matches!(it.state, State::New | State::Failed));
            if let Some(last) = last {
                self.candidates.remove(last);
            }
        }
    }

    /// A node of which only the address is known.
    pub(super) fn add_unnamed(&mut self, address: SocketAddr) {
        if self.candidates.len() < CANDIDATES_MAX && self.candidates.iter().all(|it| it.address != address) {
            let state = State::New;
            self.candidates.push(Candidate { distance: None, id: None, address, by: None, state });
        }
    }

    /// Whom to ask now; the caller asks it.
    pub(super) fn next(&mut self) -> Option<(SocketAddr, Option<NodeId>)> {
        let under_way = self.candidates.iter().filter(|it| matches!(it.state, State::Asked)).count();
        if under_way >= ALPHA || self.asked >= ASKED_MAX {
            return None;
        }
        let place = self.nearest_new()?;
        self.asked += 1;
        let next = self.candidates.get_mut(place)?;
        next.state = State::Asked;
        Some((next.address, next.id))
    }

    /// The nearest node that was not asked yet, among those nearer than the eighth that answers; one that is not
    /// believed to be there only if eight are not to be had without.
    fn nearest_new(&self) -> Option<usize> {
        let (mut near, mut doubtful) = (0, None);
        for (place, it) in self.candidates.iter().enumerate() {
            match it.state {
                State::New if it.by.is_none_or(|by| self.is_believed(by)) => return Some(place),
                State::New => doubtful = doubtful.or(Some(place)),
                State::Slow | State::Failed => {}
                State::Asked | State::Answered { .. } => near += 1,
            }
            if near >= BUCKET_NODES {
                return None;
            }
        }
        doubtful
    }

    fn is_believed(&self, by: SocketAddr) -> bool {
        self.named.get(&by).is_none_or(|(good, bad)| *bad < DEAD_ENDS || bad <= good)
    }

    /// Whether nobody is left to ask or to wait for. Call it when [`next`](Self::next) has nobody.
    pub(super) fn is_over(&self) -> bool {
        !self.candidates.iter().any(|it| matches!(it.state, State::Asked))
    }

    /// A node answered, and is who it was said to be. `id` is its own.
    pub(super) fn answer(&mut self, from: SocketAddr, id: NodeId, token: Option<Vec<u8>>) {
        let Some(place) = self.candidates.iter().position(|it| it.address == from) else { return };
        let mut it = self.candidates.remove(place);
        if let Some(by) = it.by
            && !matches!(it.state, State::Answered { .. })
        {
            let named = self.named.entry(by).or_default();
            named.0 += 1;
            if matches!(it.state, State::Slow) {
                named.1 = named.1.saturating_sub(1);
            }
        }
        self.answered += 1;
        let distance = id.distance(&self.target);
        (it.id, it.distance, it.state) = (Some(id), Some(distance), State::Answered { token });
        let place = self.candidates.partition_point(|it| it.distance.is_some_and(|other| other < distance));
        self.candidates.insert(place, it);
    }

    /// Peers that were told of; gives those that are new.
    pub(super) fn find(&mut self, peers: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut new = Vec::new();
        for peer in peers {
            if self.found.len() < FOUND_MAX && self.found.insert(peer) {
                new.push(peer);
            }
        }
        new
    }

    /// A node takes long to answer: others are asked meanwhile.
    pub(super) fn slow(&mut self, address: SocketAddr) {
        self.mark(address, State::Slow);
    }

    /// A node will not answer, or not with sense.
    pub(super) fn fail(&mut self, address: SocketAddr) {
        self.mark(address, State::Failed);
    }

    fn mark(&mut self, address: SocketAddr, state: State) {
        let Some(it) = self.candidates.iter_mut().find(|it| it.address == address) else { return };
        let was = core::mem::replace(&mut it.state, state);
        if let Some(by) = it.by
            && matches!(was, State::Asked)
        {
            self.named.entry(by).or_default().1 += 1;
        }
    }

    /// The closest nodes that take an announce, with what they have to be shown.
    pub(super) fn closest_with_tokens(&self) -> Vec<(SocketAddr, NodeId, Vec<u8>)> {
        let with_token = |it: &Candidate| match &it.state {
            State::Answered { token: Some(token) } => Some((it.address, it.id?, token.clone())),
            _ => None,
        };
        self.candidates.iter().filter_map(with_token).take(BUCKET_NODES).collect()
    }
}

#[cfg(test)]
mod tests;
