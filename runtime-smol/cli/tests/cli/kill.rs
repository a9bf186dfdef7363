//! A program that is killed at any moment, with no chance to say good-bye: what it had verified is there when it begins
//! anew, and nothing else is taken for it.
//!
//! `PIECEFUL_KILLS=1000` makes as many cycles of it.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::share::Running;
use super::{run, text};

const PIECE: usize = 64 << 10;
const FILES: [(&str, usize); 3] = [("big", 9_000_000), ("deep/er/small", 70_000), ("other", 3_000_001)];

/// Numbers that look random; the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// In no file of the torrent.
const NOTHING: u8 = 251;

/// All bytes of the torrent, as far as the files in `folder` are there.
fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for (path, len) in FILES {
        let mut bytes = fs::read(folder.join(path)).unwrap_or_default();
        bytes.resize(len, NOTHING);
        all.append(&mut bytes);
    }
    all
}

/// Bytes of the pieces that are right in `folder`.
fn right(folder: &Path, source: &[u8]) -> u64 {
    let there = contents(folder);
    let pieces = there.chunks(PIECE).zip(source.chunks(PIECE));
    pieces.filter(|(there, source)| there == source).map(|(piece, _)| piece.len() as u64).sum()
}

#[test]
fn what_was_verified_survives_being_killed_at_any_moment_and_nothing_else_is_taken_for_it() {
    let cycles: u32 = std::env::var("PIECEFUL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let place = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let data = place.path().join("data/many");
    for (path, len) in FILES {
        let path = data.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, (0..len).map(|_| dice.below(NOTHING.into()) as u8).collect::<Vec<u8>>()).unwrap();
    }
    let source = contents(&data);
    let total = source.len() as u64;
    let torrent = place.path().join("many.torrent");
    run(["create", text(&data), "-o", text(&torrent), "--piece-length", "64K"]).done();
    let folder = place.path().join("data");
    let mut seed =
        Running::start(["seed", text(&torrent), text(&folder), "--listen", "127.0.0.1:0", "--no-dht"]);
    let address = seed.address();

    let (out, mut downloads, mut checked) = (place.path().join("out"), 0, 0);
    for cycle in 0..cycles {
        let there = right(&out.join("many"), &source);
        let mut args = vec!["get", text(&torrent), "-o", text(&out), "--peer", &address, "--no-dht"];
        args.extend(["--max-download", ["4M", "12M", "40M"][dice.below(3) as usize]]);
        args.extend((dice.below(3) == 0).then_some("--seed"));
        args.extend((dice.below(4) == 0).then_some("--check"));
        let mut get = Running::start(args.iter().copied());
        sleep(Duration::from_millis(5 + dice.below(800)));
        let said = get.kill();
        let progress = said.iter().find(|line| line["event"] == "progress");
        if let Some(done) = progress.and_then(|line| line["bytes_done"].as_u64()) {
            assert_eq!(done, there, "cycle {cycle}: it begins with what is right, {said:?}");
            checked += 1;
        }
        let complained = |line: &&Value| line["event"] == "error" || line["event"] == "warning";
        assert!(!said.iter().any(|line| complained(&line)), "cycle {cycle}: {said:?}");
        if right(&out.join("many"), &source) == total {
            downloads += 1;
            match dice.below(3) {
                0 => fs::remove_dir_all(&out).unwrap(),
                1 => fs::remove_file(out.join("many/big")).unwrap(),
                _ => {
                    let other = out.join("many/other");
                    let mut bytes = fs::read(&other).unwrap();
                    let at = dice.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1;
                    fs::write(&other, bytes).unwrap();
                }
            }
        }
    }
    println!(
        "{cycles} cycles, {checked} of them killed after the check; {downloads} downloads were completed"
    );
    // And what is left of it all is completed.
    run(["get", text(&torrent), "-o", text(&out), "--peer", &address, "--no-dht"]).done();
    assert_eq!(right(&out.join("many"), &source), total);
}
