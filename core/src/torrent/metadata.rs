//! Fetching the metadata from peers nobody trusts (BEP 9): whom to ask for which piece, whom to believe, whom to blame.
//!
//! Only the whole can be held against the info-hash, so a piece is worth nothing until all are there. Peers that name
//! different sizes speak of different things, and each size is an attempt of its own: a liar cannot spoil, nor hold up,
//! what honest peers say. When a whole turns out wrong and came from one peer, that peer lied. When it came from
//! several, nobody is blamed yet: each of them is asked for all of it alone, one after the other, until a whole is right;
//! then those whose pieces were different lied.
//!
//! ```
//! use core::time::Duration;
//! use bytes::Bytes;
//! use pieceful_core::id::PeerKey;
//! use pieceful_core::time::Instant;
//! use pieceful_core::torrent::{MetadataFetch, Whole};
//! use slotmap::SlotMap;
//!
//! let hash = *b"\xaa\xf4\xc6\x1d\xdc\xc5\xe8\xa2\xda\xbe\xde\x0f\x3b\x48\x2c\xd9\xae\xa9\x43\x4d"; // of "hello"
//! let mut peers: SlotMap<PeerKey, ()> = SlotMap::with_key();
//! let (alice, now) = (peers.insert(()), Instant::ZERO);
//!
//! let mut fetch = MetadataFetch::new(hash);
//! fetch.offered(alice, "192.0.2.1:6881".parse().unwrap(), 5);
//! let mut ask = Vec::new();
//! fetch.ask(now, &mut ask);
//! assert_eq!(ask, [(alice, 0)]);
//! let whole = fetch.got(alice, 0, 5, &Bytes::from_static(b"hello"), now).unwrap();
//! assert!(matches!(whole, Some(Whole::Right { info, .. }) if info == "hello"));
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::id::PeerKey;
use crate::metainfo::METADATA_LEN_MAX;
use crate::peer::CloseReason;
use crate::time::Instant;
use crate::wire::metadata::METADATA_PIECE_LEN;

/// Sizes that are tried at once. Each takes as much memory as peers have sent of it.
const ATTEMPTS_MAX: usize = 3;
/// An attempt that got nothing for so long gives way, if there is another size to try.
const STALLED: Duration = Duration::from_secs(20);
/// Failed sizes that are remembered, so that others are tried first.
const SIZES_MAX: usize = 64;
/// Pieces asked of one peer at once: few enough for those that answer only a handful.
const ASKED_MAX: usize = 4;
/// A peer that owes pieces and sends none for so long is late: others are asked for them.
const LATE: Duration = Duration::from_secs(5);
/// It is asked for the same piece once more no sooner than this: it may be on its way.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long a peer that is late, or refuses, is not asked: twice as long each time, up to the second.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Answers that nobody asked for, before the peer is closed: those to requests that were given up may still come.
const UNASKED_MAX: u32 = 32;

/// The metadata of a torrent of which the info-hash is known, being fetched.
#[derive(Debug)]
pub struct MetadataFetch {
    hash: [u8; 20],
    sources: BTreeMap<PeerKey, Source>,
    attempts: Vec<Attempt>,
    /// How often each size stalled or turned out wrong.
    failed: BTreeMap<u32, u32>,
}

/// What all pieces of an attempt together turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole {
    /// It has the info-hash.
    Right {
        /// The `info` dictionary.
        info: Bytes,
        /// Who sent something else before.
        liars: Vec<SocketAddr>,
    },
    /// It has not.
    Wrong {
        /// Who sent it, if one peer sent all of it. Where several did, they are asked again, each for all of it.
        liar: Option<SocketAddr>,
    },
}

/// A peer that offers the metadata.
#[derive(Debug)]
struct Source {
    address: SocketAddr,
    size: u32,
    asked: Vec<Asked>,
    /// When it last sent something, or was first asked after having sent everything.
    heard: Instant,
    rests_until: Instant,
    rests: u32,
    unasked: u32,
}

#[derive(Debug)]
struct Asked {
    piece: u32,
    at: Instant,
    /// Others may be asked for it.
    late: bool,
}

