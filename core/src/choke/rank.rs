//! Who deserves a slot, as a function of a snapshot.

use crate::id::PeerKey;
use crate::time::Instant;

/// A peer as the choker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub key: PeerKey,
    /// It wants something of ours.
    pub interested: bool,
    /// It owes us blocks for too long: it gets no slot in return for what it sent before.
    pub snubbed: bool,
    /// It may download from us now.
    pub unchoked: bool,
    /// Payload bytes per second from it.
    pub down_rate: u64,
    /// Payload bytes per second to it.
    pub up_rate: u64,
    /// Payload bytes to it since it was last unchoked.
    pub sent_since_unchoke: u64,
    /// When it was last unchoked; `Instant::ZERO` if never.
    pub last_unchoked: Instant,
    /// When it connected.
    pub connected_at: Instant,
}

/// What an upload slot is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For what they send us.
    Leeching,
    /// For spreading the torrent.
    Seeding,
}
