//! A whole DHT in virtual time: nodes come and go, some behind NATs, some of them liars, over a network that loses
//! things.
//!
//! It drives [`Dht`] itself and no engine, so that ten thousand nodes are no great matter.

mod hostile;
mod measure;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::cx::Cx;
use pieceful_core::dht::{Action, Announce, Config, Dht};
use pieceful_core::rng::Rng;
use pieceful_core::time::Instant;

use crate::seeded;
use hostile::Hostility;
pub use measure::{Figures, measure};

/// What the network is like.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Nodes there are at any time.
    pub nodes: u32,
    /// Datagrams that get lost, of a hundred.
    pub loss: u32,
    /// Nodes that go for good within an hour, of a hundred; as many come.
    pub churn: u32,
    /// Nodes that only those they have sent something to can reach, of a hundred.
    pub natted: u32,
    /// Nodes that lead others astray, of a hundred.
    pub hostile: u32,
}

/// Nodes that everyone begins at; they stay, and anybody can reach them.
const ROUTERS: u32 = 4;
/// A door in a NAT is open for so long after something went out through it.
const DOOR_TIME: Duration = Duration::from_secs(120);

/// A DHT.
#[derive(Debug)]
pub struct Net {
    profile: Profile,
    now: Instant,
    rng: Rng,
    queue: BTreeMap<(Instant, u64), Step>,
    steps: u64,
    nodes: Vec<Node>,
    at: BTreeMap<SocketAddr, usize>,
    /// Addresses given out so far.
    born: u32,
    found: Vec<Found>,
}

#[derive(Debug)]
enum Step {
    Deliver { from: SocketAddr, to: SocketAddr, data: Bytes },
    Tick { node: usize, address: SocketAddr },
    Leave { node: usize, address: SocketAddr },
}

/// Something that a node has found.
#[derive(Clone, Debug)]
struct Found {
    node: usize,
    at: Instant,
    action: Action,
}

#[derive(Debug)]
struct Node {
    dht: Dht,
    rng: Rng,
    address: SocketAddr,
    /// Who may reach it until when; `None`: everybody.
    doors: Option<BTreeMap<SocketAddr, Instant>>,
    hostility: Option<Hostility>,
    armed: Option<Instant>,
    /// Bytes sent so far.
    sent: u64,
}

impl Net {
    /// All nodes come within the first ten minutes.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let rng = seeded(seed, "dht");
        let mut net = Self {
            profile,
            now: Instant::from_micros(1_000_000_000),
            rng,
            queue: BTreeMap::new(),
            steps: 0,
            nodes: Vec::new(),
            at: BTreeMap::new(),
            born: 0,
            found: Vec::new(),
        };
        for place in 0..profile.nodes as usize {
            let until = net.now + Duration::from_millis(600_000 / u64::from(profile.nodes));
            let node = net.birth();
            net.nodes.push(node);
            net.join(place);
            net.run_until(until);
        }
        net
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How the node at this place is doing.
    #[must_use]
    pub fn node(&self, place: usize) -> &Dht {
        &self.nodes[place].dht
    }

