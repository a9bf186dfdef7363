//! One connection as a conversation: what each side may say after what the other has said (BEP 3, BEP 6).
//!
//! Heard is what the engine was handed, whether or not it has a meaning to it, so the rules are those that hold
//! however an engine reads: it asks only for what the peer has and serves, and sends only what was asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pieceful_core::id::BLOCK_LEN;
use pieceful_core::time::Instant;

use super::ensure;
use crate::Data;
use crate::words::{self, Listener, Said};

/// An engine may give up what is under way, and ask for it again, once no block came for so long. It says nothing of it,
/// and waits longer when parts of a block come, or nothing is read.
const LATE: Duration = Duration::from_secs(20);
/// Requests under way at one peer beside the limit: those that it is late with, and has not refused.
const LATE_MAX: usize = 500;

/// A set of pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    words: Vec<u64>,
    len: u32,
}

impl Pieces {
    pub(super) fn none(len: u32) -> Self {
        Self { words: vec![0; len.div_ceil(64) as usize], len }
    }

    pub(super) fn get(&self, piece: u32) -> bool {
        self.words.get(piece as usize / 64).is_some_and(|word| word & (1 << (piece % 64)) != 0)
    }

    pub(super) fn set(&mut self, piece: u32) {
        if piece < self.len {
            self.words[piece as usize / 64] |= 1 << (piece % 64);
        }
    }

    fn fill(&mut self) {
        self.words.fill(u64::MAX);
    }

    fn clear(&mut self, piece: u32) {
        if let Some(word) = self.words.get_mut(piece as usize / 64) {
            *word &= !(1 << (piece % 64));
        }
    }
}

type Block = (u32, u32, u32);

/// What a peer asked for: how often, how often of these it is to be served, and in which read it last did.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    asked: u32,
    serve: u32,
    read: u64,
}

/// Its fields lie in memory as they stand here, first those that every message needs: with ten thousand connections
/// each is out of all caches when it has something to say.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Talk {
    /// The place of its torrent among those of the engine, once either side has named it.
    pub(super) torrent: Option<usize>,
    heard: Listener,
    wishes: BTreeMap<Block, Wish>,
    reads: u64,
    said: Listener,
    /// Reserved bits of both handshakes.
    ours: Option<[u8; 8]>,
    theirs: Option<[u8; 8]>,
    began: bool,
    pub(super) choking: bool,
    choking_us: bool,
    interested: bool,
    /// Under which it wants to hear of other peers (BEP 11), or wanted to.
    pub(super) their_pex: Option<u8>,
    /// Under which the engine wants to hear what the peer has no more (BEP 54).
    our_dont_have: Option<u8>,
    /// Payload of whole blocks that the engine has sent, and that it has been sent.
    pub(super) given: u64,
    pub(super) got: u64,
    /// Requests under way.
    asked: BTreeSet<Block>,
    /// Those that it has given up, or has not: nobody but the engine knows.
    doubted: BTreeSet<Block>,
    /// Those that were taken back and may be answered all the same.
    late: BTreeSet<Block>,
    /// When a block last came, or the first of those under way was asked for; no later than by the engine's own account.
    progress: Instant,
    /// What the peer has told that it has, and that we may ask for while it is choking us.
    has: Pieces,
    allowed: BTreeSet<u32>,
    /// What the engine allows it.
    allows: BTreeSet<u32>,
}

