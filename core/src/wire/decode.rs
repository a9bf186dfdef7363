//! Messages out of a byte stream, however it is cut, without copying block payloads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::error::WireError;
use super::handshake::{Handshake, PROTOCOL};
use super::message::{Message, id};
use crate::chain::Chain;
use crate::id::{Block, PieceIndex};

/// The receiving half of a connection's codec.
///
/// Call [`handshake`](Self::handshake) until it returns one, then [`next`](Self::next) until it returns `None`,
/// after each [`push`](Self::push). After an error every further call returns the same error.
///
/// Only the data of `piece` messages refers to the buffers pushed; all else is copied out of them. What stays
/// here between calls is at most one incomplete message and what was not asked for yet.
#[derive(Debug)]
#[repr(C)] // in this order: what follows a whole message is seldom of use
pub struct Decoder {
    /// Where the next message begins; empty only when nothing is held.
    front: Bytes,
    /// Bytes in `front` and `later`.
    held: usize,
    /// Bytes still to come of a message that nobody wants; more than 0 only when nothing is held.
    skip: usize,
    limits: DecoderLimits,
    /// `front` is a copy of ours, so holding it pins no read buffer.
    copied: bool,
    /// What follows, none of it empty.
    later: VecDeque<Bytes>,
}

/// How long messages may be, known before any of their bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// The exact bytes of a bitfield; 0 while the number of pieces is unknown, then up to 256 KiB are read:
    /// 2,097,152 pieces, the most a torrent may have.
    pub bitfield_len: u32,
    /// Most bytes of a block.
    pub piece_data_max: u32,
    /// Most bytes of an extension message.
    pub extended_max: u32,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { bitfield_len: 0, piece_data_max: 128 << 10, extended_max: 1 << 20 }
    }
}

impl DecoderLimits {
    /// The longest message, its id included.
    fn longest(&self) -> u32 {
        let body = self
            .bitfield_len
            .max(self.piece_data_max.saturating_add(8))
            .max(self.extended_max.saturating_add(1))
            .max(UNKNOWN_MAX);
        body.saturating_add(1)
    }
}

/// A bitfield for the most pieces a torrent may have.
const BITFIELD_MAX: u32 = 2_097_152 / 8;

