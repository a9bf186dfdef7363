//! A whole run as a value: who is in it, what goes wrong and when. It can be printed, made smaller, and run again.
//!
//! A run has two phases. In the first everything goes wrong that the scenario says, and nobody may break a rule. Then
//! all heals, and everybody has to finish within a time that the scenario states.

mod draw;
mod gather;
mod panics;
mod run;
mod shrink;
mod text;

use std::time::Duration;

use pieceful_core::disk::Allocation;
use pieceful_core::engine::{Limits, PieceOrder, RateLimits, SeedingLimits, Selection, UploadSlots};
use serde::{Deserialize, Serialize};

pub use draw::Chance;
pub use gather::{Failed, Times, run_seed, run_seeds};
pub use run::{Failure, Member, Report, Watch};

use crate::odd::{Calls, Odd};
use crate::{Fault, Has, Link, Manner, Nat, Segmentation, UdpProfile};

/// Bytes per second with which all can finish in time.
const RATE_MIN: u64 = 10_000;
/// Seconds that whatever strangers have asked for, or send, may stand before a handshake in a node's line.
///
/// All connections of a simulated node share one line each way, in which a full buffer of each may stand, and
/// strangers go on for ever. Beyond the time for which a handshake is waited for nobody would ever get to know the node, and nothing
/// that an engine can do would help: its bytes are with the system by then.
const LINE_MAX: u64 = 5;
/// Bytes that a buffer holds at least.
const BUFFER_MIN: u32 = 16 << 10;
/// Connections that leave room for somebody who means well. So does a queue of those who have not introduced themselves
/// only if it has a place for every stranger's connection: they come back sooner than a handshake takes.
const CONNECTIONS_MIN: u32 = 10;

/// Everything that makes a run. The same scenario is the same run, on every machine.
///
/// ```
/// use pieceful_tests::Scenario;
///
/// let scenario = Scenario::random(1);
/// assert_eq!(Scenario::read(&scenario.to_string()), Ok(scenario));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// What every choice follows from that is not made here.
    pub seed: u64,
    /// Lengths of the torrent's files in bytes; together at least one.
    pub files: Vec<u64>,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// How reads cut the streams.
    pub segmentation: Segmentation,
    /// Bytes of a connection that systems hold between them.
    pub buffer: u32,
    /// What happens to datagrams.
    pub udp: UdpProfile,
    /// The torrent's trackers, by tier.
    pub trackers: Vec<Service>,
    /// The machines. The first has everything from the beginning, so that all can finish.
    pub nodes: Vec<Node>,
    /// Those that are no engines.
    pub strangers: Vec<Stranger>,
    /// What goes wrong, by time.
    pub troubles: Vec<Trouble>,
    /// How long after all has healed everybody must have finished.
    pub within: Duration,
}

/// One machine of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The pieces on its disk at the start; of numbers beyond the last nothing comes.
    pub has: Has,
    /// How long after the beginning it starts.
    pub starts: Duration,
    /// Its way to the others.
    pub link: Link,
    /// The longest that an action of its disk takes, before its bytes are counted.
    pub disk_latency: Duration,
    /// Bytes per second of its disk.
    pub disk_rate: u64,
    /// The files that are wanted there; all, if nothing is said.
    pub wants: Option<Selection>,
    /// Which piece comes next.
    pub order: PieceOrder,
    /// How file space is taken.
    pub allocation: Allocation,
    /// Bytes per second of its torrent.
    pub rates: RateLimits,
    /// Bytes per second of its engine.
    pub engine_rates: RateLimits,
    /// Peers served at once.
    pub upload_slots: UploadSlots,
    /// How long it goes on once it is complete.
    pub seeding: SeedingLimits,
    /// Whether the driver reads the blocks that are served.
    pub direct_blocks: bool,
    /// A number for every queue.
    pub limits: Limits,
    /// Whether it knows the nodes before it, or has to ask a tracker or the DHT.
    pub introduced: bool,
    /// Whether others can dial it.
    pub listens: bool,
    /// What stands between it and the others.
    pub nat: Nat,
    /// Whether its address is one of IPv6.
    pub ipv6: bool,
    /// Whether it takes part in the DHT, and begins at a node that has no torrent.
    pub dht: bool,
    /// Whether its user has only the torrent's magnet link.
    pub magnet: bool,
}

impl Default for Node {
    fn default() -> Self {
        let spec = crate::Spec::default();
        Self {
            name: String::new(),
            has: spec.has,
            starts: spec.starts,
            link: spec.link,
            disk_latency: spec.disk.latency.1,
            disk_rate: spec.disk.rate,
            wants: spec.wants,
            order: spec.order,
            allocation: spec.allocation,
            rates: spec.rates,
            engine_rates: spec.config.rates,
            upload_slots: spec.config.upload_slots,
            seeding: spec.seeding,
            direct_blocks: spec.config.direct_blocks,
            limits: spec.config.limits,
            introduced: spec.introduced,
            listens: spec.listens,
            nat: spec.nat,
            ipv6: spec.ipv6,
            dht: false,
            magnet: spec.magnet,
        }
    }
}

impl Scenario {
    /// What strangers may have under way from one node, in bytes: each of their connections fills its buffer.
    fn strangers_take(&self, buffer: u32) -> u64 {
        let connections = |stranger: &Stranger| match stranger.dials {
            Some(_) => u64::from(stranger.calls.connections.max(1)),
            None => 1,
        };
        self.strangers.iter().map(connections).sum::<u64>().saturating_mul(buffer.into())
    }

