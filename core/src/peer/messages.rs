//! What each message of a peer means.

use alloc::boxed::Box;

use bytes::Bytes;

use crate::bitfield::Bitfield;
use crate::chain::Chain;
use crate::cx::Cx;
use crate::id::{Block, PieceIndex};
use crate::metainfo::PIECES_MAX;
use crate::wire::Message;
use crate::wire::extended::{
    DONT_HAVE_ID, ExtendedHandshake, HOLEPUNCH_ID, METADATA_ID, PEX_ID, UPLOAD_ONLY_ID,
};
use crate::wire::metadata::MetadataMessage;

use super::{Action, Answer, CloseReason, HINTS_MAX, Peer, UNASKED_BYTES};

impl Peer {
    /// Decodes everything that is whole.
    pub(super) fn read_on(&mut self, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        if !self.greet(cx)? {
            return Ok(());
        }
        while let Some(message) = self.decoder.next()? {
            self.hear(message, cx)?;
        }
        Ok(())
    }

    fn hear(&mut self, message: Message, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        match message {
            Message::KeepAlive | Message::Unknown { .. } => Ok(()),
            Message::Port(port) => {
                // It has one node, at one port.
                if port != 0 && !core::mem::replace(&mut self.told_port, true) {
                    cx.out.push(Action::DhtPort(port));
                }
                Ok(())
            }
            Message::Piece { block, data } => self.on_piece(block, data, cx),
            Message::Have(piece) => self.on_have(piece, cx),
            Message::Bitfield(bits) => match &mut self.early {
                Some(early) => Ok(early.bitfield(&bits)?),
                None => self.on_told(Bitfield::from_wire(&bits, self.has.len())?, cx),
            },
            Message::HaveAll => {
                self.need_fast()?;
                match &mut self.early {
                    Some(early) => early.have_all(),
                    None => self.on_told(Bitfield::full(self.has.len()), cx)?,
                }
                Ok(())
            }
            Message::HaveNone => {
                self.need_fast()?;
                match &mut self.early {
                    Some(early) => early.have_none(),
                    None => self.on_told(Bitfield::new(self.has.len()), cx)?,
                }
                Ok(())
            }
            Message::Choke => {
                self.on_choke(cx);
                Ok(())
            }
            Message::Unchoke => {
                if self.choking_us {
                    self.choking_us = false;
                    cx.out.push(Action::Unchoked);
                }
                Ok(())
            }
            Message::Interested => {
                self.on_interested(true, cx);
                Ok(())
            }
            Message::NotInterested => {
                self.on_interested(false, cx);
                Ok(())
            }
            Message::Request(block) => {
                self.check(block.piece)?;
                cx.out.push(Action::Requested(block));
                Ok(())
            }
            Message::Cancel(block) => {
                cx.out.push(Action::Cancelled(block));
                Ok(())
            }
            Message::Reject(block) => self.on_reject(block, cx),
            Message::AllowedFast(piece) => {
                self.need_fast()?;
                self.check(piece)?;
                if self.allowed.len() < HINTS_MAX && !self.allowed.contains(&piece) {
                    self.allowed.push(piece);
                    cx.out.push(Action::Hint);
                }
                Ok(())
            }
            Message::Suggest(piece) => {
                self.need_fast()?;
                self.check(piece)?;
                if !self.suggested.contains(&piece) {
                    if self.suggested.len() == HINTS_MAX {
                        self.suggested.remove(0);
                    }
                    self.suggested.push(piece);
                    cx.out.push(Action::Hint);
                }
                Ok(())
            }
            Message::Extended { id: 0, payload } => self.on_extended(&payload, cx),
            Message::Extended { id: UPLOAD_ONLY_ID, payload } => {
                if let (Some(_), Some(flag)) = (&self.theirs, payload.first()) {
                    self.upload_only = *flag != 0;
                }
                Ok(())
            }
            Message::Extended { id: METADATA_ID, payload } => {
                cx.out.extend(MetadataMessage::parse(&payload).map(|message| match message {
                    MetadataMessage::Request { piece } => Action::MetadataRequested(piece),
                    MetadataMessage::Data { piece, total, data } => {
                        Action::MetadataGot { piece, total, data }
                    }
                    MetadataMessage::Reject { piece } => Action::MetadataRejected(piece),
                }));
                Ok(())
            }
            Message::Extended { id: PEX_ID, payload } => self.on_pex(&payload, cx),
            Message::Extended { id: DONT_HAVE_ID, payload } => self.on_dont_have(&payload, cx),
            Message::Extended { id: HOLEPUNCH_ID, payload } => {
                self.on_holepunch(&payload, cx);
                Ok(())
            }
            // We offer no others, so none of these has a meaning.
            Message::Extended { .. } => Ok(()),
        }
    }

