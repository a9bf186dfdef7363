//! Files: short enough to read, and part of a crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{name, root, rust_files, text};

/// Lines of a file. Most have half as many.
const LINES_MAX: usize = 600;

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = rust_files(&root())
        .iter()
        .map(|path| (path, text(path).lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", name(path)))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_decides() {
    let silent: Vec<String> = rust_files(&root())
        .iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "fuzz_targets"))
        .filter(|path| !text(path).starts_with("//!"))
        .map(|path| name(path))
        .collect();
    assert!(silent.is_empty(), "files whose first line is not about them:\n{}", silent.join("\n"));
}

#[test]
fn every_file_belongs_to_a_crate() {
    let mut reached: BTreeSet<PathBuf> = BTreeSet::new();
    for package in ["core", "runtime-std", "runtime-smol", "runtime-smol/cli", "tests", "fuzz"] {
        for file in targets(&root().join(package)) {
            reach(&file, file.parent().expect("a file lies in a folder"), &mut reached);
        }
    }
    let dead: Vec<String> = rust_files(&root())
        .into_iter()
        .filter(|path| !reached.contains(path))
        .map(|path| name(&path))
        .collect();
    assert!(dead.is_empty(), "files that no `mod` leads to:\n{}", dead.join("\n"));
}

/// The files a package's targets begin with.
fn targets(package: &Path) -> Vec<PathBuf> {
    let manifest = text(&package.join("Cargo.toml"));
    let mut found: Vec<PathBuf> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'))
        .filter(|path| path.ends_with(".rs"))
        .map(|path| package.join(path))
        .collect();
    found.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|path| package.join(path)));
    for folder in ["examples", "benches", "src/bin", "tests"] {
        let Ok(entries) = fs::read_dir(package.join(folder)) else { continue };
        for entry in entries {
            let path = entry.expect("a folder can be read").path();
            found.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    found.retain(|path| path.extension().is_some_and(|ending| ending == "rs") && path.is_file());
    found
}

/// Follows the `mod` lines of a file whose child modules lie in `folder`.
fn reach(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let mut elsewhere = None;
    for line in text(file).lines() {
        let line = line.trim();
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            elsewhere = file.parent().and_then(|beside| beside.join(path).canonicalize().ok());
            continue;
        }
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        if let Some(found) = elsewhere.take() {
            let beside = found.parent().expect("a file lies in a folder").to_owned();
            reach(&found, &beside, reached);
            continue;
        }
        let inside = folder.join(module);
        let flat = folder.join(format!("{module}.rs"));
        let nested = inside.join("mod.rs");
        for candidate in [flat, nested] {
            if candidate.is_file() {
                reach(&candidate, &inside, reached);
            }
        }
    }
}
