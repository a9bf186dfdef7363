//! Two torrents, or two processes, and one file.

use std::fs;
use std::sync::Arc;

use pieceful_core::disk::{Allocation, DiskAction, DiskDone, DiskError, DiskErrorKind, Layout};

use crate::{Rig, block, file, layout, write};

fn settle(writes: bool) -> DiskAction {
    DiskAction::Prepare { writes, files: Vec::new(), aside: Vec::new(), allocation: Allocation::Sparse }
}

fn two_files() -> Layout {
    layout(4, [file("t/a", 4), file("t/b", 4)])
}

/// A second process on the same folder, with a torrent of the same name.
fn second(first: &Rig, layout: Layout) -> Rig {
    Rig::beside(1, layout, Arc::clone(&first.folder))
}

fn in_use(result: Result<DiskDone, DiskError>, by: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::InUse, "{error}");
    assert!(error.message.contains(by), "{error}");
}

#[test]
fn what_one_process_downloads_to_another_does_not_even_check() {
    for shape in [two_files, || layout(4, [file("single", 4)])] {
        let mut first = Rig::opened(1, shape());
        first.act(settle(true)).unwrap();
        first.write(block(0, 0, 4), b"mine").unwrap();
        let mut other = second(&first, shape());
        in_use(other.open(), "another process is downloading to it");
        drop(first);
        other.open().unwrap();
    }
}

#[test]
fn of_two_processes_that_begin_at_once_the_second_leaves_no_trace() {
    let mut first = Rig::opened(1, two_files());
    let mut other = second(&first, layout(4, [file("t/other", 4)]));
    other.open().unwrap();
    first.act(settle(true)).unwrap();
    other.act(settle(true)).unwrap(); // nothing is there yet that either could have
    first.write(block(0, 0, 4), b"mine").unwrap();
    in_use(other.act(write(block(0, 0, 4), b"your")), "another process is using it");
    in_use(other.act(settle(true)), "another process is using it");
    assert_eq!(fs::read_dir(first.path().join("t")).unwrap().count(), 1);
}

#[test]
fn any_number_of_processes_read_and_none_writes_meanwhile() {
    let mut first = Rig::opened(1, two_files());
    first.act(settle(true)).unwrap();
    first.write(block(0, 0, 4), b"mine").unwrap();
    first.act(settle(false)).unwrap(); // it has all it wants
    let mut other = second(&first, two_files());
    other.open().unwrap();
    other.act(settle(false)).unwrap();
    let mut third = second(&first, two_files());
    third.open().unwrap();
    in_use(third.act(settle(true)), "another process is using it");
    in_use(third.act(write(block(0, 0, 4), b"your")), "another process is using it");
    drop((first, other));
    assert_eq!(third.on_disk("t/a"), b"mine");
    third.act(settle(true)).unwrap();
    third.write(block(0, 0, 4), b"your").unwrap();
}

#[test]
fn torrents_of_one_process_share_a_folder_but_no_file_that_is_written() {
    let mut rig = Rig::opened(2, two_files());
    rig.act(settle(true)).unwrap();
    rig.write(block(0, 0, 4), b"mine").unwrap();
    let mut add = |files: Layout| {
        let torrent = rig.torrents.insert(());
        rig.pool.add_torrent(torrent, rig.path().to_path_buf());
        let open = DiskAction::Open { layout: Arc::new(files) };
        rig.act_on([(torrent, open)]).pop().unwrap().unwrap();
        torrent
    };
    let (beside, same, again) = (add(layout(4, [file("t/c", 4)])), add(two_files()), add(two_files()));
    let mut act = |torrent, action| rig.act_on([(torrent, action)]).pop().unwrap();
    act(beside, settle(true)).unwrap();
    act(beside, write(block(0, 0, 4), b"too!")).unwrap();
    in_use(act(same, settle(true)), "another torrent is being downloaded to it");
    in_use(act(again, settle(false)), "another torrent is being downloaded to it");
}

#[test]
fn a_file_that_appears_after_the_look_is_somebody_elses() {
    let mut rig = Rig::opened(2, two_files());
    fs::create_dir(rig.path().join("t")).unwrap();
    fs::write(rig.path().join("t/a"), b"done").unwrap();
    in_use(rig.write(block(0, 0, 4), b"mine"), "somebody else has just created it");
    rig.write(block(1, 0, 4), b"mine").unwrap();
    rig.write(block(1, 0, 4), b"more").unwrap();
    assert_eq!((rig.on_disk("t/a"), rig.on_disk("t/b")), (b"done".to_vec(), b"more".to_vec()));
}

#[test]
fn a_file_that_changes_while_it_is_checked_is_not_written() {
    let mut rig = Rig::with_files(2, layout(4, [file("same", 4)]), |folder| {
        fs::write(folder.join("same"), b"part").unwrap();
    });
    rig.open().unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(rig.path().join("same")).unwrap().set_modified(later).unwrap();
    in_use(rig.act(settle(true)), "changed while it was checked");
}

#[test]
fn of_two_torrents_that_want_one_file_the_first_to_come_has_it() {
    let mut rig = Rig::with_files(2, layout(4, [file("same", 4)]), |folder| {
        fs::write(folder.join("same"), b"what").unwrap();
    });
    rig.open().unwrap();
    let other = rig.torrents.insert(());
    rig.pool.add_torrent(other, rig.path().to_path_buf());
    let open = DiskAction::Open { layout: Arc::clone(&rig.layout) };
    rig.act_on([(other, open)]).pop().unwrap().unwrap();
    // However long its check takes.
    in_use(rig.act_on([(other, settle(true))]).pop().unwrap(), "another torrent uses it");
    rig.act(settle(true)).unwrap();
    rig.write(block(0, 0, 4), b"mine").unwrap();
}

#[test]
fn a_complete_torrent_is_not_overwritten_by_another() {
    let mut rig = Rig::with_files(2, layout(4, [file("same", 4)]), |folder| {
        fs::write(folder.join("same"), b"mine").unwrap();
    });
    rig.open().unwrap();
    let other = rig.torrents.insert(());
    rig.pool.add_torrent(other, rig.path().to_path_buf());
    let open = DiskAction::Open { layout: Arc::clone(&rig.layout) };
    rig.act_on([(other, open)]).pop().unwrap().unwrap();
    rig.act(settle(false)).unwrap();
    let mut act = |action| rig.act_on([(other, action)]).pop().unwrap();
    in_use(act(settle(true)), "another torrent uses it");
    in_use(act(write(block(0, 0, 4), b"your")), "another torrent uses it");
    let open = DiskAction::Open { layout: Arc::clone(&rig.layout) };
    let mut act = |action| rig.act_on([(other, action)]).pop().unwrap();
    act(open.clone()).unwrap();
    act(settle(false)).unwrap(); // reading is for all
    rig.act(DiskAction::Close).unwrap();
    let mut act = |action| rig.act_on([(other, action)]).pop().unwrap();
    act(settle(true)).unwrap();
    act(write(block(0, 0, 4), b"your")).unwrap();
    assert_eq!(rig.on_disk("same"), b"your");
}
