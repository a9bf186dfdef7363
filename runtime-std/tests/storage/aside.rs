//! Files that are not wanted: their bytes are kept in a file of parts, and found again where they belong.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pieceful_core::disk::{Allocation, DiskAction, DiskDone, DiskErrorKind, Existing, Layout, LayoutFile};
use pieceful_core::id::Block;
use pieceful_core::metainfo::SafePath;
use pieceful_core::rng::{Rng, Seed};

use crate::{Rig, block, file, hash, hashed, layout, noise, padding, write};

const PARTS: &str = ".parts";

fn with_parts(piece_length: u32, files: impl IntoIterator<Item = LayoutFile>) -> Layout {
    layout(piece_length, files).with_parts(SafePath::single(PARTS))
}

fn prepare(aside: &[u32]) -> DiskAction {
    let (files, allocation) = (Vec::new(), Allocation::Sparse);
    DiskAction::Prepare { writes: true, files, aside: aside.to_vec(), allocation }
}

/// Three files, of which the second shares a piece with each of the others.
fn three() -> Layout {
    let middle = LayoutFile { executable: true, ..file("t/sub/b", 90_000) };
    with_parts(32_768, [file("t/a", 40_000), middle, file("t/c", 20_000)])
}

/// Puts the pieces of both ends of the second file on disk, and nothing of its middle.
fn ends_of_second(rig: &mut Rig, data: &[u8]) {
    for piece in [0_u32, 1, 3, 4] {
        let whole = rig.layout.whole(pieceful_core::id::PieceIndex(piece));
        let from = piece as usize * 32_768;
        rig.write(whole, &data[from..from + whole.len as usize]).unwrap();
        assert_eq!(rig.act(hash(piece)), hashed(&data[from..from + whole.len as usize]));
    }
}

