//! A tracker that answers what an engine would have a driver fetch (BEP 3, 7, 23).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{FetchError, FetchRequest, Response};
use pieceful_core::time::Instant;

use crate::perform::FETCH_PATIENCE;

/// How a tracker behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Answers as it should.
    #[default]
    Up,
    /// Refuses connections.
    Down,
    /// Answers after this long; the driver gives up after 30 s.
    Slow(Duration),
    /// Answers every announce with this failure reason.
    Refuses(&'static str),
    /// Answers with this status and body.
    Says(u16, &'static [u8]),
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
        }
    }

    /// The answer, and how long it takes beside the way there and back.
    pub(crate) fn fetch(
        &mut self,
        now: Instant,
        from: IpAddr,
        request: &FetchRequest,
    ) -> (Duration, Result<Response, FetchError>) {
        let address = self.address;
        let answer = |status, body: Bytes| Ok(Response { status, body, from: address });
        match self.manner.clone() {
            Manner::Up => (Duration::ZERO, answer(200, self.announce(now, from, &request.url).into())),
            Manner::Down => (Duration::ZERO, Err(FetchError::Connect("connection refused".into()))),
            Manner::Slow(time) if time > FETCH_PATIENCE => (FETCH_PATIENCE, Err(FetchError::TimedOut)),
            Manner::Slow(time) => (time, answer(200, self.announce(now, from, &request.url).into())),
            Manner::Refuses(reason) => {
                (Duration::ZERO, answer(200, format!("d14:failure reason{}:{reason}e", reason.len()).into()))
            }
            Manner::Says(_, body) if body.len() > request.limit as usize => {
                (Duration::ZERO, Err(FetchError::TooLong { limit: request.limit }))
            }
            Manner::Says(status, body) => (Duration::ZERO, answer(status, Bytes::from_static(body))),
        }
    }

    /// The body of the answer to an announce that came from `from`.
    pub fn announce(&mut self, now: Instant, from: IpAddr, url: &str) -> Vec<u8> {
        let query = Query::of(url);
        let (Some(info_hash), Some(port)) = (query.bytes("info_hash"), query.number("port")) else {
            return b"d14:failure reason17:missing parameterse".to_vec();
        };
        let event = query.bytes("event").unwrap_or_default();
        let from = SocketAddr::new(from, port as u16);
        let left = query.number("left").unwrap_or_default();
        self.announces.push(Announce {
            at: now,
            from,
            event: String::from_utf8_lossy(&event).into_owned(),
            uploaded: query.number("uploaded").unwrap_or_default(),
            downloaded: query.number("downloaded").unwrap_or_default(),
            left,
        });
        let swarm = self.swarms.entry(info_hash).or_default();
        if event == b"stopped" {
            swarm.remove(&from);
        } else {
            swarm.insert(from, left);
        }
        let wanted = query.number("numwant").unwrap_or(50) as usize;
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for peer in swarm.keys().filter(|&&peer| peer != from).take(wanted) {
            match peer.ip() {
                IpAddr::V4(ip) => {
                    v4.extend_from_slice(&ip.octets());
                    v4.extend_from_slice(&peer.port().to_be_bytes());
                }
                IpAddr::V6(ip) => {
                    v6.extend_from_slice(&ip.octets());
                    v6.extend_from_slice(&peer.port().to_be_bytes());
                }
            }
        }
        let complete = swarm.values().filter(|left| **left == 0).count();
        let mut body = format!(
            "d8:completei{complete}e10:incompletei{}e8:intervali{}e5:peers{}:",
            swarm.len() - complete,
            self.interval.as_secs(),
            v4.len()
        )
        .into_bytes();
        body.extend_from_slice(&v4);
        body.extend_from_slice(format!("6:peers6{}:", v6.len()).as_bytes());
        body.extend_from_slice(&v6);
        body.push(b'e');
        body
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
