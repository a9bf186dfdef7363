//! What is on disk already: looked at, hashed, and not overwritten when it is somebody else's.

use alloc::vec::Vec;

use super::{Action, Event, Stage, Task, Torrent, TorrentError, Turn};
use crate::bitfield::Bitfield;
use crate::disk::{Allocation, DiskAction, DiskDone, Existing};
use crate::id::PieceIndex;

/// A check of existing files under way.
#[derive(Debug)]
pub(super) struct Check {
    existing: Vec<Existing>,
    /// Pieces that may be there, still to be hashed.
    queue: alloc::collections::VecDeque<PieceIndex>,
    outstanding: u32,
    /// It waits for its turn among other torrents that are being checked.
    in_line: bool,
    pub(super) looked_at: u32,
}

impl Torrent {
    /// The files there are: hash every piece they could hold.
    pub(super) fn opened(&mut self, existing: Vec<Existing>, turn: &mut Turn<'_>) {
        let files = self.layout.files().len();
        let mut existing = existing;
        existing.resize(files, Existing::Absent);
        let mut possible = self.possible_pieces(&existing);
        let pieces = self.layout.pieces();
        possible.keep_only(&self.recall(&existing));
        self.stage = Stage::Checking(Check {
            existing,
            queue: (0..pieces).map(PieceIndex).filter(|piece| possible.get(*piece)).collect(),
            outstanding: 0,
            in_line: false,
            looked_at: pieces - possible.count(),
        });
        self.check_on(turn);
    }

    /// Pieces all of whose bytes are there and were written at some time.
    fn possible_pieces(&self, existing: &[Existing]) -> Bitfield {
        let mut possible = Bitfield::full(self.layout.pieces());
        for (number, (file, existing)) in self.layout.files().iter().zip(existing).enumerate() {
            if file.path.is_none() {
                continue;
            }
            let (head, tail) = match existing {
                Existing::Present { len, has_data: true, .. } => (*len, 0),
                Existing::Aside { head, tail, .. } => (*head, *tail),
                _ => (0, 0),
            };
            if head.saturating_add(tail) >= file.len {
                continue;
            }
            // From the first missing byte to the last.
            let length = u64::from(self.layout.piece_length());
            let first = ((file.start + head) / length) as u32;
            let end = (file.start + file.len - tail).div_ceil(length) as u32;
            for piece in first..end.min(self.layout.pieces_of(number as u32).end) {
                possible.clear(PieceIndex(piece));
            }
        }
        possible
    }

    /// Hashes as many pieces at once as there are places for, unless other torrents wait for them.
    pub(super) fn check_on(&mut self, turn: &mut Turn<'_>) {
        loop {
            let Stage::Checking(check) = &mut self.stage else { return };
            if self.paused || check.in_line {
                return;
            }
            if check.queue.is_empty() {
                break;
            }
            if !turn.checks.begin() {
                check.in_line = true;
                return turn.checks.wait(self.id);
            }
            self.check_next(turn);
        }
        if matches!(&self.stage, Stage::Checking(check) if check.outstanding == 0) {
            self.check_ended(turn);
        }
    }

    /// It is this torrent's turn: hashes a piece, and stands in line again behind the others.
    pub fn check_in_turn(&mut self, turn: &mut Turn<'_>) {
        let Stage::Checking(check) = &mut self.stage else { return };
        check.in_line = false;
        if !self.paused && !check.queue.is_empty() {
            turn.checks.begin_in_turn();
            self.check_next(turn);
        }
        self.check_on(turn);
    }

    fn check_next(&mut self, turn: &mut Turn<'_>) {
        let Stage::Checking(check) = &mut self.stage else { return };
        if let Some(piece) = check.queue.pop_front() {
            check.outstanding += 1;
            self.disk(Task::Check(piece), DiskAction::Hash { piece }, turn);
        }
    }

