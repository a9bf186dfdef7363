//! A whole session of one connection, from its first byte, with an owner of three torrents: it never panics, takes
//! no block it did not ask for, serves none that was not asked of it, keeps its limits, and says only what the
//! protocol allows, no more than it was made to say.

use std::collections::VecDeque;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pieceful_core::bitfield::Bitfield;
use pieceful_core::cx::Cx;
use pieceful_core::id::{BLOCK_LEN, Block, PeerId, PieceIndex};
use pieceful_core::peer::{Action, CloseReason, Hello, Limits, Peer};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;
use pieceful_core::wire::extended::{ExtendedHandshake, ExtensionIds};
use pieceful_core::wire::holepunch::HolepunchError;
use pieceful_core::wire::{Handshake, Message, Reserved};

mod ear;

use ear::Ear;

const LIMITS: Limits = Limits { asked_max: 50, requests_max: 50, send_bytes_max: 64 << 10 };
const BLOCKS: u32 = 4;

/// A torrent of the owner's.
struct Torrent {
    info_hash: [u8; 20],
    have: Bitfield,
    /// Bytes of the last piece.
    last: u32,
}

impl Torrent {
    /// One of which everything is there, one of which nothing is, and a larger one of which half is.
    fn all() -> [Self; 3] {
        let mut half = Bitfield::new(300);
        (0..300).step_by(2).for_each(|piece| _ = half.set(PieceIndex(piece)));
        [
            Self { info_hash: [7; 20], have: Bitfield::full(20), last: BLOCKS * BLOCK_LEN },
            Self { info_hash: [8; 20], have: Bitfield::new(20), last: BLOCKS * BLOCK_LEN },
            Self { info_hash: [9; 20], have: half, last: BLOCK_LEN + 5 },
        ]
    }

    fn hello(&self) -> Hello {
        Hello {
            info_hash: self.info_hash,
            peer_id: PeerId([1; 20]),
            pieces: Some(self.have.len()),
            dht_port: None,
        }
    }

    fn piece_len(&self, piece: PieceIndex) -> u32 {
        if piece.0 + 1 == self.have.len() { self.last } else { BLOCKS * BLOCK_LEN }
    }

    /// The nth block, counted round.
    fn block(&self, nth: u32) -> Block {
        let piece = PieceIndex(nth / BLOCKS % self.have.len());
        let offset = nth % BLOCKS * BLOCK_LEN % self.piece_len(piece).next_multiple_of(BLOCK_LEN);
        Block { piece, offset, len: (self.piece_len(piece) - offset).min(BLOCK_LEN) }
    }

    fn has(&self, block: Block) -> bool {
        let end = block.offset.checked_add(block.len);
        self.have.get(block.piece)
            && block.len > 0
            && end.is_some_and(|end| end <= self.piece_len(block.piece))
    }
}

/// How it begins.
#[derive(Arbitrary, Debug)]
enum Greeting {
    /// Somebody connected, and sends a handshake for one of the torrents.
    Incoming { torrent: u8, reserved: [u8; 2] },
    /// We dialled for a torrent, and hear a handshake for it.
    Outgoing { torrent: u8, reserved: [u8; 2] },
    /// Somebody connected, and what it sends is for the steps to say.
    Silent,
    /// We dialled, and what is there is for the steps to say.
    Answered { torrent: u8 },
}

/// What happens to the connection next.
#[derive(Arbitrary, Debug)]
enum Step {
    /// Bytes arrive as they are.
    Raw(Vec<u8>),
    /// A handshake arrives, or the beginning of one.
    Handshake {
        torrent: u8,
        reserved: [u8; 2],
        bytes: u8,
    },
    /// A message arrives, well formed.
    Message(Kind, u8, u16),
    /// An extension handshake arrives.
    Extended {
        queue: Option<u16>,
        rest: Vec<u8>,
    },
    /// It sends the oldest block it was asked for, in two reads.
    Serve {
        cut: u16,
    },
    /// The owner asks for as much as it may.
    Ask,
    /// The owner takes back a request.
    Cancel(u8),
    /// The owner hands over what it can without reading.
    Give,
    /// The owner begins to read what it can.
    Read,
    /// The reads end, well or not.
    ReadDone(bool),
    Choke(bool),
    /// The owner allows pieces to be had while choked.
    Allow(u8),
    Interesting(bool),
    /// The owner stops reading of the connection, or goes on.
    Reading(bool),
    /// Time passes, in eighths of a second.
    Wait(u8),
    /// The system took some bytes.
    Sent(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have,
    HaveAll,
    HaveNone,
    Bitfield,
    Request,
    Cancel,
    Reject,
    AllowedFast,
    Suggest,
    Piece,
    Port,
}

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(greeting) = Greeting::arbitrary(&mut input) else { return };
    let mut session = Session::new(&greeting);
    if session.begin(&greeting).is_err() {
        return;
    }
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        if session.step(step).is_err() {
            break; // the owner closes it; nothing more happens
        }
    }
}

