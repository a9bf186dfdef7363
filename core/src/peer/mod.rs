//! One connection to a peer as a state machine: bytes in, actions out.
//!
//! [`Peer`] knows the protocol and nothing of pieces that are missing, of files or of other peers. Its owner
//! tells it what to ask and what to serve, and learns from its [`Action`]s what the peer has, wants and sent:
//!
//! ```
//! use bytes::Bytes;
//! use pieceful_core::bitfield::Bitfield;
//! use pieceful_core::cx::Cx;
//! use pieceful_core::id::PeerId;
//! use pieceful_core::peer::{Action, Hello, Limits, Peer, Segment};
//! use pieceful_core::rng::{Rng, Seed};
//! use pieceful_core::time::Instant;
//!
//! let mut rng = Rng::new(Seed([0; 32]));
//! let mut out = Vec::new();
//! let mut cx = Cx { now: Instant::ZERO, rng: &mut rng, out: &mut out };
//!
//! // We dialled somebody; the connection stands, so our handshake leaves.
//! let hello = Hello { info_hash: [7; 20], peer_id: PeerId(*b"-PF0100-abcdefghijkl"), pieces: Some(4), dht_port: None };
//! let mut peer = Peer::dial(hello, Limits::default(), cx.now);
//! peer.connected(&mut cx);
//! let Some(Action::Send(Segment::Bytes(handshake))) = cx.out.pop() else { panic!() };
//! assert_eq!(handshake.len(), 68);
//!
//! // Here it only hears itself, which is a fine handshake; its owner notices whose id it is.
//! peer.receive(Bytes::from(handshake.to_vec()), &mut cx).unwrap();
//! assert!(matches!(&cx.out[..], [Action::Greeted(theirs)] if theirs.peer_id == hello.peer_id));
//! ```

mod asking;
mod early;
mod error;
mod giving;
mod gossip;
mod greeting;
mod messages;
mod metadata;
mod outgoing;
mod pace;
mod serving;
#[cfg(test)]
mod tests;
mod views;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

pub use error::{CloseReason, StreamEnd};
pub use greeting::Hello;
pub use serving::SERVED_LEN_MAX;

use crate::bitfield::Bitfield;
use crate::chain::Chain;
use crate::cx::Cx;
use crate::id::{BLOCK_LEN, Block, PieceIndex};
use crate::rate::Meter;
use crate::time::Instant;
use crate::wire::extended::ExtendedHandshake;
use crate::wire::pex::PexMessage;
use crate::wire::{self, Decoder, Message};
use asking::{Answer, Asking};
use early::Early;
use gossip::Gossip;
use greeting::Greeting;
use metadata::Giving;
use outgoing::Outgoing;
use serving::Serving;

/// A peer that sends nothing for this long is gone (BEP 3: keep-alives come every two minutes).
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// A peer that was snubbed more than once and sends nothing at all for this long is as good as gone, and the sooner
/// we see it the sooner it can be dialled again: when a network fails, systems try the old connections ever more
/// rarely, and may need minutes to find out that it is back.
const SILENCE_OWING_MAX: Duration = Duration::from_secs(30);
/// We say something at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// From connecting to the end of the handshake, all of it: a peer that sends a byte a second gains nothing.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// Pieces a peer suggests that we remember, the latest ones; and pieces it allows us while choked, the first ones.
const HINTS_MAX: usize = 32;
/// Payload nobody asked for that a peer may send before it is closed, beside as much as it sent of what was asked:
/// one that sends everything twice is worth having if there is nobody else.
const UNASKED_BYTES: u64 = 1 << 20;

/// A connection to a peer.
///
/// Its fields lie in memory as they stand here: first those that every message needs. With ten thousand connections
/// each is out of all caches when it has something to say, and most of what a message costs is to get it back.
#[derive(Debug)]
#[repr(C)]
pub struct Peer {
    phase: Phase,
    heard: Instant,
    told: bool,
    fast: bool,
    extended: bool,
    choking_us: bool,
    choked: bool,
    interested: bool,
    interesting: bool,
    /// Its bytes are being read; while they are not, its silence means nothing.
    reading: bool,
    /// It says that it will not download anything more (BEP 21).
    upload_only: bool,
    /// It has told the port of its DHT node.
    told_port: bool,
    limits: Limits,
    /// What the peer has; told by a bitfield, then by `have`.
    has: Bitfield,
    /// What it says it has, as long as nobody knows how many pieces there are.
    early: Option<Box<Early>>,
    up: Meter,
    outgoing: Outgoing,
    serving: Serving,
    asking: Asking,
    totals: Totals,
    /// What it wants of the metadata, once it has asked.
    giving: Option<Box<Giving>>,
    theirs: Option<Box<ExtendedHandshake>>,
    /// Bytes of pieces it may have while choked that are still to be had that way.
    allows_bytes: u64,
    decoder: Decoder,
    down: Meter,
    /// Pieces it serves us even while choking (BEP 6), and those it suggests.
    allowed: Vec<PieceIndex>,
    suggested: Vec<PieceIndex>,
    /// Pieces we serve it even while choking.
    allows: Vec<PieceIndex>,
    /// How often it says what is heeded only so often, once it has.
    gossip: Option<Box<Gossip>>,
}

