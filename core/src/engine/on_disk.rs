//! Disk actions that ended.

use alloc::string::String;

use super::{Engine, contract};
use crate::disk::{DiskDone, DiskError, DiskErrorKind};
use crate::id::DiskOp;
use crate::torrent::{Task, Torrent};

impl Engine {
    pub(super) fn on_disk(&mut self, op: DiskOp, result: Result<DiskDone, DiskError>) {
        let Some((id, task)) = self.ops.remove(op) else { return };
        let result = if contract::answers(&task, &result) {
            result
        } else {
            self.breaches.wrong_disk_answer += 1;
            let message = String::from("the driver answered another question");
            Err(DiskError { kind: DiskErrorKind::Io, file: None, message })
        };
        match task {
            Task::Write(_) if result.is_ok() => {
                self.let_torrent(id, |torrent, turn| torrent.disk_done(task, result, turn));
                self.read_stalled();
            }
            _ => {
                self.with_torrent(id, |torrent, turn| torrent.disk_done(task, result, turn));
                self.read_stalled();
                self.check_on();
            }
        }
    }

    /// There may be a place to check a piece: torrents that wait for it take turns.
    fn check_on(&mut self) {
        while let Some(id) = self.common.checks.next_in_line() {
            self.with_torrent(id, Torrent::check_in_turn);
        }
    }
}
