//! Good-bye: to peers, to trackers, to the files.

use super::{Action, Event, Stage, Task, Torrent, Turn};
use crate::disk::DiskAction;

impl Torrent {
    /// Leaves: closes peers, tells trackers, closes files; ends with [`Action::Left`].
    pub fn leave(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.stage, Stage::Leaving { .. }) {
            return;
        }
        self.close_all(turn);
        let saved = !matches!(self.stage, Stage::Active); // or there is nothing to save
        self.stage = Stage::Leaving { saved, closing: false, closed: false };
        self.stop_announcing(turn);
        self.leave_on(turn);
    }

    /// Takes the next step of leaving that is possible.
    pub(super) fn leave_on(&mut self, turn: &mut Turn<'_>) {
        let Stage::Leaving { saved, closing, closed } = &mut self.stage else { return };
        if !*closing && self.disk_pending == 0 {
            if !core::mem::replace(saved, true) && self.sync(turn) {
                return;
            }
            let Stage::Leaving { closing, .. } = &mut self.stage else { return };
            *closing = true;
            self.disk(Task::Close, DiskAction::Close, turn);
        } else if self.told && *closed {
            turn.out.push(Action::Event(Event::Removed { torrent: self.id }));
            turn.out.push(Action::Left);
        }
    }
}
