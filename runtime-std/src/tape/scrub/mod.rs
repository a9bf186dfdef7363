//! Tapes without anybody's address: the engine itself is told other ones.
//!
//! What an engine does depends on addresses: whom to prefer, what a tracker may name. So it is no use to change
//! them on the tape. A [`Scrubber`] stands between a driver and its engine and keeps the two in different worlds:
//! what goes in gets a [`Disguise`], what comes out loses it. A protocol that carries addresses has to be known here.
//!
//! Names stay: those of trackers, of torrents and of files.

mod disguise;
mod mentions;
mod trackers;

use std::collections::HashMap;

use pieceful_core::engine::{Call, Event, FetchError, Input, Output, PeerStatus, Segment, What};
use pieceful_core::id::ConnId;
use pieceful_core::rng::Seed;

use disguise::Disguise;
use mentions::Mentions;

/// Keeps real addresses from an engine.
#[derive(Debug)]
pub(super) struct Scrubber {
    disguise: Disguise,
    received: HashMap<ConnId, Mentions>,
    sent: HashMap<ConnId, Mentions>,
}

impl Scrubber {
    /// One whose disguises follow from `key`, which is not on the tape.
    pub(super) fn new(key: Seed) -> Self {
        Self { disguise: Disguise::new(key), received: HashMap::new(), sent: HashMap::new() }
    }

    /// What the engine is told in place of `call`.
    pub(super) fn call(&mut self, call: Call) -> Call {
        let disguise = &self.disguise;
        match call {
            Call::Add(mut spec) => {
                spec.peers.iter_mut().for_each(|peer| *peer = disguise.socket_on(*peer));
                if let What::Magnet(magnet) = &mut spec.what {
                    for (host, _) in &mut magnet.peers {
                        if let Ok(ip) = host.parse() {
                            *host = disguise.on(ip).to_string();
                        }
                    }
                }
                Call::Add(spec)
            }
            Call::AddPeer(torrent, peer) => Call::AddPeer(torrent, disguise.socket_on(peer)),
            Call::Accept(from) => Call::Accept(disguise.socket_on(from)),
            Call::Handle(input) => Call::Handle(self.input(input)),
            call => call,
        }
    }

    fn input(&mut self, input: Input) -> Input {
        let disguise = &self.disguise;
        match input {
            Input::Received { conn, data } => {
                let mentions = self.received.entry(conn).or_default();
                Input::Received { conn, data: mentions.replace(data, |ip| disguise.on(ip)) }
            }
            Input::Closed { conn, end } => {
                self.received.remove(&conn);
                self.sent.remove(&conn);
                Input::Closed { conn, end }
            }
            Input::Datagram { from, data } => {
                let data = trackers::datagram(data, from.is_ipv6(), disguise);
                Input::Datagram { from: disguise.socket_on(from), data }
            }
            Input::Resolved { query, result } => {
                let result = result.map(|ips| ips.into_iter().map(|ip| disguise.on(ip)).collect());
                Input::Resolved { query, result }
            }
            Input::Fetched { fetch, result: Ok(mut response) } => {
                response.body = trackers::body(response.body, disguise);
                response.from = disguise.on(response.from);
                Input::Fetched { fetch, result: Ok(response) }
            }
            Input::Fetched { fetch, result: Err(error) } => {
                let error = match error {
                    FetchError::Scope(ip) => FetchError::Scope(disguise.on(ip)),
                    FetchError::Connect(_) => FetchError::Connect("the reason is left off the tape".into()),
                    error => error,
                };
                Input::Fetched { fetch, result: Err(error) }
            }
            input => input,
        }
    }

    /// What the driver is told in place of `output`.
    pub(super) fn output(&mut self, mut output: Output) -> Output {
        let disguise = &self.disguise;
        match &mut output {
            Output::Connect { to, .. } | Output::Datagram { to, .. } => *to = disguise.socket_off(*to),
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                let mentions = self.sent.entry(*conn).or_default();
                *bytes = mentions.replace(bytes.clone(), |ip| disguise.off(ip));
            }
            Output::Event(
                Event::PeerConnected { peer, .. }
                | Event::PeerClosed { peer, .. }
                | Event::PeerBanned { peer, .. },
            ) => *peer = disguise.socket_off(*peer),
            _ => {}
        }
        output
    }

    /// A peer as its user knows it.
    pub(super) fn peer(&self, mut peer: PeerStatus) -> PeerStatus {
        peer.address = self.disguise.socket_off(peer.address);
        peer
    }
}
