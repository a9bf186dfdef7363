//! Every datagram that programs on a network of our own send, by a script of ours in Python.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::processes::{Place, Process};
use crate::trees::Torrent;
use crate::{Failure, Result};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/capture.py");

/// A capture that goes on.
#[derive(Debug)]
pub(crate) struct Capture {
    process: Process,
    seen: Vec<Datagram>,
}

/// One datagram.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: Vec<u8>,
}

impl Datagram {
    /// Whether it holds the torrent's info-hash, as bytes or as text.
    pub(crate) fn names(&self, torrent: &Torrent) -> bool {
        let hash = torrent.metainfo.info.info_hash.on_the_wire();
        let hex = torrent.metainfo.info.info_hash.to_hex();
        self.data.windows(hash.len()).any(|window| window == hash)
            || self.data.windows(hex.len()).any(|window| window.eq_ignore_ascii_case(hex.as_bytes()))
    }

    /// Whether it goes to everybody around.
    pub(crate) fn is_to_a_group(&self) -> bool {
        self.to.ip().is_multicast()
    }

    fn read(line: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(line)?;
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        let address = |name| text(name).parse().map_err(Failure::from_error);
        let data = HEXLOWER.decode(text("data").as_bytes()).map_err(Failure::from_error)?;
        Ok(Self { from: address("from")?, to: address("to")?, data })
    }
}

impl Capture {
    /// Begins; sees everything from now on.
    pub(crate) fn start(python: &Path, place: &Place) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(SCRIPT);
        let process = Process::start_talking("capture", command, place)?;
        process.line(place)?.ok_or_else(|| process.failure("the capture ended before it began"))?;
        Ok(Self { process, seen: Vec::new() })
    }

    /// Waits until it has seen such a datagram.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        it: impl Fn(&Datagram) -> bool,
        place: &Place,
    ) -> Result<()> {
        if self.seen.iter().any(&it) {
            return Ok(());
        }
        while let Some(line) = self.process.line(place).map_err(|error| error.and(what))? {
            self.seen.push(Datagram::read(&line)?);
            if self.seen.last().is_some_and(&it) {
                return Ok(());
            }
        }
        Err(self.process.failure("the capture ended"))
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> &[Datagram] {
        &self.seen
    }
}