#[derive(Debug)]
enum Phase {
    /// Until both handshakes are through and the owner has taken the peer in.
    Greeting(Box<Greeting>),
    Open,
}

/// A peer's part of the limits of its owner.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most requests of ours outstanding.
    pub asked_max: u32,
    /// Most requests of its waiting; also told to it as `reqq`.
    pub requests_max: u32,
    /// Most bytes handed to the driver and not yet sent, before no further block is served.
    pub send_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { asked_max: 500, requests_max: 500, send_bytes_max: 256 << 10 }
    }
}

/// Bytes to send, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These.
    Bytes(Bytes),
    /// A block's payload, to be read by the driver as it sends.
    Block(Block),
}

impl Segment {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u32,
            Self::Block(block) => block.len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a peer's owner learns, or has to do.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes after all earlier ones.
    Send(Segment),
    /// Its handshake is there. Nothing more is read of it until the owner calls [`Peer::open`].
    Greeted(wire::Handshake),
    /// It told what it has: see [`Peer::has`]. Comes before any `Have`, at most once; what it tells at once
    /// later comes as `Have`s.
    Has,
    /// It has one more piece.
    Have(PieceIndex),
    /// It no longer has a piece (BEP 54). Requests for it are withdrawn.
    DontHave(PieceIndex),
    /// It will serve our requests now.
    Unchoked,
    /// It will not.
    Choked,
    /// It wants something of ours, or no longer does.
    Interested(bool),
    /// A piece it allows us while choking, or suggests: it may be worth asking now.
    Hint,
    /// A block arrived that was asked for.
    Got {
        /// Which.
        block: Block,
        /// Its bytes.
        data: Chain,
    },
    /// A block arrived that is of no use.
    Wasted(u32),
    /// A request of ours will not be answered: ask somebody else.
    Withdrawn(Block),
    /// It has owed us blocks for too long.
    Snubbed,
    /// It asks for a block: answer with [`Peer::admit`].
    Requested(Block),
    /// It no longer wants a block: call [`Peer::forgo`]. Its requests from before come before.
    Cancelled(Block),
    /// Its extension handshake is there: see [`Peer::extension`].
    Extended,
    /// It has a DHT node at this port (BEP 5).
    DhtPort(u16),
    /// It asks for a piece of the metadata: answer with [`Peer::admit_metadata`].
    MetadataRequested(u32),
    /// It tells whom it is connected to: hints, and worth no more than its word.
    Exchanged(PexMessage),
    /// It wants to be introduced to somebody: answer with [`Peer::refuse_rendezvous`].
    Rendezvous(SocketAddr),
    /// It sent a piece of the metadata, asked for or not.
    MetadataGot {
        /// Which.
        piece: u32,
        /// Bytes of the whole metadata, as it says.
        total: u32,
        /// Its bytes; not checked against anything yet.
        data: Bytes,
    },
    /// It does not give us a piece of the metadata.
    MetadataRejected(u32),
}

/// Bytes exchanged with one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Block bytes from it, useful or not.
    pub payload_down: u64,
    /// Block bytes to it.
    pub payload_up: u64,
    /// Everything else from it.
    pub protocol_down: u64,
    /// Everything else to it.
    pub protocol_up: u64,
    /// Those of `payload_down` that nobody asked for.
    pub unasked: u64,
}

impl Peer {
    /// A peer that connected to us; it has to introduce itself first.
    #[must_use]
    pub fn answer(limits: Limits, now: Instant) -> Self {
        Self::new(Greeting::incoming(), limits, now)
    }

    /// A peer we are connecting to.
    #[must_use]
    pub fn dial(hello: Hello, limits: Limits, now: Instant) -> Self {
        Self::new(Greeting::outgoing(hello), limits, now)
    }

    fn new(greeting: Greeting, limits: Limits, now: Instant) -> Self {
        Self {
            decoder: Decoder::new(wire::DecoderLimits::default()),
            phase: Phase::Greeting(Box::new(greeting)),
            limits,
            has: Bitfield::new(0),
            told: false,
            fast: false,
            extended: false,
            theirs: None,
            giving: None,
            gossip: None,
            early: None,
            upload_only: false,
            told_port: false,
            choking_us: true,
            choked: true,
            interested: false,
            interesting: false,
            allowed: Vec::new(),
            suggested: Vec::new(),
            allows: Vec::new(),
            allows_bytes: 0,
            asking: Asking::new(limits.asked_max),
            serving: Serving::default(),
            outgoing: Outgoing::default(),
            heard: now,
            reading: true,
            down: Meter::default(),
            up: Meter::default(),
            totals: Totals::default(),
        }
    }

