//! Which programs there are, and what every client is asked for.

use std::fmt::Debug;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::aria2::Aria2;
use crate::libtorrent::{self, Libtorrent};
use crate::processes::{Place, copy_into, find_program, own_address, own_v6_address};
use crate::transmission::Transmission;
use crate::trees::{Maker, Recipe, Torrent};
use crate::{Failure, Result};

/// A program nobody here wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Libtorrent,
    Transmission,
    Aria2,
    Opentracker,
}

/// The kind of address a client listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A running client with one torrent.
pub(crate) trait Other: Debug {
    /// Where it accepts connections.
    fn address(&self) -> SocketAddr;

    /// Waits until it has every piece, found on disk or downloaded.
    fn wait_complete(&mut self, place: &Place) -> Result<()>;

    /// Its last words, for a failure.
    fn story(&self) -> String;
}

/// The programs found on this machine, or why one was not.
#[derive(Debug)]
pub(crate) struct Others {
    python: std::result::Result<PathBuf, String>,
    transmission: std::result::Result<PathBuf, String>,
    aria2: std::result::Result<PathBuf, String>,
    opentracker: std::result::Result<PathBuf, String>,
}

impl Others {
    pub(crate) fn find() -> Self {
        let find = |name: &str| find_program(name).ok_or_else(|| format!("no program `{name}` on the PATH"));
        Self {
            python: libtorrent::find_python(),
            transmission: find("transmission-daemon"),
            aria2: find("aria2c"),
            opentracker: find("opentracker"),
        }
    }

    /// Why `program` is not there.
    pub(crate) fn missing(&self, program: Program) -> Option<&str> {
        self.find_path(program).as_ref().err().map(String::as_str)
    }

    pub(crate) fn path(&self, program: Program) -> Result<&Path> {
        self.find_path(program).as_deref().map_err(Failure::new)
    }

    pub(crate) fn python(&self) -> Result<&Path> {
        self.path(Program::Libtorrent)
    }

    fn find_path(&self, program: Program) -> &std::result::Result<PathBuf, String> {
        match program {
            Program::Libtorrent => &self.python,
            Program::Transmission => &self.transmission,
            Program::Aria2 => &self.aria2,
            Program::Opentracker => &self.opentracker,
        }
    }

    /// Starts a client that has all files, and waits until it knows that it has.
    pub(crate) fn seed(
        &self,
        program: Program,
        torrent: &Torrent,
        family: Family,
        place: &Place,
    ) -> Result<Box<dyn Other>> {
        // Its own copy: what a client does to the files it serves is not known.
        let folder = place.folder("theirs")?;
        copy_into(&torrent.source, &folder)?;
        let path = self.path(program)?;
        match program {
            _ if family == Family::V6 && program != Program::Libtorrent => {
                Err(Failure::new("only libtorrent is run on IPv6"))
            }
            Program::Libtorrent => {
                let address = if family == Family::V4 { own_address()? } else { own_v6_address()? };
                let mut client = Libtorrent::start(path, address, torrent, &folder, &[], place)?;
                client.wait_complete(place)?;
                Ok(Box::new(client))
            }
            Program::Transmission => {
                let mut client =
                    Transmission::start(path, torrent, &folder, Ipv6Addr::LOCALHOST, &[], place)?;
                client.wait_complete(place).map_err(|error| error.and(client.story()))?;
                Ok(Box::new(client))
            }
            // It accepts no connection for a torrent before it has checked it, and ours tries again.
            Program::Aria2 => Ok(Box::new(Aria2::seed(path, torrent, &folder, None, place)?)),
            Program::Opentracker => Err(Failure::new("a tracker does not seed")),
        }
    }

    /// Starts a client that wants all files in `folder`; `peer` is called by those that can be told to.
    pub(crate) fn leech(
        &self,
        program: Program,
        torrent: &Torrent,
        folder: &Path,
        peer: Option<SocketAddr>,
        place: &Place,
    ) -> Result<Box<dyn Other>> {
        let path = self.path(program)?;
        Ok(match (program, peer) {
            (Program::Libtorrent, None) => {
                Box::new(Libtorrent::start(path, own_address()?, torrent, folder, &[], place)?)
            }
            (Program::Libtorrent, Some(peer)) => {
                let own = if peer.is_ipv6() { own_v6_address()? } else { own_address()? };
                let call = ["--connect", &peer.to_string()];
                Box::new(Libtorrent::start(path, own, torrent, folder, &call, place)?)
            }
            (Program::Transmission, None) => {
                Box::new(Transmission::start(path, torrent, folder, Ipv6Addr::LOCALHOST, &[], place)?)
            }
            (Program::Aria2, None) => Box::new(Aria2::leech(path, torrent, folder, None, place)?),
            (program, _) => return Err(Failure::new(format!("{program:?} cannot be told to call a peer"))),
        })
    }
}

impl Recipe {
    /// What is needed to make it.
    pub(crate) fn needs(self) -> Option<Program> {
        match self.maker {
            Maker::Pieceful => None,
            Maker::Libtorrent | Maker::Padded | Maker::Hybrid => Some(Program::Libtorrent),
        }
    }
}