/// One size, and what has come of it.
#[derive(Debug)]
struct Attempt {
    size: u32,
    pieces: Vec<Option<Piece>>,
    missing: u32,
    /// Of the first pieces, as many as are there without a gap, so that the last to come costs no more than others.
    hasher: Sha1,
    hashed: usize,
    /// Only this peer is asked, because pieces of several made a wrong whole.
    alone: Option<PeerKey>,
    /// Those that were asked alone before.
    tried: BTreeSet<PeerKey>,
    /// Pieces of the wrong whole: who sent something of which hash.
    evidence: Vec<(u32, SocketAddr, [u8; 20])>,
    /// When the last piece came.
    moved: Instant,
}

#[derive(Debug)]
struct Piece {
    data: Bytes,
    from: SocketAddr,
}

impl MetadataFetch {
    /// Nothing is there yet of the metadata with this SHA-1.
    #[must_use]
    pub const fn new(hash: [u8; 20]) -> Self {
        Self { hash, sources: BTreeMap::new(), attempts: Vec::new(), failed: BTreeMap::new() }
    }

    /// A peer says it has the metadata, and that it is `size` bytes. Its first word counts; if that cannot be, it is not
    /// asked.
    pub fn offered(&mut self, peer: PeerKey, address: SocketAddr, size: u32) {
        if size == 0 || size as usize > METADATA_LEN_MAX || self.sources.contains_key(&peer) {
            return;
        }
        let (heard, rests_until) = (Instant::ZERO, Instant::ZERO);
        let asked = Vec::new();
        let source = Source { address, size, asked, heard, rests_until, rests: 0, unasked: 0 };
        self.sources.insert(peer, source);
    }

    /// A peer is not there any more.
    pub fn gone(&mut self, peer: PeerKey) {
        self.sources.remove(&peer);
    }

    /// Pieces that are there, and all there are, of the attempt that has come furthest.
    #[must_use]
    pub fn progress(&self) -> (u32, u32) {
        let count = |attempt: &Attempt| attempt.pieces.len() as u32;
        let of = |attempt: &Attempt| (count(attempt) - attempt.missing, count(attempt));
        self.attempts.iter().map(of).max().unwrap_or_default()
    }

    /// Peers that could be asked, now or later.
    #[must_use]
    pub fn sources(&self) -> u32 {
        self.sources.len() as u32
    }

    /// A peer does not give a piece.
    pub fn rejected(&mut self, peer: PeerKey, piece: u32, now: Instant) -> Result<(), CloseReason> {
        let Some(source) = self.sources.get_mut(&peer) else { return Ok(()) };
        let Some(place) = source.asked.iter().position(|asked| asked.piece == piece) else {
            return source.not_asked();
        };
        source.asked.swap_remove(place);
        source.rest(now);
        Ok(())
    }

    /// A peer sent a piece. Says what the whole is, if this was the last of it; an error names what it did wrong.
    pub fn got(
        &mut self,
        peer: PeerKey,
        piece: u32,
        total: u32,
        data: &Bytes,
        now: Instant,
    ) -> Result<Option<Whole>, CloseReason> {
        let Some(source) = self.sources.get_mut(&peer) else { return Ok(None) };
        let Some(place) = source.asked.iter().position(|asked| asked.piece == piece) else {
            return source.not_asked().map(|()| None);
        };
        source.asked.swap_remove(place);
        let (size, want, got) = (source.size, piece_len(source.size, piece), data.len() as u32);
        if got != want || total != size {
            return Err(CloseReason::MetadataLength { piece, got, total, want, size });
        }
        (source.heard, source.rests_until, source.rests) = (now, now, 0);
        let from = source.address;
        let Some(place) = self.attempts.iter().position(|attempt| attempt.size == size) else {
            return Ok(None);
        };
        let attempt = &mut self.attempts[place];
        if attempt.alone.is_some_and(|alone| alone != peer) || !attempt.store(piece, data, from, now) {
            return Ok(None);
        }
        Ok((attempt.missing == 0).then(|| self.judge(place, now)))
    }

