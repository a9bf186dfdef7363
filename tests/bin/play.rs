//! Tapes, played to a new engine.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use pieceful_core::engine::Output;
use pieceful_std::tape::{PlayError, Tape};

/// Plays one and tells how it went; whether the engine says the same.
pub(crate) fn play(file: &Path, show: bool) -> bool {
    match try_to_play(file, show) {
        Ok(()) => true,
        Err(error) => {
            if let PlayError::Differs { said, .. } = &error {
                said.iter().for_each(|line| eprintln!("  {line}"));
            }
            eprintln!("error: {}: {error}", file.display());
            false
        }
    }
}

fn try_to_play(file: &Path, show: bool) -> Result<(), PlayError> {
    let mut tape = Tape::open(file)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let played = tape.play(|now, output| {
        if show && !matches!(output, Output::Idle { .. }) {
            let _ = writeln!(out, "{:>14.6} {output:?}", now.as_micros() as f64 / 1e6); // nobody reads it any more
        }
    })?;
    let end = if played.cut_short { "; it ends in the middle of a record" } else { "" };
    let _ = writeln!(
        out,
        "{} calls in {:.3} s, {} outputs: all as on the tape{end}",
        played.calls,
        played.span.as_secs_f64(),
        played.outputs
    ); // nobody reads it any more
    Ok(())
}
