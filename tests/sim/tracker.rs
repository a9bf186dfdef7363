//! Trackers, and what they answer when an engine would have a driver fetch it (BEP 3, 7, 23).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{FetchError, FetchRequest, Response};
use pieceful_core::time::Instant;

use crate::services::FETCH_PATIENCE;

/// How a tracker behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Manner {
    /// Answers as it should.
    #[default]
    Up,
    /// Refuses connections; a UDP tracker says nothing.
    Down,
    /// Answers after this long; a driver that fetches gives up after 30 s.
    Slow(Duration),
    /// Answers every announce with this failure reason.
    Refuses(String),
    /// Answers with this status and body; a UDP tracker with this body.
    Says(u16, Bytes),
    /// Answers with something that is not so.
    Lies(Lie),
}

/// What a tracker says that is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Lie {
    /// Bytes that mean nothing.
    Garbage,
    /// The beginning of an answer.
    Short,
    /// To come back after so many seconds, and nobody is there.
    Interval(u32),
    /// Peers that do not exist.
    Nobody,
    /// Peers at addresses of the asker's own networks.
    Ourselves,
    /// An answer to a transaction that never was; garbage by HTTP.
    Transaction,
    /// A connection id that it then knows nothing of; garbage by HTTP.
    Connection,
    /// An answer to something else; garbage by HTTP.
    Action,
    /// An answer from another port; garbage by HTTP.
    Elsewhere,
}

/// One announce as the tracker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// When.
    pub at: Instant,
    /// Who: its address with the port it named.
    pub from: SocketAddr,
    /// `started`, `completed`, `stopped`, or nothing.
    pub event: String,
    /// Bytes it said it had sent.
    pub uploaded: u64,
    /// Bytes it said it had received.
    pub downloaded: u64,
    /// Bytes it said it still needs.
    pub left: u64,
}

/// A tracker and what it was told.
#[derive(Debug)]
pub struct Tracker {
    /// The beginning of its URLs, up to the path: `http://tracker.sim`.
    pub url: String,
    /// How it behaves; may be changed during a run.
    pub manner: Manner,
    /// What it asks clients to wait between announces.
    pub interval: Duration,
    /// Where it is.
    pub address: IpAddr,
    /// Every announce, oldest first.
    pub announces: Vec<Announce>,
    swarms: BTreeMap<Vec<u8>, BTreeMap<SocketAddr, u64>>,
    /// Whom it gave which connection id, and until when it holds (BEP 15).
    pub(crate) connections: BTreeMap<u64, (IpAddr, Instant)>,
}

impl Tracker {
    /// A tracker that nobody knows yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            manner: Manner::Up,
            interval: Duration::from_secs(1800),
            address: IpAddr::from([11, 255, 255, 1]),
            announces: Vec::new(),
            swarms: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    /// The answer, and how long it takes beside the way there and back.
    pub(crate) fn fetch(
        &mut self,
        now: Instant,
        from: IpAddr,
        request: &FetchRequest,
        manner: &Manner,
    ) -> (Duration, Result<Response, FetchError>) {
        let address = self.address;
        let answer = |status, body: Bytes| Ok(Response { status, body, from: address });
        let at_once = |result| (Duration::ZERO, result);
        match manner {
            Manner::Up => at_once(answer(200, self.announce(now, from, &request.url).into())),
            Manner::Down => at_once(Err(FetchError::Connect("connection refused".into()))),
            Manner::Slow(time) if *time > FETCH_PATIENCE => (FETCH_PATIENCE, Err(FetchError::TimedOut)),
            Manner::Slow(time) => (*time, answer(200, self.announce(now, from, &request.url).into())),
            Manner::Refuses(reason) => {
                at_once(answer(200, format!("d14:failure reason{}:{reason}e", reason.len()).into()))
            }
            Manner::Says(_, body) if body.len() > request.limit as usize => {
                at_once(Err(FetchError::TooLong { limit: request.limit }))
            }
            Manner::Says(status, body) => at_once(answer(*status, body.clone())),
            Manner::Lies(lie) => {
                let truth = self.announce(now, from, &request.url);
                at_once(answer(200, lie.in_bencode(truth).into()))
            }
        }
    }

