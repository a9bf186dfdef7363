//! Numbers about a torrent or the whole engine, pulled on demand.

use alloc::string::String;
use core::net::SocketAddr;

use super::source::{Source, Sources};

/// What a torrent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorrentState {
    /// Nothing but its info-hash is known: the rest is fetched from peers.
    FetchingMetadata,
    /// Looking at, or hashing, what is already on disk.
    Checking,
    /// Some pieces are missing that are wanted.
    Downloading,
    /// Every piece that is wanted is on disk and verified.
    Seeding,
    /// Told to pause: no peers, no trackers, no disk.
    Paused,
    /// Stopped by an error.
    Failed,
    /// Being removed.
    Leaving,
}

/// A torrent's numbers at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorrentStatus {
    /// What it is doing.
    pub state: TorrentState,
    /// How far its metadata is, while it is being fetched.
    pub metadata: Option<MetadataStatus>,
    /// Bytes of verified pieces, padding left out.
    pub bytes_done: u64,
    /// Bytes of all pieces, padding left out.
    pub bytes_total: u64,
    /// The same of what is wanted, which is all of it unless some files [are not](super::Selection).
    pub wanted: Wanted,
    /// Pieces verified.
    pub pieces_done: u32,
    /// All pieces.
    pub pieces_total: u32,
    /// Pieces looked at while checking.
    pub pieces_checked: u32,
    /// Peers connected, handshake done.
    pub peers: u32,
    /// Those of them that have everything.
    pub seeds: u32,
    /// Addresses known, connected or not.
    pub known_peers: u32,
    /// Where those addresses come from, banned ones left out.
    pub known_from: Sources,
    /// Where the connected peers come from.
    pub peers_from: Sources,
    /// What went over the wire.
    pub traffic: Traffic,
    /// Block bytes received in this run and earlier ones, as far as what they saved was there.
    pub downloaded_ever: u64,
    /// Block bytes sent in this run and earlier ones.
    pub uploaded_ever: u64,
}

/// How much of what is wanted of a torrent is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Bytes of wanted files in verified pieces.
    pub bytes_done: u64,
    /// Bytes of wanted files, padding left out.
    pub bytes_total: u64,
    /// Pieces verified of those that hold bytes of wanted files.
    pub pieces_done: u32,
    /// All of those.
    pub pieces_total: u32,
}

/// How much of a torrent's metadata is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataStatus {
    /// Pieces of 16 KiB that are there.
    pub pieces_done: u32,
    /// All pieces; 0 as long as nobody has said how many there are.
    pub pieces_total: u32,
    /// Connected peers that offer it.
    pub peers: u32,
}

/// Bytes over the wire since the start, and rates now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Block bytes received, wasted ones included.
    pub payload_down: u64,
    /// Block bytes sent.
    pub payload_up: u64,
    /// All other bytes received.
    pub protocol_down: u64,
    /// All other bytes sent.
    pub protocol_up: u64,
    /// Block bytes received that were not needed: twice, unasked, or of a piece that failed its hash.
    pub wasted: u64,
    /// Pieces that failed their hash.
    pub hash_failures: u32,
    /// Payload bytes per second towards us.
    pub down_rate: u64,
    /// Payload bytes per second away from us.
    pub up_rate: u64,
}

/// One connected peer's numbers at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its address.
    pub address: SocketAddr,
    /// What it calls itself (BEP 10, `v`), control characters removed; empty when it does not say.
    pub client: String,
    /// Whether it connected to us.
    pub incoming: bool,
    /// Who told us of it; [`Source::Incoming`] if nobody but itself did.
    pub source: Source,
    /// Pieces it has.
    pub pieces: u32,
    /// It refuses our requests for now.
    pub choking_us: bool,
    /// It wants something of ours.
    pub interested: bool,
    /// We refuse its requests for now.
    pub choked: bool,
    /// We want something of its.
    pub interesting: bool,
    /// Blocks asked of it and not yet received.
    pub asked: u32,
    /// Payload bytes per second from it.
    pub down_rate: u64,
    /// Payload bytes per second to it.
    pub up_rate: u64,
    /// Payload bytes from it.
    pub downloaded: u64,
    /// Payload bytes to it.
    pub uploaded: u64,
}
