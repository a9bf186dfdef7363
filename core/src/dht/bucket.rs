//! Nodes that share as much of their id with ours, how well they are doing, and who takes whose place (BEP 5).

use alloc::vec::Vec;
use core::time::Duration;

use super::Contact;
use super::contact::network;
use crate::time::Instant;

/// Nodes in a bucket, and nodes told to whoever asks (BEP 5, "K").
pub const BUCKET_NODES: usize = 8;

/// Nodes that wait for a place in a bucket.
const WAITING_MAX: usize = 8;

/// What a node was heard to say last counts for so long (BEP 5).
const GOOD_TIME: Duration = Duration::from_secs(15 * 60);

/// A node that leaves so many questions in a row without an answer is bad: one datagram may get lost.
const FAILURES_MAX: u8 = 2;

/// How a node is doing (BEP 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It has answered, and was heard of within a quarter of an hour.
    Good,
    /// Nothing was heard of it for longer, or ever.
    Questionable,
    /// It does not answer any more.
    Bad,
}

/// A node in the table.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) contact: Contact,
    /// Its id is one that its address may have (BEP 42).
    pub(super) verified: bool,
    /// It has answered a question that it could not have seen coming, so it is behind no closed door.
    pub(super) proven: bool,
    /// When it answered last.
    pub(super) answered: Option<Instant>,
    /// When it asked us last.
    pub(super) asked: Option<Instant>,
    /// When we last sent it anything, or it us.
    pub(super) touched: Instant,
    failures: u8,
}

impl Node {
    pub(super) fn new(contact: Contact, now: Instant) -> Self {
        let verified = contact.id.fits(contact.address.ip());
        Self { contact, verified, proven: false, answered: None, asked: None, touched: now, failures: 0 }
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.since(at) <= GOOD_TIME);
        if self.failures >= FAILURES_MAX {
            Health::Bad
        } else if recent(self.answered) || self.answered.is_some() && recent(self.asked) {
            Health::Good
        } else {
            Health::Questionable
        }
    }

    pub(super) fn has_answered(&mut self, proven: bool, now: Instant) {
        self.answered = Some(now);
        self.touched = now;
        self.proven |= proven;
        self.failures = 0;
    }

    pub(super) fn has_failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// When it was last heard to answer; a node that never did comes before all others.
    pub(super) fn heard(&self) -> Instant {
        self.answered.unwrap_or(Instant::ZERO)
    }
}

/// Nodes that share as much of their id with ours.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) nodes: Vec<Node>,
    /// Those that found no room, longest waiting first.
    pub(super) waiting: Vec<Node>,
    /// When a node last came or answered.
    pub(super) changed: Instant,
}

impl Bucket {
    /// Everyone in it, those that wait too.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().chain(&mut self.waiting)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.nodes.len() >= BUCKET_NODES
    }

    /// Takes `node` in, or lets it wait; gives back who is out of the bucket for it, which may be `node` itself.
    pub(super) fn take(&mut self, node: Node, now: Instant) -> Option<Node> {
        if let Some(net) = network(node.contact.address.ip())
            && let Some(same) = self.nodes.iter().position(|it| network(it.contact.address.ip()) == Some(net))
        {
            // One node of a network, so that nobody owns a bucket who owns a network.
            return match self.nodes[same].health(now) {
                Health::Bad => self.replace(same, node, now),
                Health::Good | Health::Questionable => Some(node),
            };
        }
        if !self.is_full() {
            self.nodes.push(node);
            self.changed = now;
            return None;
        }
        if let Some(bad) = self.nodes.iter().position(|it| it.health(now) == Health::Bad) {
            return self.replace(bad, node, now);
        }
        let unverified = |it: &Node| node.verified && !it.verified;
        if let Some(place) = self.nodes.iter().position(unverified) {
            let old = self.replace(place, node, now)?;
            return self.wait(old);
        }
        self.wait(node)
    }

    /// A node went bad: somebody who waits takes its place, and it is given back.
    pub(super) fn make_good(&mut self, now: Instant) -> Option<Node> {
        let bad = self.nodes.iter().position(|it| it.health(now) == Health::Bad)?;
        let net = |node: &Node| network(node.contact.address.ip());
        let others = |it: &Node| {
            let own = net(it);
            own.is_none()
                || self.nodes.iter().enumerate().all(|(place, node)| place == bad || net(node) != own)
        };
        let next = self.waiting.iter().rposition(others)?;
        let node = self.waiting.remove(next);
        self.replace(bad, node, now)
    }

    fn replace(&mut self, place: usize, node: Node, now: Instant) -> Option<Node> {
        self.changed = now;
        self.nodes.get_mut(place).map(|old| core::mem::replace(old, node))
    }

    fn wait(&mut self, node: Node) -> Option<Node> {
        let gone = (self.waiting.len() >= WAITING_MAX).then(|| self.waiting.remove(0));
        self.waiting.push(node);
        gone
    }
}
