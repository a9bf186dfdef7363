//! What the disk workers cost beside the least that could do the same: SHA-1 and `pwrite` in one plain loop.
//!
//! `cargo run --release -p pieceful-std --example disk_floor -- FOLDER [MIB] [PIECE_KIB] [WORKERS] [ROUNDS] [FILES]`
//!
//! Both take blocks of 16 KiB from read buffers of 256 KiB, filled by a copy as a socket would, and run
//! alternately. They overwrite one file, which only the first run has to find memory for: what a virtual
//! machine's host takes for that would drown everything else. At the end what was written is made a torrent of and
//! verified. FILES above 1 spreads the data over so many files, for the pool only.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskAction, DiskDone, Layout, LayoutFile};
use pieceful_core::id::{BLOCK_LEN, Block, Digest, DiskOp, PieceIndex, TorrentId};
use pieceful_core::metainfo::{Metainfo, NewTorrent, SafePath};
use pieceful_std::buffers::{BUFFER_LEN, Pool};
use pieceful_std::create::create;
use pieceful_std::disk::{Completion, DiskPool, Job};
use pieceful_std::verify::verify;
use sha1::{Digest as _, Sha1};

/// What the engine lets wait to be written.
const BUDGET: usize = 12 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder =
        args.next().ok_or("usage: disk_floor FOLDER [MIB] [PIECE_KIB] [WORKERS] [ROUNDS] [FILES]")?;
    let mut number = |default: usize| args.next().map_or(Ok(default), |text| text.parse());
    let total = number(2048)? << 20;
    let piece = number(1024)? << 10;
    let workers = number(2)?;
    let rounds = number(3)?;
    let files = number(1)?.max(1);
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    // A source larger than a buffer, so that neighbouring pieces differ.
    let source: Vec<u8> = (0..BUFFER_LEN * 3).map(|at| (at * 31 / 7) as u8).collect();
    for round in 1..=rounds {
        for (name, run) in [("floor", floor as Run), ("pool", pool as Run)] {
            if files > 1 && name == "floor" {
                continue;
            }
            let watch = Watch::start();
            let mark = run(folder, &source, Size { total, piece, workers, files })?;
            println!("round {round} {name:>5}: {}, digests {mark:08x}", watch.stop(total));
        }
    }
    let data = if files > 1 { folder.join("many") } else { folder.join("data") };
    let watch = Watch::start();
    let wishes = NewTorrent { piece_length: piece as u32, ..NewTorrent::default() };
    let created = create(&data, wishes, workers, &|_| true)?;
    println!("create: {}", watch.stop(total));
    let info = Metainfo::parse(created.torrent)?.info;
    for _ in 0..rounds {
        let watch = Watch::start();
        let verified = verify(&info, folder, workers, &|_| {})?;
        println!("verify: {}, complete: {}", watch.stop(total), verified.complete);
    }
    if files > 1 {
        fs::remove_dir_all(data)?;
    } else {
        fs::remove_file(data)?;
    }
    Ok(())
}

type Run = fn(&Path, &[u8], Size) -> Result<u32, Box<dyn Error>>;

struct Size {
    total: usize,
    piece: usize,
    workers: usize,
    files: usize,
}

struct Watch {
    wall: Instant,
    cpu: [f64; 2],
}

impl Watch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    fn stop(self, total: usize) -> String {
        let (wall, after) = (self.wall.elapsed().as_secs_f64(), cpu());
        let gib = total as f64 / f64::from(1 << 30);
        let [user, system] = [0, 1].map(|kind| (after[kind] - self.cpu[kind]) / gib);
        format!(
            "{:.2} CPU s/GiB (user {user:.2}, system {system:.2}), {wall:.2} s, {:.0} MB/s, anonymous {} MiB",
            user + system,
            total as f64 / 1e6 / wall,
            anonymous_mib(),
        )
    }
}

/// One thread, one buffer.
fn floor(folder: &Path, source: &[u8], size: Size) -> Result<u32, Box<dyn Error>> {
    let Size { total, piece, .. } = size;
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
fn pool(folder: &Path, source: &[u8], size: Size) -> Result<u32, Box<dyn Error>> {
    let Size { total, piece, workers, files } = size;
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
    let layout = Arc::new(Layout::new(
        piece as u32,
        (0..files).map(|file| {
            let len = total / files + if file == 0 { total % files } else { 0 };
            let path = if files > 1 {
                SafePath::new(["many".into(), file.to_string()])
            } else {
                SafePath::new(["data"])
            };
            LayoutFile { path, ..LayoutFile::unnamed(len as u64) }
        }),
    )?);
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