    /// Places for those who have not introduced themselves that a node needs, so that no stranger takes another's.
    fn greeting_min(&self, node: &str) -> u32 {
        let callers = self.strangers.iter().filter(|stranger| stranger.dials.as_deref() == Some(node));
        let add = |sum: u32, stranger: &Stranger| sum.saturating_add(stranger.calls.connections.max(1));
        match callers.fold(0, add) {
            0 => 1,
            strangers => strangers.saturating_add(self.nodes.len() as u32),
        }
    }

    /// The nodes that something is said about.
    fn names(&self) -> impl Iterator<Item = &String> {
        let dialled = self.strangers.iter().filter_map(|stranger| stranger.dials.as_ref());
        self.troubles.iter().flat_map(Trouble::names).chain(dialled)
    }
}

impl Trouble {
    /// The nodes it happens to.
    fn names(&self) -> Vec<&String> {
        let mut names = vec![&self.node];
        match &self.fault {
            Fault::Reset { with } | Fault::HalfOpen { with } | Fault::Severed { with } => names.extend(with),
            Fault::Partition { with, .. } => names.extend(with),
            _ => {}
        }
        names
    }
}

impl Node {
    /// Whether it can ever finish.
    fn is_sound(&self) -> bool {
        let Limits { write_bytes_max, read_bytes_max, send_bytes_max, .. } = self.limits;
        let Limits { connecting_max, greeting_max, known_peers_max, checking_max, asked_max, .. } =
            self.limits;
        let Limits { connections_max, torrent_connections_max, requests_queued_max, .. } = self.limits;
        let Limits { torrents_max, fetches_max, resolves_max, unchoked_max, .. } = self.limits;
        let few =
            [connecting_max, greeting_max, known_peers_max, checking_max, asked_max, requests_queued_max];
        let few = few.into_iter().chain([torrents_max, fetches_max, resolves_max, unchoked_max]);
        let rates =
            [self.rates, self.engine_rates].into_iter().flat_map(|rates| [rates.download, rates.upload]);
        [self.link.up, self.link.down, self.disk_rate].into_iter().all(|rate| rate >= RATE_MIN)
            && rates.flatten().all(|rate| rate >= RATE_MIN)
            && few.into_iter().all(|limit| limit >= 1)
            && [write_bytes_max, read_bytes_max, send_bytes_max].into_iter().all(|limit| limit >= 16 << 10)
            && connections_max.min(torrent_connections_max) >= CONNECTIONS_MIN
            && self.upload_slots != UploadSlots::Fixed(0)
    }
}

/// A peer that is no engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    /// What it does.
    pub habits: Odd,
    /// The node that it dials; without one it waits to be dialled.
    pub dials: Option<String>,
    /// How it dials.
    pub calls: Calls,
}

/// A tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Whether it is spoken to by UDP (BEP 15), otherwise by HTTP.
    pub udp: bool,
    /// How it behaves until all heals.
    pub manner: Manner,
}

/// Something goes wrong at one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When, counted from the beginning.
    pub after: Duration,
    /// Which one.
    pub node: String,
    /// What.
    pub fault: Fault,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 0,
            files: vec![100_000],
            piece_length: 16 << 10,
            segmentation: Segmentation::Natural,
            buffer: 256 << 10,
            udp: UdpProfile::default(),
            trackers: Vec::new(),
            nodes: Vec::new(),
            strangers: Vec::new(),
            troubles: Vec::new(),
            within: Duration::from_secs(2 * 3600),
        }
    }
}

impl Scenario {
    /// A swarm of up to 50 nodes put together by chance; most are small.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = crate::seeded(seed, "scenario");
        Self::drawn(seed, &mut Chance::new(&mut |below| rng.below(below)))
    }

    /// Whether it can be run at all: scenarios that people or shrinking have changed need not be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let total: u64 = self.files.iter().fold(0, |total, len| total.saturating_add(*len));
        let pieces = total.div_ceil(self.piece_length.max(1).into());
        let taken = self.strangers_take(self.buffer);
        let dht = self.nodes.first().is_some_and(|first| first.dht);
        let finds_others =
            |node: &Node| node.introduced || (!self.trackers.is_empty() || dht && node.dht) && !node.ipv6;
        self.nodes.first().is_some_and(|first| first.listens && first.nat == Nat::Open && !first.ipv6)
            && self.nodes.iter().all(|node| node.is_sound() && finds_others(node))
            && self
                .nodes
                .iter()
                .all(|node| node.link.up.min(node.link.down).saturating_mul(LINE_MAX) >= taken)
            && self.nodes.iter().all(|node| node.limits.greeting_max >= self.greeting_min(&node.name))
            && self.within >= Self::default().within
            && self.piece_length > 0
            && (1..=1 << 30).contains(&total)
            && (1..=100_000).contains(&pieces)
            && self.buffer >= BUFFER_MIN
            && self.troubles.iter().all(|trouble| {
                let forgets = matches!(trouble.fault, Fault::DiskShort { .. } | Fault::DiskFlips { .. });
                !forgets || trouble.node != self.nodes[0].name
            })
            && self.names().all(|name| self.nodes.iter().any(|node| node.name == *name))
            && self.nodes.iter().enumerate().all(|(place, node)| {
                !node.name.is_empty()
                    && node.name != run::ROUTER
                    && self.nodes[..place].iter().all(|other| other.name != node.name)
            })
    }
}
