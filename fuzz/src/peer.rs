//! One connection under arbitrary bytes, times and owners: it never panics, takes no block it did not ask for,
//! keeps its limits, and says no more than it was made to say.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pieceful_core::bitfield::Bitfield;
use pieceful_core::cx::Cx;
use pieceful_core::id::{BLOCK_LEN, Block, PeerId, PieceIndex};
use pieceful_core::peer::{Action, Hello, Limits, Peer};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;
use pieceful_core::wire::extended::ExtendedHandshake;
use pieceful_core::wire::{Handshake, Message, Reserved};
use std::time::Duration;

const PIECES: u32 = 20;
const LIMITS: Limits = Limits { asked_max: 50, requests_max: 50, send_bytes_max: 64 << 10 };

/// What happens to the connection next.
#[derive(Arbitrary, Debug)]
enum Step {
    /// Bytes arrive as they are.
    Raw(Vec<u8>),
    /// A message arrives, well formed.
    Message(Kind, u8, u16),
    /// It sends the oldest block it was asked for.
    Serve,
    /// The owner asks for as much as it may.
    Ask,
    /// The owner serves what it can.
    Give,
    Choke(bool),
    /// Time passes, in eighths of a second.
    Wait(u8),
    /// The system took some bytes.
    Sent(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Choke,
    Unchoke,
    Interested,
    Have,
    HaveAll,
    Bitfield,
    Request,
    Cancel,
    Reject,
    AllowedFast,
    Suggest,
    Piece,
}

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let _ = drive(&mut input);
}

fn drive(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let hello = Hello { info_hash: [7; 20], peer_id: PeerId([1; 20]), pieces: PIECES };
    let mut rng = Rng::new(Seed([0; 32]));
    let mut out = Vec::new();
    let mut now = Instant::from_micros(1_000_000);
    let reserved = Reserved::NONE.with_extended();
    let reserved = if input.arbitrary()? { reserved.with_fast() } else { reserved };
    let theirs = Handshake { reserved, info_hash: [7; 20], peer_id: PeerId([2; 20]) };
    let have = if input.arbitrary()? { Bitfield::full(PIECES) } else { Bitfield::new(PIECES) };

    let mut peer = Peer::dial(hello, LIMITS, now);
    let mut cx = Cx { now, rng: &mut rng, out: &mut out };
    peer.connected(&mut cx);
    peer.receive(Bytes::copy_from_slice(&theirs.encode()), &mut cx).expect("a proper handshake");
    peer.open(hello, &have, &ExtendedHandshake::default(), &mut cx).expect("nothing else was sent");

    let mut asked: Vec<Block> = Vec::new();
    let mut next = 0;
    let (mut fed, mut said) = (1_000_u64, 0_u64);
    while !input.is_empty() {
        let step: Step = input.arbitrary()?;
        let mut cx = Cx { now, rng: &mut rng, out: &mut out };
        let result = match step {
            Step::Raw(bytes) => feed(&mut peer, bytes, &mut fed, &mut cx),
            Step::Message(kind, piece, at) => {
                let mut bytes = Vec::new();
                message(kind, piece, at).encode(&mut bytes);
                feed(&mut peer, bytes, &mut fed, &mut cx)
            }
            Step::Serve => {
                let oldest = peer.asked().next().copied();
                if let Some(block) = oldest {
                    let mut bytes = Vec::new();
                    Message::Piece { block, data: Bytes::from(vec![0; block.len as usize]).into() }
                        .encode(&mut bytes);
                    feed(&mut peer, bytes, &mut fed, &mut cx)
                } else {
                    Ok(())
                }
            }
            Step::Ask => {
                for _ in 0..peer.wants_requests(now) {
                    let block = Block {
                        piece: PieceIndex(next / 4 % PIECES),
                        offset: next % 4 * BLOCK_LEN,
                        len: BLOCK_LEN,
                    };
                    next += 1;
                    if !peer.asked().any(|other| *other == block) {
                        peer.request(block, now);
                        asked.push(block);
                        fed += 17;
                    }
                }
                Ok(())
            }
            Step::Give => {
                while peer.next_to_serve().is_some() {
                    let Some(block) = peer.begin_read() else { break };
                    fed += u64::from(block.len);
                    peer.end_read(block, Some(vec![0; block.len as usize].into()), &mut cx);
                }
                Ok(())
            }
            Step::Choke(true) => {
                peer.choke();
                fed += 5;
                Ok(())
            }
            Step::Choke(false) => {
                peer.unchoke();
                fed += 5;
                Ok(())
            }
            Step::Wait(eighths) => {
                now += Duration::from_millis(125 * u64::from(eighths));
                fed += 4;
                peer.tick(&mut Cx { now, ..cx })
            }
            Step::Sent(bytes) => {
                peer.sent(u32::from(bytes), now);
                Ok(())
            }
        };
        peer.flush(&mut Cx { now, rng: &mut rng, out: &mut out });
        let mut requests = Vec::new();
        for action in out.drain(..) {
            match action {
                Action::Send(segment) => said += u64::from(segment.len()),
                Action::Got { block, data } => {
                    assert_eq!(data.len(), block.len as usize);
                    let place = asked.iter().position(|other| *other == block);
                    asked.remove(place.expect("a block that was never asked for was taken"));
                }
                Action::Have(piece) => assert!(piece.0 < PIECES && peer.has().get(piece)),
                Action::Requested(block) => requests.push(block),
                _ => {}
            }
        }
        if result.is_err() {
            return Ok(()); // the owner closes it; nothing more happens
        }
        for block in requests {
            let ours = have.get(block.piece)
                && block.offset.checked_add(block.len).is_some_and(|end| end <= 4 * BLOCK_LEN);
            if peer.admit(block, ours).is_err() {
                return Ok(());
            }
        }
        assert!(peer.asked().len() <= LIMITS.asked_max as usize);
        assert!(peer.requests_waiting() <= LIMITS.requests_max as usize);
        assert!(said <= 2 * fed, "{said} bytes said to {fed} heard");
        assert!(
            peer.deadline(now) > now
                || peer.tick(&mut Cx { now, rng: &mut rng, out: &mut out }).is_err()
                || {
                    peer.flush(&mut Cx { now, rng: &mut rng, out: &mut out });
                    peer.deadline(now) > now
                },
            "a deadline that does not move"
        );
    }
    Ok(())
}

