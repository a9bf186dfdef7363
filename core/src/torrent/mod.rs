//! One torrent: its peers, its pieces, its trackers, and what it wants of the disk.
//!
//! One that begins as a magnet link has peers and trackers like any other, and no pieces until its metadata is there.
//!
//! A [`Torrent`] is driven by the engine, which owns the connections, the disk operations and the clock's
//! deadlines. It asks for everything through [`Action`]s and learns of everything through calls.

mod announce;
mod aside;
mod canonical;
mod check;
mod checking;
mod doubt;
mod download;
mod error;
mod event;
mod exchange;
mod judge;
mod known;
mod leaving;
mod link_hosts;
mod magnet;
mod metadata;
mod on_disk;
mod peers;
mod rates;
mod room;
mod saved;
mod saving;
mod seeding;
mod selection;
mod settings;
mod share;
mod source;
mod space;
mod spec;
mod status;
mod turn;
mod uplink;
mod upload;
mod verify;
mod views;
mod wanted;

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;
use slotmap::SlotMap;

pub use canonical::{Outside, priority};
pub use error::TorrentError;
pub use event::Event;
pub use metadata::{MetadataFetch, Whole};
pub use saved::{Saved, SavedError};
pub use seeding::SeedingLimits;
pub use selection::Selection;
pub use settings::Settings;
pub use share::{Checks, Slots, UploadSlots};
pub use source::{Source, Sources};
pub use spec::{AddTorrent, RateLimits, What};
pub use turn::Turn;
pub use uplink::Uplink;
pub use views::{MetadataStatus, PeerStatus, TorrentState, TorrentStatus, Traffic, Wanted};

use crate::choke::{Choker, Recent};
use crate::disk::{Allocation, DiskAction, Layout, LayoutError};
use crate::id::{Block, ConnId, Digest, InfoHash, PeerId, PeerKey, PieceIndex, TorrentId};
use crate::metainfo::{Magnet, Metainfo};
use crate::peer::{self, CloseReason, Hello, Peer};
use crate::picker::{Picker, PieceOrder};
use crate::rate::{Bucket, Meter};
use crate::scope::NamedBy;
use crate::time::Instant;
use crate::tracker::{self, AnnounceTag, Trackers};
use checking::Check;
use exchange::Exchange;
use judge::Judge;
use known::Known;
use link_hosts::LinkHosts;
use saving::Saving;
use seeding::Seeding;
use space::Space;

/// A torrent we take part in.
///
/// Its fields lie in memory as they stand here, as those of [`Peer`] do and for the same reason: first what every
/// message of a peer needs.
#[derive(Debug)]
#[repr(C)]
pub struct Torrent {
    id: TorrentId,
    /// Of no pieces as long as there is no metainfo, and so is the picker.
    layout: Arc<Layout>,
    paused: bool,
    /// Starved peers have to be looked at: blocks became free, or the endgame began.
    freed: bool,
    endgame: bool,
    announcing: bool,
    /// Everything that is wanted was there, and its owner was told.
    finished: bool,
    serve_only: bool,
    /// Bytes that choked newcomers may have, or had, without a slot.
    granted: u64,
    /// Boxed, so that places once taken and now free cost next to nothing.
    peers: SlotMap<PeerKey, Box<Slot>>,
    /// Peers with requests that wait for the read budget or the upload limit.
    serve_waiting: VecDeque<PeerKey>,
    serve_again: Option<Instant>,
    /// In the endgame: when a peer may be late with what others could send.
    help_again: Option<Instant>,
    /// Peers that could be asked for more, had there been anything to ask.
    starved: BTreeSet<PeerKey>,
    upload: Bucket,
    download: Bucket,
    up: Meter,
    seeding: Seeding,
    choker: Choker,
    known: Known,
    /// What peers tell each other of others; none if they are not to.
    exchange: Option<Box<Exchange>>,
    stage: Stage,
    trackers: Trackers,
    picker: Picker,
    info_hash: InfoHash,
    /// Not there before the metadata is, when all there is is a magnet link.
    metainfo: Option<Arc<Metainfo>>,
    magnet: Option<Box<Magnet>>,
    link_hosts: Option<Box<LinkHosts>>,
    settings: Settings,
    hello: Hello,
    order: PieceOrder,
    allocation: Allocation,
    overwrite: bool,
    /// An earlier run began to write these files: what they hold is ours, whole or not.
    begun: bool,
    /// The disk was told last that files will be written.
    writes: bool,
    /// It is paused as soon as it has its metadata.
    metadata_only: bool,
    /// Recently gone peers that had sent payload: a piece may turn out wrong after they left.
    gone: VecDeque<(PeerKey, SocketAddr)>,
    judge: Judge,
    /// Every tracker that was told we are here was told that we left, or given up on.
    told: bool,
    /// Which files are wanted.
    selection: Selection,
    /// Files whose bytes are kept aside; those that may be because they are not there; and those that are there and
    /// are somebody else's.
    aside: BTreeSet<u32>,
    /// Files that this run, or the one before, has begun to write to.
    begun_files: Selection,
    absent: BTreeSet<u32>,
    others: BTreeSet<u32>,
    /// Bytes of wanted files.
    wanted: u64,
    /// Pieces that hold any.
    wanted_pieces: u32,
    /// Bytes of wanted files in missing pieces.
    left: u64,
    /// Bytes of missing pieces, padding left out.
    missing: u64,
    /// Disk actions not yet answered.
    disk_pending: u32,
    saving: Saving,
    space: Space,
    /// Pieces we have that are being looked at again.
    doubted: Vec<PieceIndex>,
    /// The last piece came from a peer, so that it is a download that is complete.
    fetched_all: bool,
    past: Past,
    down: Meter,
    /// Reused lists, so that a block costs no allocation.
    picked: Vec<Block>,
    unchoked: Vec<PeerKey>,
}

