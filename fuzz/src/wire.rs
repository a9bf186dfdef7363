//! A stream means the same however it is cut, and what is decoded encodes to a stream that means the same.
//!
//! Input: a byte of options, a byte that seeds the cuts, then the stream.

use bytes::Bytes;
use pieceful_core::wire::{Decoder, DecoderLimits, Handshake, Message, WireError};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let [options, cuts, stream @ ..] = data else { return };
    let greets = options & 1 != 0;
    let limits = DecoderLimits {
        bitfield_len: u32::from(options >> 1 & 3),
        piece_data_max: if options & 8 == 0 { 128 << 10 } else { 5 },
        extended_max: if options & 16 == 0 { 1 << 20 } else { 5 },
    };

    let whole = read([stream], greets, limits);
    assert_eq!(read(stream.chunks(1), greets, limits), whole, "a byte at a time");
    assert_eq!(read(cut(stream, *cuts), greets, limits), whole, "cut by {cuts}");

    let mut again = whole.handshake.map_or(Vec::new(), |handshake| handshake.encode().to_vec());
    for message in &whole.messages {
        message.encode(&mut again);
    }
    let reread = read([&again[..]], greets && whole.handshake.is_some(), limits);
    assert_eq!((reread.handshake, reread.messages), (whole.handshake, whole.messages));
    assert_eq!(reread.error, None);
}

/// All that a decoder says about a stream.
#[derive(Debug, PartialEq)]
struct Reading {
    handshake: Option<Handshake>,
    messages: Vec<Message>,
    error: Option<WireError>,
}

fn read<'a>(segments: impl IntoIterator<Item = &'a [u8]>, greets: bool, limits: DecoderLimits) -> Reading {
    let longest = 5 + limits.piece_data_max.max(limits.extended_max).max(1 << 20) as usize + 9;
    let mut decoder = Decoder::new(limits);
    let mut reading = Reading { handshake: None, messages: Vec::new(), error: None };
    for segment in segments {
        decoder.push(Bytes::copy_from_slice(segment));
        if let Err(error) = drain(&mut decoder, greets, &mut reading) {
            assert_eq!(drain(&mut decoder, greets, &mut reading), Err(error), "an error stays");
            reading.error = Some(error);
            break;
        }
        assert!(decoder.buffered() < longest, "no more is held than one message");
    }
    reading
}

fn drain(decoder: &mut Decoder, greets: bool, reading: &mut Reading) -> Result<(), WireError> {
    if greets && reading.handshake.is_none() {
        reading.handshake = decoder.handshake()?;
        if reading.handshake.is_none() {
            return Ok(());
        }
    }
    while let Some(message) = decoder.next()? {
        if let Message::Piece { block, data } = &message {
            assert_eq!(block.len as usize, data.len());
        }
        reading.messages.push(message);
    }
    Ok(())
}

/// `stream` in segments of lengths that follow from `seed`, short and long ones.
fn cut(mut stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed);
    core::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let longest = 1 << (state >> 28);
        let (segment, rest) = stream.split_at(stream.len().min((state >> 8) as usize % longest + 1));
        stream = rest;
        (!segment.is_empty()).then_some(segment)
    })
}
