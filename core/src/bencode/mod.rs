//! Bencoding (BEP 3): what .torrent files, tracker answers, the DHT and extension messages are written in.
//!
//! Reading borrows: a [`Document`] is the input plus one flat list of small tokens, and a [`Value`] is a cursor
//! into it. Writing is canonical by construction: [`dict`] sorts the keys itself.
//!
//! ```
//! use pieceful_core::bencode::{self, Limits, Value};
//!
//! let answer = bencode::decode(b"d8:intervali1800e5:peers6:\x7f\0\0\x01\x1a\xe1e", Limits::WIRE)?;
//! assert_eq!(answer.root().get(b"interval").and_then(Value::as_int), Some(1800));
//! assert_eq!(answer.root().get(b"peers").and_then(Value::as_bytes), Some(&[127, 0, 0, 1, 26, 225][..]));
//!
//! let request = bencode::dict(|d| {
//!     d.int(b"piece", 0);
//!     d.int(b"msg_type", 0);
//! });
//! assert_eq!(request, b"d8:msg_typei0e5:piecei0ee");
//! # Ok::<(), bencode::BencodeError>(())
//! ```

mod decode;
mod encode;
mod error;
mod value;

pub use decode::{Document, Limits, decode, decode_prefix};
pub use encode::{DictEncoder, ListEncoder, dict, dict_into, list};
pub use error::BencodeError;
pub use value::{Entries, Items, Kind, Value};
