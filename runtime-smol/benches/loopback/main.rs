//! What BitTorrent costs: the two drivers and a bare floor, side by side in one run, over loopback.
//!
//! `cargo bench -p pieceful-smol --bench loopback -- [--gib 2] [--rounds 3] [--piece-kib 1024] [--files 5000]
//! [--cases one,eight,files,serve,serve-eight] [--dir FOLDER]`
//!
//! The floor of a download receives, hashes and writes on one thread, and does nothing else; that of a seed is
//! `sendfile`. Whoever is measured is a process of its own, so its processor time and memory are its own; the other
//! side is bare. The rounds are interleaved, because what a machine can do changes by the minute. What was
//! downloaded is compared byte by byte after the clock has stopped. No figure is a pass or a failure: look at the
//! ratios.
//!
//! `... -- against TORRENT IP:PORT PID COUNT` has COUNT bare leechers take TORRENT from another client that is
//! seeding it, and tells what that cost the client with the process id PID.

use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

mod floor;
mod meter;
mod payload;
mod seeder;
mod server;
mod serving;
mod session;
mod table;
mod taker;

use payload::Payload;
use table::{Row, Table};

type Fallible<T> = Result<T, Box<dyn Error>>;

const CONTESTANTS: [&str; 3] = ["floor", "pieceful-smol", "pieceful-std"];

/// Files of the case with many, each 100 KiB.
const SMALL_FILE_LEN: u64 = 100 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["as-seeder", torrent, count] => seeder::run(torrent.as_ref(), count),
        ["as-leecher", who, torrent, folder, ref peers @ ..] => leech(who, torrent, folder, peers),
        ["as-server", who, torrent, folder] => server::run(who, torrent.as_ref(), folder.as_ref()),
        ["as-taker", torrent, seed, number] => taker::run(torrent.as_ref(), seed, number),
        ["against", torrent, seed, pid, count] => serving::against(torrent.as_ref(), seed, pid, count),
        _ => Wishes::read(&words).and_then(|wishes| run(&wishes)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn leech(who: &str, torrent: &str, folder: &str, peers: &[&str]) -> Fallible<()> {
    let peers = peers.iter().map(|peer| peer.parse()).collect::<Result<Vec<_>, _>>()?;
    let folder = Path::new(folder);
    match who {
        "floor" => floor::leech(torrent.as_ref(), folder, &peers),
        "pieceful-smol" => session::leech_smol(torrent.as_ref(), folder, peers),
        _ => session::leech_std(torrent.as_ref(), folder, peers),
    }
}

/// What was asked for.
struct Wishes {
    gib: f64,
    rounds: usize,
    piece_kib: u32,
    files: usize,
    cases: Vec<String>,
    dir: PathBuf,
}

impl Wishes {
    fn read(args: &[&str]) -> Fallible<Self> {
        let mut wishes = Self {
            gib: 2.0,
            rounds: 3,
            piece_kib: 1024,
            files: 5_000,
            cases: ["one", "eight", "files", "serve", "serve-eight"].map(str::to_owned).into(),
            dir: env::temp_dir(),
        };
        for pair in args.chunks(2) {
            match *pair {
                ["--gib", gib] => wishes.gib = gib.parse()?,
                ["--rounds", rounds] => wishes.rounds = rounds.parse()?,
                ["--piece-kib", kib] => wishes.piece_kib = kib.parse()?,
                ["--files", files] => wishes.files = files.parse()?,
                ["--cases", cases] => wishes.cases = cases.split(',').map(str::to_owned).collect(),
                ["--dir", dir] => wishes.dir = dir.into(),
                _ => return Err(format!("what does {pair:?} mean? See the head of this benchmark").into()),
            }
        }
        if !payload::is_piece_length(wishes.piece_kib * 1024) {
            return Err("--piece-kib: a power of two from 16 to 16384".into());
        }
        Ok(wishes)
    }
}

fn run(wishes: &Wishes) -> Fallible<()> {
    let dir = tempfile::tempdir_in(&wishes.dir)?;
    let payload = Payload::new();
    let len = (wishes.gib * f64::from(1 << 30)) as u64;
    for case in &wishes.cases {
        if let Some(takers) = [("serve", 1), ("serve-eight", 8)].iter().find(|(name, _)| name == case) {
            println!("{}", serving::compare(&payload, dir.path(), len, takers.1, wishes)?);
            continue;
        }
        let (title, files, seeds) = match case.as_str() {
            "one" => (format!("{} GiB from one seed", wishes.gib), vec![len], 1),
            "eight" => (format!("{} GiB from eight seeds", wishes.gib), vec![len], 8),
            "files" => (format!("{} files of 100 KiB", wishes.files), vec![SMALL_FILE_LEN; wishes.files], 1),
            other => return Err(format!("there is no case {other:?}").into()),
        };
        let torrent = dir.path().join("torrent");
        fs::write(&torrent, payload.torrent(&files, wishes.piece_kib * 1024)?)?;
        let case = Case { payload: &payload, torrent, files, seeds, dir: dir.path().join(case) };
        let mut table = Table::new(title, "first ms");
        for round in 0..wishes.rounds {
            for at in 0..CONTESTANTS.len() {
                let who = CONTESTANTS[(round + at) % CONTESTANTS.len()];
                table.add(who, case.run(who, round)?);
            }
        }
        fs::remove_dir_all(&case.dir)?;
        println!("{table}");
    }
    Ok(())
}

struct Case<'a> {
    payload: &'a Payload,
    torrent: PathBuf,
    /// Their lengths.
    files: Vec<u64>,
    seeds: usize,
    dir: PathBuf,
}

