//! One member of the demo's swarm, on either driver.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use pieceful_core::engine::{AddTorrent, TorrentStatus};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Metainfo;
use pieceful_std::Options;

use crate::errors::Failure;

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// Threads and blocking sockets.
    Std,
    /// One thread of smol.
    Smol,
}

/// A running session with one torrent.
#[derive(Debug)]
pub(super) struct Node {
    session: Session,
    torrent: TorrentId,
}

#[derive(Debug)]
enum Session {
    Std(pieceful_std::Session),
    Smol(pieceful_smol::Session),
}

impl Node {
    /// Takes part in the torrent with files in `folder`, on any free port of this machine.
    pub(super) fn start(driver: Driver, metainfo: &Arc<Metainfo>, folder: &Path) -> Result<Self, Failure> {
        let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let options = Options { listen, ..Options::default() };
        let spec = AddTorrent::new(Arc::clone(metainfo));
        let (session, added) = match driver {
            Driver::Std => {
                let session = pieceful_std::Session::start(options).map_err(|error| not_started(&error))?;
                let added = session.add(spec, folder);
                (Session::Std(session), added)
            }
            Driver::Smol => {
                let session = pieceful_smol::Session::start(options).map_err(|error| not_started(&error))?;
                let added = smol::block_on(session.add(spec, folder));
                (Session::Smol(session), added)
            }
        };
        match added {
            Ok(torrent) => Ok(Self { session, torrent }),
            Err(error) => Err(Failure::new(error.to_string()).advice("check the folder for temporary files")),
        }
    }

    pub(super) fn status(&self) -> Option<TorrentStatus> {
        match &self.session {
            Session::Std(session) => session.status(self.torrent),
            Session::Smol(session) => smol::block_on(session.status(self.torrent)),
        }
    }

    /// Tells the tracker, closes the files.
    pub(super) fn stop(&self) {
        // The demo is over either way, and what did not end in time ends with the program.
        let _ = match &self.session {
            Session::Std(session) => session.stop(),
            Session::Smol(session) => smol::block_on(session.stop()),
        };
    }
}

fn not_started(error: &pieceful_std::StartError) -> Failure {
    Failure::new(error.to_string()).advice("the demo needs the address 127.0.0.1 and some free ports")
}
