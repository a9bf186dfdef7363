//! What the engine decides about each of its torrents.

use alloc::string::String;

use crate::id::PeerId;
use crate::peer;

/// What an engine decides for each of its torrents.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name of this run.
    pub peer_id: PeerId,
    /// What we call ourselves (BEP 10, `v`).
    pub client_name: String,
    /// Where others reach us.
    pub listen_port: Option<u16>,
    /// Where others reach our DHT node, if there is one.
    pub dht_port: Option<u16>,
    /// Leave reading blocks to the driver.
    pub direct_blocks: bool,
    /// Limits of one connection.
    pub peer: peer::Limits,
    /// Most connections.
    pub peers_max: u32,
    /// Most known addresses.
    pub known_max: u32,
    /// Most upload slots.
    pub unchoked_max: u32,
    /// Tell peers of others, and hear of others from them (BEP 11), unless the torrent is private.
    pub pex: bool,
}
