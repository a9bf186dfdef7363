//! Giving blocks: who may ask, in which order they are served, and within which limits.
//!
//! We suggest no pieces (BEP 6, `suggest piece`), although we follow suggestions. They are of use to a sender that
//! knows what is cheap to read; here that is what the system has in its page cache, and only the system knows.

use core::net::IpAddr;
use core::time::Duration;

use bytes::Bytes;

use super::{Slot, Task, Torrent, Turn};
use crate::choke::{Candidate, Mode};
use crate::cx::Cx;
use crate::disk::DiskAction;
use crate::id::{Block, PeerKey};
use crate::scope;
use crate::time::Instant;
use crate::wire;

/// Pieces a choked newcomer may have at most: as many as common clients give.
const ALLOWED_FAST: u32 = 10;
/// Bytes of them: all peers allow the same pieces, so that what each of them gives makes a whole one. More, and the
/// crowd of the choked takes a good part of a slow uplink from those who earned a slot, while one that never
/// gives anything has all it needs.
///
/// A piece that does not fit is not named at all. BEP 6 lets us refuse the rest of it, but aria2 asks again in the
/// same breath for what it was refused, thousands of times a second, until it looks like a flood.
const GRANT: u64 = 32 << 10;
/// Such grants may add up to so much beside one part in so many of what was given for a slot: whoever comes back
/// again and again soon finds no more.
const GRANTS_FREE: u64 = 1 << 20;
const GRANTS_PART: u64 = 32;
/// How soon peers that wait for the upload limit are looked at again.
const SERVE_AGAIN: Duration = Duration::from_millis(50);

impl Torrent {
    /// A peer asks for a block.
    pub(super) fn requested(&mut self, key: PeerKey, block: Block, turn: &mut Turn<'_>) {
        let ours = self.layout.contains(block) && self.picker.have().get(block.piece);
        let Some(slot) = self.peers.get_mut(key) else { return };
        match slot.peer.admit(block, ours) {
            Ok(()) => self.serve(key, turn),
            Err(reason) => self.close(key, reason, turn),
        }
    }

