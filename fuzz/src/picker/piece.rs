//! The model of a piece: what each of its blocks is at.

use pieceful_core::id::PeerKey;
use pieceful_core::picker::Priority;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Open,
    Asked(Vec<usize>),
    Writing(PeerKey),
    Written(PeerKey),
}

impl Cell {
    pub(super) fn owners(&self) -> &[usize] {
        match self {
            Self::Asked(owners) => owners,
            Self::Open | Self::Writing(_) | Self::Written(_) => &[],
        }
    }

    pub(super) fn sender(&self) -> Option<PeerKey> {
        match self {
            Self::Writing(peer) | Self::Written(peer) => Some(*peer),
            Self::Open | Self::Asked(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) cells: Vec<Cell>,
    pub(super) have: bool,
    pub(super) priority: Priority,
    pub(super) alone: bool,
    /// Of a piece alone: whose it is.
    pub(super) lead: Option<PeerKey>,
    pub(super) count: u32,
}

impl Piece {
    pub(super) fn needed(&self) -> bool {
        !self.have && self.priority != Priority::Skip
    }

    pub(super) fn begun(&self) -> bool {
        self.cells.iter().any(|cell| *cell != Cell::Open)
    }

    pub(super) fn asked(&self) -> bool {
        self.cells.iter().any(|cell| !cell.owners().is_empty())
    }

    pub(super) fn complete(&self) -> bool {
        self.cells.iter().all(|cell| cell.sender().is_some())
    }

    pub(super) fn reset(&mut self) {
        self.cells.fill(Cell::Open);
        self.lead = None;
    }

    /// Forgets whose it is once there is nothing of it.
    pub(super) fn settle(&mut self) {
        if !self.begun() {
            self.lead = None;
        }
    }
}
