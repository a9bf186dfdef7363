//! Order within a piece, and one answer for each action.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskAction, DiskDone, DiskErrorKind};
use pieceful_core::id::{DiskOp, PieceIndex, TorrentId};
use pieceful_std::disk::{Completion, DiskPool, Job};
use slotmap::SlotMap;

use crate::{Rig, block, file, hash, hashed, layout, noise, shuffled, write};

#[test]
fn a_hash_sees_exactly_the_writes_issued_before_it() {
    const PIECE: usize = 5 * 16_384;
    let mut rig = Rig::opened(2, layout(PIECE as u32, [file("data", 8 * PIECE as u64)]));
    for seed in 0..20 {
        let mut want = Vec::new();
        let mut actions = Vec::new();
        let mut pieces: Vec<Vec<DiskAction>> = Vec::new();
        for piece in 0..8 {
            // Written whole, hashed, one block replaced, hashed again, hashed once more.
            let mut data = noise(seed * 100 + u64::from(piece), PIECE);
            let mut of_piece: Vec<_> = shuffled((0..5).collect(), seed + u64::from(piece))
                .into_iter()
                .map(|place: u32| {
                    let from = place as usize * 16_384;
                    write(block(piece, place * 16_384, 16_384), &data[from..from + 16_384])
                })
                .collect();
            of_piece.push(hash(piece));
            let mut hashes = vec![hashed(&data)];
            let place = (seed as usize + piece as usize) % 5 * 16_384;
            data[place..place + 16_384].copy_from_slice(&noise(seed + 1_000, 16_384));
            of_piece.push(write(block(piece, place as u32, 16_384), &data[place..place + 16_384]));
            of_piece.extend([hash(piece), hash(piece)]);
            hashes.extend([hashed(&data), hashed(&data)]);
            want.push(hashes);
            pieces.push(of_piece);
        }
        // Interleaved, each piece's own order kept.
        let turns = shuffled((0..8 * 9).map(|turn| turn % 8).collect(), seed + 77);
        let mut rest: Vec<_> = pieces.into_iter().map(IntoIterator::into_iter).collect();
        for &piece in &turns {
            actions.extend(rest[piece].next());
        }
        let answers = rig.act_all(actions);
        let mut got = vec![Vec::new(); 8];
        for (piece, answer) in turns.into_iter().zip(answers) {
            match answer {
                Ok(DiskDone::Written) => {}
                hash => got[piece].push(hash),
            }
        }
        assert_eq!(got, want, "seed {seed}");
    }
}

#[test]
fn blocks_of_odd_shapes_that_overlap_are_written_as_issued() {
    let mut rig = Rig::opened(1, layout(65_536, [file("data", 65_536)]));
    let answers = rig.act_all([
        write(block(0, 100, 200), &[1; 200]),
        write(block(0, 0, 150), &[2; 150]),
        write(block(0, 120, 10), &[3; 10]),
        DiskAction::Read { block: block(0, 0, 300) },
    ]);
    let want = [&[2; 120][..], &[3; 10], &[2; 20], &[1; 150]].concat();
    assert_eq!(answers[3], Ok(DiskDone::Read(want.into())));
}

#[test]
fn every_action_is_answered_exactly_once_under_load_from_several_threads() {
    const EACH: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let pool = DiskPool::start(3, move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut torrents = SlotMap::<TorrentId, ()>::with_key();
    let (open, unknown) = (torrents.insert(()), torrents.insert(()));
    pool.add_torrent(open, folder.path().to_path_buf());
    let layout = Arc::new(layout(32_768, (0..20).map(|n| file(&format!("f{n}"), 20_000))));
    let ops = Mutex::new(SlotMap::<DiskOp, ()>::with_key());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (pool, ops, layout) = (&pool, &ops, &layout);
            scope.spawn(move || {
                let mut jobs = Vec::new();
                for n in 0..EACH {
                    let piece = (n * 7 + thread) as u32 % 14; // the last one does not exist
                    let action = match n % 10 {
                        0 => DiskAction::Open { layout: Arc::clone(layout) },
                        1..5 => write(block(piece, (n as u32 % 2) * 16_384, 16_384), &[n as u8; 16_384]),
                        5 => DiskAction::Read { block: block(piece, 0, 16_384) },
                        6 => hash(piece),
                        7 => DiskAction::HashBlocks { piece: PieceIndex(piece) },
                        8 => write(block(piece, 0, 16_384), b"of another length"),
                        _ if n % 100 == 9 => DiskAction::Sync,
                        _ => hash(piece),
                    };
                    let torrent = if n % 11 == 0 { unknown } else { open };
                    jobs.push(Job { op: ops.lock().unwrap().insert(()), torrent, action });
                    if n % 13 == 0 {
                        pool.submit(&mut jobs);
                    }
                }
                pool.submit(&mut jobs);
            });
        }
    });
    pool.stop();
    let mut done: Vec<Completion> = Vec::new();
    pool.completions(&mut done);
    assert_eq!(done.len(), 3 * EACH);
    let mut ops = ops.into_inner().unwrap();
    for (op, _) in &done {
        assert!(ops.remove(*op).is_some(), "answered twice");
    }
    assert_eq!(wakes.load(Ordering::Relaxed), 1, "nobody took answers, so the first ones were the news");
}

#[test]
fn what_is_handed_over_after_the_end_fails() {
    let mut rig = Rig::opened(2, layout(16_384, [file("data", 16_384)]));
    rig.pool.stop();
    for action in [write(block(0, 0, 16_384), &[1; 16_384]), DiskAction::Sync, DiskAction::Close] {
        assert_eq!(rig.act(action).unwrap_err().kind, DiskErrorKind::Io);
    }
}

#[test]
fn a_worker_that_panics_answers_for_what_it_had_in_hand_and_goes_on() {
    /// Memory that cannot be given back.
    struct Bomb([u8; 16_384]);

    impl AsRef<[u8]> for Bomb {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("released");
        }
    }

    let mut rig = Rig::opened(1, layout(65_536, [file("data", 131_072)]));
    let data = noise(4, 131_072);
    let part = |at: u32| {
        let place = block(at / 65_536, at % 65_536, 16_384);
        write(place, &data[at as usize..at as usize + 16_384])
    };
    let bomb = Chain::from(Bytes::from_owner(Bomb([1; 16_384])));
    let answers = rig.act_all([
        part(0),
        DiskAction::Write { block: block(0, 16_384, 16_384), data: bomb },
        part(32_768),
        hash(0),
        part(65_536),
        part(81_920),
        part(98_304),
        part(114_688),
        hash(1),
    ]);
    assert!(answers.iter().any(Result::is_err));
    let mut again: Vec<_> = (0..8).map(|at| part(at * 16_384)).collect();
    again.extend([hash(0), hash(1)]);
    let answers = rig.act_all(again);
    assert_eq!(answers[8..], [hashed(&data[..65_536]), hashed(&data[65_536..])]);
}
