//! What serving costs: one torrent to bare leechers.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pieceful_core::metainfo::Metainfo;

use crate::payload::Payload;
use crate::table::{Row, Table};
use crate::{CONTESTANTS, Fallible, Helper, Wishes, meter};

/// Each contestant as the seed of `takers` leechers.
pub(crate) fn compare(
    payload: &Payload,
    dir: &Path,
    len: u64,
    takers: usize,
    wishes: &Wishes,
) -> Fallible<Table> {
    let torrent = dir.join("torrent");
    fs::write(&torrent, payload.torrent(&[len], wishes.piece_kib * 1024)?)?;
    let folder = dir.join("served");
    fs::create_dir_all(&folder)?;
    payload.write(&folder, len)?;
    let mut table = Table::new(format!("{} GiB to each of {takers}", wishes.gib), "apart ms");
    for round in 0..wishes.rounds {
        for at in 0..CONTESTANTS.len() {
            let who = CONTESTANTS[(round + at) % CONTESTANTS.len()];
            table.add(who, serve(who, &torrent, &folder, takers, len)?);
        }
    }
    fs::remove_dir_all(&folder)?;
    Ok(table)
}

fn serve(who: &str, torrent: &Path, folder: &Path, takers: usize, len: u64) -> Fallible<Row> {
    meter::settle(len / 4);
    let args = ["as-server".as_ref(), who.as_ref(), torrent.as_os_str(), folder.as_os_str()];
    let mut server = Helper::start(args)?;
    let address = server.line()?;
    let ended = &AtomicBool::new(false);
    let pid = server.child.id();
    let (taken, anon) = std::thread::scope(|scope| {
        let watch = scope.spawn(move || meter::watch_anon(pid, ended));
        let taken = take(torrent, &address, takers);
        ended.store(true, Ordering::Relaxed);
        (taken, watch.join().unwrap_or(0))
    });
    let Taken { wall, apart } = taken?;
    server.child.stdin.as_mut().ok_or("a pipe was asked for")?.write_all(b"\n")?;
    let cpu: u64 = server.line()?.parse()?;
    Ok(Row { wall, cpu_per_gib: per_gib(cpu, len, takers), ms: apart * 1e3, anon_mib: anon as f64 / 1024.0 })
}

/// Measures a client that somebody else has started.
pub(crate) fn against(torrent: &Path, seed: &str, pid: &str, count: &str) -> Fallible<()> {
    let len = Metainfo::parse(fs::read(torrent)?)?.info.total_length;
    let (pid, takers) = (pid.parse()?, count.parse()?);
    let before = meter::cpu_of(pid)?;
    let Taken { wall, apart } = take(torrent, seed, takers)?;
    let cpu = per_gib(meter::cpu_of(pid)? - before, len, takers);
    let rate = (len * takers as u64) as f64 / wall / 1e9;
    println!(
        "{wall:.2} s, {rate:.2} GB/s, {cpu:.2} CPU s/GiB, the last {:.0} ms after the first",
        apart * 1e3
    );
    Ok(())
}

/// Seconds until all had everything, and from the first of them to the last.
struct Taken {
    wall: f64,
    apart: f64,
}

fn take(torrent: &Path, seed: &str, takers: usize) -> Fallible<Taken> {
    let started = meter::now();
    let mut helpers = Vec::new();
    for number in 0..takers {
        let number = number.to_string();
        let args = ["as-taker".as_ref(), torrent.as_os_str(), seed.as_ref(), number.as_ref()];
        helpers.push(Helper::start(args)?);
    }
    let mut ends = Vec::new();
    for helper in &mut helpers {
        let (at, _) = meter::parse_done(&helper.line()?).ok_or("the leecher says something else")?;
        ends.push(at);
    }
    let (first, last) = (ends.iter().min().copied(), ends.iter().max().copied());
    let (first, last) = first.zip(last).ok_or("there are no leechers")?;
    Ok(Taken { wall: (last - started) as f64 / 1e9, apart: (last - first) as f64 / 1e9 })
}

fn per_gib(cpu: u64, len: u64, takers: usize) -> f64 {
    cpu as f64 / 1e9 / (len as f64 * takers as f64 / f64::from(1 << 30))
}
