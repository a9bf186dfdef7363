//! `create`, `info`, `magnet`, `verify`, and what they say of files that are no torrents.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{run, text};

/// A folder to share, and the torrent made of it.
struct Shared {
    place: TempDir,
    torrent: PathBuf,
}

const FILES: [(&str, usize); 4] =
    [("a.bin", 40_000), ("sub/Ünïcödé.bin", 100_000), ("sub/empty", 0), ("z.bin", 1)];

impl Shared {
    fn new(options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data/share");
        for (path, len) in FILES {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, (0..len).map(|at| (at * 31 % 251) as u8).collect::<Vec<u8>>()).unwrap();
        }
        let torrent = place.path().join("share.torrent");
        run(["create", text(&folder), "-o", text(&torrent)].into_iter().chain(options.iter().copied()))
            .done();
        Self { place, torrent }
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn info(&self) -> Value {
        run(["info", text(&self.torrent), "--json"]).done().json()
    }

    fn verify(&self, folder: &Path) -> super::Ran {
        run(["verify", text(&self.torrent), text(folder), "--json"])
    }
}

#[test]
fn info_says_what_create_was_told() {
    let shared = Shared::new(&[
        "--tracker",
        "http://one.example/announce",
        "--tracker",
        "udp://two.example:6969",
        "--web-seed",
        "https://web.example/",
        "--comment",
        "with care",
        "--piece-length",
        "32K",
        "--private",
    ]);
    let info = shared.info();
    assert_eq!(info["name"], "share");
    assert_eq!(info["piece_length"], 32_768);
    assert_eq!(info["piece_count"], 5);
    assert_eq!(info["total_size"], 140_001);
    assert_eq!(info["private"], true);
    assert_eq!(info["trackers"], json!([["http://one.example/announce"], ["udp://two.example:6969"]]));
    assert_eq!(info["web_seeds"], json!(["https://web.example/"]));
    assert_eq!(info["comment"], "with care");
    assert!(info["created_by"].as_str().unwrap().starts_with("pieceful"), "{info}");
    assert!(info["creation_date"].as_i64().unwrap() > 1_700_000_000, "{info}");
    assert_eq!(info["info_hash"].as_str().unwrap().len(), 40);
    let mut files: Vec<(&str, u64)> = Vec::new();
    for file in info["files"].as_array().unwrap() {
        files.push((file["path"].as_str().unwrap(), file["length"].as_u64().unwrap()));
    }
    files.sort_unstable();
    assert_eq!(
        files,
        [
            ("share/a.bin", 40_000),
            ("share/sub/empty", 0),
            ("share/sub/Ünïcödé.bin", 100_000),
            ("share/z.bin", 1)
        ]
    );
}

#[test]
fn every_field_of_info_is_there_and_null_when_the_torrent_does_not_say() {
    let info = Shared::new(&[]).info();
    let names: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
    let mut want = [
        "name",
        "info_hash",
        "info_hash_v2",
        "piece_length",
        "piece_count",
        "total_size",
        "private",
        "files",
        "trackers",
        "web_seeds",
        "comment",
        "created_by",
        "creation_date",
        "magnet",
    ];
    want.sort_unstable();
    assert_eq!(names, want, "serde_json sorts what it reads");
    assert_eq!(info["comment"], Value::Null);
    assert_eq!(info["info_hash_v2"], Value::Null);
    assert_eq!(info["private"], false);
}

#[test]
fn a_torrent_made_twice_is_the_same_torrent() {
    let shared = Shared::new(&[]);
    let again = shared.place.path().join("again.torrent");
    run(["create", text(&shared.data().join("share")), "-o", text(&again)]).done();
    let other = run(["info", text(&again), "--json"]).done().json();
    assert_eq!(shared.info()["info_hash"], other["info_hash"]);
}

