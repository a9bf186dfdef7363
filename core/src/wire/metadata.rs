//! The messages by which the `info` dictionary goes from peer to peer (BEP 9), inside `extended` messages (BEP 10).

use alloc::vec::Vec;

use bytes::Bytes;

use crate::bencode::{self, Kind, Limits, Value};

/// Bytes in every piece of the metadata but the last.
pub const METADATA_PIECE_LEN: u32 = 16 * 1024;

/// A message about the metadata, which is cut into pieces of [`METADATA_PIECE_LEN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataMessage {
    /// Asks for a piece.
    Request {
        /// Which, from 0.
        piece: u32,
    },
    /// A piece.
    Data {
        /// Which, from 0.
        piece: u32,
        /// Bytes of the whole metadata, as the sender says.
        total: u32,
        /// Its bytes; not checked against anything yet.
        data: Bytes,
    },
    /// The sender does not give a piece that it was asked for.
    Reject {
        /// Which, from 0.
        piece: u32,
    },
}

const REQUEST: i64 = 0;
const DATA: i64 = 1;
const REJECT: i64 = 2;

impl MetadataMessage {
    /// Reads a payload; `None` if it is malformed, or of a type that BEP 9 does not know, which is to be ignored.
    #[must_use]
    pub fn parse(payload: &Bytes) -> Option<Self> {
        let (document, end) = bencode::decode_prefix(payload, Limits::WIRE).ok()?;
        let root = document.root();
        if root.kind() != Kind::Dict {
            return None;
        }
        let number =
            |key| root.get(key).and_then(Value::as_int).and_then(|number| u32::try_from(number).ok());
        let piece = number(b"piece".as_slice())?;
        match root.get(b"msg_type")?.as_int()? {
            REQUEST => Some(Self::Request { piece }),
            DATA => Some(Self::Data { piece, total: number(b"total_size")?, data: payload.slice(end..) }),
            REJECT => Some(Self::Reject { piece }),
            _ => None,
        }
    }

    /// The payload to send. Data stands behind the dictionary, to be sent from where it lies: it is not in here.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, piece, total) = match self {
            Self::Request { piece } => (REQUEST, *piece, None),
            Self::Data { piece, total, .. } => (DATA, *piece, Some(*total)),
            Self::Reject { piece } => (REJECT, *piece, None),
        };
        bencode::dict(|d| {
            d.int(b"msg_type", kind);
            d.int(b"piece", piece.into());
            if let Some(total) = total {
                d.int(b"total_size", total.into());
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_bep_9_are_read_and_written() {
        let request = Bytes::from_static(b"d8:msg_typei0e5:piecei0ee");
        let data = Bytes::from_static(b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx");
        let reject = Bytes::from_static(b"d8:msg_typei2e5:piecei0ee");
        let parsed = [
            (request, MetadataMessage::Request { piece: 0 }, 0),
            (data.clone(), MetadataMessage::Data { piece: 0, total: 34_256, data: data.slice(45..) }, 8),
            (reject, MetadataMessage::Reject { piece: 0 }, 0),
        ];
        for (bytes, message, data_len) in parsed {
            assert_eq!(MetadataMessage::parse(&bytes).as_ref(), Some(&message));
            assert_eq!(message.encode(), bytes[..bytes.len() - data_len]);
        }
    }

    #[test]
    fn what_is_malformed_or_unknown_is_no_message() {
        for payload in [
            "",
            "le",
            "d8:msg_typei0ee",
            "d5:piecei0ee",
            "d8:msg_typei3e5:piecei0ee",
            "d8:msg_typei0e5:piecei-1ee",
            "d8:msg_typei0e5:piecei4294967296ee",
            "d8:msg_typei1e5:piecei0ee",
            "d8:msg_typei0e5:piecei0e",
        ] {
            assert_eq!(MetadataMessage::parse(&payload.into()), None, "{payload}");
        }
    }
}