fn feed(
    peer: &mut Peer,
    bytes: Vec<u8>,
    fed: &mut u64,
    cx: &mut Cx<'_, Action>,
) -> Result<(), pieceful_core::peer::CloseReason> {
    *fed += bytes.len() as u64;
    if bytes.is_empty() { Ok(()) } else { peer.receive(bytes.into(), cx) }
}

fn message(kind: Kind, piece: u8, at: u16) -> Message {
    let piece = PieceIndex(u32::from(piece) % (PIECES + 1));
    let block = Block {
        piece,
        offset: u32::from(at) % 5 * BLOCK_LEN,
        len: if at.is_multiple_of(7) { u32::from(at) } else { BLOCK_LEN },
    };
    match kind {
        Kind::Choke => Message::Choke,
        Kind::Unchoke => Message::Unchoke,
        Kind::Interested => Message::Interested,
        Kind::Have => Message::Have(piece),
        Kind::HaveAll => Message::HaveAll,
        Kind::Bitfield => Message::Bitfield(vec![0xff, at as u8, 0xf0].into()),
        Kind::Request => Message::Request(block),
        Kind::Cancel => Message::Cancel(block),
        Kind::Reject => Message::Reject(block),
        Kind::AllowedFast => Message::AllowedFast(piece),
        Kind::Suggest => Message::Suggest(piece),
        Kind::Piece => {
            let block = Block { len: block.len.min(20_000), ..block };
            Message::Piece { block, data: Bytes::from(vec![0; block.len as usize]).into() }
        }
    }
}
