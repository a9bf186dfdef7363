//! A downloaded piece's hash: right and ours, or wrong and somebody's fault.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Action, Event, Task, Torrent, Turn};
use crate::disk::DiskAction;
use crate::id::{Digest, PeerKey, PieceIndex};
use crate::peer::CloseReason;

impl Torrent {
    /// The files hold all of `piece`, and this is its hash.
    pub(super) fn hashed(&mut self, piece: PieceIndex, digest: Digest, turn: &mut Turn<'_>) {
        if self.piece_hash(piece) == Some(digest) {
            self.passed(piece, turn);
        } else {
            self.failed(piece, turn);
        }
    }

    fn passed(&mut self, piece: PieceIndex, turn: &mut Turn<'_>) {
        let was_needed = self.picker.needs(piece);
        if self.picker.passed(piece).is_none() {
            return;
        }
        self.count_had(piece);
        self.saving.passed(turn.now);
        if self.judge.has_evidence(piece) {
            self.disk(Task::Compare(piece), DiskAction::HashBlocks { piece }, turn);
        }
        self.have(piece, was_needed, turn);
        self.fetched_all = self.picker.is_complete();
        self.see_to_finish(turn);
    }

    /// Whoever sent all of a wrong piece sent something wrong. Where several did, the blocks are remembered by
    /// their hashes, the piece is fetched again from one peer alone, and the comparison then tells who lied:
    /// an honest peer is never blamed for the company it is in.
    fn failed(&mut self, piece: PieceIndex, turn: &mut Turn<'_>) {
        let contributors = self.picker.failed(piece);
        self.past.hash_failures += 1;
        self.past.wasted += u64::from(self.layout.piece_len(piece));
        self.freed = true;
        turn.out.push(Action::Event(Event::PieceFailed { torrent: self.id, piece }));
        if let Some(liar) = contributors.sole() {
            if let Some(address) = self.address_of(liar) {
                self.ban(address, turn);
            }
        } else {
            let suspects: Vec<_> = contributors
                .iter()
                .filter_map(|(block, peer)| Some((block, self.address_of(peer)?)))
                .collect();
            if self.judge.suspect(piece, suspects) {
                self.disk(Task::Evidence(piece), DiskAction::HashBlocks { piece }, turn);
            }
            self.picker.set_alone(piece);
        }
        self.feed_starved(turn);
    }

    /// What the blocks of a piece should have been: those whose blocks were different lied.
    pub(super) fn compared(&mut self, piece: PieceIndex, right: &[[u8; 20]], turn: &mut Turn<'_>) {
        for liar in self.judge.compare(piece, right) {
            self.ban(liar, turn);
        }
    }

    fn address_of(&self, key: PeerKey) -> Option<SocketAddr> {
        let gone = || self.gone.iter().find(|(other, _)| *other == key).map(|(_, address)| *address);
        self.peers.get(key).map(|slot| slot.address).or_else(gone)
    }

    /// Has nothing more to do with the peer at `address`.
    pub(super) fn ban(&mut self, address: SocketAddr, turn: &mut Turn<'_>) {
        self.known.ban(address);
        let here: Vec<PeerKey> =
            self.peers.iter().filter(|(_, slot)| slot.address == address).map(|(key, _)| key).collect();
        for key in here {
            let Some(slot) = self.peers.get(key) else { continue };
            // One that connected to us comes back from another port: know it by its name and, unless others
            // share it, by its host.
            if slot.incoming {
                let shared =
                    self.peers.iter().any(|(other, slot)| other != key && slot.address.ip() == address.ip());
                self.judge.ban(address.ip(), shared, slot.peer_id);
            }
            self.close(key, CloseReason::Banned, turn);
        }
        turn.out.push(Action::Event(Event::PeerBanned { torrent: self.id, peer: address }));
    }

    /// Everything that is wanted is here.
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>) {
        self.seeding.complete_since = Some(turn.now);
        if core::mem::replace(&mut self.finished, true) {
            return;
        }
        self.sync(turn);
        turn.out.push(Action::Event(Event::Finished { torrent: self.id }));
        if self.picker.is_complete() {
            if self.fetched_all {
                self.announce_completed(turn);
            }
        } else {
            self.tell_upload_only(true, turn);
        }
        self.close_seeds(turn);
    }
}
