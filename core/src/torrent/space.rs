//! A disk that is full: the torrent asks for nothing more, keeps and serves what it has, and goes on by itself when there
//! is space again.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Action, Event, Stage, Torrent, Turn};
use crate::disk::{DiskError, DiskErrorKind};
use crate::id::{Block, PeerKey};
use crate::time::Instant;

/// A disk without room is tried again after so long, with one block.
const RETRY: Duration = Duration::from_secs(30);

/// Whether the disk takes what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Space {
    /// As far as is known.
    #[default]
    There,
    /// It did not, and is tried again then.
    Waiting(Instant),
    /// It is being tried: a block at a time, and another one then.
    Trying(Instant),
}

impl Space {
    /// How many more blocks may be asked for when so many are under way.
    pub(super) const fn room(self, outstanding: u32) -> u32 {
        match self {
            Self::There => u32::MAX,
            Self::Trying(_) if outstanding == 0 => 1,
            Self::Trying(_) | Self::Waiting(_) => 0,
        }
    }

    /// When it is tried again.
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Waiting(at) | Self::Trying(at) => Some(at),
            Self::There => None,
        }
    }
}

/// Whether waiting may help: space and places for open files come back.
pub(super) const fn may_pass(error: &DiskError) -> bool {
    matches!(error.kind, DiskErrorKind::NoSpace | DiskErrorKind::TooManyOpen)
}

impl Torrent {
    /// The disk could not take a block, and may be able to later.
    pub(super) fn no_space(&mut self, block: Block, error: DiskError, turn: &mut Turn<'_>) {
        self.picker.write_failed(block);
        self.past.wasted += u64::from(block.len);
        self.wait_for_space(error, turn);
        for (key, slot) in &mut self.peers {
            let asked: Vec<Block> = slot.peer.asked().copied().collect();
            for block in asked {
                self.picker.give_back(block, key);
                slot.peer.cancel(block);
            }
        }
        let all: Vec<PeerKey> = self.peers.keys().collect();
        for key in all {
            self.flush(key, turn);
        }
    }

    /// The files could not be made ready: all of it begins anew when there is space.
    pub(super) fn no_space_to_begin(&mut self, error: DiskError, turn: &mut Turn<'_>) {
        self.stage = Stage::Reopening;
        self.wait_for_space(error, turn);
    }

    fn wait_for_space(&mut self, error: DiskError, turn: &mut Turn<'_>) {
        if self.space == Space::There {
            turn.out.push(Action::Event(Event::NoSpace { torrent: self.id, error }));
        }
        self.space = Space::Waiting(turn.now + RETRY);
    }

    pub(super) fn tick_space(&mut self, turn: &mut Turn<'_>) {
        if !self.paused && self.space.deadline().is_some_and(|at| at <= turn.now) {
            self.try_space(turn);
        }
    }

    /// Asks for one block more, or begins anew if nothing could be asked for yet.
    pub(super) fn try_space(&mut self, turn: &mut Turn<'_>) {
        self.space = Space::Trying(turn.now + RETRY);
        match self.stage {
            Stage::Reopening => self.reopen(turn),
            _ => self.ask_all(turn),
        }
    }

    /// The disk took something.
    pub(super) fn has_space(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.space, Space::Trying(_)) {
            self.space = Space::There;
            turn.out.push(Action::Event(Event::SpaceAgain { torrent: self.id }));
            self.ask_all(turn);
        }
    }
}
