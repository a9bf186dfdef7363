//! A DHT node under any sequence of calls, datagrams and timers: strangers get little and third parties nothing, what
//! is kept has limits, and every search ends.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use pieceful_core::cx::Cx;
use pieceful_core::dht::{
    AMPLIFICATION_MAX, Action, Announce, Body, Config, Contact, Dht, Message, Method, NodeId, Query, Reply,
    STORED_PEERS_MAX, STORED_TORRENTS_MAX, Want,
};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::scope::{self, NamedBy};
use pieceful_core::time::Instant;

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut world = World::new(input.arbitrary().unwrap_or_default());
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(step);
    }
    world.wind_up();
}

#[derive(Arbitrary, Debug)]
enum Step {
    Noise {
        from: u8,
        data: Vec<u8>,
    },
    Ask {
        from: u8,
        id: u8,
        method: u8,
        hash: u8,
        flags: u8,
    },
    /// An announce with the token that was given last.
    AnnounceHere {
        from: u8,
        hash: u8,
        port: u16,
    },
    /// An answer to a question of ours, from where that was sent to.
    Answer {
        sent: u8,
        id: u8,
        nodes: Vec<u8>,
        peers: Vec<u8>,
        token: u8,
        ip: u8,
    },
    Refuse {
        sent: u8,
    },
    /// The right transaction id from the wrong address.
    Spoofed {
        sent: u8,
        from: u8,
    },
    AddNode {
        node: u8,
    },
    Ping {
        node: u8,
    },
    Find {
        hash: u8,
    },
    Announce {
        hash: u8,
        implied_port: bool,
    },
    Stop {
        hash: u8,
    },
    Load {
        saved: Vec<u8>,
    },
    SaveAndLoad,
    Wait {
        seconds: u8,
        minutes: bool,
    },
}

struct World {
    dht: Dht,
    rng: Rng,
    now: Instant,
    /// Questions of ours, and whom they went to.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    /// Everybody who was named to it by somebody who may.
    named: BTreeSet<SocketAddr>,
    /// It may know anybody: from a file.
    loaded: bool,
    token: Vec<u8>,
    /// Torrents that are looked for.
    searched: BTreeSet<[u8; 20]>,
    kept: BTreeSet<[u8; 20]>,
}

