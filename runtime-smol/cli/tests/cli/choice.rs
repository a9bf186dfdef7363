//! Some files of a torrent: `get --files`, what a magnet link selects, and `files`, which lists them.

use std::fs;

use serde_json::json;

use super::get::{Seeded, events};
use super::{Ran, run, text};

/// The files as the torrent has them.
const LISTED: [(&str, usize); 3] = [("deeper/none", 0), ("deeper/two.bin", 90_001), ("one.bin", 300_000)];

fn get(seeded: &Seeded, source: &str, options: &[&str]) -> Ran {
    let (out, address) = (seeded.out(), seeded.address());
    run(["get", source, "-o", text(&out), "--peer", &address].iter().chain(options))
}

fn link(seeded: &Seeded) -> String {
    run(["magnet", seeded.torrent()]).done().stdout.trim_end().into()
}

/// The second file is whole, and the third was not downloaded.
#[track_caller]
fn assert_second_only(seeded: &Seeded, name: &str) {
    let there = |path: &str| fs::read(seeded.out().join(name).join(path));
    assert!(there("deeper/two.bin").unwrap() == fs::read(seeded.share.file("deeper/two.bin")).unwrap());
    assert!(!seeded.out().join(name).join("one.bin").exists(), "it was skipped");
    let verified = run(["verify", seeded.torrent(), text(&seeded.out()), "--json"]).json();
    assert_eq!(verified["pieces_ok"], 2, "{verified}");
}

#[test]
fn the_files_are_listed_with_their_numbers() {
    let seeded = Seeded::named("listed");
    let listed = run(["files", seeded.torrent()]).done().stdout;
    assert_eq!(listed.lines().nth(1), Some("1    87.9 KiB  listed/deeper/two.bin"), "{listed}");
    let entries = LISTED.iter().enumerate();
    let entries = entries.map(
        |(index, (path, length))| json!({"index": index, "length": length, "path": format!("listed/{path}")}),
    );
    let listed = run(["files", seeded.torrent(), "--json"]).done().json();
    assert_eq!(listed, json!({"files": entries.collect::<Vec<_>>()}));
    assert!(run(["files", &link(&seeded)]).failed().contains("--metadata-only"));
}

#[test]
fn files_are_chosen_by_number_and_by_pattern_and_progress_counts_them() {
    for files in ["1", "t*.bin", "deeper/*", "by choice/deeper/two.bin"] {
        let seeded = Seeded::named("by choice");
        let ran = get(&seeded, seeded.torrent(), &["--files", files, "--json"]).done();
        assert_second_only(&seeded, "by choice");
        let events = events(&ran);
        let (_, progress) = events.iter().rfind(|(name, _)| name == "progress").unwrap();
        assert_eq!((&progress["bytes_done"], &progress["bytes_total"]), (&json!(90_001), &json!(90_001)));
    }
}

#[test]
fn a_second_run_that_wants_more_fetches_the_rest() {
    let seeded = Seeded::named("more");
    let ran = get(&seeded, seeded.torrent(), &["--files", "two.bin"]).done();
    assert!(ran.stderr.contains("87.9 KiB in"), "{ran:?}");
    let ran = get(&seeded, seeded.torrent(), &["--json"]).done();
    seeded.assert_downloaded();
    let (_, first) = events(&ran).into_iter().find(|(name, _)| name == "progress").unwrap();
    assert!(
        first["bytes_done"].as_u64() >= Some(3 * (32 << 10)),
        "what was there is asked for again: {first}"
    );
    assert_eq!(fs::read_dir(seeded.out()).unwrap().count(), 1, "nothing is kept aside any more");
}

#[test]
fn a_magnet_link_selects_files_unless_the_user_does() {
    let seeded = Seeded::named("selected");
    let selecting = format!("{}&so=0,1", link(&seeded));
    get(&seeded, &selecting, &[]).done();
    assert_second_only(&seeded, "selected");
    get(&seeded, &selecting, &["--files", "*"]).done();
    seeded.assert_downloaded();
    let missing = get(&seeded, &format!("{}&so=0-3", link(&seeded)), &[]);
    assert_eq!(missing.status, 2, "{missing:?}");
    assert!(missing.stderr.contains("selected has no file 3, the last is 2"), "{missing:?}");
}

#[test]
fn a_choice_of_what_is_not_there_is_a_mistake_of_usage() {
    let seeded = Seeded::named("mistaken");
    for (files, says) in [
        ("3", "mistaken has no file 3, the last is 2; `pieceful files TORRENT` lists what there is"),
        ("0,2-7", "mistaken has no file 7"),
        ("*.mkv", "no file of mistaken matches '*.mkv'"),
        ("5-2", "'5-2' names no files"),
    ] {
        let torrent = get(&seeded, seeded.torrent(), &["--files", files]);
        assert_eq!(torrent.status, 2, "{torrent:?}");
        assert!(torrent.stderr.contains(says), "{torrent:?}");
        let link = get(&seeded, &link(&seeded), &["--files", files]);
        assert_eq!(link.status, 2, "{link:?}");
        assert!(link.stderr.contains(says), "{link:?}");
    }
    assert!(!seeded.out().join("mistaken").exists(), "nothing is downloaded");
    let two = run(["get", seeded.torrent(), NOBODYS, "--files", "1"]);
    assert_eq!(two.status, 2, "{two:?}");
}

/// A link to a torrent that nobody has.
const NOBODYS: &str = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
