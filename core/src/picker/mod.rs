//! Which blocks to ask a peer for: pieces already begun before new ones, and of those the rarest first.
//!
//! A [`Picker`] stands for one torrent. It is told who has what and what became of each block, and answers which
//! blocks to ask a peer for, and in the end which to ask of a second one. It speaks to nobody and knows no time:
//! when a peer is too slow, somebody else says so and gives its blocks back.
//!
//! ```
//! use pieceful_core::id::{PeerKey, PieceIndex};
//! use pieceful_core::picker::{Has, PickOptions, Picker, Received};
//! use pieceful_core::rng::{Rng, Seed};
//! use slotmap::SlotMap;
//!
//! let mut rng = Rng::new(Seed([7; 32]));
//! let mut peers: SlotMap<PeerKey, &str> = SlotMap::with_key();
//! let seed = peers.insert("a peer that has everything");
//!
//! let mut picker = Picker::new(3, 32 * 1024, 70_000); // pieces of 2, 2 and 1 blocks
//! picker.saw_seed();
//! let mut blocks = Vec::new();
//! picker.pick(seed, Has::All, 10, &PickOptions::default(), &mut rng, &mut blocks);
//! assert_eq!(blocks.len(), 5);
//! for block in blocks {
//!     let Received::Wanted { piece_complete, .. } = picker.received(block, seed) else { panic!() };
//!     picker.written(block);
//!     if piece_complete {
//!         // ... once its hash turns out right:
//!         picker.passed(block.piece);
//!     }
//! }
//! assert!(picker.is_complete());
//! ```

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use crate::bitfield::Bitfield;
use crate::id::{BLOCK_LEN, Block, PeerKey, PieceIndex};

mod asked;
mod availability;
mod blocks;
mod check;
mod choose;
mod endgame;
mod order;
mod partial;
mod rest;
mod restore;

pub use choose::{OPEN_PARTIALS_MAX, PARTIAL_BLOCKS_MAX};
pub use endgame::late_from;

use asked::Asked;
use order::{Order, lane_of};
use partial::{Partials, Stage};

/// Which piece comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PieceOrder {
    /// Rarest first: what few peers have is spread first (BEP 3).
    #[default]
    RarestFirst,
    /// From the front to the back, for reading while it arrives; beyond the [window](Picker::set_window) rarest first.
    Sequential,
}

/// How much a piece is wanted. Everything of a higher priority comes before anything of a lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After the rest.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before the rest.
    High,
}

/// Which pieces a peer has.
#[derive(Clone, Copy, Debug)]
pub enum Has<'a> {
    /// Every one: it is a seed.
    All,
    /// These.
    Some(&'a Bitfield),
}

impl Has<'_> {
    /// Whether the peer has `piece`.
    #[must_use]
    pub fn contains(self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.get(piece),
        }
    }
}

/// What to keep in mind when picking for one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickOptions<'a> {
    /// Only these pieces: what a peer that chokes us lets us have all the same (BEP 6, allowed fast).
    pub allowed: Option<&'a [PieceIndex]>,
    /// Pieces the peer would like to send (BEP 6, suggest): when a new piece is begun, the first of them comes
    /// before others of the same priority. In sequential order they are of no concern.
    pub suggested: &'a [PieceIndex],
    /// The peer finishes a piece within seconds: it gets pieces of its own, whose blocks then come in order
    /// from one hand. Other peers help with what is begun before they begin anything.
    pub fast_peer: bool,
}

/// What a block that came was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was missing: write it.
    Wanted {
        /// No other block of its piece is missing: hash the piece after this write.
        piece_complete: bool,
        /// Who else was asked for it and need not send it any more.
        cancel: Cancel,
    },
    /// We have it already.
    Duplicate,
    /// It is missing but not taken from this peer: its piece is another peer's alone, or not wanted and not
    /// begun.
    Unwanted,
    /// Not a block as we ask for them: no such piece, or not a whole 16 KiB in its place.
    NotABlock,
}

/// Most peers that are asked for the same block in the endgame.
pub const OWNERS_MAX: usize = 3;

/// The few peers to send a `cancel` to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancel {
    peers: [PeerKey; OWNERS_MAX],
    len: u8,
}

impl Cancel {
    /// Those peers.
    #[must_use]
    pub fn peers(&self) -> &[PeerKey] {
        &self.peers[..usize::from(self.len)]
    }

    fn push(&mut self, peer: PeerKey) {
        self.peers[usize::from(self.len)] = peer;
        self.len += 1;
    }
}

