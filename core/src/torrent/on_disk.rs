//! Disk actions of a torrent: asked for, and what becomes of their answers.

use super::space::may_pass;
use super::{Action, Stage, Task, Torrent, Turn};
use crate::disk::{DiskAction, DiskDone, DiskError, DiskErrorKind};

impl Torrent {
    pub(super) fn disk(&mut self, task: Task, action: DiskAction, turn: &mut Turn<'_>) {
        self.disk_pending += 1;
        turn.out.push(Action::Disk { task, action });
    }

    /// A disk action ended.
    pub fn disk_done(&mut self, task: Task, result: Result<DiskDone, DiskError>, turn: &mut Turn<'_>) {
        self.disk_pending -= 1;
        match &task {
            Task::Write(block) => turn.budget.end_write(block.len),
            Task::Serve(_, block) => {
                turn.budget.end_read(block.len);
                self.seeding.end_promise(block.len);
            }
            Task::Check(_) => turn.checks.end(),
            _ => {}
        }
        if let (Task::Sync, Ok(DiskDone::Synced(files))) = (&task, &result) {
            self.synced(files, turn);
        }
        match &mut self.stage {
            Stage::Leaving { closed, .. } => {
                *closed |= task == Task::Close;
                return self.leave_on(turn);
            }
            // A piece whose write failed has a wrong hash, and no peer is to blame for it.
            Stage::Failed => return,
            Stage::Reopening => return self.reopen(turn),
            Stage::Metadata(_) | Stage::Opening | Stage::Checking(_) | Stage::Preparing | Stage::Active => {}
        }
        match (task, result) {
            (Task::Open, Ok(DiskDone::Opened(existing))) => self.opened(existing, turn),
            (Task::Prepare, Ok(_)) => self.prepared(turn),
            (Task::Prepare, Err(error)) if may_pass(&error) && matches!(self.stage, Stage::Preparing) => {
                self.no_space_to_begin(error, turn);
            }
            // What cannot be read may be there all the same: it is neither missing nor to be written over.
            (Task::Check(_), Err(error)) if error.kind != DiskErrorKind::Missing => {
                self.fail(error.into(), turn);
            }
            (Task::Check(piece), result) => self.checked(piece, result.ok(), turn),
            (Task::Write(block), Ok(_)) => self.written(block, turn),
            (Task::Write(block), Err(error)) if may_pass(&error) => self.no_space(block, error, turn),
            // A block of it could not be written: a hash of what the file holds says nothing.
            (Task::Verify(piece), _) if !self.picker.is_written(piece) => {}
            (Task::Verify(piece), Ok(DiskDone::Hashed(digest))) => self.hashed(piece, digest, turn),
            (Task::Evidence(piece), Ok(DiskDone::BlocksHashed(hashes))) => self.judge.blocks(piece, hashes),
            (Task::Compare(piece), Ok(DiskDone::BlocksHashed(hashes))) => self.compared(piece, &hashes, turn),
            (Task::Serve(peer, block), result) => {
                let data = match result {
                    Ok(DiskDone::Read(data)) => Some(data),
                    _ => {
                        self.doubt(block.piece, turn);
                        None
                    }
                };
                self.read_for(peer, block, data, turn);
            }
            (Task::Recheck(piece), result) => self.rechecked(piece, result, turn),
            (Task::Evidence(_) | Task::Compare(_), _) => {}
            (Task::Sync, Err(error)) => self.not_synced(error, turn),
            (_, Err(error)) => self.fail(error.into(), turn),
            // A driver that answers one action with the result of another: the engine has said so already.
            (_, Ok(_)) => {}
        }
    }
}
