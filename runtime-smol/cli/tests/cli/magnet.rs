//! `get` with a magnet link, end to end, from a seeder in this process.

use std::fs;

use pieceful_core::metainfo::Metainfo;
use rustix::process::Signal;

use super::get::{Seeded, events};
use super::share::{BYTES, Running};
use super::{run, text};

/// A link to a torrent that nobody has.
const NOBODYS: &str = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=nobody\u{2019}s";

/// The link of a torrent.
fn link(seeded: &Seeded) -> String {
    run(["magnet", seeded.torrent()]).done().stdout.trim_end().into()
}

#[test]
fn a_magnet_link_is_downloaded_as_a_torrent_file_is_and_says_what_it_leads_to() {
    let seeded = Seeded::named("by link");
    let (out, address) = (seeded.out(), seeded.address());
    let ran = run(["get", &link(&seeded), "-o", text(&out), "--peer", &address, "--json"]).done();
    seeded.assert_downloaded();
    let events = events(&ran);
    let (_, metadata) = events.iter().find(|(name, _)| name == "metadata").expect("what the link leads to");
    assert_eq!((&metadata["name"], &metadata["bytes_total"]), (&"by link".into(), &BYTES.into()));
    assert_eq!(metadata["pieces"], BYTES.div_ceil(32 << 10));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let place = |name| names.iter().position(|other| *other == name).expect("said");
    assert!(place("metadata") < place("progress") && names.last() == Some(&"finished"), "{names:?}");
}

#[test]
fn links_and_files_may_be_mixed_and_the_same_torrent_counts_once() {
    let (one, two) = (Seeded::named("mixed one"), Seeded::named("mixed two"));
    let link = link(&one);
    let peers = [one.address(), two.address()];
    let out = one.out();
    let sources = ["get", &link, two.torrent(), one.torrent(), "-o", text(&out)];
    run(sources.into_iter().chain(["--peer", &peers[0], "--peer", &peers[1]])).done();
    one.assert_downloaded();
    two.share.assert_in(&out);
}

#[test]
fn the_metadata_alone_makes_a_torrent_file_and_a_second_time_nobody_is_needed() {
    let seeded = Seeded::named("metadata only");
    let mut link = link(&seeded);
    link.push_str("&tr=http://127.0.0.1:1/announce&ws=http://example.com/x");
    let file = seeded.share.place.path().join("made.torrent");
    let get = ["get", &link, "--metadata-only", "-o", text(&file)];
    run(get.into_iter().chain(["--peer", &seeded.address()])).done();
    let made = Metainfo::parse(fs::read(&file).unwrap()).unwrap();
    let original = Metainfo::parse(fs::read(seeded.torrent()).unwrap()).unwrap();
    assert_eq!(made.info, original.info);
    assert_eq!(made.trackers, [["http://127.0.0.1:1/announce"]]);
    assert_eq!(made.web_seeds, ["http://example.com/x"]);
    assert!(!seeded.out().exists(), "nothing is downloaded");

    assert!(run(get).failed().contains("is there already"));
    fs::remove_file(&file).unwrap();
    run(get).done();
    assert_eq!(Metainfo::parse(fs::read(&file).unwrap()).unwrap(), made, "what was kept is enough");
    let ran = run(["get", seeded.torrent(), "--metadata-only", "-o", text(&file), "--overwrite"]);
    assert!(ran.failed().contains("no magnet link"), "{ran:?}");
}

#[test]
fn a_link_that_leads_to_nobody_says_what_is_tried_and_can_be_interrupted() {
    let place = tempfile::tempdir().unwrap();
    let mut running = Running::start(["get", NOBODYS, "-o", text(place.path())]);
    let help = running.until("warning");
    assert!(help["message"].as_str().unwrap().contains("--tracker"), "{help}");
    let progress = running.until("metadata_progress");
    assert_eq!((&progress["pieces_total"], &progress["peers"]), (&0.into(), &0.into()));
    running.signal(Signal::INT);
    assert_eq!(running.end().status, 130);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn what_a_link_asks_for_and_does_not_get_is_said() {
    let place = tempfile::tempdir().unwrap();
    let link = format!("{NOBODYS}&ws=http://example.com/x&x.pe=127.0.0.1:1");
    let mut running = Running::start(["get", &link, "-o", text(place.path())]);
    for said in ["ws", "127.0.0.1:1"] {
        let warning = running.until("warning");
        assert!(warning["message"].as_str().unwrap().contains(said), "{warning}");
    }
    running.signal(Signal::INT);
    assert_eq!(running.end().status, 130);
}

#[test]
fn seed_wants_the_torrent_file_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    let ran = run(["seed", NOBODYS, text(place.path())]);
    assert!(ran.failed().contains("needs a .torrent file, not a magnet link"), "{ran:?}");
}
