//! Peers that share as most do, but for one habit or another: bad ones, and lies about what they have.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::id::BLOCK_LEN;
use pieceful_core::rng::Rng;

use super::greeting;
use crate::script::{MakeScript, Script, Talk};
use crate::words::{self, Listener, Said};

/// How a peer tells what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Offer {
    /// A bitfield with everything.
    #[default]
    All,
    /// Nothing but `have` messages, one a piece.
    OnlyHave,
    /// A bitfield without a single piece.
    Nothing,
    /// A bitfield with these.
    Some(Vec<u32>),
    /// A bitfield with everything, although it has only these and stays silent about the others.
    Lie(Vec<u32>),
    /// The same lie, told in `have` messages.
    LieByHave(Vec<u32>),
}

/// What a peer does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Answer {
    /// Sends the block.
    #[default]
    Right,
    /// Sends it two times.
    Twice,
    /// Sends it and another one that nobody asked for.
    Unasked,
    /// Sends it one byte short.
    Short,
    /// Sends 32 KiB from the same offset (or what the piece has left).
    Double,
    /// Sends it with a wrong byte, this many times of a thousand.
    Wrong(u32),
    /// Refuses it (BEP 6), although it does not choke.
    Reject,
    /// Says nothing.
    Silence,
}

/// A peer that shares as most do, but for what is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sharer {
    /// How it tells what it has.
    pub offer: Offer,
    /// What it does with a request.
    pub answer: Answer,
    /// Sends this many bytes at a time, ten times a second.
    pub dribble: Option<usize>,
    /// Closes the connection after this many blocks.
    pub close_after: Option<u32>,
    /// Chokes for a second after this many blocks, forgetting what was asked.
    pub choke_after: Option<u32>,
    /// Closes its sending side after this many blocks, and listens on.
    pub half_close_after: Option<u32>,
    /// Says it speaks the fast extension (BEP 6).
    pub fast: bool,
    /// After every so many blocks it no longer has the piece (BEP 54), for a second; it has to speak the fast extension.
    pub takes_back_after: Option<u32>,
}

impl Sharer {
    /// A script for each connection of a peer with these habits.
    #[must_use]
    pub fn script(self) -> MakeScript {
        Box::new(move || Box::new(Sharing::new(self.clone())))
    }
}

#[derive(Debug)]
struct Sharing {
    habits: Sharer,
    listener: Listener,
    choking: bool,
    blocks: u32,
    dribbling: VecDeque<u8>,
    awake: bool,
    /// Under which the other side wants to hear what is gone, and what is.
    dont_have: Option<u8>,
    gone: Vec<u32>,
}

impl Sharing {
    fn new(habits: Sharer) -> Self {
        let listener = Listener::new(false);
        let (dribbling, gone) = (VecDeque::new(), Vec::new());
        Self { habits, listener, choking: true, blocks: 0, dribbling, awake: false, dont_have: None, gone }
    }

    fn has(&self, piece: u32) -> bool {
        !self.gone.contains(&piece) && self.offers(piece)
    }

    fn offers(&self, piece: u32) -> bool {
        match &self.habits.offer {
            Offer::All | Offer::OnlyHave => true,
            Offer::Nothing => false,
            Offer::Some(pieces) | Offer::Lie(pieces) | Offer::LieByHave(pieces) => pieces.contains(&piece),
        }
    }

    fn say(&mut self, talk: &mut Talk<'_>, bytes: Bytes) {
        if self.habits.dribble.is_none() {
            return talk.say(bytes);
        }
        self.dribbling.extend(&bytes);
        self.wake(talk, Duration::from_millis(100));
    }

    fn wake(&mut self, talk: &mut Talk<'_>, span: Duration) {
        if !self.awake {
            self.awake = true;
            talk.wake_in(span);
        }
    }

    fn greet(&mut self, talk: &mut Talk<'_>) {
        let pieces = talk.data.pieces();
        match self.habits.offer.clone() {
            Offer::All | Offer::Lie(_) => self.say(talk, words::bitfield(pieces, |_| true)),
            Offer::OnlyHave | Offer::LieByHave(_) => {
                (0..pieces).for_each(|piece| self.say(talk, words::have(piece)));
            }
            Offer::Nothing => self.say(talk, words::bitfield(pieces, |_| false)),
            Offer::Some(some) => self.say(talk, words::bitfield(pieces, |piece| some.contains(&piece))),
        }
    }

