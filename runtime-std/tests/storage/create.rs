//! `create` shares what is there, and says what it left out.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use pieceful_core::id::{Digest, PieceIndex};
use pieceful_core::metainfo::{Metainfo, NewTorrent};
use pieceful_std::create::{CreateError, create};

use crate::{noise, sha1};

fn wishes() -> NewTorrent {
    NewTorrent { piece_length: 16_384, ..NewTorrent::default() }
}

#[test]
fn a_folder_is_shared_in_the_order_of_its_paths_hidden_files_too() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("stuff");
    fs::create_dir_all(root.join("b/deep")).unwrap();
    fs::create_dir_all(root.join("empty folder")).unwrap();
    for (path, len) in [("b/deep/x", 30_000), ("a.sh", 10), (".hidden", 7), ("b-", 40_000), ("zero", 0)] {
        fs::write(root.join(path), noise(len, len as usize)).unwrap();
    }
    fs::set_permissions(root.join("a.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a.sh", root.join("link")).unwrap();
    let created = create(&root, wishes(), 2, &|_| true).unwrap();
    assert_eq!(created.skipped.len(), 1);
    assert_eq!(
        (created.skipped[0].path.clone(), created.skipped[0].what),
        (root.canonicalize().unwrap().join("link"), "a symbolic link")
    );
    assert_eq!(
        create(&root, wishes(), 1, &|_| true).unwrap().torrent,
        created.torrent,
        "every time the same"
    );

    let info = Metainfo::parse(Bytes::from(created.torrent)).unwrap().info;
    assert_eq!(info.name, "stuff");
    let files: Vec<_> = info.files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    let want = ["stuff/.hidden", "stuff/a.sh", "stuff/b-", "stuff/b/deep/x", "stuff/zero"];
    assert_eq!(files, want.map(|path| (path, path == "stuff/a.sh")));
    let data = [7, 10, 40_000, 30_000].map(|len| noise(len, len as usize)).concat();
    for (piece, data) in (0..).zip(data.chunks(16_384)) {
        assert_eq!(info.piece_hash(PieceIndex(piece)), Some(Digest::Sha1(sha1(data))));
    }
}

#[test]
fn a_single_file_is_called_as_it_is_or_as_wished() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("one.bin");
    fs::write(&path, noise(9, 1_000_000)).unwrap();
    let created = create(&path, NewTorrent::default(), 2, &|_| true).unwrap();
    assert_eq!((&*created.contents.name, created.contents.piece_length), ("one.bin", 16_384));
    let link = place.path().join("link");
    symlink("one.bin", &link).unwrap();
    let linked = create(&link, NewTorrent::default(), 2, &|_| true).unwrap();
    assert_eq!((&*linked.contents.name, &linked.contents.pieces), ("link", &created.contents.pieces));
    let wishes = NewTorrent { name: "other".into(), ..NewTorrent::default() };
    let renamed = create(&path, wishes, 2, &|_| true).unwrap();
    let info = Metainfo::parse(Bytes::from(renamed.torrent)).unwrap().info;
    assert_eq!(info.files[0].path.as_str(), "other");
}

#[test]
fn progress_reaches_the_end_and_can_cancel() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("data");
    fs::write(&path, noise(5, 5_000_000)).unwrap();
    let most = AtomicU32::new(0);
    let report = |at: pieceful_std::create::Progress| {
        most.fetch_max(at.pieces_done, Ordering::Relaxed);
        true
    };
    create(&path, wishes(), 2, &report).unwrap();
    assert_eq!(most.into_inner(), 5_000_000_u32.div_ceil(16_384));
    let cancelled = create(&path, wishes(), 2, &|_| false);
    assert!(matches!(cancelled, Err(CreateError::Cancelled)));
}

#[test]
fn what_cannot_be_shared_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    assert!(matches!(create(&path.join("none"), wishes(), 1, &|_| true), Err(CreateError::Read { .. })));
    assert!(matches!(create(path, wishes(), 1, &|_| true), Err(CreateError::Empty(_))));
    assert!(matches!(
        create("/dev/null".as_ref(), wishes(), 1, &|_| true),
        Err(CreateError::NotShareable { what: "a device", .. })
    ));
    fs::write(path.join("con"), b"a device elsewhere").unwrap();
    let called = AtomicU32::new(0);
    let report = |_| {
        called.fetch_add(1, Ordering::Relaxed);
        true
    };
    assert!(matches!(create(path, wishes(), 1, &report), Err(CreateError::Invalid(_))));
    assert_eq!(called.into_inner(), 0, "said before anything is hashed");
}
