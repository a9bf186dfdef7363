//! The simulator as a program: tapes of real sessions, played again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
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
    match play(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let PlayError::Differs { said, .. } = &error {
                said.iter().for_each(|line| eprintln!("  {line}"));
            }
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &Args) -> Result<(), PlayError> {
    let mut tape = Tape::open(&args.tape)?;
    let played = tape.play(|now, output| {
        if args.show {
            println!("{:>14.6} {output:?}", now.as_micros() as f64 / 1e6);
        }
    })?;
    let end = if played.cut_short { "; it ends in the middle of a record" } else { "" };
    println!(
        "{} calls in {:.3} s, {} outputs: all as on the tape{end}",
        played.calls,
        played.span.as_secs_f64(),
        played.outputs
    );
    Ok(())
}
