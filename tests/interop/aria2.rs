//! aria2c, one process for each torrent.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::others::Other;
use crate::processes::{Place, Process, own_address};
use crate::trees::Torrent;
use crate::{Failure, Result};

/// A running aria2c.
#[derive(Debug)]
pub(crate) struct Aria2 {
    process: Process,
    address: SocketAddr,
}

impl Aria2 {
    /// Checks the files in `folder` and serves them; begins at this node of the DHT.
    pub(crate) fn seed(
        program: &Path,
        torrent: &Torrent,
        folder: &Path,
        node: Option<SocketAddr>,
        place: &Place,
    ) -> Result<Self> {
        Self::start(program, torrent, folder, node, place, &["--check-integrity=true", "--seed-ratio=0.0"])
    }

    /// Downloads to `folder`, then ends; begins at this node of the DHT.
    pub(crate) fn leech(
        program: &Path,
        torrent: &Torrent,
        folder: &Path,
        node: Option<SocketAddr>,
        place: &Place,
    ) -> Result<Self> {
        Self::start(program, torrent, folder, node, place, &["--seed-time=0"])
    }

    fn start(
        program: &Path,
        torrent: &Torrent,
        folder: &Path,
        node: Option<SocketAddr>,
        place: &Place,
        more: &[&str],
    ) -> Result<Self> {
        let address = own_address()?;
        let mut command = Command::new(program);
        command
            // Without a DHT it speaks to no UDP tracker.
            .args(["--no-conf", "--disable-ipv6=true", "--enable-dht=true", "--enable-dht6=false"])
            .arg(format!("--dht-listen-port={}", address.port()))
            .arg(format!("--dht-file-path={}", place.path("aria2-dht.dat").display()))
            .args(["--enable-peer-exchange=false", "--bt-enable-lpd=false", "--bt-max-peers=0"])
            .args(["--file-allocation=none", "--follow-torrent=false", "--console-log-level=info"])
            .args(["--summary-interval=0", "--show-console-readout=false", "--enable-color=false"])
            .arg(format!("--interface={}", address.ip()))
            .arg(format!("--listen-port={}", address.port()))
            .arg(format!("--stop-with-process={}", std::process::id()))
            .args(more)
            .args(node.map(|node| format!("--dht-entry-point={node}")))
            .arg("--dir")
            .arg(folder);
        match &torrent.link {
            Some(link) => command.arg(link),
            None => command.arg("--torrent-file").arg(&torrent.file),
        };
        let mut process = Process::start("aria2", command, place)?;
        process.wait_listening(address, place)?;
        Ok(Self { process, address })
    }
}

impl Other for Aria2 {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_complete(&mut self, place: &Place) -> Result<()> {
        let status = self.process.wait_end(place)?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("aria2 has ended: {status}")).and(self.story()))
        }
    }

    fn story(&self) -> String {
        self.process.story()
    }
}
