//! What a SOURCE is: a .torrent file, a magnet link, or something we say clearly that we cannot take yet.

use std::fs;
use std::io::Read as _;

use pieceful_core::metainfo::Metainfo;

use crate::errors::{Failure, io_advice};

/// Longest .torrent file read: ten times that of a torrent with 100,000 pieces.
const TORRENT_BYTES_MAX: u64 = 64 << 20;

/// A torrent to download.
pub(crate) fn to_download(named: &str) -> Result<Metainfo, Failure> {
    if is_magnet(named) {
        return Err(Failure::new("magnet links cannot be downloaded yet, that comes with a later version")
            .advice("get the .torrent file and name that"));
    }
    torrent(named)
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
    parse(&bytes).map_err(|error| {
        Failure::new(format!("{path} is not a torrent that can be used: {error}"))
            .advice("check that it is a whole .torrent file, or get it again")
    })
}

fn parse(bytes: &[u8]) -> Result<Metainfo, String> {
    Err(format!("not there yet, {}", bytes.len()))
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
    file.take(TORRENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > TORRENT_BYTES_MAX {
        return Err(
            Failure::new(format!("{path} is too long for a torrent")).advice("name the .torrent file")
        );
    }
    Ok(bytes)
}