    fn on_piece(&mut self, block: Block, data: Chain, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        self.check(block.piece)?;
        self.totals.payload_down += u64::from(block.len);
        self.down.add(cx.now, u64::from(block.len));
        match self.asking.answered(cx.now, block, &self.down) {
            Answer::Asked | Answer::Late => {
                cx.out.push(Action::Got { block, data });
                Ok(())
            }
            Answer::NotAsked => {
                self.totals.unasked += u64::from(block.len);
                cx.out.push(Action::Wasted(block.len));
                let asked = self.totals.payload_down - self.totals.unasked;
                if self.totals.unasked > UNASKED_BYTES + asked {
                    return Err(CloseReason::NotAsked(block));
                }
                Ok(())
            }
        }
    }

    fn on_have(&mut self, piece: PieceIndex, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        self.check(piece)?;
        if let Some(early) = &mut self.early {
            early.have(piece);
            return Ok(());
        }
        self.told = true;
        if self.has.set(piece) {
            cx.out.push(Action::Have(piece));
        }
        Ok(())
    }

    /// It told all it has at once. That comes first of all (BEP 3), and once more from aria2, in place of many
    /// `have`s when it got many pieces at a time. What it once had, it has.
    fn on_told(&mut self, has: Bitfield, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        if self.told {
            if self.has.is_full() {
                return Ok(());
            }
            return has.iter().try_for_each(|piece| self.on_have(piece, cx));
        }
        self.told = true;
        self.has = has;
        cx.out.push(Action::Has);
        Ok(())
    }

    fn on_choke(&mut self, cx: &mut Cx<'_, Action>) {
        if self.choking_us {
            return;
        }
        self.choking_us = true;
        cx.out.push(Action::Choked);
        // With the fast extension each request is refused by name, or served all the same (BEP 6).
        if !self.fast {
            cx.out.extend(self.asking.choked(cx.now).into_iter().map(Action::Withdrawn));
        }
    }

    fn on_interested(&mut self, interested: bool, cx: &mut Cx<'_, Action>) {
        if self.interested != interested {
            self.interested = interested;
            cx.out.push(Action::Interested(interested));
        }
    }

    fn on_reject(&mut self, block: Block, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        self.need_fast()?;
        match self.asking.rejected(cx.now, block, self.choking_us) {
            None => Ok(()),
            Some(goes_on) => {
                // A piece it will not give while choking is not on its list after all.
                if self.choking_us {
                    self.allowed.retain(|piece| *piece != block.piece);
                }
                cx.out.push(Action::Withdrawn(block));
                if goes_on { Ok(()) } else { Err(CloseReason::OnlyRejects) }
            }
        }
    }

    fn on_extended(&mut self, payload: &Bytes, cx: &mut Cx<'_, Action>) -> Result<(), CloseReason> {
        let mut theirs = ExtendedHandshake::parse(payload)?;
        if let Some(queue) = theirs.request_queue {
            self.asking.limit(queue);
        }
        self.upload_only = theirs.upload_only;
        if let Some(earlier) = &self.theirs {
            let mut ids = earlier.ids;
            ids.update(&theirs.ids);
            theirs.ids = ids;
        }
        self.theirs = Some(Box::new(theirs));
        cx.out.push(Action::Extended);
        Ok(())
    }

    pub(super) fn check(&self, piece: PieceIndex) -> Result<(), CloseReason> {
        let pieces = if self.early.is_some() { PIECES_MAX } else { self.has.len() };
        if piece.0 < pieces { Ok(()) } else { Err(CloseReason::NoSuchPiece { piece, pieces }) }
    }

    fn need_fast(&self) -> Result<(), CloseReason> {
        if self.fast { Ok(()) } else { Err(CloseReason::FastNotAgreed) }
    }
}