/// What a torrent wants done.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes.
    Send {
        /// Where.
        conn: ConnId,
        /// What.
        segment: peer::Segment,
    },
    /// End a connection the torrent has already forgotten.
    Close {
        /// Which.
        conn: ConnId,
        /// Whether what was handed over is still to be sent.
        after_send: bool,
    },
    /// Do something to the files; the answer comes back with `task`.
    Disk {
        /// What it is for.
        task: Task,
        /// What to do.
        action: DiskAction,
    },
    /// Fetch a tracker's answer.
    Fetch {
        /// To answer with.
        tag: AnnounceTag,
        /// What.
        url: String,
        /// Who named it.
        named_by: NamedBy,
    },
    /// Ask a UDP tracker.
    Udp {
        /// To answer with.
        tag: AnnounceTag,
        /// Whom.
        host: String,
        /// At which port.
        port: u16,
        /// Who named it.
        named_by: NamedBy,
        /// What to say.
        announce: tracker::udp::Announce,
    },
    /// Look up a host that its link names.
    LookUp {
        /// To answer with.
        place: u32,
        /// Its name.
        host: String,
    },
    /// Tell the local network of it.
    AnnounceNear,
    /// Nobody waits for this request any more.
    CancelAnnounce {
        /// Which.
        tag: AnnounceTag,
    },
    /// Keep these bytes for the next run.
    Save(Bytes),
    /// A peer has a DHT node here (BEP 5).
    DhtNode(SocketAddr),
    /// Keep the metadata for the next run.
    SaveMetadata(Bytes),
    /// Tell the application.
    Event(Event),
    /// The torrent has left: trackers told, files closed.
    Left,
}

/// What a disk action is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// To see what is there.
    Open,
    /// To make files ready.
    Prepare,
    /// To store a block.
    Write(Block),
    /// To serve a block to a peer.
    Serve(PeerKey, Block),
    /// To find out whether a piece on disk is right, at the start.
    Check(PieceIndex),
    /// To find out whether a piece that we have is there still.
    Recheck(PieceIndex),
    /// To find out whether a downloaded piece is right.
    Verify(PieceIndex),
    /// To remember what the blocks of a wrong piece were.
    Evidence(PieceIndex),
    /// To find out which blocks of it were wrong, now that the right ones are there.
    Compare(PieceIndex),
    /// To make all of it durable, now that it is complete.
    Sync,
    /// To end.
    Close,
}

#[derive(Debug)]
enum Stage {
    /// Asking peers what the torrent is.
    Metadata(Box<MetadataFetch>),
    /// Looking at what files there are.
    Opening,
    /// Hashing what is in them.
    Checking(Check),
    /// Making files ready to be written.
    Preparing,
    /// Taking part, unless paused.
    Active,
    /// Nothing more happens until the owner says so.
    Failed,
    /// The owner has said so, and the disk has not answered everything from before the failure; or the owner has
    /// yet to say so for the first time.
    Reopening,
    /// Saying good-bye.
    Leaving { saved: bool, closing: bool, closed: bool },
}

/// One connection of the torrent.
#[derive(Debug)]
#[repr(C, align(64))] // in this order, as with [`Peer`], and in as few lines of a cache as may be
struct Slot {
    conn: ConnId,
    /// Pieces it has that we want and do not have.
    useful: u32,
    counted: Counted,
    /// It stands in `serve_waiting`.
    waits: bool,
    incoming: bool,
    peer: Peer,
    address: SocketAddr,
    peer_id: Option<PeerId>,
    since: Instant,
    last_unchoked: Instant,
    /// Payload sent to it before it was last unchoked.
    sent_before: u64,
    recent: Recent,
    /// How many times it was unchoked.
    turns: u32,
    /// Where it listens, as an address in `known` that is kept from being dialled meanwhile.
    listens: Option<SocketAddr>,
}

