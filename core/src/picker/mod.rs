//! Which blocks to ask a peer for: pieces already begun before new ones, and of those the rarest first.

use alloc::vec::Vec;

use crate::bitfield::Bitfield;
use crate::id::{Block, PeerKey, PieceIndex};
use crate::rng::Rng;

/// Which piece comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PieceOrder {
    /// Rarest first: what few peers have is spread first (BEP 3).
    #[default]
    RarestFirst,
    /// From the front to the back, for reading while it arrives.
    Sequential,
}

/// How much a piece is wanted. Everything of a higher priority comes before anything of a lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

/// What to keep in mind when picking for one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickOptions<'a> {
    /// Only these pieces: what a peer that chokes us lets us have all the same (BEP 6, allowed fast).
    pub allowed: Option<&'a [PieceIndex]>,
    /// Pieces the peer would like to send (BEP 6, suggest): taken first when a new piece is begun.
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
}

/// Who sent which block of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contributors {
    /// In the order of the blocks; the null key where a block is not there.
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

    /// The one peer that sent everything there is, if it was one.
    #[must_use]
    pub fn sole(&self) -> Option<PeerKey> {
        let (_, first) = self.iter().next()?;
        self.iter().all(|(_, peer)| peer == first).then_some(first)
    }
}

/// Decides which block is asked of whom, and knows how far each block is.
#[derive(Debug)]
pub struct Picker {
    have: Bitfield,
}

#[allow(missing_docs, unused_variables, clippy::must_use_candidate)]
impl Picker {
    /// A picker for a torrent of `pieces` pieces of which we have none.
    pub fn new(pieces: u32, piece_length: u32, total: u64) -> Self {
        Self { have: Bitfield::new(pieces) }
    }
    pub fn set_order(&mut self, order: PieceOrder) {}
    /// Default `Normal`.
    pub fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {}
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        Priority::Normal
    }
    /// Verified on disk (from the check, or resume).
    pub fn set_have(&mut self, piece: PieceIndex) {}
    /// A piece we had is not right on disk any more.
    pub fn lost(&mut self, piece: PieceIndex) {}
    pub fn have(&self) -> &Bitfield {
        &self.have
    }
    /// Every piece is there.
    pub fn is_complete(&self) -> bool {
        self.have.is_full()
    }
    /// Every piece with a priority above `Skip` is there.
    pub fn is_finished(&self) -> bool {
        self.have.is_full()
    }

    // Availability. No random numbers here: a random one among the rarest is drawn when a piece is begun.
    pub fn saw_have(&mut self, piece: PieceIndex) {}
    pub fn saw_bitfield(&mut self, has: &Bitfield) {}
    pub fn saw_seed(&mut self) {}
    pub fn gone_bitfield(&mut self, has: &Bitfield) {}
    pub fn gone_seed(&mut self) {}
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        0
    }
    /// Whether the peer has a piece we still want. Words compared until the first hit.
    pub fn is_interesting(&self, has: Has<'_>) -> bool {
        false
    }
    /// Whether `piece` is wanted and not there (so a `have` for it makes a peer interesting, O(1)).
    pub fn needs(&self, piece: PieceIndex) -> bool {
        false
    }

    /// Pushes up to `want` blocks to ask `peer` for.
    pub fn pick(
        &mut self,
        peer: PeerKey,
        has: Has<'_>,
        want: u32,
        options: &PickOptions<'_>,
        rng: &mut Rng,
        out: &mut Vec<Block>,
    ) {
    }

    /// A block came. Call it for blocks that were asked of `from`, and for late ones (asked, given back since)
    /// if they are to be used all the same.
    pub fn received(&mut self, block: Block, from: PeerKey) -> Received {
        Received::NotABlock
    }
    /// The disk has it.
    pub fn written(&mut self, block: Block) {}
    /// The disk could not take it: open again.
    pub fn write_failed(&mut self, block: Block) {}
    /// `from` will not send this one (reject, timeout). False when it was not asked for it.
    pub fn give_back(&mut self, block: Block, from: PeerKey) -> bool {
        false
    }
    /// `from` will not send anything it was asked for (choke, close, snub).
    pub fn give_back_all(&mut self, from: PeerKey) {}
    /// Whether `block` is asked of `peer` now.
    pub fn is_asked_of(&self, block: Block, peer: PeerKey) -> bool {
        false
    }
    /// What `peer` was asked for and has not sent, in the order asked.
    pub fn asked_of(&self, peer: PeerKey) -> impl Iterator<Item = Block> + '_ {
        core::iter::empty()
    }

    /// The hash is right: we have it. `None`, and nothing changes, unless every block is written (I1).
    pub fn passed(&mut self, piece: PieceIndex) -> Option<Contributors> {
        None
    }
    /// The hash is wrong: every block that came is open again.
    pub fn failed(&mut self, piece: PieceIndex) -> Contributors {
        Contributors::default()
    }
    pub fn contributors(&self, piece: PieceIndex) -> Contributors {
        Contributors::default()
    }
    /// From now on the piece is filled by one peer only. If that peer gives blocks back until none is asked,
    /// what it sent is dropped, and another takes over.
    pub fn set_alone(&mut self, piece: PieceIndex) {}

    /// Requests under way.
    pub fn outstanding(&self) -> u32 {
        0
    }
    /// Pieces begun and not yet judged.
    pub fn partial_pieces(&self) -> u32 {
        0
    }
    /// Blocks of wanted pieces that have not come.
    pub fn missing_blocks(&self) -> u64 {
        0
    }
    /// Every missing wanted block has been asked of somebody.
    pub fn in_endgame(&self) -> bool {
        false
    }
}
