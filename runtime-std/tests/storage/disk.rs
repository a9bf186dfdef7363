//! What each action does.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use pieceful_core::disk::{Allocation, DiskAction, DiskDone, DiskErrorKind, Existing, LayoutFile};
use pieceful_core::id::PieceIndex;

use crate::{Rig, block, file, hash, hashed, layout, noise, padding, sha1, shuffled, write};

#[test]
fn blocks_in_any_order_over_many_files_end_up_where_they_belong() {
    // Padding, empty files, files shorter than a block, pieces over several files, a short last piece.
    let files = || {
        [
            file("t/first", 100_000),
            file("t/empty", 0),
            padding(31_072),
            file("t/sub/tiny", 5),
            file("t/sub/deep/er", 300_000),
            file("t/last", 77_777),
        ]
    };
    let total: usize = files().iter().map(|file| file.len as usize).sum();
    for (workers, piece_length) in [(1, 65_536), (3, 65_536), (3, 16_384), (2, 40_000), (2, 262_144)] {
        let mut data = noise(7, total);
        data[100_000..131_072].fill(0);
        let mut rig = Rig::opened(workers, layout(piece_length, files()));
        let blocks: Vec<_> =
            (0..rig.layout.pieces()).flat_map(|piece| rig.layout.blocks(PieceIndex(piece))).collect();
        let at = |block: pieceful_core::id::Block| {
            let from = (block.piece.0 * piece_length + block.offset) as usize;
            from..from + block.len as usize
        };
        let writes = shuffled(blocks.clone(), u64::from(piece_length));
        for batch in writes.chunks(9) {
            for answer in rig.act_all(batch.iter().map(|&block| write(block, &data[at(block)]))) {
                assert_eq!(answer, Ok(DiskDone::Written));
            }
        }
        for piece in 0..rig.layout.pieces() {
            let whole = rig.layout.whole(PieceIndex(piece));
            assert_eq!(rig.act(hash(piece)), hashed(&data[at(whole)]), "piece {piece} of {piece_length}");
            let blocks = rig.act(DiskAction::HashBlocks { piece: PieceIndex(piece) });
            let want = rig.layout.blocks(PieceIndex(piece)).map(|block| sha1(&data[at(block)])).collect();
            assert_eq!(blocks, Ok(DiskDone::BlocksHashed(want)));
        }
        for &block in &blocks {
            let want = &data[at(block)];
            assert_eq!(rig.act(DiskAction::Read { block }), Ok(DiskDone::Read(want.to_vec().into())));
            let mut into = vec![1; block.len as usize];
            rig.pool.read_now(rig.torrent, block, &mut into).unwrap();
            assert_eq!(into, want);
            let ranges = rig.pool.file_range(rig.torrent, block).unwrap();
            assert_eq!(ranges.iter().map(|range| range.len).sum::<u32>(), block.len);
        }
        assert_eq!(rig.on_disk("t/first"), &data[..100_000]);
        assert_eq!(rig.on_disk("t/sub/tiny"), &data[131_072..131_077]);
        assert_eq!(rig.on_disk("t/last"), &data[431_077..]);
        assert!(!rig.path().join("t/empty").exists(), "no block touches it: `Prepare` creates it");
        let Ok(DiskDone::Synced(synced)) = rig.act(DiskAction::Sync) else { panic!("it can be synced") };
        assert!(synced.iter().any(|file| file.len == 100_000), "{synced:?}");
        assert_eq!(rig.act(DiskAction::Sync), Ok(DiskDone::Synced(Vec::new())), "nothing was written since");
        assert_eq!(rig.act(DiskAction::Close), Ok(DiskDone::Closed));
        let error = rig.act(hash(0)).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Missing);
    }
}

#[test]
fn opening_looks_and_changes_nothing() {
    let files = || {
        [
            file("none/at/all", 10),
            file("hole", 1_000_000),
            file("reserved", 1_000_000),
            file("data", 10),
            file("empty", 10),
            padding(6),
        ]
    };
    let mut rig = Rig::with_files(2, layout(16_384, files()), |folder| {
        fs::File::create(folder.join("hole")).unwrap().set_len(1_000_000).unwrap();
        let reserved = fs::File::create(folder.join("reserved")).unwrap();
        rustix::fs::fallocate(reserved, rustix::fs::FallocateFlags::empty(), 0, 1_000_000).unwrap();
        fs::write(folder.join("data"), b"more than ten bytes").unwrap();
        fs::write(folder.join("empty"), b"").unwrap();
    });
    let Ok(DiskDone::Opened(existing)) = rig.open() else { panic!("it can be looked at") };
    let seen = existing.iter().map(|existing| match *existing {
        Existing::Absent | Existing::Aside { .. } => None,
        Existing::Present { len, has_data, .. } => Some((len, has_data)),
    });
    let want =
        [None, Some((1_000_000, false)), Some((1_000_000, false)), Some((19, true)), Some((0, false)), None];
    assert!(seen.eq(want), "{existing:?}");
    assert!(!rig.path().join("none").exists());
    assert_eq!(rig.on_disk("data"), b"more than ten bytes");
}