#[test]
fn what_is_aside_is_not_created_and_is_moved_when_it_is_wanted() {
    let data = noise(1, 150_000);
    let mut rig = Rig::opened(2, three());
    rig.act(prepare(&[1])).unwrap();
    ends_of_second(&mut rig, &data);
    assert!(!rig.path().join("t/sub").exists());
    assert_eq!(rig.on_disk("t/a"), data[..40_000]);
    assert_eq!(rig.on_disk(PARTS)[40_000..65_536], data[40_000..65_536]);
    assert_eq!(rig.act(DiskAction::Read { block: block(3, 31_000, 1_000) }), {
        Ok(DiskDone::Read(data[129_304..130_304].to_vec().into()))
    });

    rig.act(prepare(&[])).unwrap();
    let there = rig.on_disk("t/sub/b");
    assert_eq!(there[..25_536], data[40_000..65_536]);
    assert_eq!(there[98_304 - 40_000..], data[98_304..130_000]);
    assert!(!rig.path().join(PARTS).exists());
    let mode = fs::metadata(rig.path().join("t/sub/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100, "it is to be executable");
    for piece in [0_u32, 1, 3, 4] {
        let from = piece as usize * 32_768;
        assert_eq!(rig.act(hash(piece)), hashed(&data[from..data.len().min(from + 32_768)]));
    }
}

#[test]
fn a_file_of_which_nothing_was_kept_is_not_looked_for_when_all_is_made_durable() {
    let files = [file("t/a", 40_000), file("t/b", 90_000), file("t/c", 40_000), file("t/d", 20_000)];
    let mut rig = Rig::opened(1, with_parts(32_768, files));
    rig.act(prepare(&[1, 2])).unwrap();
    rig.write(block(0, 0, 16_384), &noise(5, 16_384)).unwrap();
    rig.write(block(1, 16_384, 16_384), &noise(6, 16_384)).unwrap();
    rig.act(prepare(&[])).unwrap();
    let Ok(DiskDone::Synced(synced)) = rig.act(DiskAction::Sync) else { panic!("there is nothing missing") };
    let mut names: Vec<u32> = synced.iter().map(|synced| synced.file).collect();
    names.sort_unstable();
    assert_eq!(names, [0, 1]);
    assert!(!rig.path().join("t/c").exists());
}

#[test]
fn the_next_run_is_told_what_is_kept_of_a_file_that_is_not_there() {
    let data = noise(2, 150_000);
    let mut rig = Rig::opened(1, three());
    rig.act(prepare(&[1])).unwrap();
    ends_of_second(&mut rig, &data);
    rig.pool.stop();
    let mut next = Rig::beside(2, three(), Arc::clone(&rig.folder));
    drop(rig);
    let Ok(DiskDone::Opened(existing)) = next.open() else { panic!() };
    let Existing::Aside { head, tail, .. } = existing[1] else { panic!("{existing:?}") };
    // As exactly as the file system tells.
    assert!((25_536..25_536 + 4_096).contains(&head), "{head}");
    assert!((31_696..31_696 + 4_096).contains(&tail), "{tail}");
    assert_eq!(next.act(hash(1)), hashed(&data[32_768..65_536]));
    next.act(prepare(&[])).unwrap();
    assert_eq!(next.act(hash(3)), hashed(&data[98_304..131_072]));
}

#[test]
fn a_file_of_somebody_elses_is_never_taken_for_the_parts() {
    let data = noise(3, 150_000);
    let mut rig = Rig::with_files(1, three(), |folder| fs::write(folder.join(PARTS), b"a letter").unwrap());
    rig.open().unwrap();
    rig.act(prepare(&[1])).unwrap();
    let error = rig.write(block(1, 0, 16_384), &data[32_768..49_152]).unwrap_err();
    assert_eq!((error.kind, error.file), (DiskErrorKind::InTheWay, None));
    assert!(error.message.contains(PARTS), "{error}");
    rig.act(prepare(&[])).unwrap();
    assert_eq!(rig.on_disk(PARTS), b"a letter");
}

#[test]
fn a_link_in_place_of_the_parts_is_not_followed() {
    let data = noise(4, 150_000);
    let mut rig = Rig::with_files(1, three(), |folder| {
        fs::write(folder.join("victim"), b"").unwrap();
        std::os::unix::fs::symlink("victim", folder.join(PARTS)).unwrap();
    });
    let refused = rig.open().and_then(|_| rig.act(prepare(&[1])));
    let refused = refused.and_then(|_| rig.write(block(1, 0, 16_384), &data[32_768..49_152]));
    assert_eq!(refused.unwrap_err().kind, DiskErrorKind::InTheWay);
    assert_eq!(rig.on_disk("victim"), b"");
}

/// Any writes, with files that are put aside and wanted again in between, read as one plain buffer would.
#[test]
fn whatever_is_aside_every_byte_is_found_where_it_was_written() {
    for seed in 0..40 {
        let mut rng = Rng::new(Seed([seed; 32]));
        let files = (0..8).map(|number| match rng.below(6) {
            0 => padding(rng.below(5_000).into()),
            1 => file(&format!("f/{number}"), 0),
            _ => file(&format!("f/sub {}/{number}", number % 3), rng.below(9_000).into()),
        });
        let files: Vec<_> = files.chain([file("f/last", 1_000)]).collect();
        let piece_length = 1 + rng.below(4_000);
        let mut rig = Rig::opened(3, with_parts(piece_length, files));
        let layout = Arc::clone(&rig.layout);
        let stored = |file: &u32| layout.files()[*file as usize].path.is_some();
        let all: Vec<u32> = (0..layout.files().len() as u32).filter(stored).collect();
        let mut absent: BTreeSet<u32> = all.iter().copied().collect();
        let mut aside: BTreeSet<u32> = all.iter().copied().filter(|_| rng.below(2) == 0).collect();
        let (mut actions, mut expected) = (vec![prepare(&Vec::from_iter(aside.iter().copied()))], Vec::new());
        let mut model = vec![0; layout.total() as usize];
        let mut written = vec![false; layout.total() as usize];
        for _ in 0..60 {
            if rng.below(8) == 0 {
                let wanted: Vec<u32> = aside.iter().copied().filter(|_| rng.below(3) == 0).collect();
                wanted.iter().for_each(|file| {
                    aside.remove(file);
                    absent.remove(file);
                });
                aside.extend(absent.iter().copied().filter(|_| rng.below(4) == 0));
                actions.push(prepare(&Vec::from_iter(aside.iter().copied())));
            }
            let piece = rng.below(layout.pieces());
            let whole = layout.whole(pieceful_core::id::PieceIndex(piece));
            let offset = rng.below(whole.len);
            let some = Block { offset, len: 1 + rng.below(whole.len - offset), ..whole };
            let at = (u64::from(piece) * u64::from(piece_length) + u64::from(offset)) as usize;
            let range = at..at + some.len as usize;
            let is_padding = |span: &pieceful_core::disk::Span| !stored(&span.file);
            if rng.below(2) == 0 {
                let bytes = noise(rng.u64(), some.len as usize);
                model[range.clone()].copy_from_slice(&bytes);
                written[range].fill(true);
                for span in layout.spans(some) {
                    if is_padding(&span) {
                        let from = layout.offset_in_parts(span) as usize;
                        model[from..from + span.len as usize].fill(0);
                    } else if !aside.contains(&span.file) {
                        absent.remove(&span.file);
                    }
                }
                actions.push(write(some, &bytes));
            } else if written[range.clone()].iter().all(|written| *written) {
                expected.push((actions.len(), model[range].to_vec()));
                actions.push(DiskAction::Read { block: some });
            }
        }
        actions.push(prepare(&[]));
        let answers = rig.act_all(actions);
        for (place, bytes) in expected {
            assert_eq!(answers[place], Ok(DiskDone::Read(bytes.into())), "seed {seed}, action {place}");
        }
        for answer in answers {
            answer.unwrap();
        }
        assert!(!rig.path().join(PARTS).exists());
        for (file, place) in layout.files().iter().enumerate().filter(|(file, _)| stored(&(*file as u32))) {
            let whole = place.start as usize..(place.start + place.len) as usize;
            let there = fs::read(rig.path().join(place.path.as_ref().unwrap().as_str())).unwrap_or_default();
            for (at, byte) in whole.enumerate().map(|(at, of)| (at, (written[of], model[of]))) {
                let found = there.get(at).copied().unwrap_or(0);
                assert!(!byte.0 || found == byte.1, "seed {seed}, byte {at} of file {file}");
            }
        }
    }
}
