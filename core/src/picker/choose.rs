//! Which piece a peer's next block is of.

use alloc::vec::Vec;

use slotmap::Key as _;

use super::order::{Found, lane_of};
use super::partial::{Partial, Stage};
use super::{Has, PickOptions, Picker, PieceOrder, Priority};
use crate::id::{Block, PeerKey, PieceIndex};
use crate::rng::Rng;

/// Until there are so many pieces, any will do: the first thing a newcomer needs is something to give, and a
/// rare piece may have one slow source.
const RANDOM_FIRST: u32 = 4;

/// Pieces with open blocks at once. Beyond it, the one with the least in it is given up for a new one. Reached
/// only if peers send a block each of hundreds of pieces and then nothing more.
pub const OPEN_PARTIALS_MAX: u32 = 1024;

/// Blocks of all partial pieces, 32 bytes each: 4 GiB of payload in 8 MiB of memory.
pub const PARTIAL_BLOCKS_MAX: u32 = 1 << 18;

/// How well a begun piece suits a peer, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is at work on it.
    Own,
    /// Nobody is.
    Orphan,
    /// A peer that can use help is.
    Shared,
    /// A fast peer is, which will be done with it sooner alone.
    Fast,
}

impl Picker {
    /// Pushes up to `want` blocks to ask `peer` for, and counts them as asked of it.
    ///
    /// The piece the peer is at work on comes first, block by block; then pieces begun that suit it; then a new
    /// one. Nothing is pushed if the peer has nothing of use, or all of it has been asked of somebody: see
    /// [`pick_again`](Self::pick_again) for that.
    ///
    /// A block of the same piece as before takes a few steps. To change to another, the pieces with open blocks
    /// are looked through, about one and a half a peer; to begin one takes a random draw, and for a peer that
    /// has few pieces a comparison of bit sets.
    pub fn pick(
        &mut self,
        peer: PeerKey,
        has: Has<'_>,
        want: u32,
        options: &PickOptions<'_>,
        rng: &mut Rng,
        out: &mut Vec<Block>,
    ) {
        if peer.is_null() || want == 0 || self.missing == 0 {
            return;
        }
        self.wake();
        if let Some(stranger) = self.asked.displaced_by(peer) {
            self.give_back_all(stranger);
        }
        let mut left = want;
        if let Some(allowed) = options.allowed {
            for &piece in allowed {
                if left > 0 && has.contains(piece) && self.needed.get(piece) {
                    left -= self.ask_of_piece(piece, peer, left, options.fast_peer, out);
                }
            }
            return;
        }
        if !self.alone.is_empty() {
            self.release_abandoned(peer);
        }
        while left > 0 && self.open > 0 {
            let Some(number) = self.choose(peer, has, options, rng) else { break };
            left -= self.ask(number, peer, left, options.fast_peer, out);
        }
    }

    /// Asks for open blocks of one piece, which is begun if it has not been.
    fn ask_of_piece(
        &mut self,
        piece: PieceIndex,
        peer: PeerKey,
        want: u32,
        fast: bool,
        out: &mut Vec<Block>,
    ) -> u32 {
        let number = match self.partials.find(piece) {
            Some(number) => Some(number).filter(|&number| self.may_ask(number, peer)),
            None => self.begin(piece),
        };
        number.map_or(0, |number| self.ask(number, peer, want, fast, out))
    }

    fn may_ask(&self, number: u32, peer: PeerKey) -> bool {
        let partial = self.partials.get(number);
        partial.count(Stage::Open) > 0 && (!partial.alone || partial.lead == peer || partial.lead.is_null())
    }

