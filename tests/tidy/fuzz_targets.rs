//! A fuzz target is named in four places, and in all of them the same; what belongs to it is small.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::source::{root, text};

#[test]
fn every_fuzz_target_is_built_run_and_replayed() {
    let listed: BTreeSet<String> =
        pieceful_fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();

    let manifest = text(&root().join("fuzz/Cargo.toml"));
    let built: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, built, "TARGETS and fuzz/Cargo.toml");

    let files: BTreeSet<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
        .expect("there are fuzz targets")
        .map(|entry| entry.expect("a folder can be read").path())
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed, files, "TARGETS and fuzz/fuzz_targets");

    for name in &listed {
        let target = text(&root().join(format!("fuzz/fuzz_targets/{name}.rs")));
        assert!(target.contains(&format!("pieceful_fuzz::{name}::run(data)")), "{name} runs something else");
    }
}

/// A corpus is read through by every `cargo test`, and stays in the repository for good.
const CORPUS_FILES_MAX: usize = 200;
const CORPUS_BYTES_MAX: u64 = 300 << 10;

#[test]
fn every_corpus_and_dictionary_belongs_to_a_target_and_is_small() {
    let listed: BTreeSet<&str> = pieceful_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    for corpus in entries("fuzz/corpus") {
        let name = corpus.file_name().expect("it has a name").to_string_lossy().into_owned();
        assert!(listed.contains(&*name), "fuzz/corpus/{name} belongs to no target");
        let inputs = entries(&format!("fuzz/corpus/{name}"));
        let bytes: u64 = inputs.iter().map(|input| input.metadata().expect("an input is a file").len()).sum();
        assert!(inputs.len() <= CORPUS_FILES_MAX, "{} inputs of {name}", inputs.len());
        assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes of inputs of {name}");
    }
    for dictionary in entries("fuzz/dict") {
        let name = dictionary.file_stem().expect("it has a name").to_string_lossy();
        assert!(listed.contains(&*name), "{} belongs to no target", dictionary.display());
    }
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("a folder can be read").path()).collect()
}
