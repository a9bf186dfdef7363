//! libtorrent, by a script of ours in Python.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::others::Other;
use crate::processes::{Place, Process, output_of, own_node_address};
use crate::trees::Torrent;
use crate::{Failure, Result};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/lt.py");

/// The interpreter that has libtorrent: the one named by `PIECEFUL_PYTHON`, the usual one, or the one that
/// the CI installed. Else why not.
pub(crate) fn find_python() -> std::result::Result<PathBuf, String> {
    let works = |python: &Path| output_of(Command::new(python).args([SCRIPT, "version"])).is_ok();
    if let Some(named) = std::env::var_os("PIECEFUL_PYTHON").map(PathBuf::from) {
        let why = || format!("PIECEFUL_PYTHON is {}, which cannot import libtorrent", named.display());
        return if works(&named) { Ok(named) } else { Err(why()) };
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let installed = cache.map(|cache| cache.join("pieceful-ci/venv/bin/python"));
    let mut candidates = [Some(PathBuf::from("python3")), installed].into_iter().flatten();
    candidates.find(|python| works(python)).ok_or_else(|| {
        "no Python that can import libtorrent; name one in PIECEFUL_PYTHON, after `pip install libtorrent`".into()
    })
}

/// Has libtorrent make a torrent.
pub(crate) fn create(
    python: &Path,
    source: &Path,
    file: &Path,
    piece_length: u32,
    flavour: &str,
    trackers: &[String],
) -> Result<()> {
    let mut command = Command::new(python);
    command.args([SCRIPT, "create"]).arg(source).arg(file).arg(piece_length.to_string()).arg(flavour);
    output_of(command.args(trackers))?;
    Ok(())
}

/// A running libtorrent with one torrent.
#[derive(Debug)]
pub(crate) struct Libtorrent {
    process: Process,
    address: SocketAddr,
}

impl Libtorrent {
    /// Takes part in a torrent whose files are in `folder`, or will be; for `options` see the script.
    pub(crate) fn start(
        python: &Path,
        address: SocketAddr,
        torrent: &Torrent,
        folder: &Path,
        options: &[&str],
        place: &Place,
    ) -> Result<Self> {
        let mut command = Command::new(python);
        command.args([SCRIPT, "run"]).arg(&torrent.file).arg(folder).arg(address.to_string()).args(options);
        let process = Process::start_talking("libtorrent", command, place)?;
        let started = Self { process, address };
        started.wait_for("listening", place)?;
        Ok(started)
    }

    fn wait_for(&self, event: &str, place: &Place) -> Result<()> {
        self.tell_until(event, place).map(drop)
    }

    /// Everything it tells until it tells this.
    pub(crate) fn tell_until(&self, event: &str, place: &Place) -> Result<Vec<Value>> {
        listen_to(&self.process, event, |_| true, place)
    }

    /// Waits until it has downloaded so many bytes; it has to be watched.
    pub(crate) fn wait_done(&self, bytes: u64, place: &Place) -> Result<()> {
        let it = |said: &Value| said["done"].as_u64().is_some_and(|done| done >= bytes);
        listen_to(&self.process, "progress", it, place).map(drop)
    }

    /// Waits until it has shaken hands with this peer, whose address it has from `source`, if it says so.
    pub(crate) fn wait_met(&self, peer: SocketAddr, source: Option<&str>, place: &Place) -> Result<()> {
        let from = |said: &Value, source: &str| {
            said["by"].as_array().is_some_and(|by| by.iter().any(|by| *by == source))
        };
        let it =
            |said: &Value| said["peer"] == peer.to_string() && source.is_none_or(|source| from(said, source));
        listen_to(&self.process, "met", it, place).map(drop)
    }

    /// Waits until it has heard that this neighbour has the torrent.
    pub(crate) fn wait_near(&self, peer: SocketAddr, place: &Place) -> Result<()> {
        let it = |said: &Value| said["peer"] == peer.to_string();
        listen_to(&self.process, "near", it, place).map(drop)
    }
}

/// Everything that libtorrent tells until it tells of such an event.
fn listen_to(
    process: &Process,
    event: &str,
    it: impl Fn(&Value) -> bool,
    place: &Place,
) -> Result<Vec<Value>> {
    let mut told = Vec::new();
    while let Some(line) = process.line(place)? {
        let said: Value = serde_json::from_str(&line)?;
        if said["event"] == event && it(&said) {
            return Ok(told);
        }
        told.push(said);
    }
    Err(process.failure(&format!("libtorrent ended before it told {event:?}")))
}

/// Nodes of a DHT that know each other, and have no torrent.
#[derive(Debug)]
pub(crate) struct DhtNodes {
    process: Process,
    addresses: Vec<SocketAddr>,
    /// What was announced to them, as far as anybody has waited for it: torrent and peer.
    announced: RefCell<BTreeSet<(String, String)>>,
}

impl DhtNodes {
    pub(crate) fn start(python: &Path, count: u8, place: &Place) -> Result<Self> {
        let addresses = (1..=count).map(own_node_address).collect::<Result<Vec<_>>>()?;
        let listen: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let mut command = Command::new(python);
        command.args([SCRIPT, "nodes", &listen.join(",")]);
        let process = Process::start_talking("libtorrent's nodes", command, place)?;
        listen_to(&process, "joined", |_| true, place)?;
        Ok(Self { process, addresses, announced: RefCell::default() })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until one of them is told that this peer has a torrent.
    pub(crate) fn wait_announced(&self, torrent: &Torrent, peer: SocketAddr, place: &Place) -> Result<()> {
        let wanted = (torrent.metainfo.info.info_hash.to_hex(), peer.to_string());
        let text = |said: &Value, name: &str| said[name].as_str().unwrap_or_default().to_owned();
        while !self.announced.borrow().contains(&wanted) {
            let it = |said: &Value| {
                self.announced.borrow_mut().insert((text(said, "info_hash"), text(said, "peer")));
                true
            };
            listen_to(&self.process, "announced", it, place)?;
        }
        Ok(())
    }

    pub(crate) fn story(&self) -> String {
        self.process.story()
    }
}

impl Other for Libtorrent {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_complete(&mut self, place: &Place) -> Result<()> {
        self.wait_for("finished", place)
    }

    fn story(&self) -> String {
        self.process.story()
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("not JSON: {error}"))
    }
}