impl Talk {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            said: Listener::new(false),
            heard: Listener::new(false),
            torrent: None,
            ours: None,
            theirs: None,
            their_pex: None,
            our_dont_have: None,
            given: 0,
            got: 0,
            has: Pieces::default(),
            choking_us: true,
            allowed: BTreeSet::new(),
            wishes: BTreeMap::new(),
            reads: 0,
            began: false,
            choking: true,
            allows: BTreeSet::new(),
            interested: false,
            asked: BTreeSet::new(),
            doubted: BTreeSet::new(),
            late: BTreeSet::new(),
            progress: now,
        }
    }

    /// Whether the engine has introduced itself.
    pub(super) const fn is_answered(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether the peer has.
    pub(super) const fn is_greeted(&self) -> bool {
        self.theirs.is_some()
    }

    fn speaks(&self, byte: usize, bit: u8) -> bool {
        let both = [self.ours, self.theirs];
        both.iter().all(|reserved| reserved.is_some_and(|reserved| reserved[byte] & bit != 0))
    }

    fn fast(&self) -> bool {
        self.speaks(7, 4)
    }

    /// Bytes that the engine says.
    pub(super) fn says(&mut self, bytes: &[u8], said: &mut Vec<Said>) {
        self.said.hear(bytes, said);
    }

    /// Bytes of a block that the driver is to read from disk.
    pub(super) fn says_block(&mut self, len: u32, said: &mut Vec<Said>) {
        self.said.skip(len as usize, said);
    }

    /// Bytes that the engine hears.
    pub(super) fn hears(&mut self, bytes: &[u8], said: &mut Vec<Said>) {
        self.reads += 1;
        self.heard.hear(bytes, said);
    }

    /// Which torrent it is about.
    pub(super) fn is_about(&mut self, torrent: usize, data: &Data) {
        if self.torrent.is_none() {
            self.torrent = Some(torrent);
            self.has = Pieces::none(data.pieces());
        }
    }

    /// The peer says something.
    pub(super) fn hear(&mut self, now: Instant, said: &Said) {
        match said {
            Said::Handshake { reserved, .. } => self.theirs = Some(*reserved),
            Said::Plain(words::CHOKE) => {
                self.choking_us = true;
                if !self.fast() {
                    self.late.append(&mut self.asked);
                    self.late.append(&mut self.doubted);
                }
            }
            Said::Plain(words::UNCHOKE) => self.choking_us = false,
            Said::Have(piece) => self.has.set(*piece),
            Said::HaveAll => self.has.fill(),
            Said::Bitfield(bits) => {
                let all = (0..bits.len() as u32 * 8)
                    .filter(|piece| bits[*piece as usize / 8] & (0x80 >> (piece % 8)) != 0);
                all.for_each(|piece| self.has.set(piece));
            }
            Said::AllowedFast(piece) => {
                self.allowed.insert(*piece);
            }
            Said::Extended(0, body) => {
                self.their_pex = extension(body, "ut_pex").filter(|id| *id > 0).or(self.their_pex);
            }
            Said::Extended(id, body) if self.our_dont_have == Some(*id) => {
                if let Ok(piece) = <[u8; 4]>::try_from(&body[..]).map(u32::from_be_bytes) {
                    self.has_no_more(piece);
                }
            }
            Said::Request(piece, offset, len) => {
                let served = !self.choking || self.allows.contains(piece);
                let wish = self.wishes.entry((*piece, *offset, *len)).or_default();
                wish.asked += 1;
                wish.serve += u32::from(served);
                wish.read = self.reads;
            }
            Said::Cancel(piece, offset, len) => {
                // What comes in one read may have been served before the engine got to the end of it.
                let wish = self.wishes.get_mut(&(*piece, *offset, *len));
                if let Some(wish) = wish.filter(|wish| wish.read < self.reads) {
                    wish.serve = wish.serve.saturating_sub(1);
                }
            }
            Said::Reject(piece, offset, len) => {
                let block = (*piece, *offset, *len);
                let was = self.asked.remove(&block) | self.doubted.remove(&block);
                self.late.remove(&block);
                if was && self.choking_us {
                    self.allowed.remove(piece);
                }
            }
            Said::Piece(piece, offset, len, _) => {
                let block = (*piece, *offset, *len);
                self.got += u64::from(*len);
                let was = self.asked.remove(&block);
                self.give_up(now);
                if was {
                    self.progress = now;
                }
                self.doubted.remove(&block);
                self.late.remove(&block);
            }
            _ => {}
        }
    }

    /// The engine says something. `data` and `had` are its torrent's.
    pub(super) fn say(
        &mut self,
        now: Instant,
        said: &Said,
        data: &Data,
        had: &Pieces,
        asked_max: usize,
    ) -> Result<(), String> {
        match said {
            Said::Handshake { reserved, .. } => self.ours = Some(*reserved),
            Said::Bitfield(_) => {
                ensure(!self.began, || "a bitfield that is not its first message".to_owned())?;
            }
            Said::HaveAll | Said::HaveNone => {
                ensure(!self.began, || format!("{said} is not its first message"))?;
                self.need_fast(said)?;
            }
            Said::Plain(words::CHOKE) => {
                ensure(!self.choking, || "chokes twice".to_owned())?;
                self.choking = true;
                // Without the fast extension that is the answer to all there was (BEP 6 changes that).
                if !self.fast() {
                    self.wishes.clear();
                }
            }
            Said::Plain(words::UNCHOKE) => {
                ensure(self.choking, || "unchokes twice".to_owned())?;
                self.choking = false;
            }
            Said::Plain(id) => {
                let interested = *id == words::INTERESTED;
                ensure(self.interested != interested, || format!("{said}, twice"))?;
                self.interested = interested;
            }
            Said::AllowedFast(piece) => {
                self.need_fast(said)?;
                self.allows.insert(*piece);
                // Who had asked for some of it before does not have to ask again.
                for (_, wish) in self.wishes.iter_mut().filter(|(block, _)| block.0 == *piece) {
                    wish.serve = wish.asked;
                }
            }
            Said::Reject(piece, offset, len) => {
                self.need_fast(said)?;
                self.answer((*piece, *offset, *len), false)?;
            }
            Said::Piece(piece, offset, len, _) => {
                self.answer((*piece, *offset, *len), true)?;
                self.given += u64::from(*len);
            }
            Said::Request(piece, offset, len) => {
                self.ask(now, (*piece, *offset, *len), data, had)?;
                let most = asked_max + LATE_MAX;
                ensure(self.asked.len() <= most, || format!("more than {most} requests under way"))?;
            }
            Said::Cancel(piece, offset, len) => {
                let block = (*piece, *offset, *len);
                let was = self.asked.remove(&block) | self.doubted.remove(&block);
                ensure(was || self.late.contains(&block), || format!("{said}, which was not asked for"))?;
                self.late.insert(block);
            }
            Said::Extended(id, body) => {
                ensure(self.speaks(5, 0x10), || format!("{said}, to one that does not speak extensions"))?;
                if *id == 0 {
                    self.our_dont_have = extension(body, "lt_donthave").or(self.our_dont_have);
                }
            }
            Said::Port(_) => {
                ensure(self.speaks(7, 0x01), || format!("{said}, to one that has no node of the DHT"))?;
            }
            Said::Have(_) | Said::KeepAlive => {}
            Said::Other(..) => return Err(format!("{said}, which means nothing")),
        }
        self.began |= !matches!(said, Said::Handshake { .. } | Said::KeepAlive | Said::Extended(..));
        Ok(())
    }

    /// The peer says that a piece is gone: what is under way of it need not come, and may all the same.
    fn has_no_more(&mut self, piece: u32) {
        self.has.clear(piece);
        self.allowed.remove(&piece);
        for under_way in [&mut self.asked, &mut self.doubted] {
            self.late.extend(under_way.extract_if(.., |block| block.0 == piece));
        }
    }

    /// No block came for so long that what is under way may not be waited for any more.
    fn give_up(&mut self, now: Instant) {
        if now.since(self.progress) >= LATE {
            self.doubted.append(&mut self.asked);
        }
    }

    fn need_fast(&self, said: &Said) -> Result<(), String> {
        ensure(self.fast(), || format!("{said}, to one that does not speak the fast extension"))
    }

    /// A request of the peer's is answered, with a block or a refusal.
    fn answer(&mut self, block: Block, served: bool) -> Result<(), String> {
        let what = if served { "sends" } else { "refuses" };
        let Some(wish) = self.wishes.get_mut(&block) else {
            return Err(format!("{what} {block:?}, which was not asked for"));
        };
        if served {
            ensure(wish.serve > 0, || {
                format!("sends {block:?}, asked for while choked or taken back since")
            })?;
            wish.serve -= 1;
        }
        wish.asked -= 1;
        wish.serve = wish.serve.min(wish.asked);
        if wish.asked == 0 {
            self.wishes.remove(&block);
        }
        if self.wishes.is_empty() {
            self.wishes = BTreeMap::new(); // which keeps no room
        }
        Ok(())
    }

    fn ask(&mut self, now: Instant, block: Block, data: &Data, had: &Pieces) -> Result<(), String> {
        let (piece, offset, len) = block;
        let whole = if piece < data.pieces() { data.piece(piece).len() as u32 } else { 0 };
        let right = offset.is_multiple_of(BLOCK_LEN)
            && offset < whole
            && len == BLOCK_LEN.min(whole - offset.min(whole));
        ensure(right, || format!("asks for {block:?}, which is not a block"))?;
        ensure(!had.get(piece), || format!("asks for {block:?}, which it has"))?;
        ensure(self.has.get(piece), || format!("asks for {block:?}, which the peer does not have"))?;
        ensure(self.interested, || format!("asks for {block:?} without interest"))?;
        let served = !self.choking_us || self.fast() && self.allowed.contains(&piece);
        ensure(served, || format!("asks for {block:?} while choked"))?;
        self.give_up(now);
        if self.asked.is_empty() && self.doubted.is_empty() {
            self.progress = now;
        }
        ensure(self.asked.insert(block), || format!("asks for {block:?} twice"))?;
        self.doubted.remove(&block);
        self.late.remove(&block);
        Ok(())
    }
}

/// The number that an extension handshake gives to one of the extensions (BEP 10).
pub(super) fn extension(handshake: &[u8], name: &str) -> Option<u8> {
    words::number_after(handshake, format!("{}:{name}", name.len()).as_bytes())?.try_into().ok()
}
