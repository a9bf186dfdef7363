//! The DHT among the rest: one node for all torrents, and which of them it is told of.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use slotmap::SecondaryMap;

use super::config::DhtConfig;
use super::deadlines::Owner;
use super::{Asker, Engine, Output, ResolveError, SaveKey, Stopping};
use crate::cx::Cx;
use crate::dht::{self, Action, Announce, Dht};
use crate::id::TorrentId;
use crate::rng::Rng;
use crate::scope::{self, NamedBy};
use crate::time::Instant;
use crate::torrent::Source;

/// Hosts to begin at that are looked up; what more are named are left out.
const HOSTS_MAX: usize = 32;
/// Nodes of one torrent file that are asked, while we know hardly anybody (BEP 5, `nodes`).
const TORRENT_NODES_MAX: usize = 8;
/// Addresses of one host that are asked.
const ADDRESSES_MAX: usize = 8;
/// While nobody is there, names are looked up again after so long.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);
/// What is known is kept for the next run this often.
const SAVE_TIME: Duration = Duration::from_secs(10 * 60);

/// A node of the DHT, and what the engine keeps about it.
#[derive(Debug)]
pub(super) struct DhtNode {
    dht: Dht,
    rng: Rng,
    /// Hosts to begin at, whose addresses are not known without asking.
    hosts: Vec<(String, u16)>,
    resolve_at: Instant,
    save_at: Instant,
    /// What it was told of each torrent.
    told: SecondaryMap<TorrentId, ([u8; 20], Announce)>,
}

impl Engine {
    /// The DHT node's numbers, if there is one.
    #[must_use]
    pub fn dht(&self) -> Option<dht::Status> {
        self.dht.as_ref().map(|node| node.dht.status(self.now))
    }

