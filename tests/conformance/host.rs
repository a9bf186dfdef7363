//! What the suite needs of a host: clients with folders that can reach each other.

use std::net::SocketAddr;
use std::sync::Arc;

use pieceful_core::engine::{AddTorrent, Event};
use pieceful_core::id::TorrentId;
use pieceful_tests::Data;

/// A place for clients, known by their names.
pub(crate) trait Host {
    fn new() -> Self;

    /// Starts a client that listens; with `ipv6`, on an address of that family. Its folder is kept from one
    /// client of a name to the next. False when the machine has no such address.
    fn start(&mut self, client: &str, ipv6: bool) -> bool;

    /// Stops a client. Waits until it has stopped, and fails when that takes longer than a driver may take.
    fn stop(&mut self, client: &str);

    /// Where others reach a client.
    fn address(&self, client: &str) -> SocketAddr;

    /// An address at which connections are refused.
    fn nobody(&mut self) -> SocketAddr;

    /// A tracker's announce URL. One that hangs takes requests and never answers.
    fn tracker(&mut self, hangs: bool) -> String;

    /// Puts pieces of a torrent into a client's folder before it is told of the torrent.
    fn put(&mut self, client: &str, data: &Data, pieces: &[u32]);

    /// Puts a file of these bytes there.
    fn put_file(&mut self, client: &str, path: &str, contents: &[u8]);

    /// The bytes of a file in a client's folder.
    fn file(&self, client: &str, path: &str) -> Option<Vec<u8>>;

    /// Has a client take part in a torrent.
    fn add(&mut self, client: &str, data: &Arc<Data>, spec: AddTorrent) -> TorrentId;

    /// Lets a client remove a torrent.
    fn remove(&mut self, client: &str, torrent: TorrentId);

    /// Waits until a client has told of something like this; fails when it does not in any sensible time.
    fn wait(&mut self, client: &str, like: &dyn Fn(&Event) -> bool);

    /// Payload bytes a client has received for a torrent.
    fn downloaded(&mut self, client: &str, torrent: TorrentId) -> u64;
}
