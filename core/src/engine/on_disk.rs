//! Disk actions that ended.

use super::Engine;
use crate::disk::{DiskDone, DiskError};
use crate::id::DiskOp;
use crate::torrent::Task;

impl Engine {
    pub(super) fn on_disk(&mut self, op: DiskOp, result: Result<DiskDone, DiskError>) {
        let Some((id, task)) = self.ops.remove(op) else { return };
        match task {
            Task::Write(_) if result.is_ok() => {
                self.let_torrent(id, |torrent, turn| torrent.disk_done(task, result, turn));
                self.read_stalled();
            }
            _ => {
                self.with_torrent(id, |torrent, turn| torrent.disk_done(task, result, turn));
                self.read_stalled();
            }
        }
    }
}
