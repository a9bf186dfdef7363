//! Scenarios: one by one, or by the thousand.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use pieceful_tests::Scenario;
use pieceful_tests::scenario::{Times, run_seeds};

use crate::progress;
use crate::swarm::{self, CpuTime};

/// Prints one and runs it.
pub(crate) fn one(scenario: &Scenario) -> bool {
    println!("{scenario}");
    let cpu = CpuTime::now();
    match scenario.watched(swarm::HASHED) {
        Ok(report) => {
            swarm::show(&report, cpu);
            true
        }
        Err(failure) => {
            println!("{}; making it smaller", failure.why);
            println!("{}", scenario.told());
            false
        }
    }
}

/// Runs one that was written down.
pub(crate) fn read(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    match text.and_then(|text| Scenario::read(&text)) {
        Ok(scenario) => one(&scenario),
        Err(error) => {
            eprintln!("error: {}: {error}", file.display());
            false
        }
    }
}

/// Runs those of many seeds.
pub(crate) fn many(seeds: Range<u64>, jobs: usize, times: Times) -> bool {
    let count = seeds.end - seeds.start;
    let cpu = CpuTime::now();
    let bar = progress::bar(count, "scenarios");
    let (outputs, nodes) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = run_seeds(seeds, jobs, times, |result| {
        match result {
            Ok(report) => {
                outputs.fetch_add(report.outputs, Ordering::Relaxed);
                nodes.fetch_add(report.members.len() as u64, Ordering::Relaxed);
            }
            Err(why) => bar.suspend(|| println!("{why}\n")),
        }
        bar.inc(1);
    });
    let ran = bar.position();
    bar.finish_and_clear();
    println!(
        "{} of {count} scenarios went well, {} failed: {} engines, {} outputs, {} of CPU time",
        ran - failed.len() as u64,
        failed.len(),
        nodes.into_inner(),
        outputs.into_inner(),
        cpu.since(),
    );
    failed.is_empty()
}
