//! What a client costs while nothing happens:
//! `cargo run --release -p pieceful-smol --example idle -- std|smol [TORRENTS] [PEERS] [SECONDS]`
//!
//! Seeds many small torrents from a temporary folder, has peers connect over loopback that then say nothing, and
//! prints anonymous memory for each of both, and processor time and wake-ups per second.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Config, Limits};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_std::Options;
use sha1::{Digest as _, Sha1};

const PIECE_LEN: u32 = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let driver = args.next().ok_or("usage: idle std|smol [TORRENTS] [PEERS] [SECONDS]")?;
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse());
    let (torrents, peers, seconds) = (number(1_000)?, number(200)?, number(30)?);
    let folder = tempfile::tempdir()?;
    let all = (0..torrents).map(|n| torrent(folder.path(), n)).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { torrent_connections_max: 1_000, connections_max: 2_000, ..Limits::default() };
    let config = Config { limits, direct_blocks: true, ..Config::default() };
    let options = Options { listen: vec!["127.0.0.1:0".parse()?], config, ..Options::default() };
    match driver.as_str() {
        "std" => {
            let session = pieceful_std::Session::start(options)?;
            let before = anonymous()?;
            for torrent in &all {
                session.add(AddTorrent::new(Arc::clone(torrent)), folder.path())?;
            }
            let complete = || session.torrents().into_iter().all(|id| is_complete(session.status(id)));
            measure(&all, before, (peers, seconds), session.listening()[0], complete)?;
            session.stop()?;
        }
        "smol" => smol::block_on(async {
            let session = pieceful_smol::Session::start(options)?;
            let before = anonymous()?;
            for torrent in &all {
                session.add(AddTorrent::new(Arc::clone(torrent)), folder.path()).await?;
            }
            let complete = || {
                smol::block_on(session.torrents())
                    .into_iter()
                    .all(|id| is_complete(smol::block_on(session.status(id))))
            };
            measure(&all, before, (peers, seconds), session.listening()[0], complete)?;
            session.stop().await?;
            Ok::<_, Box<dyn Error>>(())
        })?,
        other => return Err(format!("there is no driver called {other}").into()),
    }
    Ok(())
}

fn is_complete(status: Option<pieceful_core::engine::TorrentStatus>) -> bool {
    status.is_some_and(|status| status.bytes_done == status.bytes_total)
}

/// A small complete torrent in `folder`.
fn torrent(folder: &Path, n: usize) -> Result<Arc<Metainfo>, Box<dyn Error>> {
    let name = format!("data of torrent {n}");
    let data: Vec<u8> = (0..PIECE_LEN * 2).map(|at| (at as usize * 31 + n * 7) as u8).collect();
    fs::write(folder.join(&name), &data)?;
    let pieces: Vec<u8> =
        data.chunks(PIECE_LEN as usize).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let torrent = NewTorrent {
        name,
        content: Content::File { length: data.len() as u64, executable: false },
        piece_length: PIECE_LEN,
        pieces: pieces.into(),
        ..NewTorrent::default()
    };
    Ok(Arc::new(Metainfo::parse(torrent.to_bytes()?)?))
}

fn measure(
    all: &[Arc<Metainfo>],
    before: u64,
    (peers, seconds): (usize, usize),
    address: SocketAddr,
    complete: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    while !complete() {
        sleep(Duration::from_millis(100));
    }
    sleep(Duration::from_secs(2));
    let with_torrents = anonymous()?;
    let of = |bytes: u64, count: usize| bytes as f64 / 1024.0 / count.max(1) as f64;
    println!("{:6.2} KiB a torrent ({})", of(with_torrents.saturating_sub(before), all.len()), all.len());
    let streams = (0..peers).map(|n| peer(address, n, &all[n % all.len()])).collect::<Result<Vec<_>, _>>()?;
    sleep(Duration::from_secs(12));
    let with_peers = anonymous()?;
    println!("{:6.2} KiB a peer ({peers})", of(with_peers.saturating_sub(with_torrents), peers));
    println!("{:6.2} MiB in all", with_peers as f64 / (1 << 20) as f64);
    let (cpu, wakes) = used()?;
    sleep(Duration::from_secs(seconds as u64));
    let (cpu_after, wakes_after) = used()?;
    let seconds = seconds as f64;
    println!("{:6.3} % of a core", (cpu_after - cpu) as f64 / 1e9 / seconds * 100.0);
    println!("{:6.2} wake-ups a second", (wakes_after - wakes) as f64 / seconds);
    drop(streams);
    Ok(())
}

/// A peer that has nothing and wants nothing.
fn peer(address: SocketAddr, n: usize, torrent: &Metainfo) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\x04".to_vec();
    hello.extend(torrent.info.info_hash.on_the_wire());
    hello.extend(format!("-XX0000-{n:012}").into_bytes());
    hello.extend([0, 0, 0, 1, 15]); // have none (BEP 6)
    stream.write_all(&hello)?;
    stream.read_exact(&mut [0; 68])?;
    Ok(stream)
}

/// Anonymous resident memory of this process in bytes.
fn anonymous() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Nanoseconds on a processor, and how often its threads woke up.
fn used() -> Result<(u64, u64), Box<dyn Error>> {
    let (mut nanos, mut wakes) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        nanos += schedstat.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
        let status = fs::read_to_string(task.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        wakes += line.ok_or("no switches")?.trim().parse::<u64>()?;
    }
    Ok((nanos, wakes))
}