/// The owner of the connection, and the other side of it.
struct Session {
    torrents: [Torrent; 3],
    /// Which one it is about, once it is open.
    about: Option<usize>,
    peer: Peer,
    now: Instant,
    rng: Rng,
    out: Vec<Action>,
    ear: Ear,
    /// All that was asked of it and has not come.
    asked: Vec<Block>,
    next: u32,
    /// Requests of its that were let in and are not answered.
    wanted: Vec<Block>,
    reading: VecDeque<Block>,
    told: bool,
    unsent: u64,
    /// Bytes it sent, and bytes' worth of what the owner made it say; and what it said.
    fed: u64,
    said: u64,
}

impl Session {
    fn new(greeting: &Greeting) -> Self {
        let torrents = Torrent::all();
        let now = Instant::from_micros(1_000_000);
        let peer = match *greeting {
            Greeting::Outgoing { torrent, .. } | Greeting::Answered { torrent } => {
                Peer::dial(torrents[usize::from(torrent) % 3].hello(), LIMITS, now)
            }
            Greeting::Incoming { .. } | Greeting::Silent => Peer::answer(LIMITS, now),
        };
        Self {
            torrents,
            about: None,
            peer,
            now,
            rng: Rng::new(Seed([0; 32])),
            out: Vec::new(),
            ear: Ear::default(),
            asked: Vec::new(),
            next: 0,
            wanted: Vec::new(),
            reading: VecDeque::new(),
            told: false,
            unsent: 0,
            fed: 1_000,
            said: 0,
        }
    }

