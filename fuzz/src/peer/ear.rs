//! What the other side hears: a handshake, then messages that are allowed where they stand.

use std::collections::VecDeque;

use bytes::Bytes;
use pieceful_core::bitfield::Bitfield;
use pieceful_core::id::{Block, PieceIndex};
use pieceful_core::peer::{Hello, SERVED_LEN_MAX, Segment};
use pieceful_core::wire::{Decoder, DecoderLimits, Message, Reserved};

/// Listens to all that is said, and panics at what must not be.
pub(super) struct Ear {
    decoder: Decoder,
    /// What the other side agreed to, and the torrent.
    agreed: Option<(Reserved, Hello)>,
    greeted: bool,
    began: bool,
    choked: bool,
    /// Requests that are to be said, in order.
    pub(super) requests: VecDeque<Block>,
    /// Pieces we said it may have while choked.
    pub(super) allowed: Vec<PieceIndex>,
    /// Blocks that may be said, and have not been.
    blocks: VecDeque<Block>,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(DecoderLimits {
                piece_data_max: SERVED_LEN_MAX,
                ..DecoderLimits::default()
            }),
            agreed: None,
            greeted: false,
            began: false,
            choked: true,
            requests: VecDeque::new(),
            allowed: Vec::new(),
            blocks: VecDeque::new(),
        }
    }
}

impl Ear {
    /// The handshakes are through.
    pub(super) fn expect(&mut self, reserved: Reserved, hello: Hello) {
        self.agreed = Some((reserved, hello));
    }

    /// The block is being read for it.
    pub(super) fn may_hear(&mut self, block: Block) {
        self.blocks.push_back(block);
    }

    /// It was not said after all.
    pub(super) fn will_not_hear(&mut self, block: Block) {
        assert_eq!(self.blocks.pop_back(), Some(block), "a block was said that did not count as served");
    }

    pub(super) fn hear(&mut self, segment: Segment) {
        assert!(!segment.is_empty(), "nothing to say");
        match segment {
            Segment::Bytes(bytes) => self.decoder.push(bytes),
            Segment::Block(block) => {
                self.may_hear(block);
                self.decoder.push(Bytes::from(vec![0; block.len as usize]));
            }
        }
        if !self.greeted {
            let handshake = self.decoder.handshake().expect("a proper handshake").expect("all of it at once");
            let ours = self.agreed.is_none_or(|(_, hello)| handshake.info_hash == hello.info_hash);
            assert!(ours, "an answer for another torrent");
            self.greeted = true;
        }
        while let Some(message) = self.decoder.next().expect("what is said can be read") {
            self.understand(message);
            self.began = true;
        }
    }

    fn understand(&mut self, message: Message) {
        let (reserved, hello) = self.agreed.expect("nothing is said to somebody unknown");
        match message {
            Message::Bitfield(bits) => {
                assert!(!self.began, "a bitfield comes first");
                Bitfield::from_wire(&bits, hello.pieces.unwrap_or(0)).expect("a bitfield of the torrent");
            }
            Message::HaveAll | Message::HaveNone => assert!(!self.began && reserved.fast(), "comes first"),
            Message::AllowedFast(piece) => {
                assert!(reserved.fast(), "not agreed on");
                self.allowed.push(piece);
            }
            Message::Reject(_) | Message::Suggest(_) => assert!(reserved.fast(), "not agreed on"),
            Message::Extended { .. } => assert!(reserved.extended(), "not agreed on"),
            Message::Choke | Message::Unchoke => {
                let choked = message == Message::Choke;
                assert_ne!(std::mem::replace(&mut self.choked, choked), choked, "said already");
            }
            Message::Request(block) => {
                assert_eq!(self.requests.pop_front(), Some(block), "a request of its own");
            }
            Message::Piece { block, .. } => {
                assert_eq!(self.blocks.pop_front(), Some(block), "not what was to be served");
            }
            Message::Have(piece) => assert!(Some(piece.0) < hello.pieces),
            Message::KeepAlive | Message::Interested | Message::NotInterested | Message::Cancel(_) => {}
            Message::Port(_) | Message::Unknown { .. } => panic!("{message:?} is never said"),
        }
    }
}
