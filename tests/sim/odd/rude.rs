//! Peers that never come to share: one that says something it should not, and one that takes forever to say it.

use std::time::Duration;

use bytes::Bytes;

use super::greeting;
use crate::script::{MakeScript, Script, Talk};
use crate::words;

/// A peer that greets and then says one thing that it should not.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rude {
    /// Another torrent's hash instead of the right one.
    pub wrong_hash: bool,
    /// What follows the handshake.
    pub then: Vec<Bytes>,
    /// Closes the connection after that.
    pub leaves: bool,
}

impl Rude {
    /// Greets properly, then says `bytes`.
    #[must_use]
    pub fn saying(bytes: impl Into<Bytes>) -> MakeScript {
        Self { then: vec![bytes.into()], ..Self::default() }.script()
    }

    /// A script for each connection of this peer.
    #[must_use]
    pub fn script(self) -> MakeScript {
        Box::new(move || Box::new(self.clone()))
    }
}

impl Script for Rude {
    fn open(&mut self, talk: &mut Talk<'_>) {
        let mut handshake = greeting(talk, false).to_vec();
        handshake[28] ^= u8::from(self.wrong_hash);
        talk.say(handshake);
        self.then.iter().for_each(|bytes| talk.say(bytes.clone()));
        if self.leaves {
            talk.close();
        }
    }

    fn heard(&mut self, _talk: &mut Talk<'_>, _bytes: &[u8]) {}
}

/// A peer that is never done: some bytes, then a pause, then some more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slow {
    /// The pause between two of its bytes.
    pub pause: Duration,
    /// It says this many bytes at once, and only the others one at a time: 68 are the handshake.
    pub at_once: usize,
    /// It says no more after so many bytes.
    pub until: usize,
}

impl Slow {
    /// A script for each connection of a peer whose handshake never ends.
    #[must_use]
    pub fn script(pause: Duration) -> MakeScript {
        Self { pause, at_once: 1, until: usize::MAX }.scripted()
    }

    pub(super) fn scripted(self) -> MakeScript {
        Box::new(move || Box::new(Slowly { habits: self.clone(), sent: 0, words: Vec::new() }))
    }
}

#[derive(Debug)]
struct Slowly {
    habits: Slow,
    sent: usize,
    words: Vec<u8>,
}

impl Script for Slowly {
    fn open(&mut self, talk: &mut Talk<'_>) {
        // After its handshake it has a long block to send that nobody asked for.
        self.words = [greeting(talk, true), words::piece(0, 0, &[0; 16 << 10])].concat();
        self.woken(talk);
    }

    fn heard(&mut self, _talk: &mut Talk<'_>, _bytes: &[u8]) {}

    fn woken(&mut self, talk: &mut Talk<'_>) {
        let more = if self.sent == 0 { self.habits.at_once } else { 1 };
        let end = (self.sent + more).min(self.habits.until).min(self.words.len());
        if end > self.sent {
            talk.say(self.words[self.sent..end].to_vec());
            self.sent = end;
            talk.wake_in(self.habits.pause);
        }
    }
}