    /// Lets time go by.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    fn run_until(&mut self, end: Instant) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), step) = entry.remove_entry();
            self.now = at;
            self.step(step);
        }
        self.now = end;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver { from, to, data } => {
                let Some(place) = self.at.get(&to).copied() else { return };
                let open = match &self.nodes[place].doors {
                    Some(doors) => doors.get(&from).is_some_and(|until| self.now <= *until),
                    None => true,
                };
                if !open {
                    return;
                }
                let node = &mut self.nodes[place];
                let own = node.dht.status(self.now).v4.id;
                match node.hostility.and_then(|it| it.answer(own, &data, &mut node.rng)) {
                    Some(Some(reply)) => self.post(to, from, reply),
                    Some(None) => {}
                    None => self.let_node(place, |dht, cx| dht.receive(from, &data, cx)),
                }
            }
            Step::Tick { node, address } => {
                let it = &mut self.nodes[node];
                if it.address == address && it.armed.is_some_and(|at| at <= self.now) {
                    it.armed = None;
                    self.let_node(node, Dht::tick);
                }
            }
            Step::Leave { node, address } => {
                if self.nodes[node].address == address {
                    self.at.remove(&address);
                    self.nodes[node] = self.birth();
                    self.join(node);
                }
            }
        }
    }

    /// A new node, with an address in a network of its own.
    fn birth(&mut self) -> Node {
        let number = self.born;
        self.born += 1;
        let [_, a, b, c] = number.to_be_bytes();
        let address = SocketAddr::from(([60 + a, b, c, 9], 6881));
        let mut rng = self.rng.fork("node");
        let is_router = number < ROUTERS;
        let is = |percent: u32, rng: &mut Rng| rng.below(100) < percent && !is_router;
        let hostile = is(self.profile.hostile, &mut rng);
        let natted = is(self.profile.natted, &mut rng) && !hostile;
        Node {
            dht: Dht::new(Config { ipv6: false, ..Config::default() }, self.now, &mut rng),
            doors: natted.then(BTreeMap::new),
            hostility: hostile.then(|| Hostility::of(number)),
            rng,
            address,
            armed: None,
            sent: 0,
        }
    }

    fn join(&mut self, place: usize) {
        let address = self.nodes[place].address;
        self.at.insert(address, place);
        for router in 0..ROUTERS.min(self.nodes.len() as u32) {
            let router = SocketAddr::from(([60, 0, router as u8, 9], 6881));
            if router != address {
                self.let_node(place, |dht, cx| dht.add_node(router, cx));
            }
        }
        if self.profile.churn > 0 && place >= ROUTERS as usize {
            // Of many nodes each of which stays for a time of up to twice the mean, as many go in each hour.
            let mean = 3_600 * 100 / u64::from(self.profile.churn);
            let stay = Duration::from_secs(self.rng.u64() % (2 * mean));
            self.push(self.now + stay, Step::Leave { node: place, address });
        }
    }

    fn let_node(&mut self, place: usize, act: impl FnOnce(&mut Dht, &mut Cx<'_, Action>)) {
        let node = &mut self.nodes[place];
        let mut out = Vec::new();
        act(&mut node.dht, &mut Cx { now: self.now, rng: &mut node.rng, out: &mut out });
        let address = node.address;
        if let Some(due) = node.dht.deadline()
            && node.armed.is_none_or(|armed| due < armed)
        {
            let due = due.max(self.now);
            node.armed = Some(due);
            self.push(due, Step::Tick { node: place, address });
        }
        for action in out {
            match action {
                Action::Send { to, data } => self.post(address, to, data),
                action @ (Action::Peers { .. } | Action::Done { .. }) => {
                    self.found.push(Found { node: place, at: self.now, action });
                }
            }
        }
    }

    fn post(&mut self, from: SocketAddr, to: SocketAddr, data: Bytes) {
        let Some(place) = self.at.get(&from).copied() else { return };
        let node = &mut self.nodes[place];
        node.sent += data.len() as u64;
        if let Some(doors) = &mut node.doors {
            doors.retain(|_, until| self.now <= *until);
            doors.insert(to, self.now + DOOR_TIME);
        }
        if self.rng.below(100) < self.profile.loss {
            return;
        }
        let delay = Duration::from_millis(10 + u64::from(self.rng.below(140)));
        self.push(self.now + delay, Step::Deliver { from, to, data });
    }

    fn push(&mut self, at: Instant, step: Step) {
        self.steps += 1;
        self.queue.insert((at, self.steps), step);
    }

    /// Lets a node announce a torrent.
    fn announce(&mut self, place: usize, info_hash: [u8; 20]) {
        let announce = Announce { port: 6881, implied_port: false, seed: false };
        self.let_node(place, |dht, cx| dht.announce(info_hash, announce, cx).expect("there is room"));
    }

    /// Lets a node look for a torrent's peers.
    fn find(&mut self, place: usize, info_hash: [u8; 20]) {
        self.let_node(place, |dht, cx| dht.find_peers(info_hash, cx).expect("there is room"));
    }

    /// An honest node, any of them.
    fn anybody(&mut self) -> usize {
        loop {
            let place = self.rng.below(self.nodes.len() as u32) as usize;
            if self.nodes[place].hostility.is_none() {
                return place;
            }
        }
    }
}
