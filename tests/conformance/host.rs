//! What the suite needs of a host: clients with folders that can reach each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::Data;
use crate::words::Said;
use bytes::Bytes;
use pieceful_core::dht;
use pieceful_core::engine::{AddTorrent, DhtConfig, Event, TorrentStatus};
use pieceful_core::id::TorrentId;

/// A connection the test speaks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire(pub usize);

/// A place for clients, known by their names.
pub trait Host {
    /// One without clients.
    fn new() -> Self;

    /// Starts a client that listens; with `ipv6`, on an address of that family. Its folder is kept from one
    /// client of a name to the next. False when the machine has no such address.
    fn start(&mut self, client: &str, ipv6: bool) -> bool;

    /// Starts one that takes part in the DHT and begins at this node of it; the first of all has nowhere to begin.
    fn start_in_dht(&mut self, client: &str, first: Option<SocketAddr>);

    /// Waits until a client's node of the DHT stands like this; fails when it does not in any sensible time.
    fn wait_dht(&mut self, client: &str, like: &dyn Fn(dht::Status) -> bool);

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

    /// Pauses a client's torrent, or lets it go on.
    fn pause(&mut self, client: &str, torrent: TorrentId, paused: bool);

    /// How a client's torrent stands.
    fn status(&mut self, client: &str, torrent: TorrentId) -> TorrentStatus;

    /// The time, from any beginning.
    fn clock(&self) -> Duration;

    /// Opens a connection to a client on which the test itself speaks. Nothing is read from it but by `hear`.
    fn connect(&mut self, client: &str) -> Wire;

    /// Says something on a connection.
    fn say(&mut self, wire: Wire, bytes: Bytes);

    /// Reads from a connection until all that was said there so far is like this; fails when it does not get
    /// so in any sensible time.
    fn hear(&mut self, wire: Wire, like: &dyn Fn(&[Said]) -> bool) -> Vec<Said>;
}

/// Settings of a node of the DHT that begins there.
pub(crate) fn begins_at(first: Option<SocketAddr>) -> DhtConfig {
    let bootstrap = first.into_iter().map(|first| (first.ip().to_string(), first.port()));
    DhtConfig { bootstrap: bootstrap.collect(), ..DhtConfig::default() }
}

/// What was said, for a failure.
pub(crate) fn in_words(said: &[Said]) -> String {
    said.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
