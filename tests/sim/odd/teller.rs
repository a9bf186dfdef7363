//! Peers that have nothing of a torrent but its metadata (BEP 9), and tell it, or something else.

use super::greeting;
use crate::script::{MakeScript, Script, Talk};
use crate::words::{self, Listener, Said, number_after};

/// What a peer does when it is asked for a piece of the metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Told {
    /// Sends it.
    #[default]
    Right,
    /// Sends it with a wrong byte in this piece.
    Wrong(u32),
    /// Sends it a byte short.
    Short,
    /// Sends it as a piece of something longer.
    OtherTotal,
    /// Sends it, and a hundred times more.
    Again,
    /// Refuses it.
    Reject,
    /// Refuses it once.
    RejectFirst,
    /// Says nothing.
    Silence,
}

/// A peer that tells the metadata, more or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Teller {
    /// What it says its size is, if not the truth.
    pub size: Option<u32>,
    /// What it does with a request.
    pub told: Told,
}

impl Teller {
    /// A script for each connection of such a peer.
    #[must_use]
    pub fn script(self) -> MakeScript {
        Box::new(move || {
            Box::new(Telling { habits: self, listener: Listener::new(false), id: None, refused: false })
        })
    }
}

#[derive(Debug)]
struct Telling {
    habits: Teller,
    listener: Listener,
    /// Under which the other side wants to hear of metadata.
    id: Option<u8>,
    refused: bool,
}

/// Ours.
const METADATA: u8 = 7;
/// Bytes in a piece of the metadata.
const PIECE: usize = 16 << 10;

impl Telling {
    fn answer(&mut self, talk: &mut Talk<'_>, piece: u32) {
        let Some(id) = self.id else { return };
        let info = &talk.data.metainfo.info.raw;
        let size = self.habits.size.map_or(info.len(), |size| size as usize);
        // What it has beyond the truth is made up.
        let byte = |place: usize| info.get(place).copied().unwrap_or_default();
        let start = piece as usize * PIECE;
        let mut data: Vec<u8> = (start..size.min(start + PIECE)).map(byte).collect();
        let mut total = size;
        match self.habits.told {
            Told::Right | Told::Again => {}
            Told::RejectFirst if self.refused => {}
            Told::Wrong(wrong) => {
                if let Some(last) = data.last_mut().filter(|_| wrong == piece) {
                    *last ^= 0x55;
                }
            }
            Told::Short => drop(data.pop()),
            Told::OtherTotal => total += 1,
            Told::Reject | Told::RejectFirst => {
                self.refused = true;
                return talk.say(words::extended(id, format!("d8:msg_typei2e5:piecei{piece}ee").as_bytes()));
            }
            Told::Silence => return,
        }
        let head = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{total}ee");
        let message = words::extended(id, &[head.as_bytes(), &data].concat());
        let times = if self.habits.told == Told::Again { 101 } else { 1 };
        (0..times).for_each(|_| talk.say(message.clone()));
    }
}

impl Script for Telling {
    fn open(&mut self, talk: &mut Talk<'_>) {
        let handshake = greeting(talk, true);
        talk.say(handshake);
        talk.say(words::message(15, &[]));
        let size = self.habits.size.map_or(talk.data.metainfo.info.raw.len(), |size| size as usize);
        let extension = format!("d1:md11:ut_metadatai{METADATA}ee13:metadata_sizei{size}ee");
        talk.say(words::extended(0, extension.as_bytes()));
    }

    fn heard(&mut self, talk: &mut Talk<'_>, bytes: &[u8]) {
        let mut said = Vec::new();
        self.listener.hear(bytes, &mut said);
        for said in said {
            match said {
                Said::Extended(0, body) => self.id = number_after(&body, b"ut_metadata").map(|id| id as u8),
                Said::Extended(METADATA, body) if number_after(&body, b"msg_type") == Some(0) => {
                    if let Some(piece) = number_after(&body, b"piece") {
                        self.answer(talk, piece);
                    }
                }
                _ => {}
            }
        }
    }
}
