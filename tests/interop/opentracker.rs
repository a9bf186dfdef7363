//! opentracker, for HTTP and UDP on one port.
//!
//! It asks its clients to come back after half an hour, so a seeder has to be known to it before a leecher asks.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use pieceful_core::metainfo::Metainfo;

use crate::processes::{Place, Process, home};
use crate::{Result, http};

/// A running opentracker.
#[derive(Debug)]
pub(crate) struct Opentracker {
    process: Process,
    address: SocketAddr,
}

impl Opentracker {
    /// Starts it on `address`, which a torrent names already, for that torrent alone.
    pub(crate) fn start(
        program: &Path,
        address: SocketAddr,
        metainfo: &Metainfo,
        place: &Place,
    ) -> Result<Self> {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let home = home("opentracker", place)?;
        fs::write(home.join("whitelist"), format!("{}\n", metainfo.info.info_hash.to_hex()))?;
        // When it is root it locks itself up in this folder, as somebody else.
        fs::set_permissions(&home, Permissions::from_mode(0o755))?;
        let mut command = Command::new(program);
        command.arg("-i").arg(ip).args(["-p", &port, "-P", &port, "-w", "whitelist"]);
        command.arg("-d").arg(&home).current_dir(&home);
        let mut process = Process::start("opentracker", command, place)?;
        process.wait_listening(address, place)?;
        Ok(Self { process, address })
    }

    /// Waits until it knows a seeder.
    pub(crate) fn wait_seeder(&mut self, metainfo: &Metainfo, place: &Place) -> Result<()> {
        self.wait_seeders(metainfo, |seeders| seeders > 0, place)
    }

    /// Waits until it knows this many seeders.
    pub(crate) fn wait_seeders(
        &mut self,
        metainfo: &Metainfo,
        enough: impl Fn(u32) -> bool,
        place: &Place,
    ) -> Result<()> {
        let hash = metainfo.info.info_hash.on_the_wire();
        let hash: String = hash.iter().map(|byte| format!("%{byte:02x}")).collect();
        let target = format!("/scrape?info_hash={hash}");
        let waited = place.wait_until("waiting for opentracker to know how many seed", || {
            self.process.check_alive()?;
            let answer = http::get(self.address, &target)?;
            Ok(enough(seeders(&answer.body)).then_some(()))
        });
        waited.map_err(|error| error.and(self.process.story()))
    }
}

/// `complete` of a scrape of one torrent (BEP 48); it leaves out a torrent that nobody has.
fn seeders(body: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(body);
    let after = text.split_once("8:completei").and_then(|(_, after)| after.split_once('e'));
    after.and_then(|(count, _)| count.parse().ok()).unwrap_or_default()
}
