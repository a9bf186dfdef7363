//! `pieceful demo`: a real swarm on this machine, with nothing from outside.
//!
//! Two seeders and two leechers, one of each on either driver, a tracker they meet at, and files that are
//! compared byte for byte at the end.

mod data;
mod node;
mod tracker;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pieceful_core::engine::{TorrentState, TorrentStatus};
use pieceful_core::metainfo::{Metainfo, NewTorrent};
use rustix::time::{ClockId, clock_gettime};

use crate::args::Demo;
use crate::create;
use crate::errors::{Failure, Outcome, io_advice};
use crate::progress::{Progress, Wish};
use crate::signals::{self, Interrupt};
use crate::units;
use node::{Driver, Node};
use tracker::Tracker;

/// How often the swarm is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Seeders have the data in the page cache and the tracker on this machine: seconds mean something is broken.
const SEEDERS_READY_TIME: Duration = Duration::from_secs(60);

/// Runs it in a temporary folder that is removed whatever happens.
pub(crate) fn run(args: &Demo) -> Result<Outcome, Failure> {
    let interrupt = signals::interrupt()?;
    let place =
        tempfile::Builder::new().prefix("pieceful-demo-").tempdir().map_err(|error| no_room(&error))?;
    let mut progress = Progress::new(Wish::ForPeople, None);
    let ended = swarm(args, place.path(), &mut progress, &interrupt);
    if let Ok(Outcome::Interrupted) = ended {
        progress.stopping("stopping: removing what was made");
    }
    progress.close();
    let removed = place.close();
    let outcome = ended?;
    removed.map_err(|error| {
        Failure::new(format!("cannot remove the temporary folder: {error}")).advice("remove it by hand")
    })?;
    Ok(outcome)
}

fn swarm(
    args: &Demo,
    place: &Path,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<Outcome, Failure> {
    let source = place.join("source");
    let tracker = Tracker::start().map_err(|error| {
        Failure::new(format!("cannot start a tracker: {error}"))
            .advice("the demo needs the address 127.0.0.1")
    })?;
    let size = u64::from(args.size) << 20;
    progress.note(&format!("making {} of data and its torrent", units::size(size)));
    if !data::generate(&source, size, || interrupt.is_empty()).map_err(|error| no_room(&error))? {
        return Ok(Outcome::Interrupted);
    }
    let Some(metainfo) = torrent_of(&source, &tracker, interrupt)? else { return Ok(Outcome::Interrupted) };
    let metainfo = Arc::new(metainfo);

    let seeders =
        [Node::start(Driver::Std, &metainfo, &source)?, Node::start(Driver::Smol, &metainfo, &source)?];
    progress.note("starting two seeders, one on threads and one on smol");
    if !ready(&seeders, &tracker, interrupt)? {
        return Ok(Outcome::Interrupted);
    }

    let (started, cpu) = (Instant::now(), cpu_time());
    let mut leechers = Vec::new();
    for (driver, name) in [(Driver::Std, "on threads"), (Driver::Smol, "on smol")] {
        leechers.push(Node::start(driver, &metainfo, &place.join(name))?);
        progress.add(&format!("leecher {name}"), metainfo.info.info_hash);
    }
    if !downloaded(&leechers, progress, interrupt)? {
        return Ok(Outcome::Interrupted);
    }
    let (took, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));
    progress.close();
    progress.note("comparing every file with its source");

    for node in leechers.iter().chain(&seeders) {
        node.stop();
    }
    for name in ["on threads", "on smol"] {
        match data::first_difference(&source, &place.join(name)) {
            Ok(None) => {}
            Ok(Some(path)) => {
                return Err(Failure::new(format!("{path} of the leecher {name} is not what was seeded"))
                    .advice("this is a bug: please report it"));
            }
            Err(error) => {
                return Err(Failure::new(format!("cannot compare the files of the leecher {name}: {error}"))
                    .advice(io_advice(&error)));
            }
        }
    }
    let moved = 2 * metainfo.info.total_length;
    let rate = (moved as f64 / took.as_secs_f64().max(0.001)) as u64;
    let gib = moved as f64 / f64::from(1 << 30);
    crate::output::line(&format!(
        "every file is right: {} to two leechers in {}, {}; {:.2}s of CPU per GiB for all four together",
        units::size(moved),
        units::span_precise(took),
        units::rate(rate),
        cpu.as_secs_f64() / gib,
    ))?;
    Ok(Outcome::Done)
}

/// Waits until every seeder has checked its files and told the tracker; `false` when interrupted.
fn ready(seeders: &[Node], tracker: &Tracker, interrupt: &Interrupt) -> Result<bool, Failure> {
    let started = Instant::now();
    loop {
        let seeding =
            seeders.iter().all(|node| node.status().is_some_and(|s| s.state == TorrentState::Seeding));
        if seeding && tracker.peers() >= seeders.len() {
            return Ok(true);
        }
        if !interrupt.is_empty() {
            return Ok(false);
        }
        if started.elapsed() > SEEDERS_READY_TIME {
            return Err(
                Failure::new("the seeders did not get ready").advice("this is a bug: please report it")
            );
        }
        thread::sleep(LOOK);
    }
}

/// Shows the leechers until each has everything; `false` when interrupted.
fn downloaded(leechers: &[Node], progress: &mut Progress, interrupt: &Interrupt) -> Result<bool, Failure> {
    let mut done = vec![false; leechers.len()];
    let mut shown = Instant::now();
    loop {
        let statuses: Vec<Option<TorrentStatus>> = leechers.iter().map(Node::status).collect();
        for (place, status) in statuses.iter().enumerate() {
            match status {
                Some(status) if status.state == TorrentState::Seeding && !done[place] => {
                    done[place] = true;
                    progress.finished(place, status)?;
                }
                Some(status) if status.state == TorrentState::Failed => {
                    return Err(Failure::new("a leecher failed").advice("is there room for temporary files?"));
                }
                _ => {}
            }
        }
        if done.iter().all(|&done| done) {
            return Ok(true);
        }
        if !interrupt.is_empty() {
            return Ok(false);
        }
        if shown.elapsed() >= progress.interval() {
            shown = Instant::now();
            progress.update(&statuses)?;
        }
        thread::sleep(LOOK);
    }
}

/// The torrent of the data; `None` when interrupted.
fn torrent_of(source: &Path, tracker: &Tracker, interrupt: &Interrupt) -> Result<Option<Metainfo>, Failure> {
    let wishes = NewTorrent { trackers: vec![vec![tracker.url()]], ..NewTorrent::default() };
    let made = create::make(&source.join(data::NAME), wishes, &|| interrupt.is_empty());
    if !interrupt.is_empty() {
        return Ok(None);
    }
    Metainfo::parse(made?.torrent).map(Some).map_err(|error| {
        Failure::new(format!("the torrent made cannot be read: {error}")).advice("please report this")
    })
}

/// User and system time of the whole program.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

fn no_room(error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write to {}: {error}", std::env::temp_dir().display()))
        .advice("choose a folder with room for temporary files with TMPDIR, or a smaller --size")
}
