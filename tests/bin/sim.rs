//! The simulator as a program: swarms by number, scenarios by chance, and tapes of sessions, played again.

mod dht;
mod play;
mod progress;
mod scenarios;
mod swarm;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use pieceful_tests::scenario::Times;

/// Runs whole swarms in virtual time, without sockets, files or a clock
///
/// Everything follows from the seed: what is run again is the same again. Exit status: 0 all went well, 1 it did
/// not, 2 the arguments make no sense.
#[derive(Debug, Parser)]
#[command(name = "sim", group = ArgGroup::new("what").required(true))]
struct Args {
    /// Run a swarm of seeds and leechers, and show how each fared
    #[arg(long, value_name = "N", group = "what")]
    seed: Option<u64>,
    /// How many nodes the swarm has; one in twenty is a seed
    #[arg(long, value_name = "N", default_value_t = 50, requires = "seed",
          value_parser = clap::value_parser!(u32).range(2..=10_000))]
    nodes: u32,
    /// How many of a hundred packets get lost
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "seed",
          value_parser = clap::value_parser!(u32).range(0..=50))]
    loss: u32,
    /// How many MiB the swarm's torrent has
    #[arg(long, value_name = "MIB", default_value_t = 16, requires = "seed",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    size: u32,

    /// Run a DHT of so many nodes for an hour, of which half are behind NATs and a fifth is replaced, and show how well
    /// peers are found in it
    #[arg(long, value_name = "N", group = "what", value_parser = clap::value_parser!(u32).range(50..=100_000))]
    dht: Option<u32>,
    /// How many of a hundred nodes lead others astray
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "dht",
          value_parser = clap::value_parser!(u32).range(0..=90))]
    liars: u32,

    /// Print the scenario that chance makes of a seed, and run it
    #[arg(long, value_name = "SEED", group = "what")]
    scenario: Option<u64>,
    /// Run a scenario that was written down
    #[arg(long, value_name = "FILE", group = "what")]
    file: Option<PathBuf>,

    /// Run so many scenarios made by chance, and print those that fail
    #[arg(long, value_name = "N", group = "what", value_parser = clap::value_parser!(u64).range(1..))]
    scenarios: Option<u64>,
    /// The first of their seeds
    #[arg(long, value_name = "SEED", default_value_t = 0, requires = "scenarios")]
    from: u64,
    /// How many are run at a time [default: one a core]
    #[arg(long, value_name = "N", requires = "scenarios", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Run each but once: that takes half the time, and does not show that the same happens again
    #[arg(long, requires = "scenarios")]
    once: bool,

    /// Play a tape, made with `pieceful get --record FILE` or `pieceful seed --record FILE`, or by a scenario that
    /// failed: the engine has to say the same as when it was made
    #[arg(long, value_name = "FILE", group = "what")]
    tape: Option<PathBuf>,
    /// Print every output of the engine, with its time in seconds
    #[arg(long, requires = "tape")]
    show: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let went_well = if let Some(tape) = &args.tape {
        play::play(tape, args.show)
    } else if let Some(count) = args.scenarios {
        let jobs = args.jobs.map_or_else(cores, usize::from);
        let times = if args.once { Times::Once } else { Times::Twice };
        scenarios::many(args.from..args.from.saturating_add(count), jobs, times)
    } else if let Some(nodes) = args.dht {
        dht::run(nodes, args.liars)
    } else if let Some(seed) = args.scenario {
        scenarios::one(&pieceful_tests::Scenario::random(seed))
    } else if let Some(file) = &args.file {
        scenarios::read(file)
    } else {
        swarm::run(&swarm::Swarm {
            seed: args.seed.unwrap_or_default(),
            nodes: args.nodes,
            loss: args.loss,
            size: args.size,
        })
    };
    if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
