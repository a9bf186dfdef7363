//! Scenarios whose runs are known to the byte: they are the same on every machine, and the same as yesterday.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pieceful_tests::Scenario;
use pieceful_tests::scenario::Watch;

/// Seeds whose hashes are committed.
const SEEDS: u64 = 8;

#[test]
fn the_runs_of_known_scenarios_are_what_they_were() {
    let watch = Watch { hashed: true, ..Watch::default() };
    let mut found = String::new();
    for seed in 0..SEEDS {
        let scenario = Scenario::random(seed);
        let run = || scenario.watched(watch).unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
        let report = run();
        assert_eq!(report, run(), "seed {seed} ran in two ways");
        let hash: String = report.transcript.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(found, "{seed} {hash} {} outputs", report.outputs).expect("a String takes all");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("determinism/hashes.txt");
    if std::env::var_os("SIM_HASHES").is_some_and(|value| value == "renew") {
        fs::write(&file, &found).expect("the file can be written");
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        known, found,
        "the engine or the simulator behaves in another way. If it should: \
         SIM_HASHES=renew cargo test -p pieceful-tests --test determinism, and commit tests/determinism/hashes.txt"
    );
}