/// Who sent which block of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contributors {
    /// In the order of the blocks; the null key where a block is not there, or is from an earlier run.
    by_block: Vec<PeerKey>,
}

impl Contributors {
    /// Number of the block in its piece, and who sent it.
    pub fn iter(&self) -> impl Iterator<Item = (u32, PeerKey)> + '_ {
        (0..).zip(self.by_block.iter().copied()).filter(|(_, peer)| !slotmap::Key::is_null(peer))
    }

    /// Each peer once, in the order of their keys.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerKey> {
        let mut peers: Vec<_> = self.iter().map(|(_, peer)| peer).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// The one peer that sent every block, if it was one.
    #[must_use]
    pub fn sole(&self) -> Option<PeerKey> {
        let (_, first) = self.iter().next()?;
        self.by_block.iter().all(|&peer| peer == first).then_some(first)
    }
}

/// Decides which block is asked of whom, and knows how far each block is.
#[derive(Debug)]
#[repr(C)] // in this order: to serve somebody takes no more than the first
pub struct Picker {
    have: Bitfield,
    grid: Grid,
    piece_order: PieceOrder,
    /// How many pieces from the first missing one on come in order.
    window: u32,
    /// Empty as long as all pieces are of the usual one.
    priorities: Vec<Priority>,
    /// Wanted and not there.
    needed: Bitfield,
    /// Needed and not begun: the pieces in `order`.
    fresh: Bitfield,
    order: Order,
    partials: Partials,
    /// Pieces to be had from one peer only.
    alone: BTreeSet<PieceIndex>,
    asked: Asked,
    /// How many peers have each piece, seeds not counted.
    counts: Vec<u32>,
    /// `counts` and `order` are empty, and so is the index of partial pieces.
    resting: bool,
    seeds: u32,
    /// Blocks of needed pieces that nobody was asked for.
    open: u64,
    /// Blocks of needed pieces that have not come.
    missing: u64,
}

impl Picker {
    /// A picker for a torrent of `total` bytes in `pieces` pieces of `piece_length` (the last may be shorter),
    /// none of which we have and all of which we want. It takes no memory for pieces until a peer has some.
    #[must_use]
    pub fn new(pieces: u32, piece_length: u32, total: u64) -> Self {
        let grid = Grid { piece_length, total };
        debug_assert_eq!(total.div_ceil(u64::from(piece_length.max(1))), u64::from(pieces));
        let blocks = grid.blocks();
        Self {
            grid,
            piece_order: PieceOrder::default(),
            window: u32::MAX,
            priorities: Vec::new(),
            have: Bitfield::new(pieces),
            needed: Bitfield::full(pieces),
            fresh: Bitfield::full(pieces),
            order: Order::default(),
            partials: Partials::default(),
            alone: BTreeSet::new(),
            asked: Asked::default(),
            counts: Vec::new(),
            resting: true,
            seeds: 0,
            open: blocks,
            missing: blocks,
        }
    }

    /// Which piece comes next from now on.
    pub const fn set_order(&mut self, order: PieceOrder) {
        self.piece_order = order;
    }

    /// In sequential order, so many pieces from the first missing one on come in order, and those of high priority
    /// before them. Of what lies beyond, which is of use only to a peer that finds nothing there, the rarest comes
    /// first.
    pub const fn set_window(&mut self, pieces: u32) {
        self.window = pieces;
    }

