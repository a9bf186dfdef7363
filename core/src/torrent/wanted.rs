//! What is wanted of a torrent, from the beginning and when its owner changes their mind: what is asked for, what
//! counts as left, and when that is all there.

use alloc::vec::Vec;

use super::{Counted, Selection, Stage, Torrent, TorrentError, Turn};
use crate::id::{Block, PeerKey, PieceIndex};
use crate::picker::{Picker, PieceOrder, Priority};
use crate::tracker::Trackers;

/// In sequential order so many bytes, and so many pieces at least, come in order: several times what one fast peer is
/// asked for at once, so that there is always something in order to ask for.
const READ_AHEAD: u32 = 64 << 20;
const READ_AHEAD_PIECES: u32 = 16;

impl Torrent {
    /// Forgets what there is, and begins with what is wanted.
    pub(super) fn choose_anew(&mut self) {
        let layout = &self.layout;
        self.picker = Picker::new(layout.pieces(), layout.piece_length(), layout.total());
        self.picker.set_order(self.order);
        self.picker.set_window(((READ_AHEAD / layout.piece_length()) + 1).max(READ_AHEAD_PIECES));
        self.missing = layout.stored();
        self.choose();
    }

    /// Tells the picker which pieces are wanted, and counts what is left of them.
    fn choose(&mut self) {
        let layout = &self.layout;
        if self.selection.is_all() && !self.picker.has_priorities() && self.order == PieceOrder::RarestFirst {
            self.wanted = layout.stored();
            self.wanted_pieces = layout.pieces();
            self.left = self.missing;
        } else {
            self.wanted_pieces = 0;
            let mut priorities = self.selection.of_pieces(layout);
            if self.order == PieceOrder::Sequential {
                self.selection.raise_ends(layout, &mut priorities);
            }
            for (piece, priority) in (0..).map(PieceIndex).zip(priorities) {
                self.picker.set_priority(piece, priority);
                self.wanted_pieces += u32::from(priority != Priority::Skip);
            }
            self.wanted = self.selection.wanted(layout);
            let had = self.picker.have().iter().map(|piece| self.selection.wanted_in(layout, piece));
            self.left = self.wanted - had.sum::<u64>();
        }
        self.seeding.know_size(self.wanted);
    }

    /// A piece is there and right.
    pub(super) fn count_had(&mut self, piece: PieceIndex) {
        let stored = self.layout.stored_in(piece);
        let wanted =
            if self.selection.is_all() { stored } else { self.selection.wanted_in(&self.layout, piece) };
        self.missing -= stored;
        self.left -= wanted;
    }

    /// Which files are wanted, and how much.
    #[must_use]
    pub const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Whether nothing is missing that is wanted; never, as long as nobody knows what there is.
    pub(super) const fn is_finished(&self) -> bool {
        self.picker.is_finished()
    }

    /// Wants these files from now on. What was verified stays, and is served, whether it is wanted or not.
    pub fn set_files(&mut self, files: Selection, turn: &mut Turn<'_>) {
        if files == self.selection {
            return;
        }
        let before = core::mem::replace(&mut self.selection, files);
        self.saving.changed();
        self.choose();
        if !matches!(self.stage, Stage::Active) {
            return; // whoever looks at it next sees what is wanted now
        }
        if self.serve_only && !self.is_finished() {
            let pieces = self.layout.pieces();
            let missing = self.picker.needed().count();
            return self.fail(TorrentError::Incomplete { missing, pieces }, turn);
        }
        self.take_back_unwanted();
        // Those that have yet to greet have told nothing.
        for slot in self.peers.values_mut().filter(|slot| slot.peer.has().len() == self.layout.pieces()) {
            slot.count_useful(self.picker.needed());
        }
        let layout = &self.layout;
        let newly = (0..layout.files().len() as u32).filter(|file| {
            self.selection.wants(*file)
                && !before.wants(*file)
                && layout.files()[*file as usize].path.is_some()
        });
        let newly: Vec<u32> = newly.collect();
        if let Some(path) = self.others_wanted() {
            return self.fail(TorrentError::OtherData { path }, turn);
        }
        self.begin_files(turn);
        let changed = self.set_aside().is_some();
        if !newly.is_empty() {
            self.prepare(true, newly, turn);
        } else if changed {
            self.prepare(self.writes, newly, turn);
        }
        self.see_to_finish(turn);
        if self.writes && self.is_finished() {
            self.write_no_more(turn); // nothing but empty files was missing
        }
        self.ask_all(turn);
    }

    /// Blocks that peers were asked for and that are no longer wanted.
    fn take_back_unwanted(&mut self) {
        for (key, slot) in &mut self.peers {
            let unwanted = slot.peer.asked().filter(|block| !self.picker.needs(block.piece));
            let unwanted: Vec<Block> = unwanted.copied().collect();
            for block in unwanted {
                self.picker.give_back(block, key);
                slot.peer.cancel(block);
                self.freed = true;
            }
        }
    }

    /// Everybody may have something else of use now.
    pub(super) fn ask_all(&mut self, turn: &mut Turn<'_>) {
        let all: Vec<PeerKey> = self.peers.keys().collect();
        for key in all {
            self.fill(key, turn);
            self.flush(key, turn);
        }
        self.feed_starved(turn);
    }

    /// Ends the download when nothing that is wanted is missing, or goes on with it when something is again.
    pub(super) fn see_to_finish(&mut self, turn: &mut Turn<'_>) {
        match (self.is_finished(), self.finished) {
            (true, false) => {
                if self.writes {
                    self.write_no_more(turn);
                }
                self.finish(turn);
            }
            (false, true) => self.want_more(turn),
            _ => {}
        }
    }

    /// It was finished, and more is wanted now.
    fn want_more(&mut self, turn: &mut Turn<'_>) {
        self.finished = false;
        self.seeding.complete_since = None;
        let uncounted =
            self.peers.iter().filter(|(_, slot)| slot.counted == Counted::No && slot.peer.has_told());
        let uncounted: Vec<PeerKey> = uncounted.map(|(key, _)| key).collect();
        for key in uncounted {
            self.count(key);
        }
        self.tell_upload_only(false, turn);
        self.known.wake(turn.now);
        if self.announcing {
            self.with_trackers(turn, Trackers::ask_now);
        }
    }

    /// Tells peers whether we take anything of them (BEP 21): what we have does not show it.
    pub(super) fn tell_upload_only(&mut self, on: bool, turn: &mut Turn<'_>) {
        let extension = self.extension();
        let all: Vec<PeerKey> = self.peers.keys().collect();
        for key in all {
            if let Some(slot) = self.peers.get_mut(key) {
                slot.peer.tell_upload_only(on, &extension);
                self.flush(key, turn);
            }
        }
    }
}
