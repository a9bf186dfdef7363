//! Peers that say the same thing again and again, as fast as they are told to.

use std::time::Duration;

use pieceful_core::id::BLOCK_LEN;

use super::greeting;
use crate::script::{Script, Talk};
use crate::words;

/// What a flood consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Flood {
    /// Requests for one block after the other, many times over.
    Requests,
    /// Requests for what no piece has.
    InvalidRequests,
    /// A request and its cancel.
    PingPong,
    /// Blocks that nobody asked for, a byte each.
    Blocks,
    /// Blocks that nobody asked for, right and as long as they are.
    WholeBlocks,
    /// `have`, the same pieces again and again.
    Haves,
    /// A bitfield with everything, then one with nothing.
    Bitfields,
    /// `unchoke` and `choke`, from one that has everything.
    Choking,
    /// `interested` and `not interested`.
    Interest,
    /// 50 addresses of the peer exchange (BEP 11), which nobody agreed on.
    Addresses,
    /// Extension handshakes (BEP 10), each with another length of the metadata, some of them absurd.
    Handshakes,
    /// Requests for the metadata (BEP 9).
    Metadata,
    /// `allowed fast` for one piece after the other (BEP 6), from one that has everything and serves nothing.
    Allowed,
    /// `suggest piece` (BEP 6).
    Suggested,
    /// Refusals of what nobody asked for (BEP 6).
    Rejects,
    /// Keep-alives.
    KeepAlives,
    /// Messages of numbers that mean nothing.
    Unknown,
}

impl Flood {
    /// All there are.
    pub const ALL: [Self; 17] = [
        Self::Requests,
        Self::InvalidRequests,
        Self::PingPong,
        Self::Blocks,
        Self::WholeBlocks,
        Self::Haves,
        Self::Bitfields,
        Self::Choking,
        Self::Interest,
        Self::Addresses,
        Self::Handshakes,
        Self::Metadata,
        Self::Allowed,
        Self::Suggested,
        Self::Rejects,
        Self::KeepAlives,
        Self::Unknown,
    ];

    /// The `n`th drop of it, for a torrent of `data`.
    fn drop(self, n: u32, talk: &Talk<'_>) -> Vec<u8> {
        let pieces = talk.data.pieces();
        let piece = n % pieces;
        let len = talk.data.piece(piece).len() as u32;
        let offset = (n / pieces).wrapping_mul(BLOCK_LEN) % len.next_multiple_of(BLOCK_LEN);
        let block = (piece, offset, BLOCK_LEN.min(len - offset));
        let two = |one: bytes::Bytes, other: bytes::Bytes| if n.is_multiple_of(2) { one } else { other };
        match self {
            Self::Requests => words::request(block.0, block.1, block.2),
            Self::InvalidRequests => words::request(piece, u32::MAX - n, 1 << (n % 32)),
            Self::PingPong => {
                two(words::request(n / 2 % pieces, 0, 1000), words::cancel(n / 2 % pieces, 0, 1000))
            }
            Self::Blocks => words::piece(block.0, block.1, &[0]),
            Self::WholeBlocks => {
                let data = talk.data.piece(piece);
                words::piece(block.0, block.1, &data[offset as usize..(offset + block.2) as usize])
            }
            Self::Haves => words::have(n % pieces.min(3)),
            Self::Bitfields => two(words::bitfield(pieces, |_| true), words::bitfield(pieces, |_| false)),
            Self::Choking => two(words::plain(words::UNCHOKE), words::plain(words::CHOKE)),
            Self::Interest => two(words::plain(words::INTERESTED), words::plain(words::NOT_INTERESTED)),
            Self::Addresses => {
                let added: Vec<u8> = (0..50_u8).flat_map(|host| [12, n as u8, host, 1, 26, 225]).collect();
                let body = [&b"d5:added300:"[..], &added, b"e"].concat();
                words::extended(1 + (n % 9) as u8, &body)
            }
            Self::Handshakes => {
                let size = [0, -1, i64::from(n), (1 << 31) - 1, i64::MAX][n as usize % 5];
                let body = format!("d1:md11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei{size}e4:reqqi{n}ee");
                words::extended(0, body.as_bytes())
            }
            Self::Metadata => words::extended(2, format!("d8:msg_typei0e5:piecei{n}ee").as_bytes()),
            Self::Allowed => words::message(17, &piece.to_be_bytes()),
            Self::Suggested => words::message(13, &piece.to_be_bytes()),
            Self::Rejects => words::reject(block.0, block.1, block.2),
            Self::KeepAlives => bytes::Bytes::from_static(&[0; 4]),
            Self::Unknown => words::message(100 + (n % 100) as u8, &[0; 40]),
        }
        .to_vec()
    }

    /// Whether it makes sense only from somebody who has something to give.
    const fn has_everything(self) -> bool {
        matches!(self, Self::Choking | Self::Allowed | Self::Suggested | Self::Rejects | Self::Metadata)
    }
}

/// A peer that floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Flooder {
    /// With what.
    pub with: Flood,
    /// So many messages at a time.
    pub burst: u32,
    /// And as often.
    pub every: Duration,
}

impl Flooder {
    /// A hundred messages ten times a second, or two if they are long.
    #[must_use]
    pub const fn of(with: Flood) -> Self {
        let burst = if matches!(with, Flood::WholeBlocks) { 2 } else { 100 };
        Self { with, burst, every: Duration::from_millis(100) }
    }
}

/// It says no more while its system has so many bytes to send.
const UNSENT_MAX: u64 = 1 << 20;

/// One connection of it.
#[derive(Debug)]
pub(super) struct Flooding {
    pub(super) habits: Flooder,
    pub(super) said: u32,
}

impl Script for Flooding {
    fn open(&mut self, talk: &mut Talk<'_>) {
        // A choke takes requests back only where none of them is refused by name.
        let fast = self.habits.with != Flood::Choking;
        let handshake = greeting(talk, fast);
        talk.say(handshake);
        if self.habits.with.has_everything() {
            let pieces = talk.data.pieces();
            talk.say(if fast { words::message(14, &[]) } else { words::bitfield(pieces, |_| true) });
        }
        talk.say(words::plain(words::INTERESTED));
        talk.wake_in(self.habits.every);
    }

    fn heard(&mut self, _talk: &mut Talk<'_>, _bytes: &[u8]) {}

    fn woken(&mut self, talk: &mut Talk<'_>) {
        talk.wake_in(self.habits.every);
        if talk.unsent > UNSENT_MAX {
            return;
        }
        let first = self.said;
        self.said += self.habits.burst;
        let drops: Vec<u8> = (first..self.said).flat_map(|n| self.habits.with.drop(n, talk)).collect();
        talk.say(drops);
    }
}
