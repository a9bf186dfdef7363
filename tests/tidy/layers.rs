//! The core's modules lie in layers, and name nothing of the outside world.

use std::path::Path;

use crate::source::{code, has_word, name, root, rust_files, text};

/// A module may import only from modules to the left of it.
const ORDER: &str = "time rng id scope compact chain bitfield rate cx bencode metainfo wire mse utp dht tracker lsd disk \
                     peer picker choke torrent engine";

/// What the core must not say outside of its tests, and why.
const BANNED: &[(&str, &str)] = &[
    ("std::", "the core is no_std"),
    ("Instant::now", "time is an input"),
    ("SystemTime", "time is an input"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("println!", "events are the way to say something"),
    ("eprintln!", "events are the way to say something"),
    ("dbg!", "events are the way to say something"),
    ("unsafe", "the core is safe"),
    ("f32", "floats round differently on different machines"),
    ("f64", "floats round differently on different machines"),
    ("todo!", "unfinished"),
    ("unimplemented!", "unfinished"),
];

fn core() -> std::path::PathBuf {
    root().join("core/src")
}

/// The module of the crate that a file belongs to.
fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(core()).expect("a file of the core");
    let first = inside.components().next().expect("a file has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_from_layers_below() {
    let order: Vec<&str> = ORDER.split_whitespace().collect();
    let place = |module: &str| order.iter().position(|known| *known == module);
    let mut wrong = Vec::new();
    for path in rust_files(&core()) {
        let own = layer(&path);
        if own == "lib" || path.ends_with("tests.rs") {
            continue;
        }
        let Some(rank) = place(&own) else { panic!("{own} has no place in the order of layers") };
        for (number, line) in code(&text(&path)) {
            for (at, _) in line.match_indices("crate::") {
                let used: String = line[at + 7..]
                    .chars()
                    .take_while(|char| char.is_alphanumeric() || *char == '_')
                    .collect();
                if used != own && place(&used).is_some_and(|used| used > rank) {
                    wrong.push(format!("{}:{number}: {own} is below {used}", name(&path)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point upwards:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_names_nothing_of_the_outside_world() {
    let mut wrong = Vec::new();
    for path in rust_files(&core()) {
        for (number, line) in code(&text(&path)) {
            for (word, why) in BANNED.iter().filter(|(word, _)| has_word(&line, word)) {
                wrong.push(format!("{}:{number}: {word} ({why})", name(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_core_is_without_std_and_without_unsafe_code() {
    let lib = text(&core().join("lib.rs"));
    for line in ["#![no_std]", "#![forbid(unsafe_code)]", "#![warn(missing_docs)]"] {
        assert!(lib.contains(line), "core/src/lib.rs has no {line}");
    }
    assert!(!lib.contains("extern crate std"), "not even for tests: `cargo test` brings its own");
}
