//! The simulator as a program: tapes of real sessions, played again.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pieceful_core::engine::Output;
use pieceful_std::tape::{PlayError, Tape};

/// Plays a tape of a real session to an engine without sockets, files or a clock
///
/// The engine has to say the same as when the tape was made. Exit status: 0 it does, 1 it does not, or the tape
/// is no tape.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Args {
    /// The tape, made with `pieceful get --record FILE` or `pieceful seed --record FILE`
    #[arg(long, value_name = "FILE")]
    tape: PathBuf,
    /// Print every output of the engine, with its time in seconds
    #[arg(long)]
    show: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match play(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let PlayError::Differs { said, .. } = &error {
                said.iter().for_each(|line| eprintln!("  {line}"));
            }
            eprintln!("error: {}: {error}", args.tape.display());
            ExitCode::FAILURE
        }
    }
}

fn play(args: &Args) -> Result<(), PlayError> {
    let mut tape = Tape::open(&args.tape)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let played = tape.play(|now, output| {
        if args.show && !matches!(output, Output::Idle { .. }) {
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
