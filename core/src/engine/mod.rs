//! The whole client as one state machine: [`Engine`].

mod call;
mod commands;
mod common;
pub mod config;
mod contract;
mod deadlines;
mod input;
pub mod limits;
mod on_datagram;
mod on_dht;
mod on_disk;
mod on_fetch;
mod on_stream;
mod on_timer;
mod output;
mod perform;
mod room;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use slotmap::SlotMap;

pub use crate::picker::Priority;
pub use crate::torrent::{
    Event, MetadataStatus, PeerStatus, Saved, SavedError, SeedingLimits, Selection, Source, Sources,
    TorrentError, TorrentState, TorrentStatus, Traffic, Wanted,
};
pub use call::{Call, Returned};
pub use config::{AddError, AddTorrent, Config, DhtConfig, PieceOrder, RateLimits, UploadSlots, What};
pub use contract::Breaches;
pub use input::{FetchError, Input, ResolveError, Response, StreamEnd};
pub use limits::Limits;
pub use output::{CloseHow, FetchRequest, NamedBy, Output, SaveKey, Segment, Wake};

use crate::disk::Budget;
use crate::id::{ConnId, DiskOp, FetchId, PeerId, PeerKey, ResolveId, TorrentId};
use crate::lsd::Lsd;
use crate::metainfo::Metainfo;
use crate::peer::Peer;
use crate::rate::Bucket;
use crate::rng::{Rng, Seed};
use crate::time::Instant;
use crate::torrent::{self, Checks, Outside, Slots, Task, Torrent, Uplink};
use crate::tracker::{AnnounceTag, QueryTag, UdpTrackers};
use common::Common;
use deadlines::Deadlines;
use on_dht::DhtNode;

/// A BitTorrent client without any I/O.
///
/// Calls come in four kinds: [`handle`](Self::handle) and [`handle_timeout`](Self::handle_timeout) say what
/// happened outside; [`accept`](Self::accept) and the commands ([`add_torrent`](Self::add_torrent), ...) say
/// what is wanted; [`poll`](Self::poll) takes out what there is to do; the views tell numbers.
///
/// What it does is a function of its configuration, its seed and these calls. All of it happens inside the
/// calls: `poll` only pops, so when a driver drains changes nothing.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    peer_id: PeerId,
    now: Instant,
    out: VecDeque<Output>,
    deadlines: Deadlines,

    torrents: SlotMap<TorrentId, Torrent>,
    by_hash: BTreeMap<[u8; 20], TorrentId>,
    conns: SlotMap<ConnId, Conn>,
    /// Outgoing connections that do not stand yet.
    connecting: u32,
    /// Incoming connections that have not said which torrent they want, oldest first.
    greeting: VecDeque<ConnId>,
    /// Torrents that would dial, had there been room, and the one whose turn was last.
    dial_waiting: BTreeSet<TorrentId>,
    dialled_last: TorrentId,
    /// When a torrent last gave up a connection for another.
    gave_way: Instant,
    /// No torrent looks for room to dial before.
    look_for_room: Instant,

    ops: SlotMap<DiskOp, (TorrentId, Task)>,
    /// Connections that are not read because the disk is behind, or because of a download limit.
    stalled: Vec<ConnId>,
    throttled: Vec<ConnId>,
    /// Those that are read again, each with the bytes it is expected to bring, which count as if they were here.
    released: BTreeMap<ConnId, u64>,
    download: Bucket,
    /// What torrents share.
    common: Common,

    /// Requests that the driver has yet to answer.
    fetches: SlotMap<FetchId, Fetching>,
    fetches_waiting: VecDeque<(TorrentId, AnnounceTag, FetchRequest)>,
    resolves: SlotMap<ResolveId, Asker>,
    resolves_waiting: VecDeque<(Asker, String)>,
    udp: UdpTrackers,
    asked: BTreeMap<u64, (TorrentId, AnnounceTag)>,
    next_token: u64,

    udp_rng: Rng,
    dht: Option<DhtNode>,
    /// Local discovery, where it is wanted and others can connect to us.
    lsd: Option<Lsd>,
    /// Reused list of what a torrent wants done.
    actions: Vec<torrent::Action>,
    stopping: Stopping,
    breaches: Breaches,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Told,
}

/// A request under way.
#[derive(Debug)]
struct Fetching {
    /// Whose answer it is; nobody's any more if it was taken back.
    owner: Option<(TorrentId, AnnounceTag)>,
    host: String,
}

/// Who waits for the addresses of a host.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Tracker(QueryTag),
    /// Nodes of the DHT are there, at this port.
    Dht {
        named_by: NamedBy,
        port: u16,
    },
    /// Peers of a torrent, named by its link.
    Link {
        torrent: TorrentId,
        place: u32,
    },
}

/// A connection and whose it is.
#[derive(Debug)]
struct Conn {
    owner: ConnOwner,
    /// We asked for it and it does not stand yet.
    connecting: bool,
    /// Not read because the disk is behind.
    stalled: bool,
    /// Not read because of a download limit.
    throttled: bool,
    /// For when it is armed in `deadlines`, if it is: here, since every packet looks at both.
    armed: Instant,
}

#[derive(Debug)]
enum ConnOwner {
    /// Nobody's yet: it connected to us and has not named its torrent.
    Greeting(Box<Stranger>),
    Torrent(TorrentId, PeerKey),
    /// Given up by us; the driver has yet to say that it is gone.
    Closing,
}

/// Somebody who connected to us.
#[derive(Debug)]
struct Stranger {
    peer: Peer,
    from: SocketAddr,
}

