//! What a peer asks of us: taken up, served, refused, taken back.

use bytes::Bytes;

use super::serving::{Request, Verdict};
use super::{Action, CloseReason, Peer, Segment};
use crate::cx::Cx;
use crate::id::{Block, PieceIndex};
use crate::wire::{self, Message};

impl Peer {
    /// Queues a request it made. `ours`: the block lies inside a piece that we have.
    pub fn admit(&mut self, block: Block, ours: bool) -> Result<(), CloseReason> {
        let len = u64::from(block.len);
        let given = self.choked && self.allows_bytes >= len && self.allows.contains(&block.piece);
        let request = match (ours, !self.choked || given) {
            (false, _) => Request::Invalid,
            (true, false) => Request::WhileChoked,
            (true, true) => Request::Valid,
        };
        match self.serving.request(block, request, self.limits.requests_max) {
            Verdict::Queued if given => {
                self.allows_bytes -= len;
                Ok(())
            }
            Verdict::Queued => Ok(()),
            Verdict::Refused => {
                self.reject(block);
                Ok(())
            }
            Verdict::TooManyInvalid => Err(CloseReason::InvalidRequests(block)),
            Verdict::Flood => Err(CloseReason::RequestFlood),
        }
    }

    /// Takes back a request it made, unless it was served already.
    pub fn forgo(&mut self, block: Block) {
        if self.serving.cancel(block) {
            self.reject(block); // BEP 6: every request is answered, a cancelled one too
        }
    }

    /// Serves it `pieces` even while choking (BEP 6), each byte of them once: `bytes` in all.
    pub fn allow(&mut self, pieces: &[PieceIndex], bytes: u64) {
        if self.fast && self.allows.is_empty() {
            for &piece in pieces {
                Message::AllowedFast(piece).encode(self.outgoing.control());
            }
            self.allows = pieces.to_vec();
            self.allows_bytes = bytes;
        }
    }

    /// The next block to serve, if the connection has room for it.
    #[must_use]
    pub fn next_to_serve(&mut self) -> Option<Block> {
        let block = self.serving.front()?;
        let room = self.outgoing.has_room(self.serving.reading_bytes(), self.limits.send_bytes_max);
        room.then_some(block)
    }

    /// Serves the next block as a file segment, without reading it.
    pub fn serve_directly(&mut self, cx: &mut Cx<'_, Action>) -> Option<Block> {
        let block = self.serving.pop()?;
        self.send_block(block, Segment::Block(block), cx);
        Some(block)
    }

    /// The next block is being read from disk.
    pub fn begin_read(&mut self) -> Option<Block> {
        self.serving.begin_read()
    }

    /// A read ended: serves its bytes, or refuses the block when there are none. Says how many left.
    pub fn end_read(&mut self, block: Block, data: Option<Bytes>, cx: &mut Cx<'_, Action>) -> u32 {
        if !self.serving.end_read(block) {
            return 0; // cancelled meanwhile
        }
        match data {
            Some(bytes) if bytes.len() == block.len as usize => {
                self.send_block(block, Segment::Bytes(bytes), cx);
                block.len
            }
            _ => {
                self.reject(block);
                0
            }
        }
    }

    fn send_block(&mut self, block: Block, payload: Segment, cx: &mut Cx<'_, Action>) {
        wire::encode::piece_header(block, self.outgoing.control());
        self.outgoing.payload(payload, cx);
        self.totals.payload_up += u64::from(block.len);
        self.up.add(cx.now, u64::from(block.len));
    }

    /// Serves it no more, apart from what it is allowed; its queued requests are refused.
    pub fn choke(&mut self) {
        if self.choked {
            return;
        }
        self.choked = true;
        Message::Choke.encode(self.outgoing.control());
        if !self.fast {
            self.serving.cancel_reads(); // a choke is the only answer there is (BEP 3)
        }
        let allows = core::mem::take(&mut self.allows);
        for block in self.serving.drop_queued(|block| allows.contains(&block.piece)) {
            self.reject(block);
        }
        self.allows = allows;
    }

    /// Serves it from now on.
    pub fn unchoke(&mut self) {
        if self.choked {
            self.choked = false;
            self.serving.unchoked();
            Message::Unchoke.encode(self.outgoing.control());
        }
    }

    fn reject(&mut self, block: Block) {
        if self.fast {
            Message::Reject(block).encode(self.outgoing.control());
        }
    }
}
