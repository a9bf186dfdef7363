//! The DHT: peers without a tracker, from nodes that everyone keeps a little of (BEP 5).
//!
//! [`Dht`] is one node, on both the DHT over IPv4 and the one over IPv6 (BEP 32). It does no I/O: datagrams go in by
//! [`receive`](Dht::receive), time goes in by [`tick`](Dht::tick), and [`Action`]s say what to send and what was
//! found. It can be used alone. Two nodes that know of each other, and a peer that one announces and the other finds:
//!
//! ```
//! use core::net::SocketAddr;
//! use core::time::Duration;
//!
//! use pieceful_core::cx::Cx;
//! use pieceful_core::dht::{Action, Announce, Config, Dht};
//! use pieceful_core::rng::{Rng, Seed};
//! use pieceful_core::time::Instant;
//!
//! let mut rng = Rng::new(Seed([7; 32]));
//! let mut now = Instant::from_micros(1_000_000);
//! let addresses: [SocketAddr; 2] = ["127.0.0.1:6881".parse()?, "127.0.0.1:6882".parse()?];
//! let mut nodes = [0, 1].map(|_| Dht::new(Config::default(), now, &mut rng));
//!
//! let mut out: [Vec<Action>; 2] = Default::default();
//! let mut cx = Cx { now, rng: &mut rng, out: &mut out[0] };
//! nodes[0].add_node(addresses[1], &mut cx);
//! nodes[0].announce([1; 20], Announce { port: 6881, implied_port: false, seed: true }, &mut cx)?;
//!
//! let mut found = Vec::new();
//! for second in 0..10 {
//!     // What one sends the other receives; here nothing is lost, and takes no time.
//!     while let Some(sender) = (0..2).find(|node| !out[*node].is_empty()) {
//!         for action in core::mem::take(&mut out[sender]) {
//!             match action {
//!                 Action::Send { to, data } => {
//!                     let receiver = usize::from(to == addresses[1]);
//!                     let mut cx = Cx { now, rng: &mut rng, out: &mut out[receiver] };
//!                     nodes[receiver].receive(addresses[sender], &data, &mut cx);
//!                 }
//!                 Action::Peers { peers, .. } => found.extend(peers),
//!                 Action::Done { .. } => {}
//!             }
//!         }
//!     }
//!     now += Duration::from_secs(1);
//!     for (node, out) in nodes.iter_mut().zip(&mut out) {
//!         node.tick(&mut Cx { now, rng: &mut rng, out });
//!     }
//!     if second == 5 {
//!         nodes[1].find_peers([1; 20], &mut Cx { now, rng: &mut rng, out: &mut out[1] })?;
//!     }
//! }
//! // The node that keeps the peer is the one that looks for it: it asks itself, too.
//! assert_eq!(nodes[1].status(now).peers_stored, 1);
//! assert_eq!(found, [addresses[0]]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Whom it believes
//!
//! Nobody, further than it must. An answer counts from exactly the address that was asked, with the random id it was
//! asked by, and under the name that the address was said to have. A node has a place in the table only after it has
//! answered; of one address there is one, of one network one in a bucket and one in a lookup (not so for local
//! addresses). A node may send us only to addresses that it could reach itself ([`crate::scope`]). A lookup goes
//! around nodes that lead nowhere. Our own address is what ten networks say it is (BEP 42).
//!
//! # What strangers can make it do
//!
//! An answer is never more than five times as long as the question, and goes where that came from. All answers
//! together are [`REPLY_RATE`] bytes a second; whoever asks more than five times a second is not heard for five
//! minutes. Whatever is kept has a limit; all that strangers can fill together is
//! less than 6 MiB.
//!
//! # How well it finds peers
//!
//! In the simulator, where half of the nodes cannot be reached from outside, a fifth is replaced every hour and one
//! datagram in twenty is lost, by 1,000 searches in a DHT that is an hour old
//! (`cargo run --release -p pieceful-tests --bin sim -- --dht 1000`; `--liars 20` for those that lead others astray):
//!
//! | nodes | liars | searches that found peers | half of them within | 95 % within | nodes asked | sent by an idle node |
//! |---|---|---|---|---|---|---|
//! | 1,000 | none | 1,000 of 1,000 | 0.2 s | 0.4 s | 19 | 35 B/s |
//! | 1,000 | 20 % | 1,000 of 1,000 | 0.2 s | 1.0 s | 27 | 34 B/s |

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use crate::cx::Cx;
use crate::rng::Rng;
use crate::scope;
use crate::time::Instant;

