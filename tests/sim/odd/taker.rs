//! Peers that take and never give.

use super::greeting;
use crate::script::{Script, Talk};
use crate::words::{self, Listener, Said};

/// A free rider: it has nothing, wants everything, and takes what it can get.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Taker {
    /// Says it speaks the fast extension (BEP 6), and takes what it is allowed while choked.
    pub fast: bool,
    /// Never says that it has what it took.
    pub silent: bool,
}

/// Requests it keeps under way.
const DEPTH: usize = 64;

/// One connection of it.
#[derive(Debug)]
pub(super) struct Taking {
    habits: Taker,
    listener: Listener,
    /// Blocks it has yet to ask for, in order.
    wanted: Vec<(u32, u32, u32)>,
    asked: usize,
    choked: bool,
}

impl Taking {
    pub(super) fn new(habits: Taker) -> Self {
        Self { habits, listener: Listener::new(false), wanted: Vec::new(), asked: 0, choked: true }
    }

    fn ask_on(&mut self, talk: &mut Talk<'_>) {
        while !self.choked
            && self.asked < DEPTH
            && let Some((piece, offset, len)) = self.wanted.pop()
        {
            self.asked += 1;
            talk.say(words::request(piece, offset, len));
        }
    }
}

impl Script for Taking {
    fn open(&mut self, talk: &mut Talk<'_>) {
        let layout = &talk.data.layout;
        let pieces = (0..layout.pieces()).rev().map(pieceful_core::id::PieceIndex);
        let blocks = pieces.flat_map(|piece| layout.blocks(piece).collect::<Vec<_>>());
        self.wanted = blocks.map(|block| (block.piece.0, block.offset, block.len)).collect();
        let handshake = greeting(talk, self.habits.fast);
        talk.say(handshake);
        talk.say(words::plain(words::INTERESTED));
    }

    fn heard(&mut self, talk: &mut Talk<'_>, bytes: &[u8]) {
        let mut said = Vec::new();
        self.listener.hear(bytes, &mut said);
        for said in said {
            match said {
                Said::Plain(words::CHOKE) => (self.choked, self.asked) = (true, 0),
                Said::Plain(words::UNCHOKE) => self.choked = false,
                Said::AllowedFast(piece) if self.choked => {
                    let allowed = self.wanted.iter().filter(|block| block.0 == piece);
                    allowed.for_each(|&(piece, offset, len)| talk.say(words::request(piece, offset, len)));
                }
                Said::Piece(piece, offset, ..) => {
                    self.asked = self.asked.saturating_sub(1);
                    let is_last = offset as usize + 16_384 >= talk.data.piece(piece).len();
                    if is_last && !self.habits.silent {
                        talk.say(words::have(piece));
                    }
                }
                _ => {}
            }
        }
        self.ask_on(talk);
    }
}
