//! The world: who is in it, what happens next, and what a test may ask of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Call, Config, Engine, PeerStatus, Returned, SaveKey, What};
use pieceful_core::id::TorrentId;
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;

use crate::checker::Checker;
use crate::fault::Lasting;
use crate::link::LinkState;
use crate::nat::Mappings;
use crate::node::{EngineNode, Has, Kind, Node, ScriptNode, Spec, address};
use crate::nth::Nth;
use crate::odd::{Calls, Odd};
use crate::paths::Cut;
use crate::queue::{Queue, Step};
use crate::script::MakeScript;
use crate::tape::Tape;
use crate::tcp::{Segmentation, Tcp};
use crate::trace::Trace;
use crate::tracker::Tracker;
use crate::transcript::Transcript;
use crate::udp::UdpProfile;
use crate::{Data, seeded};

/// Wall-clock time at the beginning of every world, since 1970.
const UNIX_TIME: Duration = Duration::from_secs(1_700_000_000);

/// A swarm with its own time.
///
/// Built by naming who is in it, run until something holds:
///
/// ```no_run
/// # use std::time::Duration;
/// # use pieceful_tests::World;
/// let mut world = World::new(1).seed("alice").leecher("bob");
/// world.run_until(|w| w.complete("bob"), Duration::from_secs(600));
/// ```
#[derive(Debug)]
pub struct World {
    pub(crate) queue: Queue,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: BTreeMap<String, usize>,
    /// The nodes by their addresses.
    pub(crate) places: BTreeMap<IpAddr, usize>,
    pub(crate) links: Vec<LinkState>,
    pub(crate) tcp: Tcp,
    pub(crate) udp: UdpProfile,
    pub(crate) trackers: Vec<Tracker>,
    pub(crate) lasting: Lasting,
    pub(crate) nth: Nth,
    /// How many machines sleep.
    pub(crate) asleep: u32,
    /// Packets that vanish, by the number of the fault they do so for.
    pub(crate) cuts: Vec<(u64, Cut)>,
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) data: Arc<Data>,
    pub(crate) trace: Trace,
    pub(crate) transcript: Transcript,
    seed: u64,
    /// Nodes that were given their first step.
    begun: usize,
    told: bool,
}

