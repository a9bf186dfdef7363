//! What an engine says it has is on its disk, every byte of it, when it says so.

use std::sync::Arc;

use pieceful_core::engine::{Event, Selection};
use pieceful_core::id::{Digest, PieceIndex, TorrentId};

use super::ensure;
use super::talk::Pieces;
use crate::Data;
use crate::words::Said;

/// What is really there.
pub trait Truth {
    /// Whether the disk holds the right bytes of a piece.
    fn holds(&self, data: &Data, piece: u32) -> bool;
}

impl<F: Fn(&Data, u32) -> bool> Truth for F {
    fn holds(&self, data: &Data, piece: u32) -> bool {
        self(data, piece)
    }
}

/// A torrent of the engine.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: TorrentId,
    pub(super) data: Arc<Data>,
    /// Those of them that are wanted.
    pub(super) files: Selection,
    /// Pieces whose hash the engine has been told to be right.
    pub(super) had: Pieces,
    /// The engine knows that it is private.
    pub(super) is_private: bool,
    /// Its files have yet to be looked at to the end.
    pub(super) checking: bool,
    /// The piece claimed last, which is as right as it was until something happens: it is told to many at once.
    claimed: Option<u32>,
    /// Most connections.
    pub(super) peers_max: u32,
    /// Peers that it serves.
    pub(super) unchoked: u32,
    /// Bytes handed over, and those of them that are blocks.
    pub(super) sent: u64,
    pub(super) payload_sent: u64,
    /// Bytes that came on its connections, and on those that perhaps never became its own.
    pub(super) received: u64,
    pub(super) perhaps_received: u64,
}

impl Known {
    pub(super) fn new(id: TorrentId, data: Arc<Data>, is_link: bool, peers_max: u32) -> Self {
        let had = Pieces::none(data.pieces());
        Self {
            id,
            is_private: data.metainfo.info.private && !is_link,
            data,
            files: Selection::all(),
            had,
            checking: true,
            claimed: None,
            peers_max,
            unchoked: 0,
            sent: 0,
            payload_sent: 0,
            received: 0,
            perhaps_received: 0,
        }
    }

    /// Something happened: what was claimed has to be looked at again.
    pub(super) fn forget_claim(&mut self) {
        self.claimed = None;
    }

    /// The files are looked at from the beginning.
    pub(super) fn opens(&mut self) {
        self.had = Pieces::none(self.data.pieces());
        self.checking = true;
    }

    pub(super) fn hashed(&mut self, piece: PieceIndex, digest: Digest) {
        if self.data.metainfo.info.piece_hash(piece) == Some(digest) {
            self.had.set(piece.0);
        }
    }

    /// The engine tells a peer what it has.
    pub(super) fn claims(&mut self, said: &Said, disk: &dyn Truth) -> Result<(), String> {
        let pieces = self.data.pieces();
        let wrong = match said {
            Said::Have(piece) => {
                ensure(*piece < pieces, || format!("has piece {piece} of {pieces}"))?;
                let known = self.claimed == Some(*piece);
                let right = known || disk.holds(&self.data, *piece);
                self.claimed = Some(*piece);
                (!right).then_some(*piece)
            }
            Said::Bitfield(bits) => {
                ensure(bits.len() == pieces.div_ceil(8) as usize, || {
                    format!("a bitfield of {} bytes for {pieces} pieces", bits.len())
                })?;
                let claimed = |piece: &u32| bits[*piece as usize / 8] & (0x80 >> (piece % 8)) != 0;
                let beyond = (pieces..bits.len() as u32 * 8).any(|piece| claimed(&piece));
                ensure(!beyond, || "a bitfield with bits beyond the last piece".to_owned())?;
                (0..pieces).filter(claimed).find(|&piece| !disk.holds(&self.data, piece))
            }
            Said::HaveAll => (0..pieces).find(|&piece| !disk.holds(&self.data, piece)),
            _ => None,
        };
        wrong
            .map_or(Ok(()), |piece| Err(format!("says it has piece {piece}, which is not right on its disk")))
    }

    /// The engine tells its user what it has, or what the torrent is.
    pub(super) fn event(&mut self, event: &Event, disk: &dyn Truth) -> Result<(), String> {
        let right = |piece: &u32| disk.holds(&self.data, *piece);
        match event {
            Event::Checked { pieces, .. } => {
                self.checking = false;
                let there = (0..self.data.pieces()).filter(right).count();
                ensure(*pieces as usize <= there, || {
                    format!("says that {pieces} pieces are there, of which {there} are right on its disk")
                })
            }
            Event::MetadataReceived { .. } => {
                self.is_private = self.data.metainfo.info.private;
                Ok(())
            }
            Event::Finished { .. } => match self.data.wanted(&self.files).find(|piece| !right(piece)) {
                Some(piece) => Err(format!("says it has finished, but piece {piece} on its disk is wrong")),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
