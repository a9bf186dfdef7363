//! Downloads a torrent with a driver of its own: one thread, and poll(2).
//!
//! `cargo run --release -p pieceful-std --example poll -- TORRENT DIR [IP:PORT]...`

mod conn;
mod driver;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Config, Event};
use pieceful_core::metainfo::Metainfo;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(torrent), Some(folder)) = (args.next(), args.next()) else {
        return Err("usage: poll TORRENT DIR [IP:PORT]...".into());
    };
    let mut spec = AddTorrent::new(Arc::new(Metainfo::parse(std::fs::read(torrent)?)?));
    spec.peers = args.map(|peer| peer.parse()).collect::<Result<_, _>>()?;
    let mut driver = driver::Driver::new("0.0.0.0:0".parse()?, Config::default())?;
    println!("listening at {}", driver.listener.local_addr()?);
    let torrent = driver.engine.add_torrent(driver.clock.now(), spec)?;
    driver.disk.add_torrent(torrent, folder.into());
    let mut result = None;
    loop {
        driver.turn(Duration::from_secs(1))?;
        while let Some(event) = driver.events.pop_front() {
            println!("{event:?}");
            match event {
                Event::Finished { .. } => result = Some(Ok(())),
                Event::Failed { error, .. } => result = Some(Err(error.into())),
                Event::Stopped => return result.unwrap_or(Ok(())),
                _ => continue,
            }
            driver.engine.shutdown(driver.clock.now());
        }
    }
}
