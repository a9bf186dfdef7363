//! What can be wrong with a tape.

use std::io;

/// Why a tape could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is something else, or a tape of another version.
    #[error("not a tape of this version of pieceful")]
    NotATape,
    /// A record does not read.
    #[error("record {record} is damaged: {reason}")]
    Damaged {
        /// Counted from 0, which is the head.
        record: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a tape was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// It could not be read.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// The engine said something else than when the tape was made.
    #[error("at {at_micros} µs, after {calls} calls, the engine says something else than on the tape")]
    Differs {
        /// When, in microseconds of the engine's time.
        at_micros: u64,
        /// Calls played so far.
        calls: u64,
        /// What it says now, since the last place where it said the same.
        said: Vec<String>,
    },
}
