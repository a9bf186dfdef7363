//! What the disk workers cost beside the least that could do the same: SHA-1 and `pwrite` in one plain loop.
//!
//! `cargo run --release -p pieceful-std --example disk_floor -- FOLDER [MIB] [PIECE_KIB] [WORKERS] [ROUNDS]`
//!
//! Both take blocks of 16 KiB from read buffers of 256 KiB, filled by a copy as a socket would, and run
//! alternately. They overwrite one file, which only the first run has to find memory for: what a virtual
//! machine's host takes for that would drown everything else.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskAction, DiskDone, Layout, LayoutFile};
use pieceful_core::id::{BLOCK_LEN, Block, Digest, DiskOp, PieceIndex, TorrentId};
use pieceful_core::metainfo::SafePath;
use pieceful_std::buffers::{BUFFER_LEN, Pool};
use pieceful_std::disk::{Completion, DiskPool, Job};
use sha1::{Digest as _, Sha1};

/// What the engine lets wait to be written.
const BUDGET: usize = 12 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: disk_floor FOLDER [MIB] [PIECE_KIB] [WORKERS] [ROUNDS]")?;
    let mut number = |default: usize| args.next().map_or(Ok(default), |text| text.parse());
    let total = number(2048)? << 20;
    let piece = number(1024)? << 10;
    let workers = number(2)?;
    let rounds = number(3)?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    // A source larger than a buffer, so that neighbouring pieces differ.
    let source: Vec<u8> = (0..BUFFER_LEN * 3).map(|at| (at * 31 / 7) as u8).collect();
    let gib = total as f64 / f64::from(1 << 30);
    for round in 1..=rounds {
        for (name, run) in [("floor", floor as Run), ("pool", pool as Run)] {
            let (wall, cpu) = (Instant::now(), cpu());
            let mark = run(folder, &source, total, piece, workers)?;
            let (wall, after) = (wall.elapsed(), self::cpu());
            let [user, system] = [0, 1].map(|kind| (after[kind] - cpu[kind]) / gib);
            println!(
                "round {round} {name:>5}: {:.2} CPU s/GiB (user {user:.2}, system {system:.2}), {:.2} s, {:.0} MB/s, anonymous {} MiB, {mark:08x}",
                user + system,
                wall.as_secs_f64(),
                total as f64 / 1e6 / wall.as_secs_f64(),
                anonymous_mib(),
            );
        }
    }
    fs::remove_file(folder.join("data"))?;
    Ok(())
}

type Run = fn(&Path, &[u8], usize, usize, usize) -> Result<u32, Box<dyn Error>>;

/// One thread, one buffer.
fn floor(folder: &Path, source: &[u8], total: usize, piece: usize, _: usize) -> Result<u32, Box<dyn Error>> {
    let file = File::options().write(true).create(true).truncate(false).open(folder.join("data"))?;
    let mut buffer = vec![0; BUFFER_LEN];
    let mut sha1 = Sha1::new();
    let mut mark = 0;
    for offset in (0..total).step_by(buffer.len()) {
        fill(&mut buffer, source, offset);
        for (at, block) in buffer.chunks(BLOCK_LEN as usize).enumerate() {
            sha1.update(block);
            if (offset + (at + 1) * block.len()).is_multiple_of(piece) {
                mark ^= first(&sha1.finalize_reset().into());
            }
        }
        file.write_all_at(&buffer, offset as u64)?;
    }
    Ok(mark)
}

/// The engine's side of the pool, without an engine.
fn pool(
    folder: &Path,
    source: &[u8],
    total: usize,
    piece: usize,
    workers: usize,
) -> Result<u32, Box<dyn Error>> {
    let woken = Arc::new((Mutex::new(false), Condvar::new()));
    let wake = Arc::clone(&woken);
    let disk = DiskPool::start(workers, move || {
        *wake.0.lock().expect("no thread panics with it") = true;
        wake.1.notify_one();
    });
    let buffers = Pool::default();
    let mut ops = slotmap::SlotMap::<DiskOp, usize>::with_key();
    let torrent = TorrentId::default();
    disk.add_torrent(torrent, folder.to_path_buf());
    let file = LayoutFile { path: SafePath::new(["data"]), ..LayoutFile::unnamed(total as u64) };
    let layout = Arc::new(Layout::new(piece as u32, [file])?);
    let mut jobs = vec![Job { op: ops.insert(0), torrent, action: DiskAction::Open { layout } }];
    let mut done: Vec<Completion> = Vec::new();
    let mut waiting = 0;
    let mut mark = 0;
    let mut sent = 0;
    while sent < total || !ops.is_empty() {
        if sent < total && waiting < BUDGET {
            let mut lease = buffers.take();
            fill(&mut lease, source, sent);
            let (bytes, _) = lease.freeze(BUFFER_LEN);
            for at in (0..BUFFER_LEN).step_by(BLOCK_LEN as usize) {
                let place = sent + at;
                let index = PieceIndex((place / piece) as u32);
                let block = Block { piece: index, offset: (place % piece) as u32, len: BLOCK_LEN };
                let data = Chain::from(bytes.slice(at..at + BLOCK_LEN as usize));
                let op = ops.insert(BLOCK_LEN as usize);
                jobs.push(Job { op, torrent, action: DiskAction::Write { block, data } });
                if (place + BLOCK_LEN as usize).is_multiple_of(piece) {
                    let op = ops.insert(0);
                    jobs.push(Job { op, torrent, action: DiskAction::Hash { piece: index } });
                }
            }
            sent += BUFFER_LEN;
            waiting += BUFFER_LEN;
        }
        disk.submit(&mut jobs);
        let mut flag = woken.0.lock().expect("no thread panics with it");
        while !*flag && (waiting >= BUDGET || sent >= total) {
            flag = woken.1.wait(flag).expect("no thread panics with it");
        }
        if std::mem::take(&mut *flag) {
            drop(flag);
            disk.completions(&mut done);
            for (op, result) in done.drain(..) {
                waiting -= ops.remove(op).ok_or("answered twice")?;
                if let DiskDone::Hashed(Digest::Sha1(digest)) = result? {
                    mark ^= first(&digest);
                }
            }
        }
    }
    disk.stop();
    Ok(mark)
}

fn fill(buffer: &mut [u8], source: &[u8], offset: usize) {
    let from = offset % (BUFFER_LEN * 2);
    let len = buffer.len();
    buffer.copy_from_slice(&source[from..from + len]);
    for (at, block) in buffer.chunks_mut(BLOCK_LEN as usize).enumerate() {
        block[..8].copy_from_slice(&((offset + at) as u64).to_be_bytes());
    }
}

fn first(digest: &[u8; 20]) -> u32 {
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// User and system time of this process so far in seconds, its ended threads included.
fn cpu() -> [f64; 2] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11);
    let mut seconds = || fields.next().and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
    [seconds(), seconds()]
}

fn anonymous_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
