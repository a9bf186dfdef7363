//! Standard output: whole lines, flushed at once, and an error in place of a panic when nobody reads it.

use std::io::{self, Write as _};

use crate::errors::Failure;

/// Writes all of `bytes` and flushes.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
        Failure::new(format!("cannot write to standard output: {error}"))
            .advice("check what it is connected to")
    })
}

/// Writes `text` as one line and flushes.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}
