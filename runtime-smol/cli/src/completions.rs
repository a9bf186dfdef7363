//! `pieceful completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;

use crate::args::{Arguments, Completions};
use crate::errors::{Failure, Outcome};
use crate::output;

/// Prints the script.
pub(crate) fn run(args: &Completions) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "pieceful", &mut script);
    output::write(&script)?;
    Ok(Outcome::Done)
}