    /// All pieces of an attempt are there.
    fn judge(&mut self, place: usize, now: Instant) -> Whole {
        let attempt = &mut self.attempts[place];
        let digest: [u8; 20] = core::mem::take(&mut attempt.hasher).finalize().into();
        let pieces = attempt.restart(now);
        if digest == self.hash {
            let evidence = core::mem::take(&mut attempt.evidence);
            let lied = |(piece, _, hash): &(u32, SocketAddr, [u8; 20])| {
                pieces.get(*piece as usize).is_none_or(|right| sha1(&right.data) != *hash)
            };
            let mut liars: Vec<_> = evidence.into_iter().filter(lied).map(|(_, from, _)| from).collect();
            liars.sort_unstable();
            liars.dedup();
            let mut info = Vec::with_capacity(attempt.size as usize);
            pieces.iter().for_each(|piece| info.extend_from_slice(&piece.data));
            return Whole::Right { info: info.into(), liars };
        }
        let size = attempt.size;
        let first = pieces.first().map(|piece| piece.from);
        let liar = first.filter(|first| pieces.iter().all(|piece| piece.from == *first));
        if let Some(liar) = liar {
            self.sources.retain(|_, source| source.address != liar);
        } else {
            attempt.evidence =
                (0..).zip(&pieces).map(|(number, piece)| (number, piece.from, sha1(&piece.data))).collect();
            attempt.tried.clear();
        }
        let attempt = &mut self.attempts[place];
        if !attempt.evidence.is_empty() {
            attempt.next_alone(&self.sources, now);
        }
        self.fail(size);
        Whole::Wrong { liar }
    }

    /// Whom to ask for which piece now.
    pub fn ask(&mut self, now: Instant, out: &mut Vec<(PeerKey, u32)>) {
        self.begin_attempts(now);
        for attempt in &mut self.attempts {
            if let Some(alone) = attempt.alone
                && self
                    .sources
                    .get(&alone)
                    .is_none_or(|source| source.size != attempt.size || source.rests(now))
            {
                attempt.restart(now);
                attempt.next_alone(&self.sources, now);
            }
            let asks = |peer, source: &Source| {
                source.size == attempt.size && attempt.alone.is_none_or(|alone| alone == peer)
            };
            let mut wanted: BTreeSet<u32> = attempt.wanted().collect();
            for (_, source) in self.sources.iter().filter(|(peer, source)| asks(**peer, source)) {
                for asked in source.asked.iter().filter(|asked| !asked.late) {
                    wanted.remove(&asked.piece);
                }
            }
            for (peer, source) in &mut self.sources {
                if asks(*peer, source) && !source.rests(now) {
                    source.ask(*peer, &mut wanted, now, out);
                }
            }
        }
    }

    /// Time has passed: peers that are late are not waited for.
    pub fn tick(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            if source.owes() && now >= source.heard + LATE {
                source.asked.iter_mut().for_each(|asked| asked.late = true);
                source.rest(now);
            }
        }
    }

    /// When [`tick`](Self::tick), and then [`ask`](Self::ask), are next of use.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let late = |source: &Source| match source.owes() {
            true => Some(source.heard + LATE),
            false if source.rests(now) => Some(source.rests_until),
            false => source.asked.iter().map(|asked| asked.at + ASK_AGAIN).filter(|at| *at > now).min(),
        };
        let waiting = || self.sources.values().any(|source| !self.is_tried(source.size));
        let stalled = (self.attempts.len() == ATTEMPTS_MAX && waiting())
            .then(|| self.attempts.iter().map(|attempt| attempt.moved + STALLED).min())
            .flatten();
        self.sources.values().filter_map(late).chain(stalled).min()
    }

    fn is_tried(&self, size: u32) -> bool {
        self.attempts.iter().any(|attempt| attempt.size == size)
    }

    /// Tries sizes that are named, as long as there is room, or an attempt that stalled gives way. That one may have its
    /// turn again at once, in place of another that stalled.
    fn begin_attempts(&mut self, now: Instant) {
        while let Some(size) = self.next_size()
            && (self.attempts.len() < ATTEMPTS_MAX || self.drop_stalled(now))
        {
            self.attempts.push(Attempt::new(size, now));
        }
    }

    /// Of the sizes that are named and not tried, the one that failed least often, then the one that most peers name.
    fn next_size(&self) -> Option<u32> {
        let mut named: BTreeMap<u32, u32> = BTreeMap::new();
        for source in self.sources.values().filter(|source| !self.is_tried(source.size)) {
            *named.entry(source.size).or_default() += 1;
        }
        let failures = |size: u32| self.failed.get(&size).copied().unwrap_or(0);
        let next = named.into_iter().min_by_key(|&(size, by)| (failures(size), Reverse(by), size));
        next.map(|(size, _)| size)
    }

    /// Gives up the attempt that has been without a piece for longest, if that is too long.
    fn drop_stalled(&mut self, now: Instant) -> bool {
        let numbered = self.attempts.iter().enumerate();
        let longest = numbered.min_by_key(|(_, attempt)| attempt.moved);
        let Some((place, _)) = longest.filter(|(_, attempt)| now >= attempt.moved + STALLED) else {
            return false;
        };
        let size = self.attempts.remove(place).size;
        self.fail(size);
        true
    }

    fn fail(&mut self, size: u32) {
        if self.failed.len() >= SIZES_MAX && !self.failed.contains_key(&size) {
            self.failed.clear();
        }
        *self.failed.entry(size).or_default() += 1;
    }
}

