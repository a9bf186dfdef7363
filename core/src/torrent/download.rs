//! Getting blocks: what each peer has, what to ask it, and what to do with what comes.

use core::time::Duration;

use super::space::Space;
use super::{Action, Counted, Slot, Task, Torrent, Turn};
use crate::bitfield::Bitfield;
use crate::chain::Chain;
use crate::disk::DiskAction;
use crate::id::{BLOCK_LEN, Block, PeerKey, PieceIndex};
use crate::peer::{CloseReason, Peer};
use crate::picker::{Has, PickOptions, PieceOrder, Received};
use crate::time::Instant;

/// A peer that would take longer than this for a whole piece helps with pieces others have begun.
const OWN_PIECE_SECONDS: u64 = 10;

/// Under a download limit a peer owes us no more than this part of a second of it.
const OWED_PART: u64 = 4;
/// As much comes at once anyway: limits that are higher need no such care.
const ONE_READ: u64 = 256 * 1024;

/// Whether others should help is not looked at again before: what is left to wait may be less than a clock can tell.
const HELP_SOONEST: Duration = Duration::from_millis(1);

impl Slot {
    /// Counts anew what it has that we need, and says whether that is anything.
    pub(super) fn count_useful(&mut self, needed: &Bitfield) {
        let mut useful = self.peer.has().clone();
        useful.keep_only(needed);
        self.useful = useful.count();
        self.peer.set_interesting(self.useful > 0);
    }
}

impl Torrent {
    /// A peer told all it has.
    pub(super) fn told_all(&mut self, key: PeerKey) {
        self.count(key);
        self.allow_fast(key);
    }