    /// How much `piece` is wanted from now on. What was asked for already is not taken back.
    pub fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        if self.priority(piece) == priority || piece.0 >= self.pieces() {
            return;
        }
        self.unneed(piece);
        if self.priorities.is_empty() {
            self.priorities = vec![Priority::default(); self.pieces() as usize];
        }
        self.priorities[piece.0 as usize] = priority;
        self.need(piece);
    }

    /// `piece` is on disk and right, as a check of the files found. What was asked for of it is forgotten.
    pub fn set_have(&mut self, piece: PieceIndex) {
        if piece.0 >= self.pieces() || self.have.get(piece) {
            return;
        }
        if let Some(number) = self.partials.find(piece) {
            self.drop_all(number);
        }
        self.unneed(piece);
        self.alone.remove(&piece);
        self.have.set(piece);
    }

    /// `piece`, which we had, is no longer right on disk: it is missing again.
    pub fn lost(&mut self, piece: PieceIndex) {
        if self.have.clear(piece) {
            self.need(piece);
        }
    }

    /// The pieces on disk and verified.
    #[must_use]
    pub const fn have(&self) -> &Bitfield {
        &self.have
    }

    /// The pieces that are wanted and not there.
    #[must_use]
    pub const fn needed(&self) -> &Bitfield {
        &self.needed
    }

    /// How many pieces the torrent has.
    #[must_use]
    pub const fn pieces(&self) -> u32 {
        self.have.len()
    }

    /// Whether every piece is there; never, if there is none.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.have.is_full() && !self.have.is_empty()
    }

    /// Whether every piece is there that is not to be skipped; never, if there is none.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.needed.is_empty() && self.pieces() > 0
    }

    /// Whether a piece was ever wanted more or less than usual.
    #[must_use]
    pub const fn has_priorities(&self) -> bool {
        !self.priorities.is_empty()
    }

    /// Requests under way, a block asked of two peers counted twice.
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.asked.total()
    }

    /// Pieces begun and not yet judged.
    #[must_use]
    pub const fn partial_pieces(&self) -> u32 {
        self.partials.len()
    }

    /// Blocks of wanted pieces that have not come.
    #[must_use]
    pub const fn missing_blocks(&self) -> u64 {
        self.missing
    }

    /// Whether every missing block of a wanted piece has been asked of somebody.
    #[must_use]
    pub const fn in_endgame(&self) -> bool {
        self.open == 0 && self.missing > 0
    }

    /// Counts `piece` as needed, unless it is there or to be skipped.
    fn need(&mut self, piece: PieceIndex) {
        if !self.have.get(piece) && self.priority(piece) != Priority::Skip && self.needed.set(piece) {
            let (open, missing) = self.blocks_left(piece);
            self.open += open;
            self.missing += missing;
            self.put_in_order(piece);
        }
    }

    fn unneed(&mut self, piece: PieceIndex) {
        if self.needed.clear(piece) {
            let (open, missing) = self.blocks_left(piece);
            self.open -= open;
            self.missing -= missing;
            self.take_from_order(piece);
        }
    }

    /// Blocks of `piece` that nobody was asked for, and that have not come.
    fn blocks_left(&self, piece: PieceIndex) -> (u64, u64) {
        let (open, asked) = match self.partials.find(piece) {
            Some(number) => {
                let partial = self.partials.get(number);
                (partial.count(Stage::Open), partial.count(Stage::Asked))
            }
            None => (self.grid.blocks_in(piece), 0),
        };
        (u64::from(open), u64::from(open + asked))
    }

    /// Makes a needed piece that is not begun one to choose from.
    fn put_in_order(&mut self, piece: PieceIndex) {
        if self.needed.get(piece)
            && self.partials.find(piece).is_none()
            && self.fresh.set(piece)
            && !self.resting
        {
            let lane = lane_of(self.priority(piece));
            self.order.insert(piece.0, lane, self.counts[piece.0 as usize]);
        }
    }

    fn take_from_order(&mut self, piece: PieceIndex) {
        if self.fresh.clear(piece) && !self.resting {
            let lane = lane_of(self.priority(piece));
            self.order.remove(piece.0, lane, self.counts[piece.0 as usize]);
        }
    }
}

/// How the torrent is cut into pieces and those into blocks of 16 KiB, numbered as slots.
#[derive(Clone, Copy, Debug)]
struct Grid {
    piece_length: u32,
    total: u64,
}

impl Grid {
    fn piece_len(self, piece: PieceIndex) -> u32 {
        let start = u64::from(piece.0) * u64::from(self.piece_length);
        self.total.saturating_sub(start).min(u64::from(self.piece_length)) as u32
    }

    /// Blocks of all pieces.
    fn blocks(self) -> u64 {
        let length = u64::from(self.piece_length.max(1));
        let block = u64::from(BLOCK_LEN);
        self.total / length * length.div_ceil(block) + (self.total % length).div_ceil(block)
    }

    fn blocks_in(self, piece: PieceIndex) -> u32 {
        self.piece_len(piece).div_ceil(BLOCK_LEN)
    }

    fn block(self, piece: PieceIndex, slot: u32) -> Block {
        let offset = slot * BLOCK_LEN;
        Block { piece, offset, len: (self.piece_len(piece) - offset).min(BLOCK_LEN) }
    }

    fn slot_of(self, block: Block) -> Option<u32> {
        let slot = block.offset / BLOCK_LEN;
        (slot < self.blocks_in(block.piece) && block == self.block(block.piece, slot)).then_some(slot)
    }
}

#[cfg(test)]
mod tests;
