//! `pieceful man`: the manual, from the same words as `--help`.

use std::fs;

use clap::CommandFactory as _;

use crate::args::{Arguments, Man};
use crate::errors::{Failure, Outcome, io_advice};
use crate::output;

/// Prints the main page, or writes all pages into a folder.
pub(crate) fn run(args: &Man) -> Result<Outcome, Failure> {
    let command = Arguments::command();
    match &args.output {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|error| Failure::new(error.to_string()))?;
            output::write(&page)?;
        }
        Some(folder) => {
            fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)).map_err(
                |error| {
                    Failure::new(format!("cannot write the manual to {}: {error}", folder.display()))
                        .advice(io_advice(&error))
                },
            )?;
        }
    }
    Ok(Outcome::Done)
}
