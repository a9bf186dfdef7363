//! What a peer says of other peers and of what it lost: peer exchange (BEP 11), introductions (BEP 55), and pieces that
//! it no longer has (BEP 54).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::{Action, CloseReason, Peer};
use crate::cx::Cx;
use crate::time::Instant;
use crate::wire::encode::extended_header;
use crate::wire::extended;
use crate::wire::extended::ExtendedHandshake;
use crate::wire::holepunch::{HolepunchError, HolepunchKind, HolepunchMessage};
use crate::wire::pex::{PEX_LEN_MAX, PexMessage};

/// Limits below hold for any span of this length: messages of peer exchange come once a minute at most (BEP 11).
const SPAN: Duration = Duration::from_secs(60);
/// So many messages of peer exchange are heeded in a minute: one may be late, and the next in time.
const PEX_HEEDED: usize = 2;
/// So many end the connection, as with libtorrent.
const PEX_FLOOD: usize = 6;
/// So many introductions a minute are answered.
const RENDEZVOUS_MAX: usize = 10;

/// When it lately said something that is heeded only so often.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    pex: VecDeque<Instant>,
    rendezvous: VecDeque<Instant>,
}

/// Notes that something happened now; says how often it has within [`SPAN`], as far as `max`.
fn count(times: &mut VecDeque<Instant>, now: Instant, max: usize) -> usize {
    while times.front().is_some_and(|first| *first + SPAN <= now) || times.len() >= max {
        times.pop_front();
    }
    times.push_back(now);
    times.len()
}

impl Peer {
    pub(super) fn on_pex(&mut self, payload: &Bytes, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        let gossip = self.gossip.get_or_insert_with(Box::default);
        let often = count(&mut gossip.pex, cx.now, PEX_FLOOD);
        if often >= PEX_FLOOD || payload.len() > PEX_LEN_MAX {
            return Err(CloseReason::PexFlood);
        }
        if often <= PEX_HEEDED
            && let Some(message) = PexMessage::parse(payload)
        {
            cx.out.push(Action::Exchanged(message));
        }
        Ok(())
    }

    pub(super) fn on_holepunch(&mut self, payload: &[u8], cx: &mut Cx<'_, Action>) {
        // Told to connect, it would be by uTP, and of errors there is nothing to make as nothing was asked for.
        let Some(HolepunchMessage { kind: HolepunchKind::Rendezvous, peer }) =
            HolepunchMessage::parse(payload)
        else {
            return;
        };
        let gossip = self.gossip.get_or_insert_with(Box::default);
        if count(&mut gossip.rendezvous, cx.now, RENDEZVOUS_MAX + 1) <= RENDEZVOUS_MAX {
            cx.out.push(Action::Rendezvous(peer));
        }
    }

    pub(super) fn on_dont_have(
        &mut self,
        payload: &[u8],
        cx: &mut Cx<'_, Action>,
    ) -> Result<(), CloseReason> {
        let Some(piece) = extended::dont_have(payload) else { return Ok(()) };
        self.check(piece)?;
        if let Some(early) = &mut self.early {
            early.dont_have(piece);
        } else if self.has.clear(piece) {
            self.allowed.retain(|other| *other != piece);
            self.suggested.retain(|other| *other != piece);
            cx.out.push(Action::DontHave(piece));
            cx.out.extend(self.asking.withdraw_piece(piece).into_iter().map(Action::Withdrawn));
        }
        Ok(())
    }

    /// Tells it whom we are connected to, if it listens and takes what it was sent before. Says whether it was told.
    pub fn exchange(&mut self, message: &PexMessage) -> bool {
        let id = self.theirs.as_ref().and_then(|theirs| theirs.ids.ut_pex).filter(|id| *id > 0);
        let Some(id) = id.filter(|_| self.outgoing.has_room(0, self.limits.send_bytes_max)) else {
            return false;
        };
        self.extended_message(id, &message.encode());
        true
    }

    /// Answers its wish to be introduced to `peer`.
    pub fn refuse_rendezvous(&mut self, peer: SocketAddr, error: HolepunchError) {
        let id = self.theirs.as_ref().and_then(|theirs| theirs.ids.ut_holepunch).filter(|id| *id > 0);
        if let Some(id) = id {
            let message = HolepunchMessage { kind: HolepunchKind::Error(error), peer };
            self.extended_message(id, &message.encode());
        }
    }

    /// Tells it whether we take nothing of it any more (BEP 21), in the shortest way that it understands.
    pub fn tell_upload_only(&mut self, on: bool, extension: &ExtendedHandshake) {
        let id = self.theirs.as_ref().and_then(|theirs| theirs.ids.upload_only).filter(|id| *id > 0);
        match id {
            Some(id) => self.extended_message(id, &[on.into()]),
            None => self.extend(extension),
        }
    }

    fn extended_message(&mut self, id: u8, payload: &[u8]) {
        let control = self.outgoing.control();
        extended_header(id, payload.len() as u32, control);
        control.extend_from_slice(payload);
    }
}
