//! The simulator as a host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{AddTorrent, Engine, Event};
use pieceful_core::id::TorrentId;
use pieceful_tests::{Data, Manner, World};

use crate::host::Host;

const SOON: Duration = Duration::from_secs(300);
/// As long as a driver may take.
const STOP_TIME: Duration = Duration::from_secs(6);

pub(crate) struct Simulated {
    world: World,
    /// Events of a client before its present life.
    before: BTreeMap<String, usize>,
    trackers: usize,
}

impl Simulated {
    fn tell(&mut self, client: &str, command: impl FnOnce(&mut Engine, pieceful_core::time::Instant)) {
        self.world.engine(client, command);
    }
}

impl Host for Simulated {
    fn new() -> Self {
        Self { world: World::new(1), before: BTreeMap::new(), trackers: 0 }
    }

    fn start(&mut self, client: &str, ipv6: bool) -> bool {
        if !self.world.knows(client) {
            self.world.add_node(client, |spec| (spec.idle, spec.ipv6) = (true, ipv6));
        } else if !self.world.is_up(client) || self.before.contains_key(client) {
            self.before.insert(client.to_owned(), self.world.events(client).len());
            self.world.restart(client);
        }
        self.world.run_until(|world| world.is_up(client), SOON);
        true
    }

    fn stop(&mut self, client: &str) {
        self.tell(client, Engine::shutdown);
        self.world.run_until(|world| world.saw(client, |event| *event == Event::Stopped), STOP_TIME);
        self.before.insert(client.to_owned(), self.world.events(client).len());
    }

    fn address(&self, client: &str) -> SocketAddr {
        self.world.address(client)
    }

    fn nobody(&mut self) -> SocketAddr {
        self.world.add_node("nobody", |spec| (spec.idle, spec.listens) = (true, false));
        self.world.address("nobody")
    }

    fn tracker(&mut self, hangs: bool) -> String {
        let url = format!("http://tracker{}.sim", self.trackers);
        self.trackers += 1;
        self.world.add_tracker(&url);
        if hangs {
            self.world.tracker_mut(self.trackers - 1).manner = Manner::Slow(Duration::from_secs(3600));
        }
        format!("{url}/announce")
    }

    fn put(&mut self, client: &str, data: &Data, pieces: &[u32]) {
        self.world.put(client, data, pieces.iter().copied());
    }

    fn put_file(&mut self, client: &str, path: &str, contents: &[u8]) {
        self.world.put_file(client, path, Bytes::copy_from_slice(contents));
    }

    fn file(&self, client: &str, path: &str) -> Option<Vec<u8>> {
        self.world.file(client, path).map(|bytes| bytes.to_vec())
    }

    fn add(&mut self, client: &str, data: &Arc<Data>, spec: AddTorrent) -> TorrentId {
        self.world.add_torrent(client, spec, Arc::clone(data))
    }

    fn remove(&mut self, client: &str, torrent: TorrentId) {
        self.tell(client, |engine, now| engine.remove_torrent(now, torrent));
    }

    fn wait(&mut self, client: &str, like: &dyn Fn(&Event) -> bool) {
        let before = self.before.get(client).copied().unwrap_or_default();
        let saw = |world: &World| world.events(client)[before..].iter().any(|(_, event)| like(event));
        self.world.run_until(saw, SOON);
    }

    fn downloaded(&mut self, client: &str, torrent: TorrentId) -> u64 {
        let mut downloaded = 0;
        self.tell(client, |engine, _| {
            downloaded = engine.torrent(torrent).expect("a torrent that is there").traffic.payload_down;
        });
        downloaded
    }
}
