//! Tapes: everything an engine was told, in a file, to be told again elsewhere.
//!
//! An engine is a function of its configuration, its seed and the calls made to it. So a file with those is all
//! it takes to see once more what happened on another machine: [`Recorded`] writes it while a session runs,
//! [`Tape`] reads it and plays it to a new engine, which has to say the same again.
//!
//! Payload is left out unless asked for: the engine does not look into blocks, it compares hashes that the disk
//! worked out, and those are on the tape. Addresses can be kept off it, too ([`RecordOptions::scrub`]).
//!
//! ```no_run
//! use pieceful_std::tape::Tape;
//!
//! let mut tape = Tape::open("download.tape".as_ref())?;
//! let played = tape.play(|now, output| println!("{:>12} {output:?}", now.as_micros()))?;
//! println!("{} calls, {} outputs, all as they were", played.calls, played.outputs);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The file is a line that names it, then records, each its length (`u32`, little-endian) and that many bytes of
//! [postcard](https://postcard.jamesmunns.com): first how the engine was made, then calls, and after each drain
//! the number of outputs so far and a digest of them all.

mod error;
mod payload;
mod play;
mod record;
mod said;
mod scrub;

use bytes::Bytes;
use pieceful_core::engine::{Call, Config};
use pieceful_core::id::{ConnId, DiskOp};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use serde::{Deserialize, Serialize};

pub use error::{PlayError, TapeError};
pub use play::{Played, Tape};
pub use record::{RecordOptions, Recorded, Recorder};

/// The first bytes of every tape; the number is that of the format.
const MAGIC: &[u8] = b"pieceful tape 1\n";

/// Longest record: a command with a large torrent in it is the longest there is.
const RECORD_LEN_MAX: u32 = 64 << 20;

/// How the engine was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    config: Config,
    seed: Seed,
    begins: Instant,
    /// Whether the payload of blocks is on the tape.
    payload: bool,
}

/// What follows the head.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Record {
    /// The engine was told something.
    Call(Instant, Call),
    /// It was told that bytes came, some of them payload that was left out.
    Received(Instant, ConnId, Vec<Part>),
    /// It was told that a block was read, which was left out; its length.
    Read(Instant, DiskOp, u32),
    /// All that it had to say was taken out: how many outputs that were since it was made, and their digest.
    Said(u64, u64),
}

/// A run of received bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    /// As they came.
    Bytes(Bytes),
    /// Payload of a block: so many bytes.
    Payload(u32),
}
