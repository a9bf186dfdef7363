//! `verify` tells what is right and touches nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pieceful_core::metainfo::{Info, Metainfo, NewTorrent};
use pieceful_std::create::create;
use pieceful_std::verify::{Verified, verify};
use tempfile::TempDir;

use crate::noise;

/// A folder of files in pieces of 16 KiB, and its torrent.
fn example() -> (TempDir, Info) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("t");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("a"), noise(1, 100_000)).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("sub/b"), noise(2, 50_000)).unwrap();
    let wishes = NewTorrent { piece_length: 16_384, ..NewTorrent::default() };
    let created = create(&root, wishes, 2, &|_| true).unwrap();
    let info = Metainfo::parse(Bytes::from(created.torrent)).unwrap().info;
    (place, info)
}

fn look(info: &Info, folder: &Path) -> Verified {
    verify(info, folder, 3, &|_| {}).unwrap()
}

#[test]
fn what_was_shared_is_complete() {
    let (place, info) = example();
    let seen = AtomicU64::new(0);
    let verified = verify(&info, place.path(), 2, &|at| {
        seen.fetch_max(at.bytes_done, Ordering::Relaxed);
    });
    let verified = verified.unwrap();
    assert_eq!((verified.pieces_ok, verified.pieces_total, verified.bytes_ok), (10, 10, 150_000));
    assert!(verified.complete);
    assert_eq!(seen.into_inner(), 150_000, "the end is reported");
}

#[test]
fn one_wrong_byte_is_one_wrong_piece() {
    let (place, info) = example();
    let mut data = noise(1, 100_000);
    data[20_000] ^= 1;
    fs::write(place.path().join("t/a"), data).unwrap();
    let verified = look(&info, place.path());
    let want: Vec<bool> = (0..10).map(|piece| piece != 1).collect();
    assert_eq!(verified.have, want);
    assert_eq!((verified.complete, verified.bytes_ok), (false, 150_000 - 16_384));
}

#[test]
fn missing_short_and_strange_files_are_wrong_pieces_and_nothing_more() {
    let (place, info) = example();
    fs::remove_file(place.path().join("t/sub/b")).unwrap();
    assert_eq!(look(&info, place.path()).pieces_ok, 6, "the piece over both files is wrong too");
    symlink("../a", place.path().join("t/sub/b")).unwrap();
    assert_eq!(look(&info, place.path()).pieces_ok, 6);
    fs::write(place.path().join("t/a"), &noise(1, 100_000)[..50_000]).unwrap();
    assert_eq!(look(&info, place.path()).pieces_ok, 3);

    let nowhere = place.path().join("nowhere");
    let verified = look(&info, &nowhere);
    assert_eq!((verified.pieces_ok, verified.complete), (0, false));
    assert!(!nowhere.exists());
}

#[test]
fn right_pieces_are_not_all_there_is_to_it() {
    let (place, info) = example();
    fs::remove_file(place.path().join("t/empty")).unwrap();
    let verified = look(&info, place.path());
    assert_eq!((verified.pieces_ok, verified.complete), (10, false), "an empty file is missing");
    fs::write(place.path().join("t/empty"), b"").unwrap();
    assert!(look(&info, place.path()).complete);
    fs::write(place.path().join("t/a"), [noise(1, 100_000), b"more".to_vec()].concat()).unwrap();
    let verified = look(&info, place.path());
    assert_eq!((verified.pieces_ok, verified.complete), (10, false), "a file is too long");
}
