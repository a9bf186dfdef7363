//! The JSON of `get` and `seed`: one object a line, flushed at once.

use std::net::SocketAddr;

use pieceful_core::engine::{MetadataStatus, Source, Sources, TorrentStatus};
use pieceful_core::metainfo::Info;
use serde::Serialize;

use super::Shown;
use crate::errors::Failure;
use crate::json;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Listening {
        address: SocketAddr,
    },
    MetadataProgress {
        torrent: String,
        pieces_done: u32,
        pieces_total: u32,
        peers: u32,
    },
    Metadata {
        torrent: String,
        name: &'a str,
        bytes_total: u64,
        pieces: u32,
    },
    Progress {
        torrent: String,
        bytes_done: u64,
        bytes_total: u64,
        down_rate: u64,
        up_rate: u64,
        peers: u32,
        peers_from: BySource,
        known_from: BySource,
    },
    Finished {
        torrent: String,
    },
    SeedingDone {
        torrent: String,
    },
    Warning {
        torrent: String,
        message: &'a str,
    },
    Error {
        message: &'a str,
    },
}

/// How many peers, or addresses of peers, came from where.
#[derive(Serialize)]
struct BySource {
    user: u32,
    tracker: u32,
    incoming: u32,
    lsd: u32,
    dht: u32,
    pex: u32,
    saved: u32,
}

impl BySource {
    const fn new(sources: &Sources) -> Self {
        Self {
            user: sources.of(Source::User),
            tracker: sources.of(Source::Tracker),
            incoming: sources.of(Source::Incoming),
            lsd: sources.of(Source::Lsd),
            dht: sources.of(Source::Dht),
            pex: sources.of(Source::Pex),
            saved: sources.of(Source::Saved),
        }
    }
}

pub(super) fn listening(address: SocketAddr) -> Result<(), Failure> {
    json::line(&Line::Listening { address })
}

pub(super) fn metadata_progress(shown: &Shown, status: &MetadataStatus) -> Result<(), Failure> {
    json::line(&Line::MetadataProgress {
        torrent: shown.info_hash.to_hex(),
        pieces_done: status.pieces_done,
        pieces_total: status.pieces_total,
        peers: status.peers,
    })
}

pub(super) fn metadata(shown: &Shown, info: &Info) -> Result<(), Failure> {
    json::line(&Line::Metadata {
        torrent: shown.info_hash.to_hex(),
        name: &info.name,
        bytes_total: info.stored_length(),
        pieces: info.piece_count(),
    })
}

pub(super) fn progress(shown: &Shown, status: &TorrentStatus) -> Result<(), Failure> {
    json::line(&Line::Progress {
        torrent: shown.info_hash.to_hex(),
        bytes_done: status.wanted.bytes_done,
        bytes_total: status.wanted.bytes_total,
        down_rate: status.traffic.down_rate,
        up_rate: status.traffic.up_rate,
        peers: status.peers,
        peers_from: BySource::new(&status.peers_from),
        known_from: BySource::new(&status.known_from),
    })
}

pub(super) fn finished(shown: &Shown) -> Result<(), Failure> {
    json::line(&Line::Finished { torrent: shown.info_hash.to_hex() })
}

pub(super) fn seeding_done(shown: &Shown) -> Result<(), Failure> {
    json::line(&Line::SeedingDone { torrent: shown.info_hash.to_hex() })
}

pub(super) fn warning(shown: &Shown, message: &str) -> Result<(), Failure> {
    json::line(&Line::Warning { torrent: shown.info_hash.to_hex(), message })
}

pub(super) fn error(message: &str) -> Result<(), Failure> {
    json::line(&Line::Error { message })
}
