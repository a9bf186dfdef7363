//! Files that are not wanted and not there: they are not created, and what pieces they share with others have of them
//! is kept aside.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Selection, Torrent, Turn};
use crate::disk::Existing;
use crate::id::{Block, PieceIndex};

impl Torrent {
    /// The files have been looked at, and their pieces hashed: which of them are there, and which are somebody else's.
    /// Those hold something, none of which is this torrent's, and no run has begun to write to them.
    pub(super) fn see_what_is_aside(&mut self, existing: &[Existing]) {
        let files = self.layout.files().iter().zip(existing);
        let before = core::mem::take(&mut self.others);
        self.absent.clear();
        for (number, (file, existing)) in (0..).zip(files).filter(|(_, (file, _))| file.path.is_some()) {
            let Existing::Present { len, has_data, .. } = *existing else {
                self.absent.insert(number);
                continue;
            };
            let had = |piece: u32| self.picker.have().get(PieceIndex(piece));
            let had = self.layout.pieces_of(number).any(had);
            let begun = self.begun && self.begun_files.wants(number) && !before.contains(&number);
            // One that is not wanted is not cut either, nor one that is only served.
            let too_long = !self.serve_only && len > file.len && (self.selection.wants(number) || !had);
            if too_long || has_data && file.len > 0 && !had && !begun {
                self.others.insert(number);
            }
        }
        self.set_aside();
    }

    /// The files that are wanted are going to be written to: whatever they hold from now on is ours, and a later run
    /// has to know that before they hold anything.
    pub(super) fn begin_files(&mut self, turn: &mut Turn<'_>) {
        let mut begun = if self.begun { self.begun_files.clone() } else { Selection::only([]) };
        begun.want_all_of(&self.selection);
        let more = begun != self.begun_files;
        self.begun_files = begun;
        self.others.retain(|file| !self.selection.wants(*file));
        if !self.is_finished() && (more || !self.begun) {
            self.save_begun(turn);
        }
    }

    /// Somebody else's file that is wanted now.
    pub(super) fn others_wanted(&self) -> Option<String> {
        let wanted = self.others.iter().find(|file| !self.overwrite && self.selection.wants(**file))?;
        Some(self.layout.files().get(*wanted as usize)?.path.as_ref()?.to_string())
    }

    /// Decides anew which files are aside; where that changes it, says which are not any more.
    pub(super) fn set_aside(&mut self) -> Option<Vec<u32>> {
        let may_be = self.absent.union(&self.others).copied();
        // Nothing is moved where nothing may be written.
        let aside: BTreeSet<u32> =
            may_be.filter(|file| self.serve_only || !self.selection.wants(*file)).collect();
        let before = core::mem::replace(&mut self.aside, aside);
        let placed: Vec<u32> = before.difference(&self.aside).copied().collect();
        for file in &placed {
            self.absent.remove(file);
            self.others.remove(file);
        }
        (before != self.aside).then_some(placed)
    }

    /// A block is written: the files it lies in are there from now on, unless they are aside.
    pub(super) fn creates(&mut self, block: Block) {
        if !self.absent.is_empty() {
            for span in self.layout.spans(block) {
                if !self.aside.contains(&span.file) {
                    self.absent.remove(&span.file);
                }
            }
        }
    }

    /// Whether a piece lies in files that are aside and in nothing else. A block of one may come that was asked for
    /// while it was wanted; what is kept aside are the parts of pieces that somebody wants.
    pub(super) fn is_kept_nowhere(&self, piece: PieceIndex) -> bool {
        if self.aside.is_empty() || self.picker.needs(piece) {
            return false;
        }
        let files = self.layout.files();
        let mut stored = self.layout.spans(self.layout.whole(piece)).filter(|span| {
            let file = files.get(span.file as usize);
            file.is_some_and(|file| file.path.is_some())
        });
        stored.all(|span| self.aside.contains(&span.file))
    }
}
