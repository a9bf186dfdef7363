//! Downloads one torrent on one thread of smol:
//! `cargo run --release -p pieceful-smol --example download -- TORRENT DIR [--peer IP:PORT]...`

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use pieceful_core::engine::{AddTorrent, Event};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Metainfo;
use pieceful_smol::{Options, Session, SessionEvent};

fn main() -> ExitCode {
    match block_on(get()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn get() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: download TORRENT DIR [--peer IP:PORT]...";
    let mut args = std::env::args().skip(1);
    let torrent = args.next().ok_or(USAGE)?;
    let folder = PathBuf::from(args.next().ok_or(USAGE)?);
    let mut spec = AddTorrent::new(Arc::new(Metainfo::parse(std::fs::read(torrent)?)?));
    while let Some(flag) = args.next() {
        match (flag.as_str(), args.next()) {
            ("--peer", Some(address)) => spec.peers.push(address.parse()?),
            _ => return Err(USAGE.into()),
        }
    }

    let session = Session::start(Options { listen: vec!["0.0.0.0:0".parse()?], ..Options::default() })?;
    let mut events = session.events();
    let torrent = session.add(spec, &folder).await?;
    let mut next_line = Instant::now();
    let result = loop {
        match events.next_timeout(next_line.saturating_duration_since(Instant::now())).await {
            Some(SessionEvent::Event(Event::Finished { .. })) => break Ok(()),
            Some(SessionEvent::Event(Event::Failed { error, .. })) => break Err(error.into()),
            Some(SessionEvent::Event(Event::TrackerFailed { url, error, .. })) => eprintln!("{url}: {error}"),
            Some(_) => {}
            None if events.is_over() => break Err("the session ended early".into()),
            None => {
                print_progress(&session, torrent).await;
                next_line += Duration::from_secs(1);
            }
        }
    };
    print_progress(&session, torrent).await;
    session.stop().await?;
    result
}

async fn print_progress(session: &Session, torrent: TorrentId) {
    let Some(status) = session.status(torrent).await else { return };
    println!(
        "{:?}: {} of {} MiB, {} of {} pieces, {} peers, {} KiB/s",
        status.state,
        status.bytes_done >> 20,
        status.bytes_total >> 20,
        status.pieces_done,
        status.pieces_total,
        status.peers,
        status.traffic.down_rate >> 10,
    );
}
