//! Messages as bytes, appended to a buffer the caller reuses.

use alloc::vec::Vec;

use super::message::{Message, id};
use crate::id::{Block, PieceIndex};

impl Message {
    /// Appends the message's bytes to `out`.
    ///
    /// An [`Unknown`](Self::Unknown) message is written without a body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::KeepAlive => out.extend_from_slice(&[0; 4]),
            Self::Choke => bare(id::CHOKE, out),
            Self::Unchoke => bare(id::UNCHOKE, out),
            Self::Interested => bare(id::INTERESTED, out),
            Self::NotInterested => bare(id::NOT_INTERESTED, out),
            Self::Have(piece) => of_piece(id::HAVE, *piece, out),
            Self::Bitfield(bits) => {
                prefix(1 + bits.len(), id::BITFIELD, out);
                out.extend_from_slice(bits);
            }
            Self::Request(block) => request(*block, out),
            Self::Piece { block, data } => {
                debug_assert_eq!(
                    block.len as usize,
                    data.len(),
                    "wire: a piece message carries its whole block"
                );
                piece_header(*block, out);
                for part in data.parts() {
                    out.extend_from_slice(part);
                }
            }
            Self::Cancel(block) => of_block(id::CANCEL, *block, out),
            Self::Port(port) => {
                prefix(3, id::PORT, out);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Suggest(piece) => of_piece(id::SUGGEST, *piece, out),
            Self::HaveAll => bare(id::HAVE_ALL, out),
            Self::HaveNone => bare(id::HAVE_NONE, out),
            Self::Reject(block) => of_block(id::REJECT, *block, out),
            Self::AllowedFast(piece) => of_piece(id::ALLOWED_FAST, *piece, out),
            Self::Extended { id, payload } => {
                extended_header(*id, payload.len() as u32, out);
                out.extend_from_slice(payload);
            }
            Self::Unknown { id } => bare(*id, out),
        }
    }
}

/// Appends the 13 bytes before a block's data. The caller sends the `block.len` bytes itself, from wherever
/// they lie.
pub fn piece_header(block: Block, out: &mut Vec<u8>) {
    let mut bytes = [0; 13];
    bytes[..4].copy_from_slice(&block.len.saturating_add(9).to_be_bytes());
    bytes[4] = id::PIECE;
    bytes[5..9].copy_from_slice(&block.piece.0.to_be_bytes());
    bytes[9..].copy_from_slice(&block.offset.to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// Appends the 6 bytes before the payload of an extension's message (BEP 10). The caller sends the `len` bytes itself.
pub fn extended_header(id: u8, len: u32, out: &mut Vec<u8>) {
    prefix(2 + len as usize, id::EXTENDED, out);
    out.push(id);
}

/// Appends the 17 bytes that ask for `block`.
pub fn request(block: Block, out: &mut Vec<u8>) {
    of_block(id::REQUEST, block, out);
}

fn bare(id: u8, out: &mut Vec<u8>) {
    prefix(1, id, out);
}

fn of_piece(id: u8, piece: PieceIndex, out: &mut Vec<u8>) {
    let mut bytes = [0, 0, 0, 5, id, 0, 0, 0, 0];
    bytes[5..].copy_from_slice(&piece.0.to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn of_block(id: u8, block: Block, out: &mut Vec<u8>) {
    let mut bytes = [0; 17];
    bytes[3] = 13;
    bytes[4] = id;
    bytes[5..9].copy_from_slice(&block.piece.0.to_be_bytes());
    bytes[9..13].copy_from_slice(&block.offset.to_be_bytes());
    bytes[13..].copy_from_slice(&block.len.to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn prefix(len: usize, id: u8, out: &mut Vec<u8>) {
    let len = u32::try_from(len).expect("wire: what we send fits a length prefix");
    let mut bytes = [0, 0, 0, 0, id];
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::chain::Chain;

    fn bytes(message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    #[test]
    fn the_bytes_are_those_of_the_beps() {
        let block = Block { piece: PieceIndex(1), offset: 0x4000, len: 3 };
        let data = Chain::from(Bytes::from_static(b"abc"));
        assert_eq!(bytes(&Message::KeepAlive), [0, 0, 0, 0]);
        assert_eq!(bytes(&Message::NotInterested), [0, 0, 0, 1, 3]);
        assert_eq!(bytes(&Message::Have(PieceIndex(258))), [0, 0, 0, 5, 4, 0, 0, 1, 2]);
        assert_eq!(bytes(&Message::Bitfield(Bytes::from_static(&[0x80]))), [0, 0, 0, 2, 5, 0x80]);
        assert_eq!(bytes(&Message::Request(block)), *b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\0\x03");
        assert_eq!(bytes(&Message::Piece { block, data }), *b"\0\0\0\x0c\x07\0\0\0\x01\0\0\x40\0abc");
        assert_eq!(bytes(&Message::Port(6881)), [0, 0, 0, 3, 9, 0x1a, 0xe1]);
        assert_eq!(bytes(&Message::HaveNone), [0, 0, 0, 1, 15]);
        assert_eq!(bytes(&Message::Reject(block))[..5], [0, 0, 0, 13, 16]);
        let payload = Bytes::from_static(b"de");
        assert_eq!(bytes(&Message::Extended { id: 0, payload }), *b"\0\0\0\x04\x14\0de");
    }
}
