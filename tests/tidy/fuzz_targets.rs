//! A fuzz target is named in four places, and in all of them the same.

use std::collections::BTreeSet;
use std::fs;

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
    let Ok(corpora) = fs::read_dir(root().join("fuzz/corpus")) else { return };
    for corpus in corpora {
        let name = corpus.expect("a folder can be read").file_name().to_string_lossy().into_owned();
        assert!(listed.contains(&name), "fuzz/corpus/{name} belongs to no target");
    }
}