impl Engine {
    /// An engine that has nothing to do yet.
    #[must_use]
    pub fn new(config: Config, seed: Seed, now: Instant) -> Self {
        let mut rng = Rng::new(seed);
        let peer_id = crate::wire::peer_id(config.client_tag, &mut rng.fork("peer id"));
        let limits = config.limits;
        let near = config.listen_port.filter(|_| config.lsd);
        let mut engine = Self {
            lsd: near.map(|port| Lsd::new(port, &mut rng.fork("local discovery"))),
            peer_id,
            now,
            out: VecDeque::new(),
            deadlines: Deadlines::default(),
            torrents: SlotMap::with_key(),
            by_hash: BTreeMap::new(),
            conns: SlotMap::with_key(),
            connecting: 0,
            greeting: VecDeque::new(),
            dial_waiting: BTreeSet::new(),
            dialled_last: TorrentId::default(),
            gave_way: Instant::ZERO,
            look_for_room: Instant::ZERO,
            ops: SlotMap::with_key(),
            stalled: Vec::new(),
            throttled: Vec::new(),
            released: BTreeMap::new(),
            download: Bucket::new(config.rates.download),
            common: Common {
                rng: rng.fork("torrents"),
                scratch: Vec::new(),
                budget: Budget::new(limits.write_bytes_max, limits.read_bytes_max),
                upload: Uplink::new(config.rates.upload),
                outside: Outside::default(),
                checks: Checks::new(limits.checking_max),
                slots: Slots::new(config.upload_slots, config.rates.upload),
                download_limit: config.rates.download,
            },
            fetches: SlotMap::with_key(),
            fetches_waiting: VecDeque::new(),
            resolves: SlotMap::with_key(),
            resolves_waiting: VecDeque::new(),
            udp: UdpTrackers::new(),
            asked: BTreeMap::new(),
            next_token: 0,
            udp_rng: rng.fork("udp trackers"),
            actions: Vec::new(),
            stopping: Stopping::No,
            breaches: Breaches::default(),
            dht: None,
            config,
        };
        if let Some(config) = engine.config.dht.take() {
            engine.start_dht(config, rng.fork("dht"));
        }
        engine
    }

    /// Something happened outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        if self.stopping == Stopping::Told {
            return; // a straggler: an answer of a tracker or name server that was not waited for
        }
        match input {
            Input::Connected { conn } => self.on_connected(conn),
            Input::Received { conn, data } => self.on_received(conn, data),
            Input::Sent { conn, bytes } => self.on_sent(conn, bytes),
            Input::Closed { conn, end } => self.on_closed(conn, end),
            Input::Datagram { from, data } => self.on_datagram(from, &data),
            Input::Disk { op, result } => self.on_disk(op, result),
            Input::Resolved { query, result } => self.on_resolved(query, result),
            Input::Fetched { fetch, result } => self.on_fetched(fetch, result),
        }
    }

    /// Says that inputs of these connections are handled next: a batch of a few dozen, in any order.
    ///
    /// Nothing follows from it but that what is known of them is on its way out of memory by the time that it is
    /// needed. With thousands of connections none of it is in a cache when one of them has something to say, and half
    /// of what a message costs is to wait for it; this way all of a batch wait together.
    pub fn foresee(&self, conns: impl IntoIterator<Item = ConnId>) {
        for id in conns {
            if let Some(Conn { owner: ConnOwner::Torrent(torrent, peer), armed, .. }) = self.conns.get(id) {
                let seen = self.torrents.get(*torrent).map(|torrent| torrent.foresee(*peer));
                core::hint::black_box((seen, armed));
            }
        }
    }

    /// Time has passed. May be called early, late or repeatedly; costs next to nothing when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.on_timer();
    }

    /// A connection from `from` was accepted. `None`: close it, there is no room.
    pub fn accept(&mut self, now: Instant, from: SocketAddr) -> Option<ConnId> {
        self.advance(now);
        self.on_accept(from)
    }

    /// The next thing to do. Call until it says [`Output::Idle`].
    pub fn poll(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Idle { wake: self.deadlines.wake() })
    }

    /// A torrent's numbers.
    #[must_use]
    pub fn torrent(&self, id: TorrentId) -> Option<TorrentStatus> {
        self.torrents.get(id).map(|torrent| torrent.status(self.now))
    }

    /// What a torrent is; `None` as long as only its magnet link is known.
    #[must_use]
    pub fn metainfo(&self, id: TorrentId) -> Option<&Arc<Metainfo>> {
        self.torrents.get(id).and_then(Torrent::metainfo)
    }

    /// Which files of a torrent are wanted, and how much.
    #[must_use]
    pub fn selection(&self, id: TorrentId) -> Option<&Selection> {
        self.torrents.get(id).map(Torrent::selection)
    }

    /// The numbers of a torrent's connected peers.
    pub fn peers(&self, id: TorrentId) -> impl Iterator<Item = PeerStatus> + '_ {
        self.torrents.get(id).into_iter().flat_map(|torrent| torrent.peers(self.now))
    }

    /// The torrents there are.
    pub fn torrents(&self) -> impl Iterator<Item = TorrentId> + '_ {
        self.torrents.keys()
    }

    /// What the driver got wrong so far: nothing, if it keeps [the contract](crate::driving).
    #[must_use]
    pub const fn breaches(&self) -> &Breaches {
        &self.breaches
    }

    /// Panics unless what it keeps of its torrents agrees with itself. Looks at every piece and every block under way:
    /// for tests, simulations and fuzzing.
    pub fn check(&self) {
        self.torrents.values().for_each(Torrent::check);
    }

    /// The latest time it was told. What a driver noticed earlier, it reports as of then.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Our name towards peers and trackers in this run.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Time never runs backwards here, whatever the caller's clock does.
    fn advance(&mut self, now: Instant) {
        self.breaches.time_went_back += u64::from(now < self.now);
        self.now = self.now.max(now);
    }
}
