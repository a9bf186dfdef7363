//! Every fuzz target's body, on stable: over the committed corpus and over seeded inputs.

use std::fs;
use std::path::Path;

use pieceful_core::rng::{Rng, Seed};

/// Seeded inputs per target; the fuzzer itself goes deeper.
const RANDOM_INPUTS: u32 = 2_000;

#[test]
fn every_target_holds_over_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, run) in pieceful_fuzz::TARGETS {
        let Ok(folder) = fs::read_dir(corpus.join(name)) else { continue };
        for entry in folder {
            let path = entry.expect("the corpus folder can be read").path();
            println!("{}", path.display());
            run(&fs::read(&path).expect("a corpus file can be read"));
        }
    }
}

#[test]
fn every_target_holds_over_seeded_inputs() {
    for (name, run) in pieceful_fuzz::TARGETS {
        let mut rng = Rng::new(Seed(*b"pieceful smoke inputs, seed one."));
        for round in 0..RANDOM_INPUTS {
            let mut input = vec![0; rng.below(512) as usize];
            rng.fill(&mut input);
            println!("{name} {round}");
            run(&input);
        }
    }
}
