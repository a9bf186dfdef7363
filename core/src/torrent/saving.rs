//! What is kept for the next run, and when: pieces count as there only once they are durable.
//!
//! While a torrent downloads, everything is made durable and then saved every few seconds, so that this is what a power
//! failure costs. The rest is saved when the torrent pauses or leaves.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::saved::{PEERS_MAX, Saved, Stamps, trusted_pieces};
use super::{Action, Event, Source, Task, Torrent, Turn};
use crate::bitfield::Bitfield;
use crate::disk::{DiskAction, DiskError, Existing, SyncedFile};
use crate::id::{BLOCK_LEN, PieceIndex};
use crate::time::Instant;

/// A piece that has come is durable after so long, and as long as that takes the disk.
const SYNC_AFTER: Duration = Duration::from_secs(5);

/// What is durable of a torrent, and what may not be.
#[derive(Debug, Default)]
pub(super) struct Saving {
    /// What an earlier run saved, until the files have been looked at.
    earlier: Option<Box<Saved>>,
    stamps: Stamps,
    /// Pieces that are whole and durable.
    durable: Bitfield,
    /// Something may be on its way to the disk still.
    unsynced: bool,
    /// This run has written to the files, so that it matters to it whether they can be made durable.
    written: bool,
    /// When all is to be made durable.
    sync_at: Option<Instant>,
    /// What will be durable once the disk says so.
    under_way: Option<Box<UnderWay>>,
    /// Pieces that were there when the disk failed to make them durable: whatever it reads back, it may never have
    /// them.
    doubtful: Bitfield,
    /// The owner has said something since it was saved.
    changed: bool,
    /// Payload received and sent in earlier runs.
    before: (u64, u64),
    /// The same, these runs included, and whether the torrent stood still, as they were saved last.
    said: (u64, u64, bool),
}

#[derive(Debug)]
struct UnderWay {
    have: Bitfield,
    blocks: Vec<(PieceIndex, Bitfield)>,
}

impl Saving {
    /// What the owner said is to be saved.
    pub(super) const fn changed(&mut self) {
        self.changed = true;
    }

    /// When there is something to make durable.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sync_at.filter(|_| self.under_way.is_none())
    }

    /// A block is in a file.
    pub(super) const fn wrote(&mut self) {
        self.unsynced = true;
        self.written = true;
    }

    /// A piece has come.
    pub(super) fn passed(&mut self, now: Instant) {
        self.sync_at = self.sync_at.or(Some(now + SYNC_AFTER));
    }
}

impl Torrent {
    /// Takes over what an earlier run saved of the torrent itself; the files come when they have been looked at.
    pub(super) fn remember(&mut self, saved: Option<&[u8]>, check: bool, chosen: bool, turn: &mut Turn<'_>) {
        let Some(bytes) = saved else { return };
        // Whoever saved something, however little is left of it, has begun to write these files.
        self.begun = true;
        let mut saved = match Saved::read(bytes) {
            Ok(saved) => saved,
            Err(error) => {
                turn.out.push(Action::Event(Event::SavedRefused { torrent: self.id, error }));
                return;
            }
        };
        self.begun = !saved.complete;
        self.saving.before = (saved.downloaded, saved.uploaded);
        self.saving.said = (saved.downloaded, saved.uploaded, saved.paused);
        for peer in saved.peers.drain(..) {
            self.known.add(peer, Source::Saved, turn.now, turn.rng);
        }
        if check {
            saved.stamps.clear(); // no file is known again
        }
        self.begun_files = core::mem::take(&mut saved.begun);
        if !chosen {
            self.selection = core::mem::take(&mut saved.selection);
        }
        self.saving.earlier = Some(Box::new(saved));
    }

    /// The files there are: pieces of those that are as they were when they were saved are believed. Returns the pieces
    /// that have to be hashed, wherever there is anything to hash.
    pub(super) fn recall(&mut self, existing: &[Existing]) -> Bitfield {
        self.saving.stamps = Stamps::of(existing);
        self.saving.durable = Bitfield::new(self.layout.pieces());
        let mut unsure = Bitfield::full(self.layout.pieces());
        for piece in core::mem::take(&mut self.saving.doubtful).iter() {
            unsure.clear(piece);
        }
        let Some(earlier) = self.saving.earlier.take() else { return unsure };
        let same = self.saving.stamps.same_as(&earlier.stamps);
        let (trusted, Some(have)) = (trusted_pieces(&self.layout, &same), earlier.have(self.layout.pieces()))
        else {
            return unsure;
        };
        for piece in trusted.iter() {
            unsure.clear(piece);
            if have.get(piece) {
                self.picker.set_have(piece);
                self.count_had(piece);
                self.saving.durable.set(piece);
            }
        }
        for (piece, blocks) in &earlier.blocks {
            let all = self.layout.piece_len(*piece).div_ceil(BLOCK_LEN);
            match Bitfield::from_wire(blocks, all) {
                Ok(blocks) if trusted.get(*piece) && !have.get(*piece) => {
                    if blocks.is_full() {
                        unsure.set(*piece); // all of it was there, and nobody had hashed it yet
                    } else {
                        self.picker.restore(*piece, &blocks);
                    }
                }
                _ => {}
            }
        }
        unsure
    }

