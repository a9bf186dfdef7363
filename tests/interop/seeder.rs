//! Our side as a seed, the way a user has it: with std a session in this process, with smol the program.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ours::{Driver, Ours, Told};
use crate::processes::{Place, Process, output_of};
use crate::trees::Torrent;
use crate::{Bench, Result};

/// A client of ours that serves a torrent, or is about to.
pub(crate) enum Seeder {
    Session(Box<Ours>),
    Program(Process, SocketAddr),
}

impl Seeder {
    /// Serves what is in `folder`: `pieceful seed`. Returns once peers can come.
    pub(crate) fn seed(
        driver: Driver,
        bench: &Bench,
        torrent: &Torrent,
        told: &Told,
        folder: &Path,
        place: &Place,
    ) -> Result<Self> {
        match driver {
            Driver::Std => {
                let ours = Ours::start(driver, torrent, told, folder)?;
                Ok(Self::Session(Box::new(ours.until_complete(place)?)))
            }
            Driver::Smol => {
                let mut command = Command::new(&bench.pieceful);
                command.arg("seed").arg(&torrent.file).arg(folder);
                Self::start(command, told, place)
            }
        }
    }

    /// Downloads to `folder` and then goes on serving: `pieceful get --seed`. Returns when it has begun.
    pub(crate) fn get(
        driver: Driver,
        bench: &Bench,
        torrent: &Torrent,
        told: &Told,
        folder: &Path,
        place: &Place,
    ) -> Result<Self> {
        match driver {
            Driver::Std => Ok(Self::Session(Box::new(Ours::start(driver, torrent, told, folder)?))),
            Driver::Smol => {
                let mut command = Command::new(&bench.pieceful);
                command.arg("get").arg(&torrent.file).arg("--seed").arg("-o").arg(folder);
                Self::start(command, told, place)
            }
        }
    }

    fn start(mut command: Command, told: &Told, place: &Place) -> Result<Self> {
        command.arg("--json").env("XDG_STATE_HOME", place.path("state"));
        told.tell(&mut command);
        let process = Process::start_talking("pieceful", command, place)?;
        let event = heard(&process, "listening", place)?;
        let address = event["address"].as_str().and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| process.failure(&format!("no address in {event}")))?;
        Ok(Self::Program(process, address))
    }

    /// Waits until it has everything.
    pub(crate) fn until_complete(self, place: &Place) -> Result<Self> {
        match self {
            Self::Session(ours) => Ok(Self::Session(Box::new(ours.until_complete(place)?))),
            Self::Program(process, address) => {
                heard(&process, "finished", place)?;
                Ok(Self::Program(process, address))
            }
        }
    }

    /// Where it accepts connections.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        match self {
            Self::Session(ours) => ours.address(),
            Self::Program(_, address) => Ok(*address),
        }
    }

    /// Payload bytes it has sent; a program tells only its rates.
    pub(crate) fn sent(&self) -> Result<Option<u64>> {
        match self {
            Self::Session(ours) => Ok(Some(ours.status()?.traffic.payload_up)),
            Self::Program(..) => Ok(None),
        }
    }

    /// Ends it in good order: a program by SIGTERM, which it takes as a good end.
    pub(crate) fn stop(self, place: &Place) -> Result<()> {
        match self {
            Self::Session(ours) => ours.stop(),
            Self::Program(mut process, _) => {
                output_of(Command::new("kill").arg("-TERM").arg(process.id().to_string()))?;
                let status = process.wait_end(place)?;
                let good = status.success();
                if good { Ok(()) } else { Err(process.failure(&format!("pieceful ended with {status}"))) }
            }
        }
    }

    /// What happened, for a failure.
    pub(crate) fn tell(&mut self) -> String {
        match self {
            Self::Session(ours) => ours.tell(),
            Self::Program(process, _) => process.story(),
        }
    }
}

/// The next event of this kind that the program tells.
fn heard(process: &Process, kind: &str, place: &Place) -> Result<Value> {
    while let Some(line) = process.line(place)? {
        let event: Value = serde_json::from_str(&line)?;
        if event["event"] == kind {
            return Ok(event);
        }
        if event["event"] == "error" {
            return Err(process.failure(&format!("pieceful: {}", event["message"])));
        }
    }
    Err(process.failure(&format!("pieceful ended before it told {kind}")))
}