    /// Gives a newcomer a few pieces while it is choked, so that it has something to trade (BEP 6). Which ones
    /// follows from its address, so coming back brings no others.
    pub(super) fn allow_fast(&mut self, key: PeerKey) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        let IpAddr::V4(address) = scope::plain(slot.address.ip()) else { return };
        if slot.peer.has().count() >= ALLOWED_FAST {
            return;
        }
        if self.granted >= GRANTS_FREE + self.seeding.given() / GRANTS_PART {
            return;
        }
        let mut pieces =
            wire::allowed_fast(address, &self.hello.info_hash, self.layout.pieces(), ALLOWED_FAST);
        let mut bytes = 0;
        pieces.retain(|&piece| {
            let with_it = bytes + u64::from(self.layout.piece_len(piece));
            let fits = with_it <= GRANT && self.picker.have().get(piece) && !slot.peer.has().get(piece);
            bytes = if fits { with_it } else { bytes };
            fits
        });
        self.granted += bytes;
        slot.peer.allow(&pieces, bytes);
    }

    /// Serves a peer's requests as far as the connection, the disk and the limits have room. Where others wait for
    /// these already, it waits behind them.
    pub(super) fn serve(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        if slot.waits {
            return;
        }
        if self.serve_waiting.is_empty() {
            self.serve_now(key, turn);
        } else if slot.peer.next_to_serve().is_some() {
            self.wait_to_serve(key, turn.now);
        }
    }

    fn serve_now(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        while let Some(slot) = self.peers.get_mut(key)
            && let Some(block) = slot.peer.next_to_serve()
        {
            if !self.serve_block(key, block, turn) {
                return self.wait_to_serve(key, turn.now);
            }
        }
    }

    fn wait_to_serve(&mut self, key: PeerKey, now: Instant) {
        if let Some(slot) = self.peers.get_mut(key) {
            slot.waits = true;
            self.serve_waiting.push_back(key);
            self.serve_again = Some(now + SERVE_AGAIN);
        }
    }

    /// Serves one block; says whether there was room.
    fn serve_block(&mut self, key: PeerKey, block: Block, turn: &mut Turn<'_>) -> bool {
        let len = u64::from(block.len);
        if self.seeding.has_promised_enough() {
            return false;
        }
        if self.upload.available_at(turn.now, len) > turn.now || !turn.upload.may_send(turn.now, self.id, len)
        {
            return false;
        }
        let direct = self.settings.direct_blocks;
        if !direct && !turn.budget.begin_read(block.len) {
            return false;
        }
        turn.upload.spend(turn.now, len);
        self.upload.spend(turn.now, len);
        let Some(slot) = self.peers.get_mut(key) else { return true };
        if !direct {
            slot.peer.begin_read();
            self.seeding.promise(block.len);
            self.disk(Task::Serve(key, block), DiskAction::Read { block }, turn);
            return true;
        }
        let mut actions = core::mem::take(turn.scratch);
        slot.peer.serve_directly(&mut Cx { now: turn.now, rng: turn.rng, out: &mut actions });
        self.count_given(len, turn);
        for action in actions.drain(..) {
            self.react(key, action, turn);
        }
        *turn.scratch = actions;
        true
    }

    /// Bytes for a peer were read, or could not be.
    pub(super) fn read_for(&mut self, key: PeerKey, block: Block, data: Option<Bytes>, turn: &mut Turn<'_>) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        let mut actions = core::mem::take(turn.scratch);
        let mut cx = Cx { now: turn.now, rng: turn.rng, out: &mut actions };
        let sent = slot.peer.end_read(block, data, &mut cx);
        self.count_given(u64::from(sent), turn);
        for action in actions.drain(..) {
            self.react(key, action, turn);
        }
        *turn.scratch = actions;
        self.serve(key, turn);
        self.flush(key, turn);
        self.serve_on(turn);
        self.see_to_seeding(turn);
    }

    /// Whether sending changed when [`tick`](Self::tick) is of use: peers wait for a limit, or enough was given.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.serve_again.is_some() || self.paused
    }

    fn count_given(&mut self, bytes: u64, turn: &Turn<'_>) {
        self.up.add(turn.now, bytes);
        self.seeding.gave(bytes);
    }

    /// Goes on with peers that had to wait, in turn.
    pub fn serve_on(&mut self, turn: &mut Turn<'_>) {
        if self.serve_again.take().is_none() {
            return;
        }
        for _ in 0..self.serve_waiting.len() {
            let Some(key) = self.serve_waiting.pop_front() else { break };
            let Some(slot) = self.peers.get_mut(key) else { continue };
            slot.waits = false;
            self.serve_now(key, turn);
            self.flush(key, turn);
            if self.serve_waiting.back() == Some(&key) {
                return; // still no room, so there is none for the others either
            }
        }
    }

    /// Decides anew who is served, when a round is due.
    pub(super) fn tick_choker(&mut self, turn: &mut Turn<'_>) {
        if self.choker.deadline() > turn.now {
            return;
        }
        let now = turn.now;
        if self.choker.is_round(now) {
            for slot in self.peers.values_mut() {
                let totals = slot.peer.totals();
                slot.recent.round(now, totals.payload_down - totals.unasked, totals.payload_up);
            }
        }
        let candidates: alloc::vec::Vec<Candidate> = self
            .peers
            .iter()
            .filter(|(_, slot)| slot.peer.is_open())
            .map(|(key, slot)| candidate(key, slot, now))
            .collect();
        let mode = if self.is_finished() { Mode::Seeding } else { Mode::Leeching };
        let wanted = candidates.iter().filter(|peer| peer.interested).count() as u32;
        let most = self.settings.unchoked_max;
        let slots = turn.slots.claim(now, self.id, wanted.min(most)).min(most);
        let mut unchoked = core::mem::take(&mut self.unchoked);
        if self.choker.tick(now, &candidates, slots, mode, turn.rng, &mut unchoked) {
            unchoked.sort_unstable();
            for candidate in &candidates {
                self.set_choked(candidate.key, unchoked.binary_search(&candidate.key).is_err(), now);
                self.flush(candidate.key, turn);
            }
        }
        self.unchoked = unchoked;
    }

    fn set_choked(&mut self, key: PeerKey, choked: bool, now: Instant) {
        let Some(slot) = self.peers.get_mut(key) else { return };
        if choked {
            slot.peer.choke();
        } else if slot.peer.is_choked() {
            slot.last_unchoked = now;
            slot.turns += 1;
            slot.sent_before = slot.peer.totals().payload_up;
            slot.peer.unchoke();
        }
    }
}

fn candidate(key: PeerKey, slot: &Slot, now: Instant) -> Candidate {
    let totals = slot.peer.totals();
    Candidate {
        key,
        interested: slot.peer.is_interested(),
        snubbed: slot.peer.is_snubbed(),
        unchoked: !slot.peer.is_choked(),
        down_rate: slot.recent.rate(now, totals.payload_down - totals.unasked),
        turns: slot.turns,
        sent_since_unchoke: totals.payload_up - slot.sent_before,
        last_unchoked: slot.last_unchoked,
        connected_at: slot.since,
        unreturned: slot.recent.unreturned(),
        refuses: slot.peer.is_interesting() && slot.peer.is_choking_us(),
    }
}