    /// Bytes of the peer, in order. An error names what it did wrong: close it.
    pub fn receive(&mut self, data: Bytes, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        if !matches!(self.phase, Phase::Greeting(_)) {
            self.heard = cx.now;
        }
        let (payload, all) = (self.totals.payload_down, data.len() as u64);
        self.decoder.push(data);
        let result = self.read_on(cx);
        // What lies in the decoder counts as protocol until its block is whole.
        self.totals.protocol_down =
            (self.totals.protocol_down + all).saturating_sub(self.totals.payload_down - payload);
        if self.decoder.buffered() > PARTIAL_BLOCK && self.asking.asked().len() > 0 {
            self.asking.progressed(cx.now);
        }
        result
    }

    /// Reading from the connection stopped, or goes on.
    pub fn set_reading(&mut self, on: bool, now: Instant) {
        self.reading = on;
        if on {
            self.heard = now;
            self.asking.read_on(now);
        }
    }

    /// The driver's system took `bytes` of what was handed over. Says whether so many were.
    pub fn sent(&mut self, bytes: u32, now: Instant) -> bool {
        self.outgoing.sent(bytes, now)
    }

    /// Hands over what the calls so far have gathered to be said. Owners call it once at the end of a turn, so
    /// that many small messages leave as one segment.
    pub fn flush(&mut self, cx: &mut Cx<'_, Action>) {
        self.outgoing.flush(cx);
    }

    /// Time has passed.
    pub fn tick(&mut self, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        if let Phase::Greeting(greeting) = &self.phase {
            return if cx.now >= greeting.deadline(self.heard) {
                Err(CloseReason::GreetingTimedOut)
            } else {
                Ok(())
            };
        }
        if self.reading && cx.now >= self.heard + SILENCE_MAX {
            return Err(CloseReason::Silent);
        }
        if cx.now >= self.outgoing.last + KEEP_ALIVE {
            Message::KeepAlive.encode(self.outgoing.control());
            // Nothing was said for so long that room for much is a waste.
            self.asking.settle();
        }
        if self.reading && self.asking.snub(cx.now) {
            if self.asking.is_hopeless() && cx.now >= self.heard + SILENCE_OWING_MAX {
                return Err(CloseReason::Silent);
            }
            cx.out.push(Action::Snubbed);
            self.withdraw(cx);
        }
        Ok(())
    }

    /// When [`tick`](Self::tick) is next of use.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        match &self.phase {
            Phase::Greeting(greeting) => greeting.deadline(self.heard),
            Phase::Open if !self.reading => self.outgoing.last + KEEP_ALIVE,
            Phase::Open => {
                let alive = (self.heard + SILENCE_MAX).min(self.outgoing.last + KEEP_ALIVE);
                self.asking.deadline(now).map_or(alive, |asking| alive.min(asking))
            }
        }
    }

    // What we ask.

    /// How many more blocks to ask now: 0, or enough of them to be worth a message. Blocks may be asked while
    /// it is choking us only if they are [`allowed`](Self::allowed).
    #[must_use]
    pub fn wants_requests(&self, now: Instant) -> u32 {
        match self.phase {
            Phase::Open if !self.choking_us || !self.allowed.is_empty() => self.asking.room(now, &self.down),
            _ => 0,
        }
    }

    /// Asks for `block`.
    pub fn request(&mut self, block: Block, now: Instant) {
        self.asking.ask(now, block);
        Message::Request(block).encode(self.outgoing.control());
    }

    /// Takes a request back, because another peer was faster.
    pub fn cancel(&mut self, block: Block) {
        if self.asking.cancel(block) {
            Message::Cancel(block).encode(self.outgoing.control());
        }
    }

    /// Says whether we want anything it has, if that has changed.
    pub fn set_interesting(&mut self, interesting: bool) {
        if self.interesting != interesting {
            self.interesting = interesting;
            let message = if interesting { Message::Interested } else { Message::NotInterested };
            message.encode(self.outgoing.control());
        }
    }

    /// Tells it about a piece of ours, unless it has the piece itself.
    pub fn announce(&mut self, piece: PieceIndex) {
        if matches!(self.phase, Phase::Open) && !self.has.get(piece) {
            Message::Have(piece).encode(self.outgoing.control());
        }
    }

    fn withdraw(&mut self, cx: &mut Cx<'_, Action>) {
        cx.out.extend(self.asking.withdraw().into_iter().map(Action::Withdrawn));
    }
}

/// More than this in the decoder is a block on its way, not a small message cut in two.
const PARTIAL_BLOCK: usize = 64;
const _: () = assert!(PARTIAL_BLOCK < BLOCK_LEN as usize);
