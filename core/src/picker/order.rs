//! The pieces nobody has begun, sorted by how many peers have them.
//!
//! One array a priority, in which all pieces of the same availability stand together: a bucket. When a peer gets
//! one more piece, that piece changes places with the last of its bucket, and the boundary moves across it.

use alloc::vec;
use alloc::vec::Vec;

use super::{Has, Priority};
use crate::id::PieceIndex;
use crate::rng::Rng;

#[derive(Debug, Default)]
pub(super) struct Order {
    lanes: [Lane; LANES],
    /// Where in its lane each piece stands, or [`NOWHERE`].
    place: Vec<u32>,
    /// Availabilities have changed in bulk: the lanes are in any order until they are sorted again.
    stale: bool,
}

#[derive(Debug, Default)]
struct Lane {
    pieces: Vec<u32>,
    /// Pieces that `n` peers have end before `ends[n]`.
    ends: Vec<u32>,
}

const LANES: usize = 3;
const NOWHERE: u32 = u32::MAX;

/// What a search for a new piece came to.
pub(super) enum Found {
    Piece(u32),
    Nothing,
    /// So many pieces the peer does not have that another way of searching is cheaper.
    TooSparse,
}

/// The highest priority comes first; pieces to be skipped are in no lane.
pub(super) const fn lane_of(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low | Priority::Skip => 2,
    }
}

impl Order {
    /// These out of so many pieces, each with its lane; no peer has any of them.
    pub(super) fn of(pieces: u32, which: impl Iterator<Item = (u32, usize)>) -> Self {
        let mut order = Self { place: vec![NOWHERE; pieces as usize], ..Self::default() };
        for (piece, lane) in which {
            let lane = &mut order.lanes[lane];
            order.place[piece as usize] = lane.pieces.len() as u32;
            lane.pieces.push(piece);
        }
        for lane in &mut order.lanes {
            lane.ends = vec![lane.pieces.len() as u32];
        }
        order
    }

    pub(super) const fn is_stale(&self) -> bool {
        self.stale
    }

    pub(super) const fn set_stale(&mut self) {
        self.stale = true;
    }

    pub(super) fn holds(&self, piece: u32) -> bool {
        self.place.get(piece as usize).is_some_and(|&place| place != NOWHERE)
    }

    /// Whether all pieces are of one priority, so that none need be compared.
    pub(super) fn has_one_lane(&self) -> bool {
        self.lanes.iter().filter(|lane| !lane.pieces.is_empty()).count() <= 1
    }

    pub(super) fn insert(&mut self, piece: u32, lane: usize, availability: u32) {
        debug_assert!(!self.holds(piece), "picker: a piece stands in the order once");
        let (lane, place) = (&mut self.lanes[lane], &mut self.place);
        let mut hole = lane.pieces.len();
        lane.pieces.push(piece);
        if !self.stale {
            let bucket = availability as usize;
            lane.reach(bucket, hole as u32);
            // Each bucket above gives its first place away and gets one behind its last.
            for above in (bucket + 1..lane.ends.len()).rev() {
                let first = lane.ends[above - 1] as usize;
                lane.ends[above] += 1;
                lane.fill(&mut hole, first, place);
            }
            lane.ends[bucket] += 1;
        }
        lane.put(hole, piece, place);
    }

    pub(super) fn remove(&mut self, piece: u32, lane: usize, availability: u32) {
        let (lane, place) = (&mut self.lanes[lane], &mut self.place);
        let mut hole = place[piece as usize] as usize;
        if !self.stale {
            for bucket in availability as usize..lane.ends.len() {
                lane.ends[bucket] -= 1;
                let last = lane.ends[bucket] as usize;
                lane.fill(&mut hole, last, place);
            }
        }
        lane.pieces.swap_remove(hole);
        if let Some(&moved) = lane.pieces.get(hole) {
            place[moved as usize] = hole as u32;
        }
        place[piece as usize] = NOWHERE;
    }

    /// One peer more has `piece`, which `availability` peers had: one swap, one boundary.
    pub(super) fn raise(&mut self, piece: u32, lane: usize, availability: u32) {
        if self.stale {
            return;
        }
        let (lane, place) = (&mut self.lanes[lane], &mut self.place);
        let bucket = availability as usize;
        lane.reach(bucket + 1, lane.pieces.len() as u32);
        lane.ends[bucket] -= 1;
        lane.swap(place[piece as usize], lane.ends[bucket], place);
    }

    /// One peer fewer has `piece`, which `availability` peers had, at least one.
    pub(super) fn lower(&mut self, piece: u32, lane: usize, availability: u32) {
        if self.stale {
            return;
        }
        let (lane, place) = (&mut self.lanes[lane], &mut self.place);
        let below = availability as usize - 1;
        lane.swap(place[piece as usize], lane.ends[below], place);
        lane.ends[below] += 1;
    }

