//! The torrent's `info` dictionary between two peers (BEP 9): what this one has asked for, and how much of it it
//! gets; and what is asked of it, which is for [`MetadataFetch`](crate::torrent::MetadataFetch) to decide.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{Action, CloseReason, Peer, Segment};
use crate::cx::Cx;
use crate::wire::encode::extended_header;
use crate::wire::metadata::{METADATA_PIECE_LEN, MetadataMessage};

/// Pieces it may wait for at once: a megabyte, when others ask for a few.
const WAITING_MAX: usize = 64;
/// How often it may have each byte, on average: once more than anybody needs who found it wrong.
const TIMES_MAX: u64 = 3;
/// Requests that are refused, before the peer is closed.
const REFUSED_MAX: u32 = 100;

/// What a peer wants of the metadata, and has had.
#[derive(Debug, Default)]
pub(super) struct Giving {
    waiting: VecDeque<u32>,
    given: u64,
    refused: u32,
}

impl Peer {
    /// It asks for a piece of `info`. Served at once as far as the connection has room, else later by
    /// [`serve_metadata`](Self::serve_metadata).
    pub fn admit_metadata(
        &mut self,
        piece: u32,
        info: &Bytes,
        cx: &mut Cx<'_, Action>,
    ) -> Result<(), CloseReason> {
        let Some(id) = self.metadata_id() else { return Ok(()) };
        let most = TIMES_MAX * (info.len() as u64).max(METADATA_PIECE_LEN.into());
        let giving = self.giving.get_or_insert_with(Box::default);
        if giving.waiting.contains(&piece) {
            return Ok(()); // asked twice, answered once
        }
        let coming = giving.waiting.len() as u64 * u64::from(METADATA_PIECE_LEN);
        let enough = giving.given + coming >= most;
        if part(info, piece).is_none() || enough || giving.waiting.len() == WAITING_MAX {
            giving.refused += 1;
            if giving.refused > REFUSED_MAX {
                return Err(CloseReason::MetadataFlood);
            }
            let reject = MetadataMessage::Reject { piece }.encode();
            let control = self.outgoing.control();
            extended_header(id, reject.len() as u32, control);
            control.extend_from_slice(&reject);
            return Ok(());
        }
        giving.waiting.push_back(piece);
        self.serve_metadata(info, cx);
        Ok(())
    }

    /// Gives it the pieces of `info` it waits for, as far as the connection has room.
    pub fn serve_metadata(&mut self, info: &Bytes, cx: &mut Cx<'_, Action>) {
        let Some(id) = self.metadata_id() else { return };
        while let Some(giving) = &mut self.giving
            && let Some(&piece) = giving.waiting.front()
            && self.outgoing.has_room(self.serving.reading_bytes(), self.limits.send_bytes_max)
        {
            giving.waiting.pop_front();
            let Some(data) = part(info, piece) else { continue };
            giving.given += data.len() as u64;
            let message = MetadataMessage::Data { piece, total: info.len() as u32, data: data.clone() };
            let head = message.encode();
            let control = self.outgoing.control();
            extended_header(id, (head.len() + data.len()) as u32, control);
            control.extend_from_slice(&head);
            self.outgoing.protocol_bytes += data.len() as u64;
            self.outgoing.payload(Segment::Bytes(data), cx);
        }
    }

    /// Whether it waits for pieces of the metadata.
    #[must_use]
    pub fn waits_for_metadata(&self) -> bool {
        self.giving.as_ref().is_some_and(|giving| !giving.waiting.is_empty())
    }

    /// Bytes of the metadata it offers to give: it has said how many there are, and that it can be asked.
    #[must_use]
    pub fn offered_metadata(&self) -> Option<u32> {
        self.metadata_id()?;
        self.theirs.as_ref()?.metadata_size
    }

    /// Whether it can be asked for the metadata.
    #[must_use]
    pub const fn has_metadata(&self) -> bool {
        match &self.theirs {
            Some(theirs) => theirs.metadata_size.is_some(),
            None => false,
        }
    }

    /// Asks for a piece of the metadata, if it can be asked.
    pub fn request_metadata(&mut self, piece: u32) {
        let Some(id) = self.metadata_id() else { return };
        let request = MetadataMessage::Request { piece }.encode();
        let control = self.outgoing.control();
        extended_header(id, request.len() as u32, control);
        control.extend_from_slice(&request);
    }

    /// Under which id it wants to hear about the metadata.
    fn metadata_id(&self) -> Option<u8> {
        self.theirs.as_ref()?.ids.ut_metadata.filter(|id| *id > 0)
    }
}

/// A piece of the metadata.
fn part(info: &Bytes, piece: u32) -> Option<Bytes> {
    let start = u64::from(piece) * u64::from(METADATA_PIECE_LEN);
    let start = usize::try_from(start).ok().filter(|start| *start < info.len())?;
    Some(info.slice(start..info.len().min(start + METADATA_PIECE_LEN as usize)))
}
