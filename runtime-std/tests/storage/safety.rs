//! Nothing outside the download folder, and nothing but regular files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use pieceful_core::disk::{Allocation, DiskAction, DiskErrorKind};
use pieceful_std::disk::DiskPool;

use crate::{Rig, block, file, hash, layout, write};

/// Every way to touch the torrent's only file is refused because something is in the way.
fn refused(path: &str, plant: impl FnOnce(&Path)) -> Rig {
    let mut rig = Rig::new(1, layout(16_384, [file(path, 16_384)]));
    plant(rig.folder.path());
    let _ = rig.open(); // a symbolic link or a pipe shows here already, a folder in a folder's place does not
    let prepare =
        DiskAction::Prepare { writes: true, files: vec![0], aside: Vec::new(), allocation: Allocation::Full };
    let all = block(0, 0, 16_384);
    let read = DiskAction::Read { block: all };
    for action in [write(all, &[7; 16_384]), prepare, read, hash(0)] {
        let name = format!("{action:?}");
        let error = rig.act(action).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::InTheWay, "{name}: {error}");
        assert_eq!(error.file, Some(0));
        assert!(error.message.contains(path), "{error}");
    }
    rig
}

#[test]
fn a_symbolic_link_in_the_place_of_a_file_is_not_followed() {
    let victim = tempfile::tempdir().unwrap();
    let target = victim.path().join("precious");
    fs::write(&target, b"precious").unwrap();
    refused("t/data", |folder| {
        fs::create_dir(folder.join("t")).unwrap();
        symlink(&target, folder.join("t/data")).unwrap();
    });
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    // Nor one that leads nowhere: writing through it would create its target.
    refused("t/data", |folder| {
        fs::create_dir(folder.join("t")).unwrap();
        symlink(victim.path().join("new"), folder.join("t/data")).unwrap();
    });
    assert!(!victim.path().join("new").exists());
}

#[test]
fn a_symbolic_link_in_the_place_of_a_folder_is_not_followed() {
    let victim = tempfile::tempdir().unwrap();
    fs::write(victim.path().join("data"), b"precious").unwrap();
    refused("t/d/data", |folder| {
        fs::create_dir(folder.join("t")).unwrap();
        symlink(victim.path(), folder.join("t/d")).unwrap();
    });
    assert_eq!(fs::read(victim.path().join("data")).unwrap(), b"precious");
    // Not even one that stays inside the download folder, and no folder is made behind it.
    let rig = refused("t/d/e/data", |folder| {
        fs::create_dir_all(folder.join("t/real")).unwrap();
        symlink("real", folder.join("t/d")).unwrap();
    });
    assert_eq!(fs::read_dir(rig.path().join("t/real")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 1);
}

#[test]
fn folders_pipes_and_files_in_the_way_are_refused_without_waiting() {
    refused("t", |folder| fs::create_dir(folder.join("t")).unwrap());
    refused("t", |folder| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let dir = fs::File::open(folder).unwrap();
        rustix::fs::mknodat(dir, "t", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    let rig = refused("t/data", |folder| fs::write(folder.join("t"), b"a file, not a folder").unwrap());
    assert_eq!(rig.on_disk("t"), b"a file, not a folder");
}

#[test]
fn the_download_folder_itself_may_be_reached_through_a_link() {
    let mut rig = Rig::new(1, layout(16_384, [file("data", 4)]));
    fs::create_dir(rig.path().join("real")).unwrap();
    symlink("real", rig.path().join("link")).unwrap();
    rig.pool.add_torrent(rig.torrent, rig.path().join("link"));
    rig.open().unwrap();
    rig.write(block(0, 0, 4), b"data").unwrap();
    assert_eq!(rig.on_disk("real/data"), b"data");
}

#[test]
fn a_file_that_one_torrent_writes_is_refused_to_all_others() {
    let mut rig = Rig::opened(2, layout(4, [file("same", 4)]));
    let other = rig.torrents.insert(());
    // By another name: what counts is the file.
    symlink(".", rig.path().join("link")).unwrap();
    rig.pool.add_torrent(other, rig.path().join("link"));
    let open = DiskAction::Open { layout: Arc::clone(&rig.layout) };
    rig.act_on([(other, open.clone())]).pop().unwrap().unwrap();
    rig.write(block(0, 0, 4), b"mine").unwrap();
    let prepare =
        DiskAction::Prepare { writes: true, files: vec![0], aside: Vec::new(), allocation: Allocation::Full };
    for action in [write(block(0, 0, 4), b"your"), prepare] {
        let error = rig.act_on([(other, action)]).pop().unwrap().unwrap_err();
        assert_eq!((error.kind, error.file), (DiskErrorKind::InUse, Some(0)), "{error}");
        assert!(error.message.contains("another torrent"), "{error}");
    }
    assert_eq!(rig.on_disk("same"), b"mine");
    // Free again once the first has left, to be looked at anew.
    rig.act(DiskAction::Close).unwrap();
    let unseen = rig.act_on([(other, write(block(0, 0, 4), b"your"))]).pop().unwrap();
    assert_eq!(unseen.unwrap_err().kind, DiskErrorKind::InUse);
    rig.act_on([(other, open)]).pop().unwrap().unwrap();
    rig.act_on([(other, write(block(0, 0, 4), b"your"))]).pop().unwrap().unwrap();
    assert_eq!(rig.on_disk("same"), b"your");
}

#[test]
fn running_out_of_descriptors_costs_the_cached_files_not_the_write() {
    // The limit is the whole process's: a child of its own has it.
    const CHILD: &str = "PIECEFUL_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let name = "safety::running_out_of_descriptors_costs_the_cached_files_not_the_write";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let status = child.args(["--exact", name, "--test-threads=1"]).env(CHILD, "1").output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        return;
    }
    let files = (0..90).map(|number| file(&format!("{number}"), 16_384));
    let mut rig = Rig::opened(1, layout(16_384, files));
    let limit = rustix::process::Rlimit { current: Some(40), maximum: Some(40) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    for piece in 0..90 {
        rig.write(block(piece, 0, 16_384), &[piece as u8; 16_384]).unwrap();
    }
    // And when others hold all of them, that is said, and passes.
    let mut hoard = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        hoard.push(file);
    }
    let pool: &DiskPool = &rig.pool;
    let mut into = [0; 16_384];
    pool.read_now(rig.torrent, block(3, 0, 16_384), &mut into).unwrap(); // a cached file gave way
    while let Ok(file) = fs::File::open("/dev/null") {
        hoard.push(file);
    }
    assert_eq!(into, [3; 16_384]);
    drop(hoard);
    rig.write(block(5, 0, 16_384), &[9; 16_384]).unwrap();
}