    /// Sorts everything anew by counting, in time proportional to the pieces there are.
    pub(super) fn sort(&mut self, availability: &[u32]) {
        for lane in &mut self.lanes {
            let most = lane.pieces.iter().map(|&piece| availability[piece as usize]).max().unwrap_or(0);
            let mut next = vec![0_u32; most as usize + 2];
            for &piece in &lane.pieces {
                next[availability[piece as usize] as usize + 1] += 1;
            }
            for bucket in 1..next.len() {
                next[bucket] += next[bucket - 1];
            }
            lane.ends = next[1..].to_vec();
            let unsorted = core::mem::take(&mut lane.pieces);
            lane.pieces = vec![0; unsorted.len()];
            for piece in unsorted {
                let to = &mut next[availability[piece as usize] as usize];
                lane.put(*to as usize, piece, &mut self.place);
                *to += 1;
            }
        }
        self.stale = false;
    }

    /// A piece of the first bucket that has one for this peer, from a random place in that bucket on.
    ///
    /// Starting anywhere is what keeps peers of one mind apart; it spares us shuffling at every `have`.
    pub(super) fn rarest(&self, has: Has<'_>, rng: &mut Rng) -> Found {
        let mut looks = LOOKS_MAX;
        for lane in &self.lanes {
            let starts = core::iter::once(0).chain(lane.ends.iter().copied());
            let mut buckets: Vec<_> = starts.zip(lane.ends.iter().copied()).collect();
            // What a peer other than a seed has is counted, so hardly among what nobody has.
            if matches!(has, Has::Some(_)) && !buckets.is_empty() {
                buckets.rotate_left(1);
            }
            for (start, end) in buckets.into_iter().filter(|(start, end)| start < end) {
                let bucket = &lane.pieces[start as usize..end as usize];
                let (front, back) = bucket.split_at(rng.below(bucket.len() as u32) as usize);
                for &piece in back.iter().chain(front) {
                    if has.contains(PieceIndex(piece)) {
                        return Found::Piece(piece);
                    }
                    looks -= 1;
                    if looks == 0 {
                        return Found::TooSparse;
                    }
                }
            }
        }
        Found::Nothing
    }

    /// Whether there are pieces that no peer but seeds has. Lanes have to be sorted.
    pub(super) fn has_uncounted(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ends.first().is_some_and(|&end| end > 0))
    }

    /// A piece of the highest priority there is, whatever its availability, if a few tries find one.
    pub(super) fn random(&self, has: Has<'_>, rng: &mut Rng) -> Option<u32> {
        let lane = self.lanes.iter().find(|lane| !lane.pieces.is_empty())?;
        (0..TRIES_MAX)
            .map(|_| lane.pieces[rng.below(lane.pieces.len() as u32) as usize])
            .find(|&piece| has.contains(PieceIndex(piece)))
    }

    /// Panics unless every lane is sorted and every piece knows its place.
    pub(super) fn check(&self, lane_and_availability: impl Fn(u32) -> (usize, u32)) {
        for (number, lane) in self.lanes.iter().enumerate() {
            for (at, &piece) in lane.pieces.iter().enumerate() {
                assert_eq!(self.place[piece as usize] as usize, at, "{piece} does not know its place");
                let (its_lane, availability) = lane_and_availability(piece);
                assert_eq!(its_lane, number, "{piece} stands in the wrong lane");
                if !self.stale {
                    let bucket = lane.ends.partition_point(|&end| end as usize <= at);
                    assert_eq!(bucket, availability as usize, "{piece} stands in the wrong bucket");
                }
            }
            if !self.stale && !lane.ends.is_empty() {
                assert_eq!(lane.ends.last().copied(), Some(lane.pieces.len() as u32));
                assert!(lane.ends.is_sorted());
            }
        }
        let places = self.place.iter().filter(|&&place| place != NOWHERE).count();
        assert_eq!(places, self.lanes.iter().map(|lane| lane.pieces.len()).sum::<usize>());
    }
}

impl Lane {
    /// Makes sure there is a bucket of that number, which ends where all pieces end.
    fn reach(&mut self, bucket: usize, end: u32) {
        if self.ends.len() <= bucket {
            self.ends.resize(bucket + 1, end);
        }
    }

    fn put(&mut self, at: usize, piece: u32, place: &mut [u32]) {
        self.pieces[at] = piece;
        place[piece as usize] = at as u32;
    }

    /// Moves the piece at `from` into the hole, which is where it was then. In an empty bucket they are the same.
    fn fill(&mut self, hole: &mut usize, from: usize, place: &mut [u32]) {
        if *hole != from {
            self.put(*hole, self.pieces[from], place);
            *hole = from;
        }
    }

    fn swap(&mut self, a: u32, b: u32, place: &mut [u32]) {
        let (a, b) = (a as usize, b as usize);
        let (first, second) = (self.pieces[a], self.pieces[b]);
        self.put(a, second, place);
        self.put(b, first, place);
    }
}

/// After so many pieces that a peer does not have, comparing bit sets 64 pieces at a time is cheaper.
const LOOKS_MAX: u32 = 512;

/// A peer with a tenth of all pieces passes this many draws without a hit in 3 cases of 100.
const TRIES_MAX: u32 = 32;
