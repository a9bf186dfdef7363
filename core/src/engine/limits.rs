//! A number for every queue, each with its reason. Nothing a stranger can grow is missing here.

use core::time::Duration;

/// Bounds an owner may choose; the defaults fit a desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Torrents of one engine.
    pub torrents_max: u32,
    /// TCP connections of one engine, those still being opened included.
    pub connections_max: u32,
    /// Connections of one torrent.
    pub torrent_connections_max: u32,
    /// Outgoing connections being opened at once: home routers lose packets beyond a few dozen.
    pub connecting_max: u32,
    /// Incoming connections that have not finished their handshake. At the limit the oldest gives way, so a
    /// crowd of silent sockets cannot lock honest peers out.
    pub greeting_max: u32,
    /// Addresses known per torrent.
    pub known_peers_max: u32,
    /// Payload bytes handed to the disk and not yet written. Above this no connection is read that owes us
    /// blocks; below three quarters of it reading goes on. Bounds the memory of a download.
    pub write_bytes_max: u32,
    /// Payload bytes being read from disk for peers.
    pub read_bytes_max: u32,
    /// Bytes handed to one connection and not yet taken by the system, however fast it is; a slow one is given what
    /// it carries in half a second.
    pub send_bytes_max: u32,
    /// Pieces being hashed at once while checking files, all torrents together, so that all disk workers are busy.
    pub checking_max: u32,
    /// Our requests outstanding at one peer.
    pub asked_max: u32,
    /// A peer's requests waiting to be served: what we announce as `reqq` (BEP 10). 500 is what common
    /// clients announce.
    pub requests_queued_max: u32,
    /// HTTP requests at once, those included whose answer is no longer wanted; eight times as many once the engine is
    /// told to stop.
    pub fetches_max: u32,
    /// Name look-ups at once.
    pub resolves_max: u32,
    /// Upload slots per torrent, the optimistic one included.
    pub unchoked_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            torrents_max: 10_000,
            connections_max: 500,
            torrent_connections_max: 100,
            connecting_max: 50,
            greeting_max: 128,
            known_peers_max: 2_000,
            write_bytes_max: 12 << 20,
            read_bytes_max: 16 << 20,
            send_bytes_max: 256 << 10,
            checking_max: 16,
            asked_max: 500,
            requests_queued_max: 500,
            fetches_max: 8,
            resolves_max: 8,
            unchoked_max: 8,
        }
    }
}

/// From connecting to the end of the greeting, all of it: a peer that sends a byte a second gains nothing.
pub const GREETING_TIME: Duration = Duration::from_secs(10);

/// Longest HTTP tracker answer: libtorrent's limit, ten times what 2,000 IPv6 peers need.
pub const TRACKER_BODY_MAX: u32 = 1 << 20;

/// Deadlines are rounded up to this, so that many of them share one wake-up.
pub const DEADLINE_GRAIN: Duration = Duration::from_millis(50);
