//! What a test may ask of a world.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Engine, Event, TorrentStatus};
use pieceful_core::id::TorrentId;
use pieceful_core::peer::CloseReason;
use pieceful_core::time::Instant;

use crate::node::Kind;
use crate::{Data, Tape, Tracker, World};

impl World {
    /// The time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.queue.now.since(Instant::ZERO)
    }

    /// The torrent.
    #[must_use]
    pub fn torrent(&self) -> &Arc<Data> {
        &self.data
    }

    /// Whether the node has said that everything is there that is wanted; what it said is then compared with its disk.
    #[must_use]
    pub fn complete(&self, name: &str) -> bool {
        self.engine_node(name).complete
    }

    /// Every event of the node's engines so far.
    #[must_use]
    pub fn events(&self, name: &str) -> &[(Instant, Event)] {
        &self.engine_node(name).events
    }

    /// Whether the node has had an event like this.
    #[must_use]
    pub fn saw(&self, name: &str, like: impl Fn(&Event) -> bool) -> bool {
        self.events(name).iter().any(|(_, event)| like(event))
    }

    /// The numbers of the node's first torrent.
    #[must_use]
    pub fn status(&self, name: &str) -> TorrentStatus {
        let node = self.engine_node(name);
        let engine = node.engine.as_ref().expect("a node that runs");
        engine.torrent(node.torrents[0].0).expect("a torrent that was not removed")
    }

    /// Whether the node runs, has its torrent, and its numbers are like this.
    #[must_use]
    pub fn status_is(&self, name: &str, like: impl FnOnce(&TorrentStatus) -> bool) -> bool {
        let node = self.engine_node(name);
        let status =
            node.engine.as_ref().zip(node.torrents.first()).and_then(|(engine, (id, _))| engine.torrent(*id));
        status.is_some_and(|status| like(&status))
    }

    /// Whether anybody is called that.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether `name` has banned `peer`.
    #[must_use]
    pub fn banned(&self, name: &str, peer: &str) -> bool {
        let ip = self.address(peer).ip();
        self.saw(name, |event| matches!(event, Event::PeerBanned { peer, .. } if peer.ip() == ip))
    }

    /// Why connections between `name` and `peer` ended, as `name` saw it.
    #[must_use]
    pub fn closed(&self, name: &str, peer: &str) -> Vec<CloseReason> {
        let ip = self.address(peer).ip();
        let events = self.events(name).iter();
        events
            .filter_map(|(_, event)| match event {
                Event::PeerClosed { peer, reason, .. } if peer.ip() == ip => Some(reason.clone()),
                _ => None,
            })
            .collect()
    }

    /// A node's address.
    #[must_use]
    pub fn address(&self, name: &str) -> SocketAddr {
        self.nodes[self.index(name)].address
    }

    /// The engine of a node, to look at.
    #[must_use]
    pub fn engine(&self, name: &str) -> &Engine {
        self.engine_node(name).engine.as_ref().expect("a node that runs")
    }

    /// The numbers of one of a node's torrents.
    #[must_use]
    pub fn status_of(&self, name: &str, torrent: TorrentId) -> TorrentStatus {
        self.engine(name).torrent(torrent).expect("a torrent that is there")
    }

    /// The bytes of a file on the node's disk.
    #[must_use]
    pub fn file(&self, name: &str, path: &str) -> Option<Bytes> {
        self.engine_node(name).disk.contents(path)
    }

    /// Whether the node's disk holds all of the torrent that is wanted.
    #[must_use]
    pub fn holds_everything(&self, name: &str) -> bool {
        let node = self.engine_node(name);
        let running = node.engine.as_ref().zip(node.torrents.first());
        let running = running.and_then(|(engine, (id, _))| engine.selection(*id).cloned());
        let files = running.or_else(|| self.nodes[self.index(name)].spec.wants.clone()).unwrap_or_default();
        self.data.wanted(&files).all(|piece| self.holds(name, piece))
    }

    /// Whether the node's disk holds the right bytes of a piece.
    #[must_use]
    pub fn holds(&self, name: &str, piece: u32) -> bool {
        self.engine_node(name).disk.holds(&self.data, piece)
    }

    /// Whether the node's engine runs now.
    #[must_use]
    pub fn is_up(&self, name: &str) -> bool {
        self.engine_node(name).engine.is_some()
    }

    /// What the engine of a node still waits for.
    #[must_use]
    pub fn outstanding(&self, name: &str) -> usize {
        self.engine_node(name).checker.outstanding()
    }

    /// How many connections a scripted peer has had.
    #[must_use]
    pub fn met(&self, name: &str) -> u32 {
        match &self.nodes[self.index(name)].kind {
            Kind::Script(script) => script.met,
            Kind::Engine(_) => panic!("{name} is not a scripted peer"),
        }
    }

    /// A tracker by the order in which they were added.
    #[must_use]
    pub fn tracker_at(&self, place: usize) -> &Tracker {
        &self.trackers[place]
    }

    /// The same, to change how it behaves.
    pub fn tracker_mut(&mut self, place: usize) -> &mut Tracker {
        &mut self.trackers[place]
    }

    /// SHA-1 over every output so far, with its time and its node.
    #[must_use]
    pub fn transcript(&self) -> [u8; 20] {
        self.transcript.hash()
    }

    /// How many outputs there were.
    #[must_use]
    pub fn outputs(&self) -> u64 {
        self.transcript.outputs()
    }

    /// How many things have happened.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.queue.taken
    }

    /// The last things that happened, for people.
    #[must_use]
    pub fn trace(&self) -> String {
        self.trace.to_string()
    }

    /// Everything that the node's present engine was told, if it is recorded.
    #[must_use]
    pub fn tape(&self, name: &str) -> &Tape {
        self.tape_if_any(name).expect("a node that is recorded")
    }

    pub(crate) fn tape_if_any(&self, name: &str) -> Option<&Tape> {
        self.engine_node(name).tape.as_ref()
    }
}