    fn begin(&mut self, greeting: &Greeting) -> Result<(), CloseReason> {
        self.act(|peer, cx| {
            peer.connected(cx);
            Ok(())
        })?;
        match *greeting {
            Greeting::Incoming { torrent, reserved } | Greeting::Outgoing { torrent, reserved } => {
                self.receive(handshake(torrent, reserved))
            }
            Greeting::Silent | Greeting::Answered { .. } => Ok(()),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), CloseReason> {
        let open = self.about;
        match step {
            Step::Raw(bytes) => self.receive(bytes)?,
            Step::Handshake { torrent, reserved, bytes } => {
                let mut handshake = handshake(torrent, reserved);
                handshake.truncate(bytes.into());
                self.receive(handshake)?;
            }
            Step::Message(kind, piece, at) => {
                let pieces = open.map_or(20, |open| self.torrents[open].have.len());
                self.receive(encoded(&message(kind, piece, at, pieces)))?;
            }
            Step::Extended { queue, rest } => {
                let theirs = ExtendedHandshake {
                    request_queue: queue.map(u32::from),
                    ids: ExtensionIds::OURS,
                    client: Some(String::from_utf8_lossy(&rest).into()),
                    ..ExtendedHandshake::default()
                };
                self.receive(encoded(&Message::Extended { id: 0, payload: theirs.encode().into() }))?;
            }
            Step::Serve { cut } => {
                let oldest = self.peer.asked().next().copied();
                if let Some(block) = oldest {
                    let data = Bytes::from(vec![0; block.len as usize]).into();
                    let mut first = encoded(&Message::Piece { block, data });
                    let second = first.split_off(usize::from(cut).min(first.len()));
                    self.receive(first)?;
                    self.receive(second)?;
                }
            }
            Step::Wait(eighths) => {
                self.now += Duration::from_millis(125 * u64::from(eighths));
                self.fed += 4;
                self.act(Peer::tick)?;
            }
            Step::Sent(bytes) => {
                let bytes = u64::from(bytes).min(self.unsent) as u32;
                self.unsent -= u64::from(bytes);
                assert!(self.peer.sent(bytes, self.now), "what was handed over was sent");
            }
            Step::Reading(on) => self.peer.set_reading(on, self.now),
            _ if open.is_none() => {} // what follows is for peers that were taken in
            Step::Ask => {
                for _ in 0..self.peer.wants_requests(self.now) {
                    self.ask();
                }
            }
            Step::Cancel(nth) => {
                let nth = usize::from(nth) % self.peer.asked().len().max(1);
                let chosen = self.peer.asked().nth(nth).copied();
                if let Some(block) = chosen {
                    self.fed += 17;
                    self.peer.cancel(block);
                }
            }
            Step::Give => {
                while let Some(block) = self.peer.next_to_serve() {
                    self.serve(block);
                    self.fed += 17 + u64::from(block.len);
                    self.act(|peer, cx| {
                        assert_eq!(peer.serve_directly(cx), Some(block));
                        Ok(())
                    })?;
                }
            }
            Step::Read => {
                while let Some(block) = self.peer.next_to_serve() {
                    assert_eq!(self.peer.begin_read(), Some(block));
                    self.reading.push_back(block);
                }
            }
            Step::ReadDone(well) => {
                while let Some(block) = self.reading.pop_front() {
                    self.fed += 17 + u64::from(block.len);
                    let data = well.then(|| vec![0; block.len as usize].into());
                    let mut served = 0;
                    self.ear.may_hear(block);
                    self.act(|peer, cx| {
                        served = peer.end_read(block, data, cx);
                        Ok(())
                    })?;
                    if served > 0 {
                        self.serve(block);
                    } else {
                        self.ear.will_not_hear(block);
                    }
                }
            }
            Step::Choke(on) => {
                self.fed += 5;
                if on {
                    // Each request that waits is refused by name.
                    self.fed += 17 * self.peer.requests_waiting() as u64;
                    self.peer.choke();
                } else {
                    self.peer.unchoke();
                }
            }
            Step::Allow(first) => {
                let pieces: Vec<_> = (0..4).map(|piece| PieceIndex(u32::from(first) % 16 + piece)).collect();
                self.fed += 36;
                self.peer.allow(&pieces, 8 * u64::from(BLOCK_LEN));
            }
            Step::Interesting(interesting) => {
                self.fed += 5;
                self.peer.set_interesting(interesting);
            }
        }
        self.act(|_, _| Ok(()))?;
        self.check();
        Ok(())
    }

    fn ask(&mut self) {
        let Some(about) = self.about else { return };
        let block = self.torrents[about].block(self.next);
        self.next += 1;
        if !self.peer.asked().any(|other| *other == block) {
            self.peer.request(block, self.now);
            self.asked.push(block);
            self.ear.requests.push_back(block);
            self.fed += 17;
        }
    }

    /// A block of its choice leaves: it asked for it, and more often than it got it.
    fn serve(&mut self, block: Block) {
        let place = self.wanted.iter().position(|wanted| *wanted == block);
        self.wanted.remove(place.expect("a block was served that nobody asked for"));
    }

    fn receive(&mut self, bytes: Vec<u8>) -> Result<(), CloseReason> {
        self.fed += bytes.len() as u64;
        if bytes.is_empty() { Ok(()) } else { self.act(|peer, cx| peer.receive(bytes.into(), cx)) }
    }

    /// Makes a call, and does all that the peer wants done.
    fn act(
        &mut self,
        call: impl FnOnce(&mut Peer, &mut Cx<'_, Action>) -> Result<(), CloseReason>,
    ) -> Result<(), CloseReason> {
        let mut cx = Cx { now: self.now, rng: &mut self.rng, out: &mut self.out };
        let result = call(&mut self.peer, &mut cx);
        self.peer.flush(&mut cx);
        for action in std::mem::take(&mut self.out) {
            self.perform(action)?;
        }
        result
    }

    fn perform(&mut self, action: Action) -> Result<(), CloseReason> {
        match action {
            Action::Send(segment) => {
                self.said += u64::from(segment.len());
                self.unsent += u64::from(segment.len());
                self.ear.hear(segment);
            }
            Action::Greeted(theirs) => {
                assert_eq!(self.about, None, "greeted twice");
                let known = self.torrents.iter().position(|torrent| torrent.info_hash == theirs.info_hash);
                let about = known.ok_or(CloseReason::WrongTorrent)?;
                let (hello, have) = (self.torrents[about].hello(), self.torrents[about].have.clone());
                self.about = Some(about);
                self.ear.expect(theirs.reserved, hello);
                let extension = ExtendedHandshake { ids: ExtensionIds::OURS, ..ExtendedHandshake::default() };
                self.act(|peer, cx| peer.open(hello, &have, &extension, cx))?;
            }
            Action::Got { block, data } => {
                assert_eq!(data.len(), block.len as usize);
                let place = self.asked.iter().position(|other| *other == block);
                self.asked.remove(place.expect("a block that was never asked for was taken"));
                self.tell(block.piece);
            }
            Action::Has => assert!(!std::mem::replace(&mut self.told, true), "told twice"),
            // By the end of a read it may be gone, or there again.
            Action::Have(piece) | Action::DontHave(piece) => assert!(piece.0 < self.peer.has().len()),
            Action::Rendezvous(with) => self.peer.refuse_rendezvous(with, HolepunchError::NotConnected),
            Action::Requested(block) => {
                let Some(about) = self.about else { panic!("a request of somebody unknown") };
                let ours = self.torrents[about].has(block);
                let (before, served) = (self.peer.requests_waiting(), !self.peer.is_choked());
                self.peer.admit(block, ours)?;
                if self.peer.requests_waiting() > before {
                    assert!(ours, "{block} is not ours to give");
                    assert!(served || self.ear.allowed.contains(&block.piece), "{block} while choked");
                    self.wanted.push(block);
                }
            }
            Action::Cancelled(block) => self.peer.forgo(block),
            _ => {}
        }
        Ok(())
    }

    /// A piece is ours as soon as all of it has come.
    fn tell(&mut self, piece: PieceIndex) {
        let Some(about) = self.about else { return };
        let left = |block: &Block| block.piece == piece;
        if !self.asked.iter().any(left) && self.torrents[about].have.set(piece) {
            self.fed += 9;
            self.peer.announce(piece);
        }
    }

    fn check(&mut self) {
        assert!(self.peer.asked().len() <= LIMITS.asked_max as usize);
        assert!(self.peer.requests_waiting() <= LIMITS.requests_max as usize);
        assert!(self.said <= 2 * self.fed, "{} bytes said to {} heard", self.said, self.fed);
        if self.peer.deadline(self.now) <= self.now && self.act(Peer::tick).is_ok() {
            assert!(self.peer.deadline(self.now) > self.now, "a deadline that does not move");
        }
    }
}

fn handshake(torrent: u8, [agreed, other]: [u8; 2]) -> Vec<u8> {
    // A fourth torrent is nobody's.
    let reserved = if agreed & 1 == 0 { Reserved::NONE } else { Reserved::NONE.with_fast() };
    let mut reserved = if agreed & 2 == 0 { reserved } else { reserved.with_extended() };
    reserved.0[0] = other;
    Handshake { reserved, info_hash: [7 + torrent % 4; 20], peer_id: PeerId([2; 20]) }.encode().to_vec()
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn message(kind: Kind, piece: u8, at: u16, pieces: u32) -> Message {
    let piece = PieceIndex(u32::from(piece) % (pieces + 1));
    let block = Block {
        piece,
        offset: u32::from(at) % 5 * BLOCK_LEN,
        len: if at.is_multiple_of(7) { u32::from(at) } else { BLOCK_LEN },
    };
    match kind {
        Kind::KeepAlive => Message::KeepAlive,
        Kind::Choke => Message::Choke,
        Kind::Unchoke => Message::Unchoke,
        Kind::Interested => Message::Interested,
        Kind::NotInterested => Message::NotInterested,
        Kind::Have => Message::Have(piece),
        Kind::HaveAll => Message::HaveAll,
        Kind::HaveNone => Message::HaveNone,
        Kind::Bitfield => {
            let mut bits = Bitfield::new(pieces);
            (0..pieces).filter(|bit| at >> (bit % 16) & 1 == 1).for_each(|bit| _ = bits.set(PieceIndex(bit)));
            Message::Bitfield(bits.to_wire().into())
        }
        Kind::Request => Message::Request(block),
        Kind::Cancel => Message::Cancel(block),
        Kind::Reject => Message::Reject(block),
        Kind::AllowedFast => Message::AllowedFast(piece),
        Kind::Suggest => Message::Suggest(piece),
        Kind::Piece => {
            let block = Block { len: block.len.min(20_000), ..block };
            Message::Piece { block, data: Bytes::from(vec![0; block.len as usize]).into() }
        }
        Kind::Port => Message::Port(at),
    }
}