/// How a peer's pieces stand in the picker's availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    No,
    Bits,
    Seed,
}

/// Totals of connections that are gone, and of the torrent itself.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    peers: peer::Totals,
    wasted: u64,
    hash_failures: u32,
}

impl Torrent {
    /// A torrent that has yet to look at its files: the first action asks for that.
    pub fn new(
        id: TorrentId,
        spec: AddTorrent,
        settings: Settings,
        turn: &mut Turn<'_>,
    ) -> Result<Self, LayoutError> {
        let (info_hash, selects) = (spec.what.info_hash(), spec.what.selection());
        let (metainfo, magnet) = magnet::known(spec.what, spec.saved_metadata);
        let private = metainfo.as_ref().is_some_and(|metainfo| metainfo.info.private);
        let layout = match &metainfo {
            Some(metainfo) => Layout::of(&metainfo.info)?,
            None => Layout::new(1, [])?,
        };
        let layout = Arc::new(layout);
        let hello = Hello {
            info_hash: info_hash.on_the_wire(),
            peer_id: settings.peer_id,
            pieces: metainfo.as_ref().map(|_| layout.pieces()),
            dht_port: settings.dht_port.filter(|_| !private),
        };
        let chosen = spec.files.is_some();
        let selection = spec.files.unwrap_or(selects);
        let seeding = Seeding::new(spec.seeding, layout.stored());
        let tiers = match (&metainfo, &magnet) {
            (Some(metainfo), _) => metainfo.trackers.clone(),
            (None, magnet) => magnet.as_deref().map(magnet::tiers).unwrap_or_default(),
        };
        let trackers = Trackers::new(hello.info_hash, &spec.trackers, &tiers, turn.rng);
        let mut torrent = Self {
            id,
            hello,
            order: spec.order,
            allocation: spec.allocation,
            overwrite: spec.overwrite,
            serve_only: spec.serve_only,
            begun: false,
            writes: false,
            metadata_only: spec.metadata_only,
            stage: Stage::Reopening,
            paused: spec.paused,
            picker: Picker::new(0, 1, 0),
            peers: SlotMap::with_key(),
            exchange: (settings.pex && !private).then(Box::default),
            known: Known::new(settings.known_max, private),
            starved: BTreeSet::new(),
            gone: VecDeque::new(),
            judge: Judge::default(),
            choker: Choker::new(turn.now),
            granted: 0,
            trackers,
            announcing: false,
            told: true,
            selection,
            aside: BTreeSet::new(),
            begun_files: Selection::all(),
            absent: BTreeSet::new(),
            others: BTreeSet::new(),
            wanted: 0,
            wanted_pieces: 0,
            left: 0,
            missing: 0,
            layout,
            freed: false,
            endgame: false,
            help_again: None,
            disk_pending: 0,
            saving: Saving::default(),
            space: Space::default(),
            doubted: Vec::new(),
            serve_waiting: VecDeque::new(),
            serve_again: None,
            upload: Bucket::new(spec.rates.upload),
            download: Bucket::new(spec.rates.download),
            finished: false,
            fetched_all: false,
            seeding,
            past: Past::default(),
            down: Meter::default(),
            up: Meter::default(),
            picked: Vec::new(),
            unchoked: Vec::new(),
            info_hash,
            metainfo,
            link_hosts: magnet.as_deref().and_then(LinkHosts::of),
            magnet,
            settings,
        };
        torrent.remember(spec.saved.as_deref(), spec.check, chosen, turn);
        torrent.choose_anew();
        for peer in spec.peers {
            torrent.known.add(peer, Source::User, turn.now, turn.rng);
        }
        torrent.know_peers_of_link(turn);
        if torrent.magnet.is_some() && torrent.metainfo.is_some() {
            torrent.has_metadata(turn);
        }
        if !torrent.paused {
            torrent.begin(turn);
        }
        Ok(torrent)
    }

    /// What it is, if that is known.
    #[must_use]
    pub const fn metainfo(&self) -> Option<&Arc<Metainfo>> {
        self.metainfo.as_ref()
    }

    /// Its name on the wire and everywhere else.
    #[must_use]
    pub const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    fn piece_hash(&self, piece: PieceIndex) -> Option<Digest> {
        self.metainfo.as_ref()?.info.piece_hash(piece)
    }

    /// The `info` dictionary; nothing as long as it is not there.
    fn info(&self) -> Bytes {
        self.metainfo.as_ref().map(|metainfo| metainfo.info.raw.clone()).unwrap_or_default()
    }