    /// The files have been checked: what was found in them may not be durable yet.
    pub(super) fn sync_what_was_found(&mut self, turn: &mut Turn<'_>) {
        self.saving.unsynced |= self.picker.have().count() > self.saving.durable.count();
        self.sync(turn);
    }

    /// Saves that files have been begun, before the first is written to.
    pub(super) fn save_begun(&mut self, turn: &mut Turn<'_>) {
        self.begun = true;
        let nothing = UnderWay { have: self.saving.durable.clone(), blocks: Vec::new() };
        self.save(&nothing, turn);
    }

    pub(super) fn tick_saving(&mut self, turn: &mut Turn<'_>) {
        if self.saving.deadline().is_some_and(|at| at <= turn.now) {
            self.sync(turn);
        }
    }

    /// Makes everything durable, and then saves it; says whether there was any need. Where all is durable it is saved
    /// at once, if anything else has changed.
    pub(super) fn sync(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.saving.under_way.is_some() {
            self.saving.sync_at = Some(turn.now); // once more after that
            return true;
        }
        self.saving.sync_at = None;
        let saving = &mut self.saving;
        if core::mem::take(&mut saving.unsynced) {
            let (have, blocks) = (self.picker.have().clone(), self.picker.written_blocks().collect());
            saving.under_way = Some(Box::new(UnderWay { have, blocks }));
            self.disk(Task::Sync, DiskAction::Sync, turn);
            return true;
        }
        if self.is_worth_saving() {
            let have = self.saving.durable.clone();
            let blocks = self.picker.written_blocks().collect();
            self.save(&UnderWay { have, blocks }, turn);
        }
        false
    }

    /// Whether anything but the files has changed since the state was saved, if it was.
    fn is_worth_saving(&self) -> bool {
        let begun = self.begun || self.saving.durable.count() > 0;
        begun && (self.saving.changed || self.said() != self.saving.said)
    }

    fn said(&self) -> (u64, u64, bool) {
        let (totals, (down, up)) = (self.traffic_totals(), self.saving.before);
        (down + totals.payload_down, up + totals.payload_up, self.paused)
    }

    /// Everything that was written before the disk was asked is durable, in these files.
    pub(super) fn synced(&mut self, files: &[SyncedFile], turn: &mut Turn<'_>) {
        for file in files {
            self.saving.stamps.set(file);
        }
        if let Some(under_way) = self.saving.under_way.take() {
            self.save(&under_way, turn);
            self.saving.durable = under_way.have;
        }
    }

    /// The disk could not make it durable: what came since it last could may never be there, whatever is read back now.
    /// For files that were only read that is their owner's affair; they are hashed again next time.
    pub(super) fn not_synced(&mut self, error: DiskError, turn: &mut Turn<'_>) {
        self.saving.under_way = None;
        if self.saving.written {
            let mut doubtful = self.picker.have().clone();
            doubtful.remove_all(&self.saving.durable);
            self.saving.doubtful = doubtful;
            self.fail(error.into(), turn);
        }
    }

    fn save(&mut self, what: &UnderWay, turn: &mut Turn<'_>) {
        let said = self.said();
        // A file with a piece that is there and not durable is not known again: that piece is to be looked for.
        let mut stamps = self.saving.stamps.clone();
        let mut unsure = self.picker.have().clone();
        unsure.remove_all(&what.have);
        for piece in unsure.iter() {
            self.layout.spans(self.layout.whole(piece)).for_each(|span| stamps.forget(span.file));
        }
        let mut saved = Saved {
            have: what.have.to_wire(),
            stamps: stamps.grouped(),
            downloaded: said.0,
            uploaded: said.1,
            peers: self.known.useful(PEERS_MAX),
            complete: what.have.is_full(),
            paused: said.2,
            selection: self.selection.clone(),
            begun: self.begun_files.clone(),
            ..Saved::default()
        };
        for (piece, blocks) in &what.blocks {
            saved.keep_blocks(*piece, blocks.to_wire());
        }
        (self.saving.said, self.saving.changed) = (said, false);
        self.begun = !saved.complete;
        turn.out.push(Action::Save(saved.write()));
    }

    /// After a failure the files are looked at anew, and what is durable is still believed.
    pub(super) fn recollect(&mut self) {
        let saving = &mut self.saving;
        let earlier =
            Saved { have: saving.durable.to_wire(), stamps: saving.stamps.grouped(), ..Saved::default() };
        (saving.unsynced, saving.sync_at, saving.under_way) = (false, None, None);
        saving.earlier = (saving.durable.count() > 0).then(|| Box::new(earlier));
    }

    /// Payload bytes received and sent, in all runs.
    pub(super) fn traffic_of_all_runs(&self) -> (u64, u64) {
        let (down, up, _) = self.said();
        (down, up)
    }
}