    /// Asks `peer` for up to `want` open blocks of a partial piece, the first ones first.
    fn ask(&mut self, number: u32, peer: PeerKey, want: u32, fast: bool, out: &mut Vec<Block>) -> u32 {
        let partial = self.partials.get_mut(number);
        if partial.lead != peer && !self.asked.is_busy(partial.lead) {
            debug_assert!(
                !partial.alone || partial.lead.is_null(),
                "picker: released before another takes it"
            );
            partial.lead = peer;
        }
        if partial.lead == peer {
            partial.lead_is_fast = fast;
        }
        let mut given = 0;
        while given < want {
            let Some(slot) = partial.first_open() else { break };
            partial.slots[slot as usize].add_owner(peer);
            partial.set_stage(slot, Stage::Asked);
            self.asked.push(peer, partial.piece, slot);
            out.push(self.grid.block(partial.piece, slot));
            given += 1;
        }
        self.partials.note_open(number);
        self.open -= u64::from(given);
        given
    }

    /// A partial piece with an open block for this peer, begun if need be.
    fn choose(
        &mut self,
        peer: PeerKey,
        has: Has<'_>,
        options: &PickOptions<'_>,
        rng: &mut Rng,
    ) -> Option<u32> {
        let current = self.asked.current(peer).and_then(|piece| self.partials.find(piece));
        if let Some(number) = current.filter(|&number| self.fit(number, peer, has).is_some()) {
            return Some(number);
        }
        let begun = self.best_begun(peer, has);
        let others_have = |number| !self.is_the_seeds_alone(self.partials.get(number).piece);
        if begun.is_none_or(|(_, number)| others_have(number))
            && self.may_begin_what_only_a_seed_has(has)
            && let Some(number) = self.choose_new(has, options, rng).and_then(|piece| self.begin(piece))
        {
            return Some(number);
        }
        let last_fit = if options.fast_peer { Fit::Orphan } else { Fit::Shared };
        // As many pieces with open blocks as peers at work and half as many again are enough to begin with:
        // more would only take longer to complete.
        let enough = self.partials.with_open().len() as u32 >= self.asked.busy() + self.asked.busy() / 2 + 2;
        match begun {
            Some((fit, number)) if enough || fit <= last_fit => Some(number),
            _ => self
                .choose_new(has, options, rng)
                .and_then(|piece| self.begin(piece))
                .or(begun.map(|(_, number)| number)),
        }
    }

    /// Whether the only seed has pieces that nobody else has and nobody has begun. Its upload is what the whole swarm
    /// waits for then: spent on blocks of pieces that others can give as well, it left fifty leechers with a
    /// quarter of what their links could carry between them.
    fn may_begin_what_only_a_seed_has(&mut self, has: Has<'_>) -> bool {
        if self.piece_order != PieceOrder::RarestFirst || self.seeds != 1 || !matches!(has, Has::All) {
            return false;
        }
        if self.order.is_stale() {
            self.order.sort(&self.counts);
        }
        self.order.has_uncounted()
    }

    fn is_the_seeds_alone(&self, piece: PieceIndex) -> bool {
        self.counts[piece.0 as usize] == 0
    }

    /// The begun piece that suits the peer best; of equals the one nearest to completion, or in sequential order
    /// the first.
    fn best_begun(&self, peer: PeerKey, has: Has<'_>) -> Option<(Fit, u32)> {
        let key = |partial: &Partial| match self.piece_order {
            PieceOrder::RarestFirst => (partial.count(Stage::Open), partial.piece),
            PieceOrder::Sequential => (0, partial.piece),
        };
        let numbers = self.partials.with_open().iter();
        numbers
            .filter_map(|&number| {
                Some((self.fit(number, peer, has)?, key(self.partials.get(number)), number))
            })
            .min()
            .map(|(fit, _, number)| (fit, number))
    }

    /// `None` if the peer cannot be asked for any of it.
    fn fit(&self, number: u32, peer: PeerKey, has: Has<'_>) -> Option<Fit> {
        let partial = self.partials.get(number);
        if !self.may_ask(number, peer) || !self.needed.get(partial.piece) || !has.contains(partial.piece) {
            return None;
        }
        Some(if partial.lead == peer {
            Fit::Own
        } else if !self.asked.is_busy(partial.lead) {
            Fit::Orphan
        } else if partial.lead_is_fast {
            Fit::Fast
        } else {
            Fit::Shared
        })
    }

