//! Full disks and files that change under us.

use std::fs;
use std::path::Path;
use std::process::Command;

use pieceful_core::disk::{DiskAction, DiskDone, DiskErrorKind};

use crate::{Rig, block, file, hash, hashed, layout, noise, write};

/// A file system of one mebibyte, or `None` where only the administrator may have one.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_fails_what_did_not_fit_and_recovers_when_space_returns() {
    let place = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(place.path()) else {
        println!("left out: mounting a small file system is not permitted here");
        return;
    };
    fs::write(place.path().join("ballast"), vec![1; 600 * 1024]).unwrap();
    const PIECE: usize = 256 * 1024;
    let mut rig = Rig::new(1, layout(PIECE as u32, [file("data", 3 * PIECE as u64)]));
    rig.pool.add_torrent(rig.torrent, place.path().to_path_buf());
    rig.open().unwrap();
    let data = noise(3, 3 * PIECE);
    let writes = |piece: usize| {
        (0..16)
            .map(|place| {
                let from = piece * PIECE + place * 16_384;
                write(block(piece as u32, place as u32 * 16_384, 16_384), &data[from..from + 16_384])
            })
            .collect::<Vec<_>>()
    };
    let mut all = writes(0);
    all.push(hash(0));
    all.extend(writes(1));
    all.push(hash(1));
    let answers = rig.act_all(all);
    assert!(answers[..16].iter().all(|answer| *answer == Ok(DiskDone::Written)), "{answers:?}");
    assert_eq!(answers[16], hashed(&data[..PIECE]));
    let fitted = answers[17..33].iter().filter(|answer| **answer == Ok(DiskDone::Written)).count();
    assert!(fitted < 16);
    for answer in &answers[17 + fitted..33] {
        let error = answer.as_ref().unwrap_err();
        assert_eq!((error.kind, error.file), (DiskErrorKind::NoSpace, Some(0)));
    }
    assert_ne!(answers[33], hashed(&data[PIECE..2 * PIECE]), "the hash is of what the file holds");
    let full = DiskAction::Prepare {
        writes: true,
        files: vec![0],
        aside: Vec::new(),
        allocation: pieceful_core::disk::Allocation::Full,
    };
    assert_eq!(rig.act(full).unwrap_err().kind, DiskErrorKind::NoSpace);

    fs::remove_file(place.path().join("ballast")).unwrap();
    let mut again = writes(1);
    again.push(hash(1));
    assert_eq!(rig.act_all(again).pop().unwrap(), hashed(&data[PIECE..2 * PIECE]));
    rig.act(DiskAction::Close).unwrap();
    drop(small);
}

#[test]
fn a_file_cut_short_or_gone_is_missing_data() {
    let mut rig = Rig::opened(2, layout(65_536, [file("data", 65_536), file("never", 65_536)]));
    rig.write(block(0, 0, 65_536), &[5; 65_536]).unwrap();
    fs::File::options().write(true).open(rig.path().join("data")).unwrap().set_len(40_000).unwrap();
    assert_eq!(rig.act(hash(0)), hashed(&[5; 65_536]), "hashed as it was written");
    let missing = |answer: Result<DiskDone, _>| {
        let error: pieceful_core::disk::DiskError = answer.unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Missing, "{error}");
    };
    missing(rig.act(hash(0)));
    missing(rig.act(DiskAction::Read { block: block(0, 32_768, 16_384) }));
    missing(rig.act(DiskAction::Read { block: block(1, 0, 16_384) }));
    missing(rig.act(hash(1)));
    assert!(rig.act(DiskAction::Read { block: block(0, 0, 16_384) }).is_ok());
    assert!(!rig.path().join("never").exists(), "reading creates nothing");
}

#[test]
fn a_file_longer_than_the_file_system_takes_counts_as_no_space() {
    let piece = 1 << 30;
    let mut rig = Rig::opened(1, layout(piece, [file("huge", 1 << 61)]));
    let last = rig.layout.pieces() - 1;
    let answer = rig.write(block(last, 0, 16_384), &[1; 16_384]);
    if answer == Ok(DiskDone::Written) {
        println!("left out: this file system takes files of two exabytes");
        return;
    }
    assert_eq!(answer.unwrap_err().kind, DiskErrorKind::NoSpace);
}
