//! Swarms put together by chance. First everything goes wrong that may; then it heals, and all must finish.

use std::num::NonZero;

use pieceful_tests::scenario::{Times, run_seeds};

/// Seeds tried in an ordinary run; `SIM_SEED=n` runs that one alone, `SIM_SEEDS=n` the first n.
const SEEDS: u64 = 1_000;

#[test]
fn whatever_happens_in_a_swarm_all_finish_once_it_heals() {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("{name} has to be a number, not {value:?}")))
    };
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let jobs = std::thread::available_parallelism().map_or(1, NonZero::get);
    let failed = run_seeds(seeds, jobs, Times::Twice, |_| {});
    let told: Vec<&str> = failed.iter().map(|(_, why)| why.as_str()).collect();
    assert!(failed.is_empty(), "\n{}", told.join("\n\n"));
}