mod bloom;
mod bucket;
mod contact;
mod error;
mod listen;
mod lookup;
mod maintain;
mod message;
mod node_id;
mod queries;
mod save;
mod searches;
mod serve;
mod sources;
mod store;
mod table;
mod token;
mod votes;

pub use bloom::{BLOOM_LEN, Bloom};
pub use bucket::{BUCKET_NODES, Health};
pub use contact::{Contact, Family};
pub use error::{LoadError, MessageError, TooMany};
pub use message::{
    Body, Code, MESSAGE_LEN_MAX, Message, Method, Query, REPLY_NODES_MAX, REPLY_SAMPLES_MAX,
    REPLY_VALUES_MAX, Reply, Samples, TOKEN_LEN_MAX, TRANSACTION_LEN_MAX, Want,
};
pub use node_id::{Distance, NodeId};
pub use save::SAVED_NODES_MAX;
pub use searches::{Announce, Outcome, SEARCHES_MAX};
pub use serve::{AMPLIFICATION_MAX, REPLY_LEN_MAX};
pub use sources::{BLOCK_TIME, QUERIES_MAX, REPLY_RATE};
pub use store::{STORED_PEERS_MAX, STORED_TORRENTS_MAX};

use lookup::Lookup;
use queries::{Purpose, Queries};
use searches::Searches;
use sources::Sources;
use store::Store;
use table::Table;
use token::Tokens;
use votes::Votes;

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Answer nobody and say so (BEP 43): for machines that cannot be reached, or pay for their traffic.
    pub read_only: bool,
    /// Take part in the DHT over IPv4.
    pub ipv4: bool,
    /// Take part in the DHT over IPv6.
    pub ipv6: bool,
    /// Program and version, told with every message (BEP 20).
    pub version: [u8; 4],
}

impl Default for Config {
    fn default() -> Self {
        Self { read_only: false, ipv4: true, ipv6: true, version: *b"PF01" }
    }
}

/// What a [`Dht`] wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The payload.
        data: Bytes,
    },
    /// Peers of a torrent were found: hints, from strangers.
    Peers {
        /// The torrent.
        info_hash: [u8; 20],
        /// None of them was told of before by the same lookup.
        peers: Vec<SocketAddr>,
    },
    /// Looking for a torrent has ended for now; what is announced is looked for again later.
    Done {
        /// The torrent.
        info_hash: [u8; 20],
        /// What has come of it.
        outcome: Outcome,
    },
}

/// How a node is doing on one of the DHTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyStatus {
    /// Its id there.
    pub id: NodeId,
    /// Its own address, if enough others have agreed on one.
    pub address: Option<IpAddr>,
    /// Nodes that answer.
    pub good: usize,
    /// Nodes that were not heard of lately.
    pub questionable: usize,
    /// Nodes that do not answer any more, and keep their place until another wants it.
    pub bad: usize,
}

/// How a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Over IPv4.
    pub v4: FamilyStatus,
    /// Over IPv6.
    pub v6: FamilyStatus,
    /// Torrents looked for right now.
    pub searching: usize,
    /// Torrents kept announced.
    pub announced: usize,
    /// Lookups under way, those for the table included.
    pub lookups: usize,
    /// Questions without an answer yet.
    pub queries: usize,
    /// Torrents whose peers others have announced to us.
    pub torrents_stored: usize,
    /// Peers that others have announced to us.
    pub peers_stored: usize,
}

impl Status {
    /// Nodes that answer, on both DHTs.
    #[must_use]
    pub const fn good(&self) -> usize {
        self.v4.good + self.v6.good
    }
}

