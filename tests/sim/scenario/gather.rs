//! Many scenarios, on all cores: what failed, made small and written down so that it can be seen again.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Report, Scenario, Watch};

/// Lines of trace that are kept of a failure.
const TRACE_LINES: usize = 400;
/// Failures after which no more seeds are tried.
const FAILURES_MAX: usize = 5;

/// What failed, in words.
pub type Failed = (u64, String);

/// How often each scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// Twice: the same has to happen again.
    Twice,
}

/// Runs the scenarios of these seeds, `jobs` at a time, until too many have failed. `each` is told of every one.
pub fn run_seeds(
    seeds: Range<u64>,
    jobs: usize,
    times: Times,
    each: impl Fn(&Result<Report, String>) + Sync,
) -> Vec<Failed> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = run_seed(seed, times);
                    each(&result);
                    if let Err(why) = result {
                        let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        failed.push((seed, why));
                        enough.store(failed.len() >= FAILURES_MAX, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort();
    failed
}

/// Runs the scenario of one seed; an error tells all there is to know.
///
/// # Errors
/// When a rule is broken, somebody does not finish, or the same does not happen twice.
pub fn run_seed(seed: u64, times: Times) -> Result<Report, String> {
    let scenario = Scenario::random(seed);
    let twice = times == Times::Twice;
    let watch = Watch { hashed: twice, ..Watch::default() };
    let Ok(report) = scenario.watched(watch) else { return Err(scenario.told()) };
    if twice && scenario.watched(watch).as_ref().ok() != Some(&report) {
        return Err(format!("seed {seed}: the same scenario ran in two ways\n{}", again(seed)));
    }
    Ok(report)
}

fn again(seed: u64) -> String {
    format!("again with: cargo run -p pieceful-tests --bin sim -- --scenario {seed}")
}

impl Scenario {
    /// Everything there is to know of a scenario that fails; it is written down under `target/sim`, too.
    #[must_use]
    pub fn told(&self) -> String {
        let seed = self.seed;
        let Some((small, failure)) = self.shrunk() else {
            return format!("seed {seed}: failed, and ran through when it was tried again\n{}", again(seed));
        };
        let mut told = format!("seed {seed}: {}\n{}\n", failure.why, again(seed));
        let _ = writeln!(told, "made smaller, it still fails:\n{small}"); // writing to a String does not fail
        let watched = small.watched(Watch { trace: TRACE_LINES, hashed: false, recorded: true });
        let Err(failure) = watched else {
            let _ = writeln!(told, "watched, it ran through");
            return told;
        };
        let folder = folder(seed);
        match small.keep(&folder, &failure) {
            Ok(files) => {
                let _ =
                    writeln!(told, "written down, to be run with `sim --file` and played with `sim --tape`:");
                files.iter().for_each(|file| told.push_str(&format!("  {}\n", file.display())));
            }
            Err(error) => told.push_str(&format!("{} cannot be written: {error}\n", folder.display())),
        }
        let _ = write!(told, "its end:\n{}", failure.trace);
        told
    }

    fn keep(&self, folder: &Path, failure: &super::Failure) -> io::Result<Vec<PathBuf>> {
        let _ = fs::remove_dir_all(folder); // of an earlier run
        fs::create_dir_all(folder)?;
        let mut files = vec![folder.join("scenario.json"), folder.join("trace.txt")];
        fs::write(&files[0], self.to_string())?;
        fs::write(&files[1], format!("{}\n{}", failure.why, failure.trace))?;
        for (name, tape) in &failure.tapes {
            let file = folder.join(format!("{}.tape", name.replace(' ', "-")));
            tape.save(&file)?;
            files.push(file);
        }
        Ok(files)
    }
}

/// Where what failed is written down.
fn folder(seed: u64) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    target.unwrap_or_else(|| workspace.join("target")).join("sim").join(seed.to_string())
}
