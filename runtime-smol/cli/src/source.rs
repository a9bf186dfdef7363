//! What a SOURCE is: a .torrent file, a magnet link, or something we say clearly that we cannot take yet.

use std::fs;
use std::io::Read as _;
use std::sync::Arc;

use pieceful_core::engine::What;
use pieceful_core::metainfo::{FILE_LEN_MAX, Magnet, MagnetError, Metainfo, MetainfoError};

use crate::errors::{Failure, io_advice};

/// A torrent to download.
pub(crate) fn to_download(named: &str) -> Result<What, Failure> {
    if is_magnet(named) {
        return magnet(named).map(What::from);
    }
    torrent(named).map(|torrent| Arc::new(torrent).into())
}

/// A torrent to serve.
pub(crate) fn to_serve(named: &str) -> Result<What, Failure> {
    torrent(named).map(|torrent| Arc::new(torrent).into())
}

/// A torrent of which only the magnet link is there.
pub(crate) fn to_complete(named: &str) -> Result<What, Failure> {
    if is_magnet(named) {
        return magnet(named).map(What::from);
    }
    Err(Failure::new(format!("{named} is no magnet link"))
        .advice("--metadata-only makes a .torrent file of a magnet link"))
}

/// The magnet link `named`.
pub(crate) fn magnet(named: &str) -> Result<Magnet, Failure> {
    named.parse().map_err(|error: MagnetError| {
        Failure::new(error.to_string()).advice("check that the whole link was copied, and put it in quotes")
    })
}

/// The .torrent file at `path`.
pub(crate) fn torrent(path: &str) -> Result<Metainfo, Failure> {
    if is_magnet(path) {
        return Err(
            Failure::new("this needs a .torrent file, not a magnet link").advice("name the .torrent file")
        );
    }
    if is_web(path) {
        return Err(Failure::new("torrents are not fetched from the web yet")
            .advice("download the .torrent file first, for example with curl -LO"));
    }
    let bytes = read(path)?;
    Metainfo::parse(bytes).map_err(|error| {
        let failure = Failure::new(format!("{path} cannot be used: {error}"));
        match error {
            MetainfoError::OnlyV2 => failure.advice("look for a v1 or hybrid torrent of the same files"),
            _ => failure.advice("check that it is a whole .torrent file, or get it again"),
        }
    })
}

pub(crate) fn is_magnet(named: &str) -> bool {
    starts_with(named, "magnet:")
}

fn is_web(named: &str) -> bool {
    starts_with(named, "http://") || starts_with(named, "https://")
}

fn starts_with(named: &str, scheme: &str) -> bool {
    named.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(format!("cannot read {path}: {error}")).advice(io_advice(&error))
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    // One byte more than is accepted, so that what is too long is seen to be.
    file.take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