/// A message we do not know costs nothing to skip, but one longer than any that is defined is a lost stream.
const UNKNOWN_MAX: u32 = 1 << 20;
const _: () = assert!(BITFIELD_MAX <= UNKNOWN_MAX);

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(limits: DecoderLimits) -> Self {
        Self { front: Bytes::new(), later: VecDeque::new(), held: 0, skip: 0, copied: false, limits }
    }

    /// Other limits from the next message on, as when the number of pieces becomes known.
    pub fn set_limits(&mut self, limits: DecoderLimits) {
        self.limits = limits;
    }

    /// Bytes held: those of an incomplete message, and those not asked for yet.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.held
    }

    /// Adds what was read next.
    pub fn push(&mut self, mut data: Bytes) {
        let skipped = self.skip.min(data.len());
        data.advance(skipped);
        self.skip -= skipped;
        if data.is_empty() {
            return;
        }
        self.held += data.len();
        if self.front.is_empty() {
            self.front = data;
            self.copied = false;
        } else {
            self.append(data);
        }
    }

    /// The handshake, once all of it is there. Bytes after it are kept for [`next`](Self::next).
    ///
    /// Fails as soon as one byte differs from what a handshake begins with.
    pub fn handshake(&mut self) -> Result<Option<Handshake>, WireError> {
        let mut bytes = [0; Handshake::LEN];
        let there = self.peek(&mut bytes);
        let known = there.min(PROTOCOL.len());
        if bytes[..known] != PROTOCOL[..known] {
            return Err(WireError::ProtocolString);
        }
        if there < Handshake::LEN {
            return self.wait();
        }
        self.advance(Handshake::LEN);
        Handshake::parse(&bytes).map(Some)
    }

    /// The next message, or `None` until more bytes are pushed.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: more may be pushed")]
    pub fn next(&mut self) -> Result<Option<Message>, WireError> {
        if self.held == 0 {
            return Ok(None);
        }
        // Everything but bitfields, blocks and extension messages fits here with its prefix.
        let mut head = [0; 17];
        let there = match self.front.first_chunk() {
            Some(first) => {
                head = *first;
                head.len()
            }
            None => self.peek(&mut head),
        };
        let [l0, l1, l2, l3, id, ..] = head;
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        if there < 4 {
            return self.wait();
        }
        let max = self.limits.longest();
        if len > max {
            return Err(WireError::TooLong { id: None, len, max });
        }
        if len == 0 {
            self.advance(4);
            return Ok(Some(Message::KeepAlive));
        }
        if there < 5 {
            return self.wait();
        }
        let kind = Kind::of(id);
        self.check(id, kind, len)?;
        if kind == Kind::Unknown {
            self.discard(4 + len as usize);
            return Ok(Some(Message::Unknown { id }));
        }
        let whole = 4 + len as usize;
        if self.held < whole {
            return self.wait();
        }
        Ok(Some(match kind {
            Kind::Data => {
                self.advance(13);
                let block = Block { piece: piece(&head), offset: u32_at(&head, 9), len: len - 9 };
                Message::Piece { block, data: self.take(whole - 13) }
            }
            Kind::Bitfield => {
                self.advance(5);
                Message::Bitfield(self.copy(whole - 5))
            }
            Kind::Extended => {
                self.advance(6);
                Message::Extended { id: head[5], payload: self.copy(whole - 6) }
            }
            Kind::Fixed(_) | Kind::Unknown => {
                self.advance(whole);
                fixed(&head)
            }
        }))
    }

    /// Whether `id` may be `len` bytes long.
    fn check(&self, id: u8, kind: Kind, len: u32) -> Result<(), WireError> {
        let (min, max) = match kind {
            Kind::Fixed(want) if len == want => return Ok(()),
            Kind::Fixed(want) => return Err(WireError::Length { id, got: len, want }),
            Kind::Bitfield => match self.limits.bitfield_len {
                0 => (1, 1 + BITFIELD_MAX),
                want if len - 1 == want => return Ok(()),
                want => return Err(WireError::BitfieldLength { got: len - 1, want }),
            },
            Kind::Data => (9, self.limits.piece_data_max.saturating_add(9)),
            Kind::Extended => (2, self.limits.extended_max.saturating_add(2)),
            Kind::Unknown => (1, 1 + UNKNOWN_MAX),
        };
        if len < min {
            return Err(WireError::TooShort { id, len, min });
        }
        if len > max {
            return Err(WireError::TooLong { id: Some(id), len, max });
        }
        Ok(())
    }

    /// Copies what is there of the next `into.len()` bytes, and says how many that is.
    fn peek(&self, into: &mut [u8]) -> usize {
        let mut there = 0;
        for part in core::iter::once(&self.front).chain(&self.later) {
            let free = &mut into[there..];
            let count = part.len().min(free.len());
            free[..count].copy_from_slice(&part[..count]);
            there += count;
            if there == into.len() {
                break;
            }
        }
        there
    }

    /// Drops the next `count` bytes, all of which are held.
    fn advance(&mut self, mut count: usize) {
        self.held -= count;
        if self.held == 0 && count == self.front.len() {
            // As most reads end: nothing waits behind it, and nobody needs to look.
            self.front = Bytes::new();
            self.copied = false;
            return;
        }
        while count >= self.front.len() && !self.front.is_empty() {
            count -= self.front.len();
            self.turn();
        }
        self.front.advance(count);
    }

    /// Drops the next `count` bytes, now or as they come.
    fn discard(&mut self, count: usize) {
        let now = count.min(self.held);
        self.advance(now);
        self.skip = count - now;
    }

    /// The next `count` bytes, all of which are held, where they lie.
    fn take(&mut self, mut count: usize) -> Chain {
        self.held -= count;
        let mut chain = Chain::new();
        while count >= self.front.len() && !self.front.is_empty() {
            count -= self.front.len();
            chain.push(self.turn());
        }
        chain.push(self.front.split_to(count));
        chain
    }

    /// A copy of the next `count` bytes, all of which are held.
    fn copy(&mut self, count: usize) -> Bytes {
        if count <= self.front.len() {
            let copy = Bytes::copy_from_slice(&self.front[..count]);
            self.advance(count);
            return copy;
        }
        let mut copy = Vec::with_capacity(count);
        while copy.len() < count {
            let part = self.front.len().min(count - copy.len());
            copy.extend_from_slice(&self.front[..part]);
            self.advance(part);
        }
        copy.into()
    }

    /// Puts the next buffer to the front and returns the one that was there.
    fn turn(&mut self) -> Bytes {
        self.copied = false;
        core::mem::replace(&mut self.front, self.later.pop_front().unwrap_or_default())
    }

    /// Queues `data` behind an incomplete message, joined to the buffer before it while both are small.
    ///
    /// A peer that sends a byte at a time would otherwise make us hold a buffer for each. Joining only when the
    /// one before is at most twice as long copies each byte a dozen times at most.
    fn append(&mut self, mut data: Bytes) {
        loop {
            let last = self.later.back().unwrap_or(&self.front);
            let small = last.len() + data.len() <= JOINED_MAX && last.len() / 2 <= data.len();
            if !small {
                break self.later.push_back(data);
            }
            let joined = Bytes::from([last.as_ref(), data.as_ref()].concat());
            if self.later.pop_back().is_none() {
                self.front = joined;
                self.copied = true;
                break;
            }
            data = joined;
        }
    }

    /// Nothing until more is pushed. A few bytes left over are copied, because a slice keeps all of its read
    /// buffer.
    fn wait<T>(&mut self) -> Result<Option<T>, WireError> {
        if !self.copied && self.later.is_empty() && self.front.len() <= COPIED_MAX {
            self.front = Bytes::copy_from_slice(&self.front);
            self.copied = true;
        }
        Ok(None)
    }
}