impl Source {
    /// Pieces are due from it.
    fn owes(&self) -> bool {
        self.asked.iter().any(|asked| !asked.late)
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until > now
    }

    fn rest(&mut self, now: Instant) {
        let (first, longest) = REST;
        self.rests_until = now + (first * (1 << self.rests.min(16))).min(longest);
        self.rests += 1;
    }

    const fn not_asked(&mut self) -> Result<(), CloseReason> {
        self.unasked += 1;
        if self.unasked > UNASKED_MAX { Err(CloseReason::MetadataNotAsked) } else { Ok(()) }
    }

    /// Asks it for the first of the wanted pieces, as many as it may owe; they are wanted of nobody else then.
    fn ask(
        &mut self,
        peer: PeerKey,
        wanted: &mut BTreeSet<u32>,
        now: Instant,
        out: &mut Vec<(PeerKey, u32)>,
    ) {
        let mut owed = self.asked.iter().filter(|asked| !asked.late).count();
        while owed < ASKED_MAX {
            let just_asked =
                |piece| self.asked.iter().any(|asked| asked.piece == piece && now < asked.at + ASK_AGAIN);
            let Some(piece) = wanted.iter().copied().find(|piece| !just_asked(*piece)) else { return };
            wanted.remove(&piece);
            if owed == 0 {
                self.heard = now;
            }
            self.asked.retain(|asked| asked.piece != piece);
            self.asked.push(Asked { piece, at: now, late: false });
            out.push((peer, piece));
            owed += 1;
        }
    }
}

impl Attempt {
    fn new(size: u32, now: Instant) -> Self {
        let count = size.div_ceil(METADATA_PIECE_LEN);
        Self {
            size,
            pieces: (0..count).map(|_| None).collect(),
            missing: count,
            hasher: Sha1::default(),
            hashed: 0,
            alone: None,
            tried: BTreeSet::new(),
            evidence: Vec::new(),
            moved: now,
        }
    }

    fn wanted(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.pieces).filter(|(_, piece)| piece.is_none()).map(|(number, _)| number)
    }

    /// Keeps a piece; says whether it was missing.
    fn store(&mut self, piece: u32, data: &Bytes, from: SocketAddr, now: Instant) -> bool {
        let Some(place @ None) = self.pieces.get_mut(piece as usize) else { return false };
        // A copy, since what came may lie in a buffer several times as large.
        *place = Some(Piece { data: Bytes::copy_from_slice(data), from });
        self.missing -= 1;
        self.moved = now;
        while let Some(Some(next)) = self.pieces.get(self.hashed) {
            self.hasher.update(&next.data);
            self.hashed += 1;
        }
        true
    }

    /// Begins anew; returns what was there, in order.
    fn restart(&mut self, now: Instant) -> Vec<Piece> {
        self.missing = self.pieces.len() as u32;
        self.moved = now;
        (self.hasher, self.hashed) = (Sha1::default(), 0);
        self.pieces.iter_mut().filter_map(Option::take).collect()
    }

    /// Who is to be asked for all of it: one that was not before. When all were, and none gave a right whole nor a
    /// wrong one, they may do it together again.
    fn next_alone(&mut self, sources: &BTreeMap<PeerKey, Source>, now: Instant) {
        let able = |(_, source): &(&PeerKey, &Source)| source.size == self.size && !source.rests(now);
        let untried = |(peer, _): &(&PeerKey, &Source)| !self.tried.contains(*peer);
        self.alone = sources.iter().filter(able).find(untried).map(|(peer, _)| *peer);
        match self.alone {
            Some(peer) => drop(self.tried.insert(peer)),
            None => self.tried.clear(),
        }
    }
}

/// Bytes in a piece of metadata of `size` bytes.
fn piece_len(size: u32, piece: u32) -> u32 {
    let start = u64::from(piece) * u64::from(METADATA_PIECE_LEN);
    u64::from(size).saturating_sub(start).min(METADATA_PIECE_LEN.into()) as u32
}

fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}

#[cfg(test)]
mod tests;