#[test]
fn a_download_folder_that_is_not_there_is_made_by_the_first_write() {
    let mut rig = Rig::new(1, layout(16_384, [file("a/b", 4)]));
    let torrent = rig.torrents.insert(());
    rig.pool.add_torrent(torrent, rig.path().join("new/folder"));
    let open = DiskAction::Open { layout: rig.layout.clone() };
    let answers = rig.act_on([(torrent, open)]);
    assert_eq!(answers, [Ok(DiskDone::Opened(vec![Existing::Absent]))]);
    assert!(!rig.path().join("new").exists());
    rig.act_on([(torrent, write(block(0, 0, 4), b"data"))]).pop().unwrap().unwrap();
    assert_eq!(rig.on_disk("new/folder/a/b"), b"data");
}

#[test]
fn preparing_creates_cuts_and_reserves_only_what_it_names() {
    let executable = LayoutFile { executable: true, ..file("bin/run", 20) };
    let files = [file("new/empty", 0), file("long", 5), executable, file("full", 500_000), file("other", 5)];
    let mut rig = Rig::with_files(2, layout(16_384, files), |folder| {
        fs::write(folder.join("long"), b"0123456789").unwrap();
        fs::write(folder.join("other"), b"0123456789").unwrap();
    });
    rig.open().unwrap();
    let sparse = DiskAction::Prepare {
        writes: true,
        files: vec![0, 1, 2],
        aside: Vec::new(),
        allocation: Allocation::Sparse,
    };
    let full =
        DiskAction::Prepare { writes: true, files: vec![3], aside: Vec::new(), allocation: Allocation::Full };
    assert_eq!(rig.act_all([sparse, full]), [Ok(DiskDone::Prepared), Ok(DiskDone::Prepared)]);
    assert_eq!(rig.on_disk("new/empty"), b"");
    assert_eq!(rig.on_disk("long"), b"01234", "cut, not emptied");
    assert_eq!(rig.on_disk("other"), b"0123456789", "not named");
    let mode = fs::metadata(rig.path().join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    assert_eq!(fs::metadata(rig.path().join("long")).unwrap().permissions().mode() & 0o111, 0);
    let full = fs::metadata(rig.path().join("full")).unwrap();
    assert_eq!(full.len(), 500_000);
    assert!(full.blocks() * 512 >= 500_000, "only {} blocks reserved", full.blocks());
    // What is reserved but not written is still no data.
    rig.act(DiskAction::Close).unwrap();
    rig.pool.add_torrent(rig.torrent, rig.path().to_path_buf());
    let Ok(DiskDone::Opened(existing)) = rig.open() else { panic!("it opened before") };
    assert!(matches!(existing[3], Existing::Present { len: 500_000, has_data: false, .. }));
}

#[test]
fn only_so_many_files_are_open_at_once() {
    let files = (0..300).map(|number| file(&format!("many/{number}"), 16_384));
    let mut rig = Rig::opened(2, layout(16_384, files));
    let data = noise(1, 16_384);
    let writes: Vec<_> = (0..300).map(|piece| write(block(piece, 0, 16_384), &data)).collect();
    for answer in rig.act_all(writes) {
        answer.unwrap();
    }
    let Ok(DiskDone::Synced(synced)) = rig.act(DiskAction::Sync) else { panic!("they can be synced") };
    assert_eq!(synced.len(), 300);
    let ours = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        target.is_some_and(|target| target.starts_with(rig.path()))
    });
    // The folder, and on top of the bound what each worker has in hand.
    let open = ours.count();
    assert!(open <= 128 + 2 + 1, "{open} files open");
    for piece in 0..300 {
        assert_eq!(rig.on_disk(&format!("many/{piece}")), data);
    }
}

#[test]
fn a_written_file_that_somebody_removed_is_not_durable() {
    for count in [2, 40] {
        let files = (0..count).map(|number| file(&format!("{number}"), 16_384));
        let mut rig = Rig::opened(2, layout(16_384, files));
        for piece in 0..count {
            rig.write(block(piece, 0, 16_384), &[1; 16_384]).unwrap();
        }
        fs::remove_file(rig.path().join("1")).unwrap();
        let error = rig.act(DiskAction::Sync).unwrap_err();
        assert_eq!((error.kind, error.file), (DiskErrorKind::Missing, Some(1)));
        rig.write(block(0, 0, 16_384), &[2; 16_384]).unwrap();
        assert_eq!(rig.act(DiskAction::Sync).unwrap_err().kind, DiskErrorKind::Missing, "not forgotten");
    }
}