    /// Counts what a peer has that was not counted before.
    pub(super) fn count(&mut self, key: PeerKey) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        if self.picker.is_finished() {
            // Nothing is chosen from it, so nobody needs to know how rare its pieces are.
        } else if slot.peer.has().is_full() {
            self.picker.saw_seed();
            slot.counted = Counted::Seed;
        } else {
            self.picker.saw_bitfield(slot.peer.has());
            slot.counted = Counted::Bits;
        }
        slot.count_useful(self.picker.needed());
    }

    /// A peer has one more piece.
    pub(super) fn told_have(&mut self, key: PeerKey, piece: PieceIndex) {
        if self.picker.is_finished() {
            return;
        }
        let Some(slot) = self.peers.get_mut(key) else { return };
        self.picker.saw_have(piece);
        if slot.counted == Counted::No {
            slot.counted = Counted::Bits;
        }
        if self.picker.needs(piece) {
            slot.useful += 1;
            slot.peer.set_interesting(true);
        }
    }

    /// A peer no longer has a piece. Its requests for it are taken back on their own.
    pub(super) fn told_gone(&mut self, key: PeerKey, piece: PieceIndex) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        if slot.counted == Counted::Bits {
            self.picker.gone_have(piece);
        }
        if self.picker.needs(piece) {
            slot.useful = slot.useful.saturating_sub(1);
            slot.peer.set_interesting(slot.useful > 0);
        }
    }

    /// A peer that was counted as a seed has lost something: it is counted by what it has now. Says whether it was
    /// such a peer.
    pub(super) fn no_longer_a_seed(&mut self, key: PeerKey) -> bool {
        let Some(slot) = self.peers.get_mut(key).filter(|slot| slot.counted == Counted::Seed) else {
            return false;
        };
        self.picker.gone_seed();
        self.picker.saw_bitfield(slot.peer.has());
        slot.counted = Counted::Bits;
        slot.count_useful(self.picker.needed());
        true
    }

    /// Two seeds have nothing to say to each other.
    pub(super) fn close_if_seed(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        // One that says it only uploads (BEP 21) is as good as a seed to one that needs nothing.
        let is_seed =
            |slot: &Slot| slot.peer.is_upload_only() || slot.peer.has_told() && slot.peer.has().is_full();
        if self.picker.is_finished() && self.peers.get(key).is_some_and(|slot| is_seed(slot)) {
            self.close(key, CloseReason::NothingToExchange, turn);
        }
    }

    /// Blocks that a peer may owe us under a download limit: what has been asked for cannot be held back, and all
    /// of it may come in one read.
    fn may_owe(&self, turn: &Turn<'_>) -> u32 {
        let limit = self.download.rate().into_iter().chain(turn.download_limit).min();
        let owed = limit.map_or(u64::MAX, |limit| limit / OWED_PART);
        if owed < ONE_READ { (owed / u64::from(BLOCK_LEN)).max(1) as u32 } else { u32::MAX }
    }

    /// Asks a peer for as many blocks as it should be asked for now.
    pub(super) fn fill(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        if !self.is_running() {
            return;
        }
        let Some(slot) = self.peers.get(key) else { return };
        // What a choking peer allows lies anywhere: no use to somebody who reads from the front.
        let no_use = slot.useful == 0 || slot.peer.is_choking_us() && self.order == PieceOrder::Sequential;
        let may_owe = self.may_owe(turn).saturating_sub(slot.peer.asked().len() as u32);
        let may_owe = may_owe.min(self.space.room(self.picker.outstanding()));
        let want = if no_use { 0 } else { slot.peer.wants_requests(turn.now).min(may_owe) };
        if want == 0 {
            return;
        }
        let options = PickOptions {
            allowed: slot.peer.is_choking_us().then(|| slot.peer.allowed()),
            suggested: slot.peer.suggested(),
            fast_peer: is_fast(&slot.peer, self.layout.piece_length(), turn.now),
        };
        let has = has_of(slot);
        self.picked.clear();
        self.picker.pick(key, has, want, &options, turn.rng, &mut self.picked);
        let left = want - self.picked.len() as u32;
        if left > 0 && !slot.peer.is_choking_us() {
            let pace = |other: PeerKey| match self.peers.get(other) {
                Some(slot) if other == key => slot.peer.helping_pace(turn.now),
                slot => slot?.peer.pace(turn.now),
            };
            let wait = self.picker.pick_again(key, has, left, pace, turn.rng, &mut self.picked);
            let at = wait.map(|wait| look_again_at(turn.now, wait));
            self.help_again = self.help_again.into_iter().chain(at).min();
        }
        if (self.picked.len() as u32) < want {
            self.starved.insert(key);
        } else {
            self.starved.remove(&key);
        }
        if let Some(slot) = self.peers.get_mut(key) {
            for &block in &self.picked {
                slot.peer.request(block, turn.now);
            }
        }
        // From now on blocks are asked of several peers: those that had nothing to do may help.
        let endgame = self.picker.in_endgame();
        self.freed |= endgame && !self.endgame;
        self.endgame = endgame;
    }

    /// Somebody may be late by now with blocks that others would send sooner.
    pub(super) fn tick_endgame(&mut self, turn: &mut Turn<'_>) {
        if self.help_again.is_some_and(|at| at <= turn.now) {
            self.help_again = None;
            self.freed = true;
            self.feed_starved(turn);
        }
    }

    /// Blocks are free again: peers that had nothing to do may take them.
    pub(super) fn feed_starved(&mut self, turn: &mut Turn<'_>) {
        if !core::mem::take(&mut self.freed) || !self.is_running() {
            return;
        }
        let mut hungry: alloc::vec::Vec<PeerKey> = self.starved.iter().copied().collect();
        // Not always the same ones first: those that have been here for longest would give more than all others.
        if !hungry.is_empty() {
            let first = turn.rng.below(hungry.len() as u32) as usize;
            hungry.rotate_left(first);
        }
        // Those that are late with what they owe come last.
        hungry.sort_by_key(|key| self.peers.get(*key).is_some_and(|slot| slot.peer.is_snubbed()));
        for key in hungry {
            self.fill(key, turn);
            self.flush(key, turn);
        }
    }

    /// A block that was asked for is here.
    pub(super) fn got(&mut self, key: PeerKey, block: Block, data: Chain, turn: &mut Turn<'_>) {
        self.down.add(turn.now, u64::from(block.len));
        if !self.is_running() || matches!(self.space, Space::Waiting(_)) {
            self.picker.give_back(block, key);
            self.past.wasted += u64::from(block.len);
            return;
        }
        let received = if self.is_kept_nowhere(block.piece) {
            Received::Unwanted
        } else {
            self.picker.received(block, key)
        };
        match received {
            Received::Wanted { piece_complete, cancel } => {
                turn.budget.begin_write(block.len);
                self.creates(block);
                self.disk(Task::Write(block), DiskAction::Write { block, data }, turn);
                if piece_complete {
                    let piece = block.piece;
                    self.disk(Task::Verify(piece), DiskAction::Hash { piece }, turn);
                }
                for &other in cancel.peers() {
                    if let Some(slot) = self.peers.get_mut(other) {
                        slot.peer.cancel(block);
                        self.fill(other, turn);
                        self.flush(other, turn);
                    }
                }
            }
            Received::Duplicate | Received::Unwanted | Received::NotABlock => {
                self.picker.give_back(block, key);
                self.past.wasted += u64::from(block.len);
            }
        }
    }

    /// A peer will not send a block it was asked for.
    pub(super) fn withdrawn(&mut self, key: PeerKey, block: Block) {
        self.freed |= self.picker.give_back(block, key);
    }

    /// The disk has a block.
    pub(super) fn written(&mut self, block: Block, turn: &mut Turn<'_>) {
        self.picker.written(block);
        self.saving.wrote();
        self.has_space(turn);
    }

    /// We have one more piece, which was needed or came although it was no longer wanted: who wanted it of whom,
    /// and who is to be told.
    pub(super) fn have(&mut self, piece: PieceIndex, was_needed: bool, turn: &mut Turn<'_>) {
        let mut actions = core::mem::take(turn.scratch);
        for slot in self.peers.values_mut() {
            if slot.peer.has().get(piece) {
                if was_needed {
                    slot.useful = slot.useful.saturating_sub(1);
                    slot.peer.set_interesting(slot.useful > 0);
                }
            } else {
                slot.peer.announce(piece);
            }
            slot.peer.flush(&mut crate::cx::Cx { now: turn.now, rng: turn.rng, out: &mut actions });
            for action in actions.drain(..) {
                if let crate::peer::Action::Send(segment) = action {
                    turn.out.push(Action::Send { conn: slot.conn, segment });
                }
            }
        }
        *turn.scratch = actions;
    }
}

/// When to look again whether others should help, if there is nothing to help with for so long.
fn look_again_at(now: Instant, wait: Duration) -> Instant {
    now + wait.max(HELP_SOONEST)
}

fn has_of(slot: &Slot) -> Has<'_> {
    if slot.counted == Counted::Seed || slot.peer.has().is_full() {
        Has::All
    } else {
        Has::Some(slot.peer.has())
    }
}

/// Whether a peer fills a piece in a short time by itself. Nobody is slow before the first blocks are in.
fn is_fast(peer: &Peer, piece_length: u32, now: Instant) -> bool {
    let rate = peer.down_rate(now);
    rate == 0 || rate * OWN_PIECE_SECONDS >= u64::from(piece_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_microsecond_to_wait_is_no_reason_to_wake_up_at_once() {
        let now = Instant::from_micros(50_000);
        assert!(look_again_at(now, Duration::from_nanos(1)) > now);
        assert_eq!(look_again_at(now, Duration::from_millis(70)), now + Duration::from_millis(70));
    }
}