impl World {
    fn new(flags: u8) -> Self {
        let mut rng = Rng::new(Seed([5; 32]));
        let now = Instant::from_micros(1_000_000_000);
        let config = Config { read_only: flags & 1 != 0, ipv6: flags & 2 == 0, ..Config::default() };
        let dht = Dht::new(config, now, &mut rng);
        let (sent, named, token) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (searched, kept) = (BTreeSet::new(), BTreeSet::new());
        Self { dht, rng, now, sent, named, loaded: false, token, searched, kept }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Noise { from, data } => self.unasked(address(from), &data),
            Step::Ask { from, id, method, hash, flags } => {
                let method = match method % 6 {
                    0 => Method::Ping,
                    1 => Method::FindNode { target: NodeId([hash; 20]) },
                    2 => Method::GetPeers {
                        info_hash: [hash; 20],
                        noseed: flags & 1 != 0,
                        scrape: flags & 2 != 0,
                    },
                    3 => Method::SampleInfohashes { target: NodeId([hash; 20]) },
                    4 => Method::AnnouncePeer {
                        info_hash: [hash; 20],
                        port: None,
                        token: vec![flags; 8],
                        seed: false,
                    },
                    _ => Method::Unknown,
                };
                let want = (flags & 4 != 0).then_some(Want { v4: flags & 8 != 0, v6: flags & 16 != 0 });
                self.ask(from, Query { id: NodeId([id; 20]), read_only: flags & 32 != 0, want, method });
            }
            Step::AnnounceHere { from, hash, port } => {
                let method = Method::AnnouncePeer {
                    info_hash: [hash; 20],
                    port: (port != 0).then_some(port),
                    token: self.token.clone(),
                    seed: port % 2 == 0,
                };
                self.ask(from, Query { id: NodeId([from; 20]), read_only: true, want: None, method });
            }
            Step::Answer { sent, id, nodes, peers, token, ip } => {
                let Some((from, transaction)) = self.earlier(sent) else { return };
                let contacts: Vec<Contact> = nodes
                    .iter()
                    .map(|node| Contact { id: NodeId([*node; 20]), address: address(*node) })
                    .collect();
                let (v4, v6): (Vec<Contact>, Vec<Contact>) =
                    contacts.into_iter().partition(|contact| contact.address.is_ipv4());
                let addresses = v4.iter().chain(&v6).map(|contact| contact.address);
                let peers: Vec<SocketAddr> = peers.into_iter().map(address).collect();
                self.named.extend(addresses.filter(|named| may_name(from, *named)));
                let reply = Reply {
                    nodes: (!v4.is_empty()).then_some(v4),
                    nodes6: (!v6.is_empty()).then_some(v6),
                    values: peers.clone(),
                    token: (token != 0).then(|| vec![token; usize::from(token % 70)]),
                    ..Reply::new(NodeId([id; 20]))
                };
                let body = Body::Reply(reply);
                let ip = Some(address(ip));
                let data = Message { transaction, version: None, ip, body }.encode();
                let out = self.call(|dht, cx| dht.receive(from, &data, cx));
                for peer in out {
                    assert!(may_name(from, peer) && peers.contains(&peer) || self.is_stored(peer), "{peer}");
                }
            }
            Step::Refuse { sent } => {
                let Some((from, transaction)) = self.earlier(sent) else { return };
                let body = Body::Error(pieceful_core::dht::Code::Generic);
                let data = Message { transaction, version: None, ip: None, body }.encode();
                self.call(|dht, cx| dht.receive(from, &data, cx));
            }
            Step::Spoofed { sent, from } => {
                let Some((to, transaction)) = self.earlier(sent) else { return };
                let from = SocketAddr::new(address(from).ip(), 7);
                assert_ne!(from, to);
                let body = Body::Reply(Reply::new(NodeId([from.port() as u8; 20])));
                let data = Message { transaction, version: None, ip: None, body }.encode();
                let before = self.dht.status(self.now);
                self.unasked(from, &data);
                assert_eq!(self.dht.status(self.now), before, "a third party was believed");
            }
            Step::AddNode { node } => {
                self.named.insert(address(node));
                self.call(|dht, cx| dht.add_node(address(node), cx));
            }
            Step::Ping { node } => {
                self.named.insert(address(node));
                self.call(|dht, cx| dht.ping(address(node), cx));
            }
            Step::Find { hash } => {
                self.searched.insert([hash; 20]);
                self.call(|dht, cx| dht.find_peers([hash; 20], cx).expect("there is room"));
            }
            Step::Announce { hash, implied_port } => {
                self.kept.insert([hash; 20]);
                let announce = Announce { port: 6881, implied_port, seed: hash % 2 == 0 };
                self.call(|dht, cx| dht.announce([hash; 20], announce, cx).expect("there is room"));
            }
            Step::Stop { hash } => {
                self.kept.remove(&[hash; 20]);
                self.searched.remove(&[hash; 20]);
                self.call(|dht, cx| dht.stop([hash; 20], cx));
            }
            Step::Load { saved } => {
                let before = self.dht.status(self.now);
                self.loaded = true;
                let mut refused = false;
                self.call(|dht, cx| refused = dht.load(&saved, cx).is_err());
                assert!(!refused || self.dht.status(self.now) == before, "half of it was taken");
            }
            Step::SaveAndLoad => {
                let saved = self.dht.save(self.now);
                assert!(saved.len() < 20_000);
                self.call(|dht, cx| dht.load(&saved, cx).expect("it wrote this itself"));
            }
            Step::Wait { seconds, minutes } => {
                let unit = if minutes { 60 } else { 1 };
                self.now += Duration::from_secs(u64::from(seconds) * unit);
                self.tick();
            }
        }
        let status = self.dht.status(self.now);
        assert!(status.queries <= 1_024 && status.searching <= 8 && status.lookups <= 20);
        assert!(status.torrents_stored <= STORED_TORRENTS_MAX);
        assert!(status.peers_stored <= STORED_PEERS_MAX * 2 * STORED_TORRENTS_MAX);
        assert_eq!(status.announced, self.kept.len());
    }

    /// Time goes by and nobody answers: what was looked for once ends, and it does not get loud.
    fn wind_up(&mut self) {
        let end = self.now + Duration::from_secs(600);
        let mut ticks = 0;
        while let Some(deadline) = self.dht.deadline().filter(|deadline| *deadline < end) {
            self.now = self.now.max(deadline);
            self.tick();
            ticks += 1;
            assert!(ticks < 10_000, "it never rests");
        }
        assert!(self.searched.is_subset(&self.kept), "a search without an end");
    }

    fn tick(&mut self) {
        self.call(Dht::tick);
        assert!(self.dht.deadline().is_none_or(|next| next > self.now), "a deadline that does not move");
    }

    fn ask(&mut self, from: u8, query: Query) {
        let transaction = vec![from; 2];
        let data = Message { transaction, version: None, ip: None, body: Body::Query(query) }.encode();
        self.unasked(address(from), &data);
    }

    /// What nobody asked for is answered to nobody else, and not with much more.
    fn unasked(&mut self, from: SocketAddr, data: &[u8]) {
        self.named.insert(from);
        let mut out = Vec::new();
        let mut cx = Cx { now: self.now, rng: &mut self.rng, out: &mut out };
        self.dht.receive(from, data, &mut cx);
        let mut bytes = 0;
        for action in out {
            let (to, data) = match action {
                Action::Send { to, data } => (to, data),
                // Somebody announces what we look for: at most its own address.
                Action::Peers { info_hash, peers } => {
                    assert!(self.searched.contains(&info_hash) || self.kept.contains(&info_hash));
                    assert!(peers.len() == 1 && peers[0].ip() == from.ip());
                    continue;
                }
                Action::Done { .. } => panic!("a stranger has ended something of ours"),
            };
            assert_eq!(to, from, "a third party");
            bytes += data.len();
            self.note(to, &data);
        }
        assert!(bytes <= AMPLIFICATION_MAX * data.len(), "{bytes} bytes for {}", data.len());
    }

    fn note(&mut self, to: SocketAddr, data: &[u8]) {
        assert!(data.len() <= 1_024);
        match Message::decode(data).expect("it says what it understands").body {
            Body::Query(_) => {
                let transaction = Message::decode(data).expect("as before").transaction;
                self.sent.push((to, transaction));
                if self.sent.len() > 512 {
                    self.sent.remove(0);
                }
            }
            Body::Reply(Reply { token: Some(token), .. }) => self.token = token,
            Body::Reply(_) | Body::Error(_) => {}
        }
    }

    fn earlier(&self, sent: u8) -> Option<(SocketAddr, Vec<u8>)> {
        let place = self.sent.len().checked_sub(1 + usize::from(sent))?;
        self.sent.get(place).cloned()
    }

    fn is_stored(&self, peer: SocketAddr) -> bool {
        self.dht.status(self.now).peers_stored > 0 && peer.port() != 0
    }

    /// Gives the peers that were found.
    fn call(&mut self, run: impl FnOnce(&mut Dht, &mut Cx<'_, Action>)) -> Vec<SocketAddr> {
        let mut out = Vec::new();
        run(&mut self.dht, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
        let mut found = Vec::new();
        for action in out {
            match action {
                Action::Send { to, data } => {
                    assert!(to.port() != 0 && scope::scope(to.ip()).is_some());
                    assert!(self.loaded || self.named.contains(&to), "{to} was never named");
                    self.note(to, &data);
                }
                Action::Peers { info_hash, peers } => {
                    assert!(self.searched.contains(&info_hash) || self.kept.contains(&info_hash));
                    found.extend(peers);
                }
                Action::Done { info_hash, .. } => {
                    let once = self.searched.remove(&info_hash);
                    assert!(once || self.kept.contains(&info_hash), "an end without a beginning");
                }
            }
        }
        found
    }
}

fn may_name(source: SocketAddr, address: SocketAddr) -> bool {
    let own = scope::scope(source.ip()).map(NamedBy::Host);
    address.port() != 0 && own.is_some_and(|own| scope::may_name(own, address.ip()))
}

fn address(number: u8) -> SocketAddr {
    let ip = match number % 8 {
        0 => IpAddr::from([127, 0, 0, number]),
        1 => IpAddr::from([192, 168, 0, number]),
        2 => IpAddr::from([0x2001, 0xdb8, 0, u16::from(number), 0, 0, 0, 1]),
        3 => IpAddr::from([0; 4]),
        _ => IpAddr::from([9, number, 9, 9]),
    };
    SocketAddr::new(ip, if number == 255 { 0 } else { 6_881 })
}