    /// The next piece that nobody has begun and the peer has: one it suggests, unless another is wanted more.
    fn choose_new(&mut self, has: Has<'_>, options: &PickOptions<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        if self.piece_order == PieceOrder::Sequential {
            let first = self.first_new(has)?;
            return if self.is_near(first) { Some(first) } else { self.rarest_new(has, rng) };
        }
        let usual = self.rarest_new(has, rng)?;
        let lane = |piece: PieceIndex| lane_of(self.priority(piece));
        let suits = |piece: &PieceIndex| {
            self.fresh.get(*piece) && has.contains(*piece) && lane(*piece) <= lane(usual)
        };
        Some(options.suggested.iter().copied().find(suits).unwrap_or(usual))
    }

    /// Whether a piece is to come in order.
    fn is_near(&self, piece: PieceIndex) -> bool {
        let start = self.needed.iter().next().map_or(0, |first| first.0);
        self.priority(piece) == Priority::High || piece.0 - start.min(piece.0) < self.window
    }

    /// The rarest; of the first few, any.
    fn rarest_new(&mut self, has: Has<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        if self.have.count() + self.partials.len() < RANDOM_FIRST
            && let Some(piece) = self.order.random(has, rng)
        {
            return Some(PieceIndex(piece));
        }
        if self.order.is_stale() {
            self.order.sort(&self.counts);
        }
        match self.order.rarest(has, rng) {
            Found::Piece(piece) => Some(PieceIndex(piece)),
            Found::Nothing => None,
            Found::TooSparse => self.rarest_of_few(has, rng),
        }
    }

    /// The lowest number of the highest priority.
    fn first_new(&self, has: Has<'_>) -> Option<PieceIndex> {
        let lane = |piece: &PieceIndex| lane_of(self.priority(*piece));
        match has {
            Has::All if self.order.has_one_lane() => self.fresh.iter().next(),
            Has::Some(pieces) if self.order.has_one_lane() => self.fresh.both(pieces).next(),
            Has::All => self.fresh.iter().min_by_key(lane),
            Has::Some(pieces) => self.fresh.both(pieces).min_by_key(lane),
        }
    }

    /// The rarest of the pieces that a peer with few of use has; of equals, the first from a random one on.
    fn rarest_of_few(&self, has: Has<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        let Has::Some(pieces) = has else { return None };
        let start = rng.below(self.pieces());
        self.fresh.both(pieces).min_by_key(|piece| {
            let lane = lane_of(self.priority(*piece));
            (lane, self.counts[piece.0 as usize], piece.0.wrapping_sub(start))
        })
    }

    /// Begins a piece that nobody has begun; `None` if it is not one, or there is no room.
    pub(super) fn begin(&mut self, piece: PieceIndex) -> Option<u32> {
        if !self.fresh.get(piece) {
            return None;
        }
        self.wake();
        let blocks = self.grid.blocks_in(piece);
        while self.partials.with_open().len() as u32 >= OPEN_PARTIALS_MAX
            || self.partials.slots() + blocks > PARTIAL_BLOCKS_MAX.max(blocks)
        {
            let idle = self.partials.with_open().iter().copied().filter(|&number| {
                let partial = self.partials.get(number);
                partial.count(Stage::Asked) == 0 && partial.count(Stage::Writing) == 0
            });
            let least = idle.min_by_key(|&number| {
                let partial = self.partials.get(number);
                (partial.count(Stage::Written), partial.piece)
            })?;
            self.drop_all(least);
        }
        self.take_from_order(piece);
        Some(self.partials.begin(piece, blocks, self.alone.contains(&piece)))
    }
}
