//! Which bytes of a stream are the payload of blocks.

use std::ops::Range;

use bytes::Bytes;

use super::Part;

/// Bytes of the handshake (BEP 3), which comes before any message.
const HANDSHAKE_LEN: u32 = 68;
/// The message `piece`.
const PIECE: u8 = 7;
/// Bytes of `piece` before the payload: its type, the piece's number and the offset.
const PIECE_HEAD_LEN: u32 = 9;

/// Follows one direction of one connection.
#[derive(Debug)]
pub(super) struct Follower {
    /// Bytes to come that are kept, or are payload.
    left: u32,
    is_payload: bool,
    /// The beginning of a message, until its type is known.
    head: Vec<u8>,
}

impl Default for Follower {
    fn default() -> Self {
        Self { left: HANDSHAKE_LEN, is_payload: false, head: Vec::with_capacity(5) }
    }
}

impl Follower {
    /// Cuts the next bytes into what is payload and what is not.
    ///
    /// A stream that is not BitTorrent is cut somewhere or other: it ends where the engine sees that, too.
    pub(super) fn cut(&mut self, data: &Bytes) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut kept: Range<usize> = 0..0;
        let mut at = 0;
        while at < data.len() {
            if self.left == 0 {
                self.message(data[at]);
                at += 1;
                kept.end = at;
                continue;
            }
            let here = (data.len() - at).min(self.left as usize);
            if self.is_payload {
                keep(data, &kept, &mut parts);
                parts.push(Part::Payload(here as u32));
                kept = at + here..at + here;
            } else {
                kept.end = at + here;
            }
            at += here;
            self.left -= here as u32;
            self.advance();
        }
        keep(data, &kept, &mut parts);
        parts
    }

    /// Takes one byte of a message's length or type.
    fn message(&mut self, byte: u8) {
        self.head.push(byte);
        let [a, b, c, d, rest @ ..] = &self.head[..] else { return };
        let len = u32::from_be_bytes([*a, *b, *c, *d]);
        match rest {
            [] if len == 0 => self.head.clear(),
            [] => {}
            [PIECE, ..] if len > PIECE_HEAD_LEN => self.left = PIECE_HEAD_LEN - 1,
            _ => {
                self.left = len - 1;
                self.head.clear();
            }
        }
    }

    /// What comes next, once all of something has come.
    fn advance(&mut self) {
        if self.left > 0 {
            return;
        }
        if let [a, b, c, d, ..] = self.head[..] {
            // The head of a block is complete: the payload is next.
            self.left = u32::from_be_bytes([a, b, c, d]) - PIECE_HEAD_LEN;
            self.head.clear();
            self.is_payload = true;
        } else {
            self.is_payload = false;
        }
    }
}

fn keep(data: &Bytes, range: &Range<usize>, parts: &mut Vec<Part>) {
    if !range.is_empty() {
        parts.push(Part::Bytes(data.slice(range.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_payload_of_blocks_is_left_out_wherever_the_stream_is_cut() {
        let mut stream = vec![1; HANDSHAKE_LEN as usize];
        stream.extend([0, 0, 0, 0]); // keep-alive
        stream.extend([0, 0, 0, 5, 4, 0, 0, 0, 9]); // have
        stream.extend([0, 0, 0, 12, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xaa, 0xaa, 0xaa]); // piece
        stream.extend([0, 0, 0, 9, 7, 0, 0, 0, 1, 0, 0, 0, 2]); // piece without a byte
        stream.extend([0, 0, 0, 1, 1]); // unchoke
        let stream = Bytes::from(stream);
        for size in 1..=stream.len() {
            let mut follower = Follower::default();
            let parts: Vec<Part> = (0..stream.len())
                .step_by(size)
                .flat_map(|at| follower.cut(&stream.slice(at..stream.len().min(at + size))))
                .collect();
            let payload: u32 =
                parts.iter().map(|part| if let Part::Payload(len) = part { *len } else { 0 }).sum();
            let kept: Vec<u8> = parts
                .iter()
                .flat_map(|part| if let Part::Bytes(bytes) = part { bytes.to_vec() } else { Vec::new() })
                .collect();
            let expected: Vec<u8> = stream.iter().copied().filter(|byte| *byte != 0xaa).collect();
            assert_eq!((payload, kept), (3, expected), "cut every {size} bytes");
        }
    }
}
