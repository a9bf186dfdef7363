//! What a driver got wrong: counted, never punished.
//!
//! A driver that breaks its side of the contract (see [`crate::driving`]) is a bug of this program, not of a peer.
//! The engine goes on as well as it can, and counts; the suites that run drivers demand that every count is zero.
//! It does not panic, because an engine fed with nonsense by a fuzzer has to survive it too.

use crate::disk::{DiskDone, DiskError};
use crate::torrent::Task;

/// How often a driver broke each rule. All zero for a driver that keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaches {
    /// `now` was earlier than before.
    pub time_went_back: u64,
    /// More bytes were acknowledged as sent than were handed over.
    pub sent_too_much: u64,
    /// A disk action was answered with the result of another kind of action, or with too few or too many bytes.
    pub wrong_disk_answer: u64,
    /// `Received` without a byte.
    pub empty_read: u64,
    /// `Connected` for a connection that stood already.
    pub connected_twice: u64,
}

impl Breaches {
    /// Whether every rule was kept.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether `result` is an answer to `task`.
pub(super) fn answers(task: &Task, result: &Result<DiskDone, DiskError>) -> bool {
    let Ok(done) = result else { return true };
    match (task, done) {
        (Task::Serve(_, block), DiskDone::Read(data)) => data.len() == block.len as usize,
        (Task::Write(_), DiskDone::Written)
        | (Task::Open, DiskDone::Opened(_))
        | (Task::Prepare, DiskDone::Prepared)
        | (Task::Check(_) | Task::Verify(_) | Task::Recheck(_), DiskDone::Hashed(_))
        | (Task::Evidence(_) | Task::Compare(_), DiskDone::BlocksHashed(_))
        | (Task::Sync, DiskDone::Synced(_))
        | (Task::Close, DiskDone::Closed) => true,
        _ => false,
    }
}
