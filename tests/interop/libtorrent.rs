//! libtorrent, by a script of ours in Python.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::others::Other;
use crate::processes::{Place, Process, output_of};
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
        let mut told = Vec::new();
        while let Some(line) = self.process.line(place)? {
            let said: Value = serde_json::from_str(&line)?;
            if said["event"] == event {
                return Ok(told);
            }
            told.push(said);
        }
        Err(self.process.failure(&format!("libtorrent ended before it was {event}")))
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