/// One node.
#[derive(Debug)]
pub struct Dht {
    config: Config,
    v4: Side,
    v6: Side,
    queries: Queries,
    lookups: BTreeMap<u64, Lookup>,
    lookups_begun: u64,
    searches: Searches,
    store: Store,
    tokens: Tokens,
    sources: Sources,
    /// Nodes that are to be asked whether they are there, and when.
    newcomers: VecDeque<(Instant, Contact)>,
    /// Addresses to begin at when we know nobody.
    routers: Vec<SocketAddr>,
    /// When the tables are seen to next; `None` while nobody is known.
    maintain_at: Option<Instant>,
}

/// One of the two DHTs.
#[derive(Debug)]
struct Side {
    table: Table,
    votes: Votes,
    /// The lookup for our own id, while it is under way.
    own_lookup: Option<u64>,
    /// When the next one comes, and how many in a row have found next to nobody.
    own_lookup_at: Instant,
    failures: u32,
}

impl Side {
    fn new(id: NodeId, now: Instant) -> Self {
        let (table, votes) = (Table::new(id), Votes::default());
        Self { table, votes, own_lookup: None, own_lookup_at: now, failures: 0 }
    }

    fn status(&self, now: Instant) -> FamilyStatus {
        let count = |health| self.table.count(health, now);
        FamilyStatus {
            id: self.table.own(),
            address: self.votes.elected(),
            good: count(Health::Good),
            questionable: count(Health::Questionable),
            bad: count(Health::Bad),
        }
    }
}

/// Addresses to begin at; more are dropped.
const ROUTERS_MAX: usize = 64;

/// Questions that are not part of a lookup are asked only while fewer than this are under way.
const CHECKS_MAX: usize = 128;

/// A door in a NAT that nothing goes through is shut again after this time, as a rule.
const COLD_TIME: Duration = Duration::from_secs(3 * 60);

impl Dht {
    /// A node that knows nobody.
    #[must_use]
    pub fn new(config: Config, now: Instant, rng: &mut Rng) -> Self {
        let id = NodeId::random(rng);
        Self {
            config,
            v4: Side::new(id, now),
            v6: Side::new(id, now),
            queries: Queries::default(),
            lookups: BTreeMap::new(),
            lookups_begun: 0,
            searches: Searches::default(),
            store: Store::default(),
            tokens: Tokens::new(rng),
            sources: Sources::new(now),
            newcomers: VecDeque::new(),
            routers: Vec::new(),
            maintain_at: None,
        }
    }

    /// A node to begin at when we know nobody: one that the user named.
    pub fn add_node(&mut self, address: SocketAddr, cx: &mut Cx<'_, Action>) {
        let address = contact::plain(address);
        if !self.may_ask(address) || self.routers.contains(&address) || self.routers.len() >= ROUTERS_MAX {
            return;
        }
        self.routers.push(address);
        let side = self.side(Family::of(address));
        match side.own_lookup {
            Some(id) => {
                if let Some(lookup) = self.lookups.get_mut(&id) {
                    lookup.add_unnamed(address);
                }
                self.advance(id, cx);
            }
            None => {
                if !side.table.has(BUCKET_NODES, cx.now) {
                    side.own_lookup_at = cx.now;
                    self.maintain(cx);
                }
            }
        }
        self.searches.hasten(cx.now);
        self.search(cx);
    }

    /// Asks whether there is a node at `address`, and takes it into the table if so: for what peers say of
    /// themselves (BEP 5, `port`).
    pub fn ping(&mut self, address: SocketAddr, cx: &mut Cx<'_, Action>) {
        let address = contact::plain(address);
        let known = self.side(Family::of(address)).table.get(address).is_some();
        if !known && self.queries.len() < CHECKS_MAX {
            self.ask(address, None, Method::Ping, Purpose::Check, true, cx);
        }
    }

    /// Looks for peers of a torrent, once.
    ///
    /// # Errors
    /// When [`SEARCHES_MAX`] torrents are looked for already.
    pub fn find_peers(&mut self, info_hash: [u8; 20], cx: &mut Cx<'_, Action>) -> Result<(), TooMany> {
        self.searches.want(info_hash, None, cx.now)?;
        self.search(cx);
        Ok(())
    }

