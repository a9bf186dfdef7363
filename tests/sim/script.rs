//! Peers that are not engines: whatever they say, they say it in raw bytes, through no private door.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::StreamEnd;
use pieceful_core::rng::Rng;
use pieceful_core::time::Instant;

use crate::Data;

/// One connection of a scripted peer.
pub trait Script: fmt::Debug {
    /// The connection is there, whoever dialled.
    fn open(&mut self, talk: &mut Talk<'_>);

    /// Bytes arrived.
    fn heard(&mut self, talk: &mut Talk<'_>, bytes: &[u8]);

    /// The time asked for by [`Talk::wake_in`] has come.
    fn woken(&mut self, talk: &mut Talk<'_>) {
        let _ = talk;
    }

    /// The connection is gone.
    fn closed(&mut self, end: StreamEnd) {
        let _ = end;
    }
}

/// Makes the script for each new connection of a scripted peer.
pub type MakeScript = Box<dyn FnMut() -> Box<dyn Script>>;

/// What a script can do.
#[derive(Debug)]
pub struct Talk<'a> {
    /// The time.
    pub now: Instant,
    /// Chance, if it wants any.
    pub rng: &'a mut Rng,
    /// The torrent of this world.
    pub data: &'a Arc<Data>,
    /// Bytes it said that its system has not taken yet.
    pub unsent: u64,
    pub(crate) acts: Vec<Act>,
}

#[derive(Debug)]
pub(crate) enum Act {
    Send(Bytes),
    Wake(Duration),
    Reading(bool),
    HalfClose,
    Close,
    Reset,
}

impl Talk<'_> {
    /// Sends bytes.
    pub fn say(&mut self, bytes: impl Into<Bytes>) {
        self.acts.push(Act::Send(bytes.into()));
    }

    /// Asks for [`Script::woken`].
    pub fn wake_in(&mut self, span: Duration) {
        self.acts.push(Act::Wake(span));
    }

    /// Stops reading what arrives, or goes on.
    pub fn reading(&mut self, on: bool) {
        self.acts.push(Act::Reading(on));
    }

    /// Sends no more, but goes on reading.
    pub fn half_close(&mut self) {
        self.acts.push(Act::HalfClose);
    }

    /// Closes once everything is sent.
    pub fn close(&mut self) {
        self.acts.push(Act::Close);
    }

    /// Cuts the connection off.
    pub fn reset(&mut self) {
        self.acts.push(Act::Reset);
    }
}
