//! The command-line program: reads what was typed, runs it, and turns how it ended into an exit status.

mod args;
mod choice;
mod completions;
mod create;
mod demo;
mod errors;
mod files;
mod get;
mod info;
mod json;
mod magnet;
mod man;
mod output;
mod printable;
mod progress;
mod seed;
mod signals;
mod source;
mod swarm;
mod units;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command};

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Get(args) => get::run(&args),
        Command::Seed(args) => seed::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Files(args) => files::run(&args),
        Command::Create(args) => create::run(&args),
        Command::Magnet(args) => magnet::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    match ended {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.into()
        }
    }
}

/// Threads for commands that do nothing but hash: one for each core.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
