//! Everything a stranger can grow has a number, and keeps it (`Limits`).

use std::collections::BTreeMap;

use pieceful_core::disk::DiskAction;
use pieceful_core::engine::Limits;
use pieceful_core::id::{DiskOp, PieceIndex, TorrentId};

use super::ensure;

/// How far a budget may be passed: the engine learns that it is full while it takes a read's blocks.
pub(super) const SLACK: u64 = 1 << 20;

/// What the disk has been given and has not answered.
#[derive(Debug, Default)]
pub(super) struct Actions {
    actions: BTreeMap<DiskOp, Action>,
    written: u64,
    read: u64,
    /// Hashes of torrents that are being checked.
    checking: u64,
}

/// What is remembered of an action.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    pub(super) torrent: TorrentId,
    /// The piece whose hash is wanted.
    pub(super) hash: Option<PieceIndex>,
    write: u64,
    read: u64,
    check: bool,
}

impl Actions {
    pub(super) fn len(&self) -> usize {
        self.actions.len()
    }

    /// The engine hands over an action; `checking`: for a torrent that is being checked.
    pub(super) fn begin(
        &mut self,
        op: DiskOp,
        torrent: TorrentId,
        action: &DiskAction,
        checking: bool,
        limits: &Limits,
    ) -> Result<(), String> {
        let mut new = Action { torrent, hash: None, write: 0, read: 0, check: false };
        match action {
            DiskAction::Write { block, data } => {
                ensure(data.len() == block.len as usize, || {
                    format!("{} bytes to write as {block}", data.len())
                })?;
                new.write = u64::from(block.len);
            }
            DiskAction::Read { block } => new.read = u64::from(block.len),
            DiskAction::Hash { piece } => (new.hash, new.check) = (Some(*piece), checking),
            _ => {}
        }
        ensure(self.actions.insert(op, new).is_none(), || format!("{op:?} is in use already"))?;
        self.written += new.write;
        self.read += new.read;
        self.checking += u64::from(new.check);
        within("bytes being written", self.written, u64::from(limits.write_bytes_max) + SLACK)?;
        within("bytes being read", self.read, u64::from(limits.read_bytes_max) + SLACK)?;
        within("pieces being checked", self.checking, limits.checking_max.into())
    }

    /// An action is answered. `None`: there is none of that name.
    pub(super) fn end(&mut self, op: DiskOp) -> Option<Action> {
        let action = self.actions.remove(&op)?;
        self.written -= action.write;
        self.read -= action.read;
        self.checking -= u64::from(action.check);
        Some(action)
    }
}

pub(super) fn within(what: &str, got: u64, max: u64) -> Result<(), String> {
    ensure(got <= max, || format!("{got} {what}, allowed are {max}"))
}
