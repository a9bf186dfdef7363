//! The first exchange: handshakes, then what each side has and which extensions it speaks.

use alloc::boxed::Box;

use crate::bitfield::Bitfield;
use crate::cx::Cx;
use crate::id::PeerId;
use crate::time::Instant;
use crate::wire::extended::ExtendedHandshake;
use crate::wire::{DecoderLimits, Handshake, Message, Reserved};

use super::{Action, CloseReason, GREETING_TIME, Peer, Phase, SERVED_LEN_MAX};

/// What we call ourselves towards one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The torrent, as it is named on the wire.
    pub info_hash: [u8; 20],
    /// Our name of this run.
    pub peer_id: PeerId,
    /// How many pieces the torrent has; `None` as long as only its info-hash is known.
    pub pieces: Option<u32>,
    /// The port of our DHT node, if we have one that the peer may know of (BEP 5).
    pub dht_port: Option<u16>,
}

impl Hello {
    fn handshake(&self) -> Handshake {
        let spoken = Reserved::NONE.with_extended().with_fast();
        let reserved = if self.dht_port.is_some() { spoken.with_dht() } else { spoken };
        Handshake { reserved, info_hash: self.info_hash, peer_id: self.peer_id }
    }
}

/// How far the greeting has come.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Our side, once it is known: from the start when we dial.
    ours: Option<Hello>,
    theirs: Option<Handshake>,
}

impl Greeting {
    pub(super) const fn incoming() -> Self {
        Self { ours: None, theirs: None }
    }

    pub(super) const fn outgoing(hello: Hello) -> Self {
        Self { ours: Some(hello), theirs: None }
    }

    /// The whole greeting counts from `begin`, when the connection was asked for.
    pub(super) fn deadline(&self, begin: Instant) -> Instant {
        begin + GREETING_TIME
    }
}

impl Peer {
    /// The connection we asked for stands: introduces us.
    pub fn connected(&mut self, cx: &mut Cx<'_, Action>) {
        if let Phase::Greeting(greeting) = &self.phase
            && let Some(hello) = greeting.ours
        {
            self.outgoing.control().extend_from_slice(&hello.handshake().encode());
            self.flush(cx);
        }
    }

    /// Says what has changed since the extension handshake (BEP 10): a later one replaces what it names.
    pub fn extend(&mut self, extension: &ExtendedHandshake) {
        if self.extended && matches!(self.phase, Phase::Open) {
            let payload = extension.encode().into();
            Message::Extended { id: 0, payload }.encode(self.outgoing.control());
        }
    }

    /// Takes the peer in after [`Action::Greeted`]: answers its handshake if it was the one to connect, tells
    /// what we `have` and which extensions we speak, and goes on with what it sent meanwhile.
    pub fn open(
        &mut self,
        hello: Hello,
        have: &Bitfield,
        extension: &ExtendedHandshake,
        cx: &mut Cx<'_, Action>,
    ) -> Result<(), CloseReason> {
        let Phase::Greeting(greeting) = &self.phase else { return Ok(()) };
        let Greeting { ours, theirs: Some(theirs) } = **greeting else { return Ok(()) };
        let dialled = ours.is_some();
        if theirs.info_hash != hello.info_hash {
            return Err(CloseReason::WrongTorrent);
        }
        if !dialled {
            self.outgoing.control().extend_from_slice(&hello.handshake().encode());
        }
        self.fast = theirs.reserved.fast();
        self.extended = theirs.reserved.extended();
        match hello.pieces {
            Some(pieces) => self.count_pieces(pieces),
            None => {
                self.early = Some(Box::default());
                self.decoder
                    .set_limits(DecoderLimits { piece_data_max: SERVED_LEN_MAX, ..DecoderLimits::default() });
            }
        }
        self.tell_what_we_have(have);
        if self.extended {
            let payload = extension.encode().into();
            Message::Extended { id: 0, payload }.encode(self.outgoing.control());
        }
        if let Some(port) = hello.dht_port
            && theirs.reserved.dht()
        {
            Message::Port(port).encode(self.outgoing.control());
        }
        self.phase = Phase::Open;
        self.heard = cx.now;
        self.outgoing.last = cx.now;
        self.read_on(cx)
    }

    /// The torrent has so many pieces: what it says of them is held to that from now on.
    pub(super) fn count_pieces(&mut self, pieces: u32) {
        self.has = Bitfield::new(pieces);
        self.decoder.set_limits(DecoderLimits {
            bitfield_len: Bitfield::wire_len(pieces) as u32,
            piece_data_max: SERVED_LEN_MAX,
            ..DecoderLimits::default()
        });
    }

    /// The bitfield is the first message after the handshake (BEP 3); with the fast extension something has to
    /// be said even when we have nothing (BEP 6).
    fn tell_what_we_have(&mut self, have: &Bitfield) {
        let message = match (self.fast, have.is_empty(), have.is_full()) {
            (true, true, _) => Message::HaveNone,
            (true, _, true) => Message::HaveAll,
            (false, true, _) => return,
            _ => Message::Bitfield(have.to_wire().into()),
        };
        message.encode(self.outgoing.control());
    }

    /// Reads the handshake if it is not there yet; says whether messages may be read.
    pub(super) fn greet(&mut self, cx: &mut Cx<'_, Action>) -> Result<bool, CloseReason> {
        let Phase::Greeting(greeting) = &mut self.phase else { return Ok(true) };
        if greeting.theirs.is_none()
            && let Some(handshake) = self.decoder.handshake()?
        {
            if greeting.ours.is_some_and(|ours| ours.info_hash != handshake.info_hash) {
                return Err(CloseReason::WrongTorrent);
            }
            greeting.theirs = Some(handshake);
            cx.out.push(Action::Greeted(handshake));
        }
        Ok(false)
    }
}