/// Buffers are joined up to this length: above it a read has paid for its own bookkeeping.
const JOINED_MAX: usize = 4096;

/// Left-over bytes up to this length are copied. Longer ones are a block on its way, which will be kept anyway.
const COPIED_MAX: usize = 256;

/// What decides how long a message may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Exactly this long.
    Fixed(u32),
    Bitfield,
    Data,
    Extended,
    Unknown,
}

impl Kind {
    const fn of(id: u8) -> Self {
        match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => Self::Fixed(1),
            id::HAVE_ALL | id::HAVE_NONE => Self::Fixed(1),
            id::PORT => Self::Fixed(3),
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => Self::Fixed(5),
            id::REQUEST | id::CANCEL | id::REJECT => Self::Fixed(13),
            id::BITFIELD => Self::Bitfield,
            id::PIECE => Self::Data,
            id::EXTENDED => Self::Extended,
            _ => Self::Unknown,
        }
    }
}

/// The message in `head`, all of it.
fn fixed(head: &[u8; 17]) -> Message {
    let block = Block { piece: piece(head), offset: u32_at(head, 9), len: u32_at(head, 13) };
    match head[4] {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have(block.piece),
        id::REQUEST => Message::Request(block),
        id::CANCEL => Message::Cancel(block),
        id::PORT => Message::Port(u16::from_be_bytes([head[5], head[6]])),
        id::SUGGEST => Message::Suggest(block.piece),
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(block),
        id::ALLOWED_FAST => Message::AllowedFast(block.piece),
        id => Message::Unknown { id },
    }
}

fn piece(head: &[u8; 17]) -> PieceIndex {
    PieceIndex(u32_at(head, 5))
}

