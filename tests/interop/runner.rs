//! Runs cases beside each other and says at the end what passed, what failed and what was left out.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{panic, thread};

use crate::others::Program;
use crate::{Bench, Failure, Result};

/// One test.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Programs it cannot do without.
    pub(crate) needs: Vec<Program>,
    /// Whether it means nothing on loopback. No package brings a network, so it is left out even where all
    /// programs are required.
    pub(crate) own_network: bool,
    pub(crate) run: Run,
}

pub(crate) type Run = Box<dyn Fn(&Bench) -> Result<()> + Send>;

/// Cases at once beyond one for each core: most of a case is waiting for another program.
const MORE_THAN_CORES: usize = 6;

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    left_out: BTreeMap<String, Vec<String>>,
}

/// Runs all of them; succeeds if none fails.
pub(crate) fn run(cases: Vec<Case>, bench: &Bench, required: bool) -> ExitCode {
    let cases = VecDeque::from(cases);
    let at_once = thread::available_parallelism().map_or(1, usize::from) + MORE_THAN_CORES;
    println!("\nrunning {} cases with other programs, {at_once} at once", cases.len());
    let (since, cases, tally) = (Instant::now(), Mutex::new(cases), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(case) = next(&cases) {
                    run_one(case, bench, required, &tally);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count: usize = tally.left_out.values().map(Vec::len).sum();
    println!();
    for (why, names) in &tally.left_out {
        println!("left out {}: {why}", names.len());
        names.iter().for_each(|name| println!("    {name}"));
    }
    for name in &tally.failed {
        println!("failed: {name}");
    }
    let (passed, failed, seconds) = (tally.passed, tally.failed.len(), since.elapsed().as_secs_f64());
    println!("interop: {passed} passed, {failed} failed, {count} left out, in {seconds:.1} s\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn next(cases: &Mutex<VecDeque<Case>>) -> Option<Case> {
    cases.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn run_one(case: Case, bench: &Bench, required: bool, tally: &Mutex<Tally>) {
    let Case { name, needs, own_network, run } = case;
    if own_network && let Some(why) = &bench.no_network {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        return tally.left_out.entry(why.clone()).or_default().push(name);
    }
    let missing = needs.into_iter().find_map(|program| bench.others.missing(program));
    let since = Instant::now();
    let result = match missing {
        Some(why) if !required => {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            return tally.left_out.entry(why.to_owned()).or_default().push(name);
        }
        Some(why) => Err(Failure::new(why)),
        None => panic::catch_unwind(panic::AssertUnwindSafe(|| run(bench)))
            .unwrap_or_else(|_| Err(Failure::new("it panicked, see above"))),
    };
    let seconds = since.elapsed().as_secs_f64();
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    match result {
        Ok(()) => {
            println!("ok      {seconds:6.1} s  {name}");
            tally.passed += 1;
        }
        Err(failure) => {
            println!("FAILED  {seconds:6.1} s  {name}\n    {}", failure.to_string().replace('\n', "\n    "));
            tally.failed.push(name);
        }
    }
}