    /// The body of the answer to an announce that came from `from`.
    pub fn announce(&mut self, now: Instant, from: IpAddr, url: &str) -> Vec<u8> {
        let query = Query::of(url);
        let (Some(info_hash), Some(port)) = (query.bytes("info_hash"), query.number("port")) else {
            return b"d14:failure reason17:missing parameterse".to_vec();
        };
        let announce = Announce {
            at: now,
            from: SocketAddr::new(from, port as u16),
            event: String::from_utf8_lossy(&query.bytes("event").unwrap_or_default()).into_owned(),
            uploaded: query.number("uploaded").unwrap_or_default(),
            downloaded: query.number("downloaded").unwrap_or_default(),
            left: query.number("left").unwrap_or_default(),
        };
        let wanted = query.number("numwant").unwrap_or(50) as usize;
        let known = self.enter(info_hash, announce, wanted);
        bencoded(self.interval.as_secs(), &known)
    }

    /// Notes an announce; tells who else is there.
    pub(crate) fn enter(&mut self, info_hash: Vec<u8>, announce: Announce, wanted: usize) -> Swarm {
        let swarm = self.swarms.entry(info_hash).or_default();
        if announce.event == "stopped" {
            swarm.remove(&announce.from);
        } else {
            swarm.insert(announce.from, announce.left);
        }
        let complete = swarm.values().filter(|left| **left == 0).count();
        let others = swarm.keys().filter(|&&peer| peer != announce.from).take(wanted);
        let known = Swarm { complete, incomplete: swarm.len() - complete, peers: others.copied().collect() };
        self.announces.push(announce);
        known
    }
}

/// What a tracker tells of a torrent.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) complete: usize,
    pub(crate) incomplete: usize,
    pub(crate) peers: Vec<SocketAddr>,
}

fn bencoded(interval: u64, known: &Swarm) -> Vec<u8> {
    let (v4, v6) = (compact(&known.peers, false), compact(&known.peers, true));
    let Swarm { complete, incomplete, .. } = known;
    let mut body = format!(
        "d8:completei{complete}e10:incompletei{incomplete}e8:intervali{interval}e5:peers{}:",
        v4.len()
    )
    .into_bytes();
    body.extend_from_slice(&v4);
    body.extend_from_slice(format!("6:peers6{}:", v6.len()).as_bytes());
    body.extend_from_slice(&v6);
    body.push(b'e');
    body
}

/// The addresses of one family, 6 or 18 bytes each.
pub(crate) fn compact(peers: &[SocketAddr], ipv6: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for peer in peers.iter().filter(|peer| peer.is_ipv6() == ipv6) {
        match peer.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
    out
}

impl Lie {
    /// The lie as the body of an HTTP answer that would have been `truth`.
    fn in_bencode(self, truth: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Garbage | Self::Transaction | Self::Connection | Self::Action | Self::Elsewhere => {
                b"<html>\x00\xff404 not found".to_vec()
            }
            Self::Short => truth[..truth.len() / 2].to_vec(),
            Self::Interval(seconds) => bencoded(seconds.into(), &Swarm::empty(Vec::new())),
            Self::Nobody | Self::Ourselves => bencoded(60, &Swarm::empty(self.peers())),
        }
    }

    /// The peers it names.
    pub(crate) fn peers(self) -> Vec<SocketAddr> {
        match self {
            Self::Nobody => (0..50).map(|last| SocketAddr::from(([99, 98, 97, last], 6881))).collect(),
            Self::Ourselves => LOCAL.iter().map(|ip| SocketAddr::from((*ip, 6881))).collect(),
            _ => Vec::new(),
        }
    }
}

/// Addresses that no stranger may send us to.
const LOCAL: [[u8; 4]; 8] = [
    [127, 0, 0, 1],
    [0, 0, 0, 0],
    [255, 255, 255, 255],
    [10, 0, 0, 1],
    [192, 168, 0, 1],
    [169, 254, 0, 1],
    [224, 0, 0, 1],
    [172, 16, 0, 1],
];

impl Swarm {
    pub(crate) const fn empty(peers: Vec<SocketAddr>) -> Self {
        Self { complete: 0, incomplete: 0, peers }
    }
}

/// The part of a URL after the question mark, decoded.
struct Query(BTreeMap<String, Vec<u8>>);

impl Query {
    fn of(url: &str) -> Self {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), unescaped(value))).collect())
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).cloned()
    }

    fn number(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.0.get(name)?).ok()?.parse().ok()
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}