    fn answer(&mut self, talk: &mut Talk<'_>, piece: u32, offset: u32, len: u32) {
        let data = talk.data.piece(piece);
        let block = |len: u32| data.slice(offset as usize..data.len().min((offset + len) as usize));
        let right = words::piece(piece, offset, &block(len));
        match self.habits.answer {
            Answer::Right => self.say(talk, right),
            Answer::Twice => {
                self.say(talk, right.clone());
                self.say(talk, right);
            }
            Answer::Unasked => {
                let other = (piece + 1) % talk.data.pieces();
                let unasked = words::piece(other, 0, &talk.data.piece(other)[..len.min(1) as usize]);
                self.say(talk, right);
                self.say(talk, unasked);
            }
            Answer::Short => self.say(talk, words::piece(piece, offset, &block(len - 1))),
            Answer::Double => self.say(talk, words::piece(piece, offset, &block(2 * BLOCK_LEN))),
            Answer::Wrong(of_thousand) if talk.rng.below(1000) < of_thousand => {
                let wrong = corrupted(&block(len), talk.rng);
                self.say(talk, words::piece(piece, offset, &wrong));
            }
            Answer::Wrong(_) => self.say(talk, right),
            Answer::Reject => return self.say(talk, words::reject(piece, offset, len)),
            Answer::Silence => return,
        }
        self.blocks += 1;
        if self.habits.takes_back_after.is_some_and(|after| self.blocks.is_multiple_of(after))
            && let Some(id) = self.dont_have
        {
            self.gone.push(piece);
            self.say(talk, words::extended(id, &piece.to_be_bytes()));
            self.wake(talk, Duration::from_secs(1));
        }
        if self.habits.close_after == Some(self.blocks) {
            talk.close();
        }
        if self.habits.half_close_after == Some(self.blocks) {
            talk.half_close();
        }
        if self.habits.choke_after.is_some_and(|after| self.blocks.is_multiple_of(after)) {
            self.choking = true;
            self.say(talk, words::plain(words::CHOKE));
            self.wake(talk, Duration::from_secs(1));
        }
    }
}

impl Script for Sharing {
    fn open(&mut self, talk: &mut Talk<'_>) {
        let handshake = greeting(talk, self.habits.fast);
        self.say(talk, handshake);
        self.greet(talk);
    }

    fn heard(&mut self, talk: &mut Talk<'_>, bytes: &[u8]) {
        let mut said = Vec::new();
        self.listener.hear(bytes, &mut said);
        for said in said {
            match said {
                Said::Plain(words::INTERESTED) if self.choking => {
                    self.choking = false;
                    self.say(talk, words::plain(words::UNCHOKE));
                }
                Said::Request(piece, offset, len) if !self.choking && self.has(piece) => {
                    self.answer(talk, piece, offset, len);
                }
                Said::Request(piece, offset, len) if self.habits.fast => {
                    self.say(talk, words::reject(piece, offset, len));
                }
                Said::Extended(0, body) => {
                    self.dont_have = words::number_after(&body, b"11:lt_donthave").map(|id| id as u8);
                }
                _ => {}
            }
        }
    }

    fn woken(&mut self, talk: &mut Talk<'_>) {
        self.awake = false;
        for piece in std::mem::take(&mut self.gone) {
            self.say(talk, words::have(piece));
        }
        if let Some(at_a_time) = self.habits.dribble {
            let some: Vec<u8> = self.dribbling.drain(..at_a_time.min(self.dribbling.len())).collect();
            talk.say(some);
            if !self.dribbling.is_empty() {
                self.wake(talk, Duration::from_millis(100));
            }
        }
        if self.habits.choke_after.is_some() && self.choking && self.blocks > 0 {
            self.choking = false;
            self.say(talk, words::plain(words::UNCHOKE));
        }
    }
}

fn corrupted(block: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut wrong = block.to_vec();
    let place = rng.below(wrong.len() as u32) as usize;
    wrong[place] ^= 0x55;
    wrong
}