    /// Learns of a peer; says whether it is a new one that is kept.
    pub fn add_peer(&mut self, address: SocketAddr, source: Source, turn: &mut Turn<'_>) -> bool {
        self.known.add(address, source, turn.now, turn.rng)
    }

    /// Stops all traffic until [`resume`](Self::resume); what is on disk is kept.
    pub fn pause(&mut self, turn: &mut Turn<'_>) {
        if !core::mem::replace(&mut self.paused, true) {
            self.close_all(turn);
            self.stop_announcing(turn);
            self.serve_waiting.clear();
            self.serve_again = None;
            if matches!(self.stage, Stage::Active) {
                self.sync(turn);
            }
        }
    }

    /// Goes on after [`pause`](Self::pause), or after a failure: then from a fresh look at the files.
    pub fn resume(&mut self, turn: &mut Turn<'_>) {
        let was_paused = core::mem::replace(&mut self.paused, false);
        if matches!(self.space, Space::Waiting(_)) {
            self.try_space(turn); // whoever says so has made room
        }
        match self.stage {
            Stage::Failed | Stage::Reopening => {
                self.stage = Stage::Reopening;
                self.reopen(turn);
            }
            Stage::Checking(_) => self.check_on(turn),
            Stage::Metadata(_) | Stage::Active if was_paused => self.start_announcing(turn),
            _ => {}
        }
    }

    /// Looks at the files anew, once nothing from before the failure can come in between.
    fn reopen(&mut self, turn: &mut Turn<'_>) {
        if self.disk_pending > 0 || self.paused || matches!(self.space, Space::Waiting(_)) {
            return;
        }
        self.choose_anew();
        self.seeding.complete_since = None;
        self.recollect();
        self.begin(turn);
    }

    /// Takes the first step: looks at the files, or first of all for somebody who knows what they are.
    fn begin(&mut self, turn: &mut Turn<'_>) {
        if self.metainfo.is_none() {
            return self.begin_metadata(turn);
        }
        self.stage = Stage::Opening;
        self.disk(Task::Open, DiskAction::Open { layout: self.layout.clone() }, turn);
    }

    fn fail(&mut self, error: TorrentError, turn: &mut Turn<'_>) {
        if matches!(self.stage, Stage::Failed | Stage::Reopening | Stage::Leaving { .. }) {
            return;
        }
        self.stage = Stage::Failed;
        self.close_all(turn);
        self.stop_announcing(turn);
        turn.out.push(Action::Event(Event::Failed { torrent: self.id, error }));
    }

    /// Whether connections are wanted now.
    fn wants_peers(&self) -> bool {
        matches!(self.stage, Stage::Metadata(_) | Stage::Active) && !self.paused
    }

    /// Whether blocks are wanted and served now.
    fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Active) && !self.paused
    }

    /// Whether it may be looked for by anybody, anywhere: it runs and is not private (BEP 27).
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        self.wants_peers() && !self.known.is_private()
    }

    /// Whether nothing is missing, wanted or not.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.picker.is_complete()
    }

    /// Does what is due: trackers and the choker. Peers have deadlines of their own.
    pub fn tick(&mut self, turn: &mut Turn<'_>) {
        self.tick_trackers(turn);
        self.tick_link_hosts(turn);
        self.tick_metadata(turn);
        self.tick_space(turn);
        if self.wants_peers() {
            self.make_room_to_dial(turn);
            self.tick_exchange(turn);
        }
        if self.is_running() {
            self.tick_choker(turn);
            self.serve_on(turn);
            self.tick_endgame(turn);
            self.tick_saving(turn);
            self.see_to_seeding(turn);
        }
    }

    /// When [`tick`](Self::tick) is next of use. Dialling is not in it: see [`next_dial`](Self::next_dial).
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let trackers = self.trackers.deadline();
        let running = self.is_running().then(|| self.running_deadline()).flatten();
        let exchange = self.exchange.as_ref().filter(|_| self.wants_peers());
        let exchange = exchange.and_then(|exchange| exchange.deadline());
        let others = [self.metadata_deadline(now), self.link_hosts_deadline()];
        let space = self.space.deadline().filter(|_| !self.paused);
        [space, trackers, running, exchange].into_iter().chain(others).flatten().min()
    }

    fn running_deadline(&self) -> Option<Instant> {
        let choker = (!self.peers.is_empty()).then(|| self.choker.deadline());
        let deadlines =
            [choker, self.serve_again, self.help_again, self.seeding.deadline(), self.saving.deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn close_all(&mut self, turn: &mut Turn<'_>) {
        let all: Vec<PeerKey> = self.peers.keys().collect();
        for key in all {
            self.close(key, CloseReason::TorrentStopped, turn);
        }
        turn.slots.leave(self.id);
    }
}