    /// Starts the DHT node that the configuration asks for.
    pub(super) fn start_dht(&mut self, config: DhtConfig, mut rng: Rng) {
        let DhtConfig { bootstrap, read_only, ipv4, ipv6, saved } = config;
        let tag = self.config.client_tag;
        let version = [tag[0], tag[1], tag[2], tag[3]];
        let config = dht::Config { read_only, ipv4, ipv6, version };
        let dht = Dht::new(config, self.now, &mut rng);
        let (mut addresses, mut hosts) = (Vec::new(), Vec::new());
        for (host, port) in bootstrap.into_iter().take(HOSTS_MAX) {
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => addresses.push(SocketAddr::new(address, port)),
                Err(_) => hosts.push((host, port)),
            }
        }
        self.dht = Some(DhtNode {
            dht,
            rng,
            hosts,
            resolve_at: self.now,
            save_at: self.now + SAVE_TIME,
            told: SecondaryMap::new(),
        });
        self.with_dht(|dht, cx| {
            // What cannot be read is no better than nothing: the next save replaces it.
            let _unreadable = saved.map(|saved| dht.load(&saved, cx));
            for address in addresses {
                dht.add_node(address, cx);
            }
        });
        self.look_up_dht_hosts();
    }

    /// Keeps what the DHT node knows, and ends it.
    pub(super) fn stop_dht(&mut self) {
        self.save_dht();
        self.dht = None;
        self.deadlines.disarm(Owner::Dht);
        self.resolves_waiting.retain(|(asker, _)| !matches!(asker, Asker::Dht { .. }));
    }

    pub(super) fn tick_dht(&mut self) {
        self.with_dht(Dht::tick);
        self.look_up_dht_hosts();
        if self.dht.as_ref().is_some_and(|node| node.save_at <= self.now) {
            self.save_dht();
        }
    }

    fn save_dht(&mut self) {
        let Some(node) = &mut self.dht else { return };
        node.save_at = self.now + SAVE_TIME;
        // What an earlier run knew is not given up for nothing.
        if node.dht.good(self.now) > 0 {
            let data = node.dht.save(self.now);
            self.out.push_back(Output::Save { key: SaveKey::Dht, data });
        }
    }

    /// Lets the DHT node act, and does what it wants.
    pub(super) fn with_dht(&mut self, act: impl FnOnce(&mut Dht, &mut Cx<'_, Action>)) {
        let Some(node) = &mut self.dht else { return };
        let mut actions = Vec::new();
        act(&mut node.dht, &mut Cx { now: self.now, rng: &mut node.rng, out: &mut actions });
        self.deadlines.arm(Owner::Dht, node.dht.deadline());
        for action in actions {
            match action {
                Action::Send { to, data } => self.out.push_back(Output::Datagram { to, data }),
                Action::Peers { info_hash, peers } => {
                    let Some(id) = self.by_hash.get(&info_hash).copied() else { continue };
                    self.with_torrent(id, |torrent, turn| {
                        for peer in peers {
                            torrent.add_peer(peer, Source::Dht, turn);
                        }
                    });
                }
                Action::Done { .. } => {}
            }
        }
    }

    /// Tells the DHT node what has changed about a torrent: private ones, and those that do not run, it never hears of
    /// (BEP 27).
    pub(super) fn tell_dht(&mut self, id: TorrentId) {
        let Some(node) = &mut self.dht else { return };
        let torrent = self.torrents.get(id).filter(|torrent| torrent.is_open_to_all());
        let now = torrent.map(|torrent| {
            let port = self.config.listen_port.unwrap_or(0);
            let announce = Announce { port, implied_port: false, seed: torrent.is_complete() };
            (torrent.info_hash().on_the_wire(), announce)
        });
        let before = node.told.get(id).copied();
        if now == before {
            return;
        }
        match now {
            Some(news) => drop(node.told.insert(id, news)),
            None => drop(node.told.remove(id)),
        }
        self.with_dht(|dht, cx| match (now, before) {
            (Some((info_hash, announce)), _) => {
                // With more torrents than it has room for, the last ones do without.
                let _no_room = dht.announce(info_hash, announce, cx);
            }
            (None, Some((info_hash, _))) => dht.stop(info_hash, cx),
            (None, None) => {}
        });
    }

    /// A torrent file names nodes: they help while hardly anybody is known.
    pub(super) fn begin_dht_at(&mut self, nodes: &[(String, u16)]) {
        let few = self.dht.as_ref().is_some_and(|node| node.dht.good(self.now) < dht::BUCKET_NODES);
        for (host, port) in nodes.iter().take(if few { TORRENT_NODES_MAX } else { 0 }) {
            match host.parse::<IpAddr>() {
                Ok(address) => self.add_dht_nodes(NamedBy::Torrent, *port, &[address]),
                Err(_) if self.resolves_waiting.len() >= HOSTS_MAX => {}
                Err(_) => {
                    let asker = Asker::Dht { named_by: NamedBy::Torrent, port: *port };
                    self.resolves_waiting.push_back((asker, host.clone()));
                }
            }
        }
        self.resolve_on();
    }

    /// Looks up the hosts to begin at, while nobody is there, once in a while.
    fn look_up_dht_hosts(&mut self) {
        let Some(node) = &mut self.dht else { return };
        if node.hosts.is_empty() || node.dht.good(self.now) > 0 {
            return;
        }
        if node.resolve_at <= self.now {
            node.resolve_at = self.now + RESOLVE_AGAIN;
            let asker = |port| Asker::Dht { named_by: NamedBy::User, port };
            let hosts = node.hosts.iter().map(|(host, port)| (asker(*port), host.clone()));
            self.resolves_waiting.extend(hosts);
        }
        self.deadlines.arm(Owner::Dht, Some(node.resolve_at));
        self.resolve_on();
    }

    /// A host to begin at was looked up.
    pub(super) fn dht_resolved(
        &mut self,
        named_by: NamedBy,
        port: u16,
        result: Result<Vec<IpAddr>, ResolveError>,
    ) {
        self.add_dht_nodes(named_by, port, &result.unwrap_or_default());
    }

    fn add_dht_nodes(&mut self, named_by: NamedBy, port: u16, addresses: &[IpAddr]) {
        self.with_dht(|dht, cx| {
            let may = |address: &&IpAddr| scope::may_name(named_by, **address);
            for address in addresses.iter().filter(may).take(ADDRESSES_MAX) {
                dht.add_node(SocketAddr::new(*address, port), cx);
            }
        });
    }

    /// A peer says which port its DHT node has (BEP 5).
    pub(super) fn dht_node_at(&mut self, address: SocketAddr) {
        if self.stopping == Stopping::No {
            self.with_dht(|dht, cx| dht.ping(address, cx));
        }
    }
}
