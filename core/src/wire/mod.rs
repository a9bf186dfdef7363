//! The peer protocol's bytes: handshake, messages, extension handshake (BEP 3, 6, 10).
//!
//! Usable without the rest of the crate: push what was read, take out what it says.
//!
//! ```
//! use bytes::Bytes;
//! use pieceful_core::id::{Block, PeerId, PieceIndex};
//! use pieceful_core::wire::{Decoder, DecoderLimits, Handshake, Message, Reserved, WireError};
//!
//! // What one side sends …
//! let hello = Handshake { reserved: Reserved::NONE.with_fast(), info_hash: [7; 20], peer_id: PeerId([1; 20]) };
//! let mut sent = hello.encode().to_vec();
//! Message::HaveAll.encode(&mut sent);
//! let block = Block { piece: PieceIndex(3), offset: 0, len: 5 };
//! Message::Piece { block, data: Bytes::from_static(b"bytes").into() }.encode(&mut sent);
//!
//! // … the other reads, cut wherever the network cut it.
//! let mut decoder = Decoder::new(DecoderLimits::default());
//! for segment in sent.chunks(70) {
//!     decoder.push(Bytes::copy_from_slice(segment));
//! }
//! assert_eq!(decoder.handshake()?, Some(hello));
//! assert_eq!(decoder.next()?, Some(Message::HaveAll));
//! let Some(Message::Piece { block: got, data }) = decoder.next()? else { panic!("a block was sent") };
//! assert_eq!((got, data.to_vec().as_slice()), (block, &b"bytes"[..]));
//! assert_eq!(decoder.next()?, None);
//! # Ok::<(), WireError>(())
//! ```

mod allowed_fast;
mod decode;
pub mod encode;
mod error;
pub mod extended;
mod handshake;
pub mod holepunch;
mod message;
pub mod metadata;
mod peer_id;
pub mod pex;

pub use allowed_fast::{ALLOWED_FAST_MAX, allowed_fast};
pub use decode::{Decoder, DecoderLimits};
pub use error::WireError;
pub use handshake::{Handshake, Reserved};
pub use message::Message;
pub use peer_id::{client_name, peer_id};