impl Case<'_> {
    fn run(&self, who: &str, round: usize) -> Fallible<Row> {
        let folder = self.dir.join(format!("{who}-{round}"));
        fs::create_dir_all(&folder)?;
        let total: u64 = self.files.iter().sum();
        meter::settle(total);

        let mut seeder =
            Helper::start(["as-seeder".as_ref(), self.torrent.as_os_str(), self.seeds.to_string().as_ref()])?;
        let ready = seeder.line()?;
        let peers = ready.split(' ');
        let args = ["as-leecher".as_ref(), who.as_ref(), self.torrent.as_os_str(), folder.as_os_str()];
        let started = meter::now();
        let mut leecher = Helper::start(args.into_iter().chain(peers.map(str::as_ref)))?;
        let ended = &AtomicBool::new(false);
        let (done, anon) = thread::scope(|scope| {
            let pid = leecher.child.id();
            let watch = scope.spawn(move || meter::watch_anon(pid, ended));
            let done = leecher.line();
            ended.store(true, Ordering::Relaxed);
            (done, watch.join().unwrap_or(0))
        });
        let (at, cpu) = meter::parse_done(&done?).ok_or("the leecher says something else")?;
        let first: u64 = seeder.line()?.parse()?;
        drop((leecher, seeder));

        self.payload.compare(&folder, &self.files)?;
        if self.files.len() == 1 {
            // Many are removed in the end: ext4 is slow to make files right after as many were removed.
            fs::remove_dir_all(&folder)?;
        }
        Ok(Row {
            wall: (at - started) as f64 / 1e9,
            cpu_per_gib: cpu as f64 / 1e9 / (total as f64 / f64::from(1 << 30)),
            ms: first.saturating_sub(started) as f64 / 1e6,
            anon_mib: anon as f64 / 1024.0,
        })
    }
}

/// This program again, in another role.
struct Helper {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Helper {
    fn start<'a>(args: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> Fallible<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("a pipe was asked for")?);
        Ok(Self { child, lines })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::other("a helper process ended early"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended by itself: just as well
        let _ = self.child.wait();
    }
}