#[test]
fn create_does_not_write_over_a_file_unless_told_to() {
    let shared = Shared::new(&[]);
    fs::write(&shared.torrent, "mine").unwrap();
    let folder = shared.data().join("share");
    let create = ["create", text(&folder), "-o", text(&shared.torrent)];
    let refused = run(create);
    assert!(refused.failed().contains("--overwrite"), "{refused:?}");
    assert_eq!(fs::read(&shared.torrent).unwrap(), b"mine");
    run(create.iter().chain(&["--overwrite"])).done();
    assert_eq!(shared.info()["name"], "share");
}

#[test]
fn the_page_and_the_magnet_link_name_the_info_hash() {
    let shared = Shared::new(&["--tracker", "http://one.example/announce"]);
    let info = shared.info();
    let hash = info["info_hash"].as_str().unwrap();
    let page = run(["info", text(&shared.torrent)]).done().stdout;
    assert!(page.contains(hash) && page.contains("Ünïcödé.bin"), "{page}");
    let magnet = run(["magnet", text(&shared.torrent)]).done().stdout;
    assert!(magnet.starts_with(&format!("magnet:?xt=urn:btih:{hash}")), "{magnet}");
    assert_eq!(magnet.trim_end(), info["magnet"]);

    let of_link = run(["info", "--json", magnet.trim_end()]).done().json();
    assert_eq!(of_link["info_hash"], hash);
    assert_eq!(of_link["name"], "share");
    assert_eq!(of_link["trackers"], json!([["http://one.example/announce"]]));
    for unknown in ["files", "piece_length", "piece_count", "total_size", "private", "creation_date"] {
        assert_eq!(of_link[unknown], Value::Null, "{unknown}");
    }
    assert!(run(["info", magnet.trim_end()]).done().stdout.contains(hash));
}

#[test]
fn verify_ends_well_only_when_every_piece_is_right() {
    let shared = Shared::new(&["--piece-length", "32K"]);
    let whole = shared.verify(&shared.data()).done().json();
    assert_eq!(whole, json!({"complete": true, "pieces_ok": 5, "pieces_total": 5, "bytes_ok": 140_001}));

    let victim = shared.data().join("share/a.bin");
    let mut bytes = fs::read(&victim).unwrap();
    bytes[0] ^= 1;
    fs::write(&victim, bytes).unwrap();
    let spoilt = shared.verify(&shared.data());
    assert!(spoilt.failed().contains("1 of 5 pieces"), "{spoilt:?}");
    let spoilt = spoilt.json();
    assert_eq!(spoilt["complete"], false);
    assert_eq!(spoilt["pieces_ok"], 4);
    assert_eq!(spoilt["bytes_ok"], 140_001 - 32_768);

    fs::remove_file(shared.data().join("share/sub/Ünïcödé.bin")).unwrap();
    assert_eq!(shared.verify(&shared.data()).json()["complete"], false);
    let nothing = tempfile::tempdir().unwrap();
    let nothing = shared.verify(nothing.path());
    nothing.failed();
    assert_eq!(nothing.json()["bytes_ok"], 0);
}

#[test]
fn what_is_no_torrent_is_refused_with_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let paths = [
        bad("empty.torrent", b""),
        bad("cut.torrent", b"d4:infod4:name1:a"),
        bad("html.torrent", b"<!DOCTYPE html>"),
        bad("no-info.torrent", b"d8:announce3:urle"),
        bad("\u{202e}\u{1b}[2J.torrent", b"x"),
        place.path().join("missing.torrent"),
        place.path().to_path_buf(),
    ];
    let folder = place.path().join("out");
    for path in &paths {
        for args in [
            &["info", text(path)][..],
            &["magnet", text(path)],
            &["verify", text(path), text(place.path())],
            &["get", text(path), "-o", text(&folder)],
        ] {
            let ran = run(args);
            let sentence = ran.failed();
            assert!(sentence.contains("; "), "what to do is missing: {sentence}");
            assert!(
                !sentence.chars().any(char::is_control) && !sentence.contains('\u{202e}'),
                "{sentence:?}"
            );
            assert_eq!(ran.stdout, "", "{args:?}");
        }
    }
    assert!(!folder.exists(), "nothing is made for a torrent that cannot be read");
}
