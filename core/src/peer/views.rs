//! What is known of a peer.

use super::{PARTIAL_BLOCK, Peer, Phase, Totals};
use crate::bitfield::Bitfield;
use crate::id::{Block, PieceIndex};
use crate::time::Instant;
use crate::wire::extended::ExtendedHandshake;

use core::time::Duration;

impl Peer {
    /// Looks at something in every part of memory that a message needs. What comes of it means nothing.
    pub(crate) fn foresee(&self) -> u64 {
        self.heard.as_micros()
            ^ self.up.foresee()
            ^ self.outgoing.last.as_micros()
            ^ self.totals.payload_down
            ^ self.allows_bytes
            ^ self.decoder.buffered() as u64
            ^ self.has.foresee()
    }

    /// The pieces it has.
    #[must_use]
    pub const fn has(&self) -> &Bitfield {
        &self.has
    }

    /// Whether it is not known yet how many pieces it may have: see [`know_pieces`](Self::know_pieces).
    #[must_use]
    pub const fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Whether it has said what it has.
    #[must_use]
    pub const fn has_told(&self) -> bool {
        self.told
    }

    /// Whether both handshakes are through.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether it refuses our requests.
    #[must_use]
    pub const fn is_choking_us(&self) -> bool {
        self.choking_us
    }

    /// Whether we refuse its requests.
    #[must_use]
    pub const fn is_choked(&self) -> bool {
        self.choked
    }

    /// Whether it wants something of ours.
    #[must_use]
    pub const fn is_interested(&self) -> bool {
        self.interested
    }

    /// Whether we have told it that we want something of its.
    #[must_use]
    pub const fn is_interesting(&self) -> bool {
        self.interesting
    }

    /// Whether it has sent nothing for `span`, although it was read.
    #[must_use]
    pub fn is_silent(&self, now: Instant, span: Duration) -> bool {
        self.reading && now >= self.heard + span
    }

    /// Whether it sends blocks that nobody asked for, or may be about to.
    #[must_use]
    pub fn brings_unasked(&self) -> bool {
        self.totals.unasked > 0 || self.decoder.buffered() > PARTIAL_BLOCK && self.asked().len() == 0
    }

    /// Whether it owes us blocks for too long.
    #[must_use]
    pub fn is_snubbed(&self) -> bool {
        self.asking.is_snubbed()
    }

    /// Pieces it serves us even while choking (BEP 6).
    #[must_use]
    pub fn allowed(&self) -> &[PieceIndex] {
        &self.allowed
    }

    /// Pieces it would rather be asked for (BEP 6).
    #[must_use]
    pub fn suggested(&self) -> &[PieceIndex] {
        &self.suggested
    }

    /// What its extension handshake says (BEP 10).
    #[must_use]
    pub fn extension(&self) -> Option<&ExtendedHandshake> {
        self.theirs.as_deref()
    }

    /// Whether it says that it will not download anything more (BEP 21).
    #[must_use]
    pub const fn is_upload_only(&self) -> bool {
        self.upload_only
    }

    /// Blocks asked and not answered, in the order asked.
    pub fn asked(&self) -> impl ExactSizeIterator<Item = &Block> {
        self.asking.asked()
    }

    /// Requests of its that wait.
    #[must_use]
    pub fn requests_waiting(&self) -> usize {
        self.serving.len()
    }

    /// Payload bytes per second from it.
    #[must_use]
    pub fn down_rate(&self, now: Instant) -> u64 {
        self.down.rate(now)
    }

    /// Payload bytes per second to it.
    #[must_use]
    pub fn up_rate(&self, now: Instant) -> u64 {
        self.up.rate(now)
    }

    /// Bytes exchanged so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { protocol_up: self.outgoing.protocol_bytes, ..self.totals }
    }
}