    /// Looks for peers of a torrent and announces it, and does so again about every quarter of an hour, until
    /// [`stop`](Self::stop). Private torrents must not get here (BEP 27).
    ///
    /// # Errors
    /// When [`SEARCHES_MAX`] torrents are looked for already.
    pub fn announce(
        &mut self,
        info_hash: [u8; 20],
        announce: Announce,
        cx: &mut Cx<'_, Action>,
    ) -> Result<(), TooMany> {
        self.searches.want(info_hash, Some(announce), cx.now)?;
        self.search(cx);
        Ok(())
    }

    /// Forgets a torrent.
    pub fn stop(&mut self, info_hash: [u8; 20], cx: &mut Cx<'_, Action>) {
        for lookup in self.searches.stop(&info_hash) {
            self.lookups.remove(&lookup);
        }
        self.search(cx);
    }

    /// When [`tick`](Self::tick) is next of use.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let all = [self.queries.deadline(), self.searches.deadline(), self.maintain_at];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        self.give_up_waiting(cx);
        if self.maintain_at.is_some_and(|at| at <= cx.now) {
            self.maintain(cx);
        }
        self.search(cx);
    }

    /// How many nodes are known that answer.
    #[must_use]
    pub fn good(&self, now: Instant) -> usize {
        self.v4.table.count(Health::Good, now) + self.v6.table.count(Health::Good, now)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        Status {
            v4: self.v4.status(now),
            v6: self.v6.status(now),
            searching: self.searches.running(),
            announced: self.searches.announced(),
            lookups: self.lookups.len(),
            queries: self.queries.len(),
            torrents_stored: self.store.torrents(),
            peers_stored: self.store.peers(),
        }
    }

    const fn side(&mut self, family: Family) -> &mut Side {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    const fn takes_part(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.config.ipv4,
            Family::V6 => self.config.ipv6,
        }
    }

    fn may_ask(&self, address: SocketAddr) -> bool {
        address.port() != 0 && scope::scope(address.ip()).is_some() && self.takes_part(Family::of(address))
    }

    /// Asks a node; says whether that could be done. `unforeseen`: as far as we know it has not heard from us, nor we
    /// from it.
    fn ask(
        &mut self,
        to: SocketAddr,
        id: Option<NodeId>,
        method: Method,
        purpose: Purpose,
        unforeseen: bool,
        cx: &mut Cx<'_, Action>,
    ) -> bool {
        if !self.may_ask(to) {
            return false;
        }
        let side = self.side(Family::of(to));
        let own = side.table.own();
        let cold = match side.table.get(to) {
            Some(node) => {
                let cold = cx.now.since(node.touched) >= COLD_TIME;
                node.touched = cx.now;
                cold
            }
            None => unforeseen,
        };
        let Some(transaction) = self.queries.begin(to, purpose, id, cold, cx.now, cx.rng) else {
            return false;
        };
        let query = Query { id: own, read_only: self.config.read_only, want: self.want(to), method };
        self.send(to, transaction.to_vec(), None, Body::Query(query), cx);
        true
    }

    /// While we know next to nobody on the other DHT, nodes on this one may know somebody (BEP 32).
    fn want(&self, to: SocketAddr) -> Option<Want> {
        let (own, other) = if to.is_ipv4() { (&self.v4, &self.v6) } else { (&self.v6, &self.v4) };
        let both = self.config.ipv4 && self.config.ipv6;
        let few = other.table.nodes().count() < BUCKET_NODES && own.own_lookup.is_some();
        (both && few).then_some(Want { v4: true, v6: true })
    }

    fn send(
        &self,
        to: SocketAddr,
        transaction: Vec<u8>,
        ip: Option<SocketAddr>,
        body: Body,
        cx: &mut Cx<'_, Action>,
    ) {
        let message = Message { transaction, version: Some(self.config.version), ip, body };
        cx.out.push(Action::Send { to, data: message.encode().into() });
    }
}

#[cfg(test)]
mod tests;
