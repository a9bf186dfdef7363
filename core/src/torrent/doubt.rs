//! A piece that is said to be there and cannot be read: files may change, shrink or vanish while they are served.

use super::space::may_pass;
use super::{Action, Event, Stage, Task, Torrent, Turn};
use crate::disk::{DiskAction, DiskDone, DiskError};
use crate::id::{Digest, PieceIndex};

/// Pieces that are doubted at once; what else cannot be read meanwhile is doubted when it is asked for again.
const DOUBTED_MAX: usize = 16;

impl Torrent {
    /// A block of `piece` could not be read: sees whether the piece is there still.
    pub(super) fn doubt(&mut self, piece: PieceIndex, turn: &mut Turn<'_>) {
        let is_had = matches!(self.stage, Stage::Active) && self.picker.have().get(piece);
        if is_had && self.doubted.len() < DOUBTED_MAX && !self.doubted.contains(&piece) {
            self.doubted.push(piece);
            self.disk(Task::Recheck(piece), DiskAction::Hash { piece }, turn);
        }
    }

    /// The piece was looked at again. If it is not what it was, nothing that the files are said to hold is believed any
    /// more, but what a look at them shows.
    pub(super) fn rechecked(
        &mut self,
        piece: PieceIndex,
        result: Result<DiskDone, DiskError>,
        turn: &mut Turn<'_>,
    ) {
        self.doubted.retain(|doubted| *doubted != piece);
        let is_there = match result {
            Ok(DiskDone::Hashed(digest)) => self.is_right(piece, digest),
            Ok(_) => true, // no answer to the question: the engine has said so already
            Err(error) => may_pass(&error),
        };
        if is_there {
            return;
        }
        turn.out.push(Action::Event(Event::FilesChanged { torrent: self.id, piece }));
        self.close_all(turn);
        self.doubted.clear();
        self.stage = Stage::Reopening;
        self.reopen(turn);
    }

    fn is_right(&self, piece: PieceIndex, digest: Digest) -> bool {
        self.piece_hash(piece) == Some(digest)
    }
}
