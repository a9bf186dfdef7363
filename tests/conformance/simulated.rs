//! The simulator as a host.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::script::{MakeScript, Script, Talk};
use crate::words::{Listener, Said};
use crate::{Data, Manner, World};
use bytes::Bytes;
use pieceful_core::dht;
use pieceful_core::engine::{AddTorrent, Call, Event, StreamEnd, TorrentStatus};
use pieceful_core::id::TorrentId;

use super::host::{Host, Wire, begins_at, in_words};

const SOON: Duration = Duration::from_secs(300);
/// As long as a driver may take.
const STOP_TIME: Duration = Duration::from_secs(6);

/// Clients in a simulated world.
#[derive(Debug)]
pub struct Simulated {
    world: World,
    /// Events of a client before its present life.
    before: BTreeMap<String, usize>,
    trackers: usize,
    wires: Vec<Rc<RefCell<Spoken>>>,
}

impl Host for Simulated {
    fn new() -> Self {
        Self { world: World::new(1), before: BTreeMap::new(), trackers: 0, wires: Vec::new() }
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

    fn start_in_dht(&mut self, client: &str, first: Option<SocketAddr>) {
        self.world.add_node(client, |spec| (spec.idle, spec.config.dht) = (true, Some(begins_at(first))));
        self.world.run_until(|world| world.is_up(client), SOON);
    }

    fn wait_dht(&mut self, client: &str, like: &dyn Fn(dht::Status) -> bool) {
        self.world.run_until(|world| world.engine(client).dht().is_some_and(like), SOON);
    }

    fn stop(&mut self, client: &str) {
        self.world.shutdown(client);
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
        self.world.call(client, Call::Remove(torrent));
    }

    fn wait(&mut self, client: &str, like: &dyn Fn(&Event) -> bool) {
        let before = self.before.get(client).copied().unwrap_or_default();
        let saw = |world: &World| world.events(client)[before..].iter().any(|(_, event)| like(event));
        self.world.run_until(saw, SOON);
    }

    fn pause(&mut self, client: &str, torrent: TorrentId, paused: bool) {
        let command = if paused { Call::Pause } else { Call::Resume };
        self.world.call(client, command(torrent));
    }

    fn status(&mut self, client: &str, torrent: TorrentId) -> TorrentStatus {
        self.world.status_of(client, torrent)
    }

    fn clock(&self) -> Duration {
        self.world.elapsed()
    }

    fn connect(&mut self, client: &str) -> Wire {
        let wire = Wire(self.wires.len());
        let spoken = Rc::new(RefCell::new(Spoken::default()));
        let script = Rc::clone(&spoken);
        let name = name_of(wire);
        let make: MakeScript = Box::new(move || Box::new(Puppet(Rc::clone(&script))));
        self.world.add_dialling_script(&name, make, client);
        self.wires.push(spoken);
        self.world.run_until(|world| world.met(&name) > 0, SOON);
        wire
    }

    fn say(&mut self, wire: Wire, bytes: Bytes) {
        self.world.talk(&name_of(wire), |talk| talk.say(bytes.clone()));
    }

    fn hear(&mut self, wire: Wire, like: &dyn Fn(&[Said]) -> bool) -> Vec<Said> {
        let spoken = Rc::clone(&self.wires[wire.0]);
        self.world.talk(&name_of(wire), |talk| talk.reading(true));
        self.world.run_until(
            |_| {
                let spoken = spoken.borrow();
                let enough = like(&spoken.said);
                assert!(enough || !spoken.over, "it hung up after saying {}", in_words(&spoken.said));
                enough
            },
            SOON,
        );
        self.world.talk(&name_of(wire), |talk| talk.reading(false));
        spoken.borrow().said.clone()
    }
}

fn name_of(wire: Wire) -> String {
    format!("wire {}", wire.0)
}

/// What was said on a connection the test speaks on.
#[derive(Debug)]
struct Spoken {
    listener: Listener,
    said: Vec<Said>,
    over: bool,
}

impl Default for Spoken {
    fn default() -> Self {
        Self { listener: Listener::new(true), said: Vec::new(), over: false }
    }
}

/// A peer that does nothing by itself.
#[derive(Debug)]
struct Puppet(Rc<RefCell<Spoken>>);

impl Script for Puppet {
    fn open(&mut self, talk: &mut Talk<'_>) {
        talk.reading(false);
    }

    fn heard(&mut self, _: &mut Talk<'_>, bytes: &[u8]) {
        let Spoken { listener, said, .. } = &mut *self.0.borrow_mut();
        listener.hear(bytes, said);
    }

    fn closed(&mut self, _: StreamEnd) {
        self.0.borrow_mut().over = true;
    }
}
