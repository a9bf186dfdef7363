//! Trackers that are asked by datagrams (BEP 15), byte by byte: the core's own encoder is among what is tested.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::time::Instant;

use crate::World;
use crate::queue::Step;
use crate::tracker::{Announce, Lie, Manner, Swarm, Tracker, compact};

const MAGIC: u64 = 0x0417_2710_1980;
/// How long a tracker takes a connection id (BEP 15).
const CONNECTION_TIME: Duration = Duration::from_secs(120);

impl Tracker {
    /// Where its datagrams go, if it is one of UDP: `udp://host:port`.
    pub(crate) fn udp_address(&self) -> Option<SocketAddr> {
        let (_, port) = self.url.strip_prefix("udp://")?.rsplit_once(':')?;
        Some(SocketAddr::new(self.address, port.parse().ok()?))
    }

    /// The part of its URL that is looked up.
    pub(crate) fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        rest.rsplit_once(':').map_or(rest, |(host, _)| host)
    }

    /// What it answers a datagram, if anything.
    fn hear(&mut self, now: Instant, from: SocketAddr, data: &[u8], lie: Option<Lie>) -> Option<Vec<u8>> {
        let action = word(data, 8)?;
        let transaction = word(data, 12)?.wrapping_add(u32::from(lie == Some(Lie::Transaction)));
        let say = |action: u32, rest: &[u8]| {
            let action = action.wrapping_add(2 * u32::from(lie == Some(Lie::Action)));
            [&action.to_be_bytes(), &transaction.to_be_bytes(), rest].concat()
        };
        let said = match (long(data, 0)?, action) {
            (MAGIC, 0) => {
                let id = 0x5_1000 + self.connections.len() as u64;
                self.connections.insert(id, (from.ip(), now + CONNECTION_TIME));
                let said = id.wrapping_add(u64::from(lie == Some(Lie::Connection)) << 40);
                say(0, &said.to_be_bytes())
            }
            (id, 1) if data.len() >= 98 => {
                let known = self.connections.get(&id);
                if known.is_none_or(|(ip, until)| *ip != from.ip() || *until < now) {
                    return Some(say(3, b"connection id mismatch"));
                }
                say(1, &self.entered(now, from, data, lie))
            }
            _ => say(3, b"what?"),
        };
        match lie {
            Some(Lie::Garbage) => Some(said.iter().rev().map(|byte| byte ^ 0x5a).collect()),
            Some(Lie::Short) => Some(said[..10.min(said.len())].to_vec()),
            _ => Some(said),
        }
    }

    fn entered(&mut self, now: Instant, from: SocketAddr, data: &[u8], lie: Option<Lie>) -> Vec<u8> {
        let number = |at| long(data, at).unwrap_or_default();
        let port = data.get(96..98).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]));
        let event = match word(data, 80) {
            Some(1) => "completed",
            Some(2) => "started",
            Some(3) => "stopped",
            _ => "",
        };
        let announce = Announce {
            at: now,
            from: SocketAddr::new(from.ip(), port),
            event: event.to_owned(),
            downloaded: number(56),
            left: number(64),
            uploaded: number(72),
        };
        let wanted = word(data, 92).map_or(50, |wanted| wanted.min(200)) as usize;
        let mut known = self.enter(data[16..36].to_vec(), announce, wanted);
        let mut interval = self.interval.as_secs() as u32;
        match lie {
            Some(Lie::Interval(seconds)) => (interval, known) = (seconds, Swarm::empty(Vec::new())),
            Some(lie @ (Lie::Nobody | Lie::Ourselves)) => known = Swarm::empty(lie.peers()),
            _ => {}
        }
        let mut out: Vec<u8> = [interval, known.incomplete as u32, known.complete as u32]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .collect();
        out.extend_from_slice(&compact(&known.peers, from.is_ipv6()));
        out
    }
}

impl World {
    /// Which tracker hears datagrams at an address.
    pub(crate) fn tracker_by(&self, address: SocketAddr) -> Option<usize> {
        self.trackers.iter().position(|tracker| tracker.udp_address() == Some(address))
    }

    /// A datagram reaches a tracker, which answers it as it likes.
    pub(crate) fn ask_tracker(&mut self, tracker: usize, from: SocketAddr, data: &[u8]) {
        let Some(node) = self.node_of(from.ip()) else { return };
        let manner = self.manner(node, tracker);
        let now = self.queue.now;
        let tracker = &mut self.trackers[tracker];
        let Some(mut address) = tracker.udp_address() else { return };
        let refusal = |reason: &str| {
            let transaction = data.get(12..16).unwrap_or(&[0; 4]);
            [&3_u32.to_be_bytes(), transaction, reason.as_bytes()].concat()
        };
        let (time, said) = match &manner {
            Manner::Down => return,
            Manner::Up => (Duration::ZERO, tracker.hear(now, from, data, None)),
            Manner::Slow(time) => (*time, tracker.hear(now, from, data, None)),
            Manner::Refuses(reason) => (Duration::ZERO, Some(refusal(reason))),
            Manner::Says(_, body) => (Duration::ZERO, Some(body.to_vec())),
            Manner::Lies(lie) => (Duration::ZERO, tracker.hear(now, from, data, Some(*lie))),
        };
        if manner == Manner::Lies(Lie::Elsewhere) {
            address.set_port(address.port() ^ 1);
        }
        let (true, Some(said)) = (self.is_online(node), said) else { return };
        for way in self.fates(node, None, said.len()) {
            self.queue.after(time + way, Step::datagram(address, from, Bytes::from(said.clone())));
        }
    }

    /// Who has an address.
    pub(crate) fn node_of(&self, ip: IpAddr) -> Option<usize> {
        self.places.get(&ip).copied()
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*data.get(at..)?.first_chunk()?))
}