    /// A piece was hashed, or is not all there.
    pub(super) fn checked(&mut self, piece: PieceIndex, done: Option<DiskDone>, turn: &mut Turn<'_>) {
        let Stage::Checking(check) = &mut self.stage else { return };
        check.outstanding -= 1;
        check.looked_at += 1;
        if let Some(DiskDone::Hashed(digest)) = done
            && self.piece_hash(piece) == Some(digest)
        {
            self.picker.set_have(piece);
            self.count_had(piece);
        }
        self.check_on(turn);
    }

    fn check_ended(&mut self, turn: &mut Turn<'_>) {
        let Stage::Checking(check) = core::mem::replace(&mut self.stage, Stage::Preparing) else { return };
        if self.serve_only {
            return self.check_to_serve_ended(&check.existing, turn);
        }
        self.see_what_is_aside(&check.existing);
        if let Some(path) = self.others_wanted() {
            return self.fail(TorrentError::OtherData { path }, turn);
        }
        self.begin_files(turn);
        let files = self.to_prepare(&check.existing);
        let aside = |(number, file): (u32, &Existing)| {
            matches!(file, Existing::Aside { .. }) && !self.aside.contains(&number)
        };
        let moves = (0..).zip(&check.existing).any(aside);
        self.prepare(moves || !self.is_finished(), files, turn);
    }

    pub(super) fn prepare(&mut self, writes: bool, files: Vec<u32>, turn: &mut Turn<'_>) {
        self.writes = writes;
        if !files.is_empty() {
            self.saving.wrote();
        }
        let allocation = self.allocation;
        let aside = self.aside.iter().copied().collect();
        self.disk(Task::Prepare, DiskAction::Prepare { writes, files, aside, allocation }, turn);
    }

    /// From now on others may read the files, too.
    pub(super) fn write_no_more(&mut self, turn: &mut Turn<'_>) {
        self.prepare(false, Vec::new(), turn);
    }

    /// All is there and nothing needs to be made ready, or there is nothing to do here.
    fn check_to_serve_ended(&mut self, existing: &[Existing], turn: &mut Turn<'_>) {
        self.see_what_is_aside(existing);
        let (found, pieces) = (self.picker.have().count(), self.layout.pieces());
        if self.is_finished() {
            self.prepare(false, Vec::new(), turn);
        } else {
            turn.out.push(Action::Event(Event::Checked { torrent: self.id, pieces: found }));
            let missing = self.picker.needed().count();
            self.fail(TorrentError::Incomplete { missing, pieces }, turn);
        }
    }

    /// Files to make before the first block comes: empty ones, since no block ever will; those that are too
    /// long; and all that are to be allocated in full.
    fn to_prepare(&self, existing: &[Existing]) -> Vec<u32> {
        let full = self.allocation == Allocation::Full && !self.is_finished();
        let files = self.layout.files().iter().zip(existing);
        (0..)
            .zip(files)
            .filter(|(number, (file, existing))| {
                let len = match existing {
                    Existing::Absent | Existing::Aside { .. } => None,
                    Existing::Present { len, .. } => Some(*len),
                };
                file.path.is_some()
                    && self.selection.wants(*number)
                    && (len.is_some_and(|len| len > file.len) || (len.is_none() && file.len == 0) || full)
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// The files are ready: the torrent begins. Whoever is told so may connect at once.
    pub(super) fn prepared(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.stage, Stage::Preparing) {
            return; // it is under way, and has written its last block
        }
        self.stage = Stage::Active;
        // Its owner may have changed their mind meanwhile.
        if let Some(path) = self.others_wanted() {
            return self.fail(TorrentError::OtherData { path }, turn);
        }
        if let Some(placed) = self.set_aside() {
            self.prepare(true, placed, turn);
        }
        let pieces = self.picker.have().count();
        turn.out.push(Action::Event(Event::Checked { torrent: self.id, pieces }));
        self.know_pieces(turn);
        self.sync_what_was_found(turn);
        self.see_to_finish(turn);
        if !self.paused {
            self.start_announcing(turn);
        }
    }
}