impl World {
    /// An empty world whose torrent is one file of 2 MiB and a bit in pieces of 64 KiB.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            queue: Queue::default(),
            rng: seeded(seed, "world"),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            places: BTreeMap::new(),
            links: Vec::new(),
            tcp: Tcp::default(),
            udp: UdpProfile::default(),
            trackers: Vec::new(),
            lasting: Lasting::default(),
            nth: Nth::default(),
            asleep: 0,
            cuts: Vec::new(),
            hosts: BTreeMap::new(),
            data: Arc::new(Data::single(seed, (2 << 20) + 12_345, 64 << 10)),
            trace: Trace::default(),
            transcript: Transcript::default(),
            seed,
            begun: 0,
            told: false,
        }
    }

    // Who is in it.

    /// Another torrent than the usual one; before the nodes.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        assert!(self.nodes.is_empty(), "the torrent comes before the nodes");
        self.data = Arc::new(data);
        self
    }

    /// How reads cut the streams.
    #[must_use]
    pub fn segmentation(mut self, how: Segmentation) -> Self {
        self.tcp.segmentation = how;
        self
    }

    /// Bytes of a connection that systems hold between them, from its sender's engine to its receiver's; before
    /// the nodes. Systems give slow connections less than the usual 256 KiB.
    #[must_use]
    pub fn buffer(mut self, bytes: u32) -> Self {
        self.tcp.buffer = bytes;
        self
    }

    /// What happens to datagrams.
    #[must_use]
    pub fn udp(mut self, profile: UdpProfile) -> Self {
        self.udp = profile;
        self
    }

    /// A tracker; the part of its URL before the path. One of UDP is found by its name, too.
    #[must_use]
    pub fn tracker(mut self, url: &str) -> Self {
        self.add_tracker(url);
        self
    }

    /// Adds a tracker to a world that may be running.
    pub fn add_tracker(&mut self, url: &str) {
        let mut tracker = Tracker::new(url);
        if tracker.udp_address().is_some() {
            tracker.address = IpAddr::from([11, 255, 255, 1 + self.trackers.len() as u8]);
            self.hosts.insert(tracker.host().to_owned(), vec![tracker.address]);
        }
        self.trackers.push(tracker);
    }

    /// A name that resolves.
    #[must_use]
    pub fn host(mut self, name: &str, addresses: &[IpAddr]) -> Self {
        self.hosts.insert(name.to_owned(), addresses.to_vec());
        self
    }

    /// A node with all of the torrent.
    #[must_use]
    pub fn seed(self, name: &str) -> Self {
        self.node(name, |spec| spec.has = Has::Everything)
    }

    /// A node with nothing of the torrent.
    #[must_use]
    pub fn leecher(self, name: &str) -> Self {
        self.node(name, |_| {})
    }

    /// A node with these pieces.
    #[must_use]
    pub fn partial(self, name: &str, pieces: impl IntoIterator<Item = u32>) -> Self {
        let pieces = pieces.into_iter().collect();
        self.node(name, |spec| spec.has = Has::Pieces(pieces))
    }

    /// A node of any kind.
    #[must_use]
    pub fn node(mut self, name: &str, set: impl FnOnce(&mut Spec)) -> Self {
        self.add_node(name, set);
        self
    }

    /// Changes the node that was added last.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Spec)) -> Self {
        let index = self.nodes.len() - 1;
        let node = self.nodes.last_mut().expect("a node to change");
        set(&mut node.spec);
        self.places.remove(&node.address.ip());
        node.address = address(index, &node.spec);
        self.places.insert(node.address.ip(), index);
        *self.links.last_mut().expect("a link for each node") = LinkState::new(node.spec.link);
        self
    }

    /// Changes a node that was added earlier and has not started.
    pub fn begin_with(&mut self, name: &str, set: impl FnOnce(&mut Spec)) {
        let index = self.index(name);
        set(&mut self.nodes[index].spec);
        self.links[index] = LinkState::new(self.nodes[index].spec.link);
    }

    /// A scripted peer that waits to be dialled by the nodes after it.
    #[must_use]
    pub fn script(mut self, name: &str, make: MakeScript) -> Self {
        self.add_script(name, make, None);
        self
    }

    /// A scripted peer that dials a node added before it.
    #[must_use]
    pub fn dialling_script(mut self, name: &str, make: MakeScript, whom: &str) -> Self {
        self.add_dialling_script(name, make, whom);
        self
    }

    /// Adds one to a world that may be running.
    pub fn add_dialling_script(&mut self, name: &str, make: MakeScript, whom: &str) {
        let whom = self.address(whom);
        self.add_script(name, make, Some((whom, Calls::default())));
    }

    /// An odd peer that waits to be dialled by the nodes after it.
    #[must_use]
    pub fn odd(self, name: &str, odd: Odd) -> Self {
        self.script(name, odd.script())
    }

    /// An odd peer that calls a node added before it.
    #[must_use]
    pub fn caller(mut self, name: &str, odd: Odd, whom: &str, calls: Calls) -> Self {
        self.add_caller(name, odd, whom, calls);
        self
    }

    /// Adds one to a world that may be running.
    pub fn add_caller(&mut self, name: &str, odd: Odd, whom: &str, calls: Calls) {
        let whom = self.address(whom);
        self.add_script(name, odd.script(), Some((whom, calls)));
    }

    /// Adds a node to a world that may be running.
    pub fn add_node(&mut self, name: &str, set: impl FnOnce(&mut Spec)) {
        let mut spec = Spec::default();
        set(&mut spec);
        self.add(name, spec, Kind::Engine(Box::default()));
    }

    fn add_script(&mut self, name: &str, make: MakeScript, calls: Option<(SocketAddr, Calls)>) {
        let spec = Spec { listens: calls.is_none(), link: crate::Link::default(), ..Spec::default() };
        let node = self.nodes.len();
        self.add(name, spec, Kind::Script(ScriptNode { make, met: 0, calls }));
        if let Some((to, Calls { connections, .. })) = calls {
            (0..connections).for_each(|_| self.queue.at(self.queue.now, Step::Dial { node, to }));
        }
    }

    fn add(&mut self, name: &str, spec: Spec, kind: Kind) {
        let index = self.nodes.len();
        assert!(self.names.insert(name.to_owned(), index).is_none(), "two nodes called {name}");
        self.links.push(LinkState::new(spec.link));
        let address = address(index, &spec);
        self.places.insert(address.ip(), index);
        self.nodes.push(Node { name: name.to_owned(), address, spec, kind, mappings: Mappings::default() });
    }

    // Running it.

    /// Runs until `done`; panics with the end of the trace when that takes longer than `within`.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool, within: Duration) {
        self.begin();
        let until = self.queue.now + within;
        while !done(self) {
            match self.queue.pop(until) {
                Some(step) => self.take(step),
                None if self.queue.is_empty() => self.fail("nothing is left to happen, and it does not hold"),
                None => self.fail(&format!("it does not hold after {within:?}")),
            }
        }
        self.check_balance();
    }

    /// Runs for a while.
    pub fn run_for(&mut self, span: Duration) {
        self.begin();
        let until = self.queue.now + span;
        while let Some(step) = self.queue.pop(until) {
            self.take(step);
        }
        self.check_balance();
    }

    pub(crate) fn begin(&mut self) {
        for node in self.begun..self.nodes.len() {
            let starts = self.nodes[node].spec.starts;
            if self.nodes[node].engine().is_some() {
                self.queue.after(starts, Step::Start(node));
            }
        }
        self.begun = self.nodes.len();
    }

    /// Starts a node's engine, on whatever its disk holds.
    pub(crate) fn start(&mut self, index: usize) {
        let (now, shown) = (self.queue.now, self.clock(index));
        let before = if self.nodes[index].spec.introduced { index } else { 0 };
        let known = self.nodes[..before].iter().filter(|node| node.spec.listens).map(|node| node.address);
        let known: Vec<SocketAddr> = known.collect();
        let data = Arc::clone(&self.data);
        let seed = self.seed;
        self.spoil(index);
        let node = &mut self.nodes[index];
        let (spec, name) = (node.spec.clone(), node.name.clone());
        let mut config = Config { unix_time: UNIX_TIME + now.since(Instant::ZERO), ..spec.config };
        config.listen_port = spec.listens.then_some(node.address.port());
        let engine = node.engine_mut().expect("only engines are started");
        engine.life += 1;
        if let Some(dht) = &mut config.dht {
            dht.saved = dht.saved.take().or_else(|| engine.saved.get(&SaveKey::Dht).cloned());
        }
        engine.checker = Checker::new(config.limits);
        engine.disk.expect(&data);
        if engine.life == 1 {
            match spec.has {
                Has::Nothing => {}
                Has::Everything => engine.disk.preload(&data, 0..data.pieces()),
                Has::Pieces(pieces) => engine.disk.preload(&data, pieces),
            }
            spec.files.into_iter().for_each(|(path, contents)| engine.disk.put(&path, contents));
        }
        let mut bytes = [0; 32];
        seeded(seed, &format!("{name} {}", engine.life)).fill(&mut bytes);
        engine.tape = spec.recorded.then(|| Tape {
            config: config.clone(),
            seed: Seed(bytes),
            begins: shown,
            calls: Vec::new(),
        });
        engine.engine = Some(Engine::new(config, Seed(bytes), shown));
        engine.complete = false;
        engine.wake = None;
        engine.armed = None;
        engine.torrents.clear();

        let mut add = match spec.magnet {
            true => AddTorrent::new(data.metainfo.to_magnet()),
            false => AddTorrent::new(Arc::clone(&data.metainfo)),
        };
        add.peers = spec.peers;
        add.peers.extend(known);
        add.trackers = spec.trackers;
        add.files = spec.wants;
        add.order = spec.order;
        add.allocation = spec.allocation;
        add.overwrite = spec.overwrite;
        add.check = spec.check;
        add.serve_only = spec.serve_only;
        add.rates = spec.rates;
        add.seeding = spec.seeding;
        self.trace.write(now, &name, format_args!("starts"));
        if spec.idle {
            self.drain(index);
        } else {
            self.add_torrent(&name, add, data);
        }
    }

    /// Adds another torrent to a running node.
    pub fn add_torrent(&mut self, name: &str, mut add: AddTorrent, data: Arc<Data>) -> TorrentId {
        let index = self.index(name);
        let now = self.clock(index);
        let node = self.engine_node_mut(name);
        node.disk.expect(&data);
        let saved = |key| node.saved.get(&key).cloned();
        add.saved = add.saved.or_else(|| saved(SaveKey::Torrent(data.info_hash())));
        add.saved_metadata = add.saved_metadata.or_else(|| saved(SaveKey::Metadata(data.info_hash())));
        node.record(now, || Call::Add(Box::new(add.clone())));
        let (peers_max, is_link) = (add.peers_max, matches!(add.what, What::Magnet(_)));
        node.checker.called(now, &Call::Timeout);
        let engine = node.engine.as_mut().expect("a node that runs");
        match engine.add_torrent(now, add) {
            Ok(id) => {
                node.checker.added(id, Arc::clone(&data), is_link, peers_max);
                let files = engine.selection(id).cloned().unwrap_or_default();
                node.checker.wants(id, &files);
                node.torrents.push((id, data));
                self.drain(index);
                id
            }
            Err(error) => self.fail(&format!("{name} cannot add its torrent: {error}")),
        }
    }

    /// What the engine of a node tells about the peers of its first torrent.
    #[must_use]
    pub fn peers(&self, name: &str) -> Vec<PeerStatus> {
        let node = self.engine_node(name);
        let engine = node.engine.as_ref().expect("a node that runs");
        node.torrents.first().map(|(id, _)| engine.peers(*id).collect()).unwrap_or_default()
    }

    /// Makes a call of a node's engine about its first torrent, such as [`Call::Pause`], and does what comes of it.
    pub fn command(&mut self, name: &str, command: impl FnOnce(TorrentId) -> Call) {
        let torrent = self.engine_node(name).torrents.first().expect("a node with a torrent").0;
        self.call(name, command(torrent));
    }

    /// Makes a call of a node's engine, then does what comes of it.
    pub fn call(&mut self, name: &str, call: Call) -> Returned {
        self.begin();
        let index = self.index(name);
        let now = self.clock(index);
        self.note(index, format_args!("is told by its user: {call:?}"));
        let node = self.engine_node_mut(name);
        if let Call::SetFiles(id, files) = &call
            && node.torrents.first().is_some_and(|(first, _)| first == id)
        {
            self.nodes[index].spec.wants = Some(files.clone());
        }
        let node = self.engine_node_mut(name);
        node.record(now, || call.clone());
        node.checker.called(now, &call);
        let chosen = match &call {
            Call::SetFiles(torrent, _) => Some(*torrent),
            _ => None,
        };
        let returned = node.engine.as_mut().expect("a node that runs").call(now, call);
        self.drain(index);
        if let Some(torrent) = chosen {
            let node = &mut self.engine_node_mut(name);
            let status = node.engine.as_ref().and_then(|engine| engine.torrent(torrent));
            node.complete &=
                status.is_some_and(|status| status.wanted.bytes_done == status.wanted.bytes_total);
        }
        returned
    }

    /// Pauses a node's first torrent.
    pub fn pause(&mut self, name: &str) {
        self.command(name, Call::Pause);
    }

    /// Lets a node's first torrent go on.
    pub fn resume(&mut self, name: &str) {
        self.command(name, Call::Resume);
    }

    /// Removes a node's first torrent.
    pub fn remove(&mut self, name: &str) {
        self.command(name, Call::Remove);
    }

    /// Shuts a node's engine down in good order.
    pub fn shutdown(&mut self, name: &str) {
        self.call(name, Call::Shutdown);
    }

    /// Ends a node's engine from one moment to the next; its disk stays.
    pub fn kill(&mut self, name: &str) {
        let index = self.index(name);
        self.trace.write(self.queue.now, name, format_args!("is gone"));
        for end in self.tcp.ends_of(index) {
            self.cut(end, true);
        }
        let node = self.engine_node_mut(name);
        node.engine = None;
        node.conns.clear();
        node.clock.reset();
        node.disk.abandon();
    }

    /// Starts a new engine on the disk of a node that was killed or has stopped.
    pub fn restart(&mut self, name: &str) {
        self.kill(name);
        let index = self.index(name);
        self.queue.at(self.queue.now, Step::Start(index));
    }

    /// Damages what a node has saved, behind its engine's back.
    pub fn spoil_saved(&mut self, name: &str) {
        for data in self.engine_node_mut(name).saved.values_mut() {
            let mut bytes = data.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            *data = bytes.into();
        }
    }

    /// Puts pieces of a torrent on the node's disk, behind its engine's back.
    pub fn put(&mut self, name: &str, data: &Data, pieces: impl IntoIterator<Item = u32>) {
        self.engine_node_mut(name).disk.preload(data, pieces);
    }

    /// Puts a file on the node's disk, behind its engine's back: what the engine says of its files from now on is not
    /// held against it.
    pub fn put_file(&mut self, name: &str, path: &str, contents: bytes::Bytes) {
        let disk = &mut self.engine_node_mut(name).disk;
        disk.put(path, contents);
        disk.meddled_with = true;
    }

    /// Makes a node's disk behave in another way from now on.
    pub fn set_disk(&mut self, name: &str, set: impl FnOnce(&mut crate::DiskProfile)) {
        set(&mut self.engine_node_mut(name).disk.profile);
    }

    /// How many lines of trace are kept; 0 saves the time to write them.
    #[must_use]
    pub fn keep_trace(mut self, lines: usize) -> Self {
        self.trace.keep = lines;
        self
    }

    /// Keeps neither trace nor transcript, which are most of what a long run costs.
    #[must_use]
    pub fn unwatched(mut self) -> Self {
        self.transcript.off = true;
        self.keep_trace(0)
    }

    pub(crate) fn index(&self, name: &str) -> usize {
        *self.names.get(name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    pub(crate) fn engine_node(&self, name: &str) -> &EngineNode {
        self.nodes[self.index(name)].engine().unwrap_or_else(|| panic!("{name} is a scripted peer"))
    }

    pub(crate) fn engine_node_mut(&mut self, name: &str) -> &mut EngineNode {
        let index = self.index(name);
        self.nodes[index].engine_mut().unwrap_or_else(|| panic!("{name} is a scripted peer"))
    }

    /// Ends the test with what led here.
    pub(crate) fn fail(&mut self, why: &str) -> ! {
        self.told = true;
        panic!("world of seed {}, {:?} in: {why}\n{}", self.seed, self.elapsed(), self.trace())
    }
}

impl Drop for World {
    /// A panic in an engine, or in a test's own assertion: say what led there.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.told {
            eprintln!("world of seed {}, {:?} in:\n{}", self.seed, self.elapsed(), self.trace());
        }
    }
}
