//! One machine of a world: an engine with its disk, or a scripted peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::Allocation;
use pieceful_core::engine::{
    Call, Config, Engine, Event, PieceOrder, RateLimits, SaveKey, SeedingLimits, Selection,
};
use pieceful_core::id::{ConnId, TorrentId};
use pieceful_core::time::Instant;
use slotmap::SecondaryMap;

use crate::Data;
use crate::checker::Checker;
use crate::clock::Clock;
use crate::disk::{Disk, DiskProfile};
use crate::link::Link;
use crate::nat::{Mappings, Nat};
use crate::odd::Calls;
use crate::script::MakeScript;
use crate::services::Services;
use crate::tape::Tape;
use crate::tcp::EndId;

/// What a node is to be; changed with [`World::with`](crate::World::with) before it starts.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Settings of its engine. The listening port and the time are filled in.
    pub config: Config,
    /// Its way to the others.
    pub link: Link,
    /// Its disk.
    pub disk: DiskProfile,
    /// The pieces on its disk at the start.
    pub has: Has,
    /// Other files on its disk at the start, by path.
    pub files: Vec<(String, Bytes)>,
    /// Whether its user has only the torrent's magnet link.
    pub magnet: bool,
    /// Which files its user wants, and how much. What [`Call::SetFiles`] says later is what it starts with again.
    pub wants: Option<Selection>,
    /// Which piece comes next.
    pub order: PieceOrder,
    /// How file space is taken.
    pub allocation: Allocation,
    /// Whether files that hold other data may be overwritten.
    pub overwrite: bool,
    /// Whether all its files are hashed when it starts, whatever an earlier run has saved.
    pub check: bool,
    /// Whether its torrent is to be served as it is, never written.
    pub serve_only: bool,
    /// Bytes per second of its torrent.
    pub rates: RateLimits,
    /// How long its torrent goes on once it is complete.
    pub seeding: SeedingLimits,
    /// Trackers its user named.
    pub trackers: Vec<String>,
    /// Peers its user named, beside those it is introduced to.
    pub peers: Vec<SocketAddr>,
    /// Whether it is told about the nodes that were there before it.
    pub introduced: bool,
    /// Whether others can dial it.
    pub listens: bool,
    /// What stands between it and the others.
    pub nat: Nat,
    /// How long after the world's beginning it starts.
    pub starts: Duration,
    /// Whether it begins without the world's torrent.
    pub idle: bool,
    /// Whether its address is one of IPv6.
    pub ipv6: bool,
    /// Its address, if not the one that it would get: one in a network of its own.
    pub ip: Option<IpAddr>,
    /// Whether everything its engine is told is kept, for [`World::tape`](crate::World::tape).
    pub recorded: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            config: Config::default(),
            link: Link::default(),
            disk: DiskProfile::default(),
            has: Has::Nothing,
            files: Vec::new(),
            magnet: false,
            wants: None,
            order: PieceOrder::default(),
            allocation: Allocation::default(),
            overwrite: false,
            check: false,
            serve_only: false,
            rates: RateLimits::default(),
            seeding: SeedingLimits::default(),
            trackers: Vec::new(),
            peers: Vec::new(),
            introduced: true,
            listens: true,
            nat: Nat::Open,
            starts: Duration::ZERO,
            idle: false,
            ipv6: false,
            ip: None,
            recorded: false,
        }
    }
}

/// Which pieces are on a disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Has {
    /// None, and no file either.
    Nothing,
    /// All.
    Everything,
    /// These.
    Pieces(Vec<u32>),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) spec: Spec,
    pub(crate) kind: Kind,
    /// What the router before it remembers.
    pub(crate) mappings: Mappings,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Engine(Box<EngineNode>),
    Script(ScriptNode),
}

impl Node {
    /// Where its next outgoing connection comes from.
    pub(crate) fn ephemeral(&self, conn: usize) -> SocketAddr {
        SocketAddr::new(self.address.ip(), 40_000 + (conn % 20_000) as u16)
    }

    /// Whether it never sends a wrong byte: an engine whose disk gives back what was written.
    pub(crate) fn is_honest(&self) -> bool {
        self.engine().is_some_and(|engine| !engine.disk.ever_flipped && !engine.disk.meddled_with)
    }

    pub(crate) fn engine(&self) -> Option<&EngineNode> {
        match &self.kind {
            Kind::Engine(node) => Some(node),
            Kind::Script(_) => None,
        }
    }

    pub(crate) fn engine_mut(&mut self) -> Option<&mut EngineNode> {
        match &mut self.kind {
            Kind::Engine(node) => Some(node),
            Kind::Script(_) => None,
        }
    }
}

/// The address of the `index`th node: each in a network of its own, all of them global.
pub(crate) fn address(index: usize, spec: &Spec) -> SocketAddr {
    let [_, _, high, low] = (index as u32 + 1).to_be_bytes();
    let own = if spec.ipv6 {
        IpAddr::from([0x2001, 0x4860, index as u16 + 1, 0, 0, 0, 0, 1])
    } else {
        IpAddr::from([11, high, low, 1])
    };
    SocketAddr::new(spec.ip.unwrap_or(own), 6881)
}

#[derive(Debug, Default)]
pub(crate) struct EngineNode {
    /// `None` while the machine is off.
    pub(crate) engine: Option<Engine>,
    /// Counts the engines this machine has run: what was meant for an earlier one is not for this one.
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    pub(crate) torrents: Vec<(TorrentId, Arc<Data>)>,
    pub(crate) conns: SecondaryMap<ConnId, EndId>,
    pub(crate) saved: BTreeMap<SaveKey, Bytes>,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) complete: bool,
    pub(crate) checker: Checker,
    pub(crate) clock: Clock,
    pub(crate) services: Services,
    /// What its present engine was told, if anybody wants to know.
    pub(crate) tape: Option<Tape>,
    /// When the engine wants to be woken, and when it is going to be, by the world's clock.
    pub(crate) wake: Option<(Instant, &'static str)>,
    pub(crate) armed: Option<Instant>,
    /// Wake-ups in a row at the same time that led to nothing.
    pub(crate) idle_wakes: u32,
}

impl EngineNode {
    /// Notes a call of the engine.
    pub(crate) fn record(&mut self, now: Instant, call: impl FnOnce() -> Call) {
        if let Some(tape) = &mut self.tape {
            tape.calls.push((now, call()));
        }
    }
}

pub(crate) struct ScriptNode {
    pub(crate) make: MakeScript,
    /// How many connections it ever had.
    pub(crate) met: u32,
    /// Whom it calls, and how.
    pub(crate) calls: Option<(SocketAddr, Calls)>,
}

impl std::fmt::Debug for ScriptNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScriptNode({} connections)", self.met)
    }
}
