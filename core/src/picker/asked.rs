//! What each peer was asked for and has not sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use slotmap::Key as _;

use super::partial::NOWHERE;
use crate::id::{PeerKey, PieceIndex};

/// A row a peer, found by the slot of its key.
#[derive(Debug, Default)]
pub(super) struct Asked {
    rows: Vec<Row>,
    /// Rows that are not empty.
    busy: u32,
    /// Entries of all rows.
    total: u32,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) peer: PeerKey,
    /// In the order asked, which is the order most peers answer in.
    pub(super) blocks: VecDeque<(PieceIndex, u32)>,
    /// The piece it was last asked for a block of.
    current: PieceIndex,
}

impl Asked {
    /// Peers that were asked for something.
    pub(super) const fn busy(&self) -> u32 {
        self.busy
    }

    /// Requests under way.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    /// Whether `peer` was asked for something.
    pub(super) fn is_busy(&self, peer: PeerKey) -> bool {
        self.row(peer).is_some_and(|row| !row.blocks.is_empty())
    }

    /// The key that held the slot of `peer` before and was never given back, if there is one.
    pub(super) fn displaced_by(&self, peer: PeerKey) -> Option<PeerKey> {
        let row = self.rows.get(peer.slot())?;
        (row.peer != peer && !row.blocks.is_empty()).then_some(row.peer)
    }

    /// The piece `peer` was last asked for a block of.
    pub(super) fn current(&self, peer: PeerKey) -> Option<PieceIndex> {
        self.row(peer).map(|row| row.current)
    }

    pub(super) fn of(&self, peer: PeerKey) -> impl Iterator<Item = (PieceIndex, u32)> + '_ {
        self.row(peer).into_iter().flat_map(|row| row.blocks.iter().copied())
    }

    /// How many blocks `peer` owes.
    pub(super) fn len_of(&self, peer: PeerKey) -> u32 {
        self.row(peer).map_or(0, |row| row.blocks.len() as u32)
    }

    /// The rows, empty ones among them.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn push(&mut self, peer: PeerKey, piece: PieceIndex, slot: u32) {
        let at = peer.slot();
        while self.rows.len() <= at {
            let blocks = VecDeque::new();
            self.rows.push(Row { peer: PeerKey::null(), blocks, current: PieceIndex(NOWHERE) });
        }
        let row = &mut self.rows[at];
        row.peer = peer;
        row.current = piece;
        self.busy += u32::from(row.blocks.is_empty());
        self.total += 1;
        row.blocks.push_back((piece, slot));
    }

    /// Says whether it was there.
    pub(super) fn remove(&mut self, peer: PeerKey, piece: PieceIndex, slot: u32) -> bool {
        let Some(row) = self.rows.get_mut(peer.slot()).filter(|row| row.peer == peer) else { return false };
        let Some(at) = row.blocks.iter().position(|&asked| asked == (piece, slot)) else { return false };
        row.blocks.remove(at);
        self.total -= 1;
        self.busy -= u32::from(row.blocks.is_empty());
        true
    }

    /// Takes the oldest entry.
    pub(super) fn pop(&mut self, peer: PeerKey) -> Option<(PieceIndex, u32)> {
        let (piece, slot) = self.of(peer).next()?;
        self.remove(peer, piece, slot);
        Some((piece, slot))
    }

    fn row(&self, peer: PeerKey) -> Option<&Row> {
        self.rows.get(peer.slot()).filter(|row| row.peer == peer)
    }

    /// All entries, for checks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, PieceIndex, u32)> + '_ {
        self.rows.iter().flat_map(|row| row.blocks.iter().map(|&(piece, slot)| (row.peer, piece, slot)))
    }

    /// Panics unless the counts are right.
    pub(super) fn check(&self) {
        assert_eq!(self.total as usize, self.iter().count());
        assert_eq!(self.busy as usize, self.rows.iter().filter(|row| !row.blocks.is_empty()).count());
    }
}