fn u32_at(head: &[u8; 17], at: usize) -> u32 {
    u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use super::*;

    fn decoder(bytes: &[u8]) -> Decoder {
        let mut decoder = Decoder::new(DecoderLimits { bitfield_len: 2, ..DecoderLimits::default() });
        decoder.push(Bytes::copy_from_slice(bytes));
        decoder
    }

    fn error(bytes: &[u8]) -> WireError {
        decoder(bytes).next().unwrap_err()
    }

    #[test]
    fn a_length_no_message_has_is_refused_before_its_id_is_there() {
        let max = (1 << 20) + 2;
        assert_eq!(error(&[0x7f, 0xff, 0xff, 0xff]), WireError::TooLong { id: None, len: 0x7fff_ffff, max });
        assert_eq!(error(&[0xff; 5]), WireError::TooLong { id: None, len: u32::MAX, max });
    }

    #[test]
    fn a_length_the_message_cannot_have_is_refused_with_its_id() {
        assert_eq!(error(&[0, 0, 0, 6, 4]), WireError::Length { id: 4, got: 6, want: 5 });
        assert_eq!(error(&[0, 0, 0, 2, 0]), WireError::Length { id: 0, got: 2, want: 1 });
        assert_eq!(error(&[0, 0, 0, 12, 6]), WireError::Length { id: 6, got: 12, want: 13 });
        assert_eq!(error(&[0, 0, 0, 8, 7]), WireError::TooShort { id: 7, len: 8, min: 9 });
        assert_eq!(error(&[0, 0, 0, 1, 20]), WireError::TooShort { id: 20, len: 1, min: 2 });
        assert_eq!(error(&[0, 0, 0, 4, 5]), WireError::BitfieldLength { got: 3, want: 2 });
        assert_eq!(error(&[0, 0, 0, 1, 5]), WireError::BitfieldLength { got: 0, want: 2 });
        let max = 9 + 128 * 1024;
        assert_eq!(error(&[0, 2, 0, 10, 7]), WireError::TooLong { id: Some(7), len: max + 1, max });
    }

    #[test]
    fn the_longest_of_each_message_is_read_and_not_a_byte_more() {
        let waits = |len: u32, id: u8| {
            let mut decoder = Decoder::new(DecoderLimits::default());
            decoder.push([&len.to_be_bytes()[..], &[id]].concat().into());
            decoder.next().map(|_| ())
        };
        for (id, max) in [(5, 1 + 262_144), (7, 9 + 131_072), (20, 2 + 1_048_576), (99, 1 + 1_048_576)] {
            assert_eq!(waits(max, id), Ok(()), "{max} bytes of {id}");
            let error = waits(max + 1, id).unwrap_err();
            assert!(
                matches!(error, WireError::TooLong { len, max: said, .. } if (len, said) == (max + 1, max))
            );
        }
    }

    #[test]
    fn a_bitfield_is_as_long_as_the_torrent_calls_for_once_that_is_known() {
        let mut decoder = decoder(&[0, 0, 0, 3, 5, 0xff, 0xf0, 0, 0, 0, 4, 5, 1, 2, 3]);
        assert_eq!(decoder.next(), Ok(Some(Message::Bitfield(Bytes::from_static(&[0xff, 0xf0])))));
        decoder.set_limits(DecoderLimits { bitfield_len: 3, ..DecoderLimits::default() });
        assert_eq!(decoder.next(), Ok(Some(Message::Bitfield(Bytes::from_static(&[1, 2, 3])))));
        // Longer than anything else may be, if there are so many pieces.
        decoder.set_limits(DecoderLimits { bitfield_len: 1 << 21, ..DecoderLimits::default() });
        decoder.push(Bytes::from_static(&[0, 0x20, 0, 1, 5]));
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn an_error_stays() {
        let mut decoder = decoder(&[0, 0, 0, 2, 0]);
        let first = decoder.next();
        decoder.push(Bytes::from_static(&[0, 0, 0, 1, 0]));
        assert_eq!(decoder.next(), first);
    }

    #[test]
    fn a_wrong_protocol_is_refused_at_its_first_byte() {
        assert_eq!(decoder(b"\x13BitT").handshake(), Ok(None));
        assert_eq!(decoder(b"\x13bitT").handshake(), Err(WireError::ProtocolString));
        assert_eq!(decoder(b"G").handshake(), Err(WireError::ProtocolString));
    }

    #[test]
    fn a_message_may_follow_the_handshake_in_the_same_read() {
        let mut bytes = [0; Handshake::LEN + 5];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[Handshake::LEN..].copy_from_slice(&[0, 0, 0, 1, 1]);
        let mut decoder = decoder(&bytes);
        assert!(decoder.handshake().unwrap().is_some());
        assert_eq!(decoder.next(), Ok(Some(Message::Unchoke)));
        assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn a_block_lies_where_it_was_read() {
        let buffer = Bytes::from([&[0, 0, 0, 12, 7, 0, 0, 0, 1, 0, 0, 0, 2][..], b"abc"].concat());
        let mut decoder = Decoder::new(DecoderLimits::default());
        decoder.push(buffer.slice(..14));
        assert_eq!(decoder.buffered(), 14);
        // The first 14 bytes are few enough to be copied while waiting; the rest is not.
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(buffer.slice(14..));
        assert!(matches!(decoder.next(), Ok(Some(Message::Piece { .. }))));

        decoder.push(buffer.clone());
        let Ok(Some(Message::Piece { block, data })) = decoder.next() else {
            panic!("a whole message is there")
        };
        assert_eq!(block, Block { piece: PieceIndex(1), offset: 2, len: 3 });
        assert_eq!(data.parts().next().map(|part| part.as_ptr()), Some(buffer[13..].as_ptr()));
    }

    #[test]
    fn a_block_that_comes_in_parts_is_not_copied() {
        let message = [&[0, 0, 0x40, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0][..], &[1; 16_384]].concat();
        for cuts in [&[1_000_usize][..], &[1_000, 1_400], &[3_000, 12_000]] {
            let mut decoder = Decoder::new(DecoderLimits::default());
            let mut rest = Bytes::copy_from_slice(&message);
            let mut reads: Vec<Bytes> = Vec::new();
            for (place, cut) in cuts.iter().enumerate() {
                reads.push(rest.split_to(cut - cuts[..place].last().unwrap_or(&0)));
            }
            reads.push(rest);
            let mut got = None;
            for read in &reads {
                // Each in a buffer of its own, as from the network.
                decoder.push(read.clone());
                got = decoder.next().unwrap();
            }
            let Some(Message::Piece { data, .. }) = got else { panic!("all of it is there") };
            let mut places: Vec<_> = reads.iter().map(|read| read.as_ptr()).collect();
            places[0] = reads[0][13..].as_ptr();
            assert_eq!(data.parts().map(|part| part.as_ptr()).collect::<Vec<_>>(), places);
        }
    }

    #[test]
    fn the_body_of_an_unknown_message_is_never_held() {
        let mut decoder = decoder(&[0, 1, 0, 1, 99, 1, 2, 3]);
        assert_eq!(decoder.next(), Ok(Some(Message::Unknown { id: 99 })));
        assert_eq!((decoder.next(), decoder.buffered()), (Ok(None), 0));
        decoder.push(Bytes::from(vec![7; 65_000]));
        assert_eq!((decoder.next(), decoder.buffered()), (Ok(None), 0));
        let mut rest = vec![7; 65_536 - 65_003];
        rest.extend_from_slice(&[0, 0, 0, 0, 0]);
        decoder.push(Bytes::from(rest));
        assert_eq!((decoder.next(), decoder.next()), (Ok(Some(Message::KeepAlive)), Ok(None)));
        assert_eq!(decoder.buffered(), 1);
    }

    /// A read buffer whose owner can see whether it is still in use.
    struct Lease(#[expect(dead_code, reason = "counted, not read")] Arc<()>);

    impl AsRef<[u8]> for Lease {
        fn as_ref(&self) -> &[u8] {
            &[0, 0, 0, 2, 20, 0, 0, 0, 0, 5, 4]
        }
    }

    #[test]
    fn a_few_bytes_left_over_do_not_keep_their_read_buffer() {
        let leases = Arc::new(());
        let mut decoder = Decoder::new(DecoderLimits::default());
        decoder.push(Bytes::from_owner(Lease(leases.clone())));
        let extended = decoder.next();
        assert!(matches!(extended, Ok(Some(Message::Extended { .. }))));
        assert_eq!((decoder.next(), decoder.buffered()), (Ok(None), 5));
        assert_eq!(Arc::strong_count(&leases), 1);
    }

    #[test]
    fn a_peer_that_sends_a_byte_at_a_time_fills_no_queue() {
        let mut decoder = decoder(&[0, 1, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0]);
        for count in 0..65_536 {
            assert_eq!(decoder.next(), Ok(None), "{count}");
            decoder.push(Bytes::copy_from_slice(&[count as u8]));
            assert!(decoder.later.len() <= 16 + decoder.held / 2048, "{} buffers", decoder.later.len());
        }
        decoder.push(Bytes::from_static(&[255]));
        let Ok(Some(Message::Piece { block, data })) = decoder.next() else { panic!("it is complete") };
        assert_eq!(block.len as usize, data.len());
        assert!(data.parts().count() < 64);
    }
}
