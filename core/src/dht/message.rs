//! What nodes say to one another: queries, replies and errors, bencoded (BEP 5, "KRPC").
//!
//! Reading is strict about lengths, and blind to keys it does not know.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::bloom::{BLOOM_LEN, Bloom};
use super::contact::{read_nodes, write_nodes};
use super::error::MessageError;
use super::{Contact, Family, NodeId};
use crate::bencode::{self, DictEncoder, Limits, Value};
use crate::compact;

/// Longest transaction id we echo; ours have 4 bytes, and nobody is known to use more than 20.
pub const TRANSACTION_LEN_MAX: usize = 32;
/// Longest token we give back to whom it came from; 4 to 20 bytes are usual.
pub const TOKEN_LEN_MAX: usize = 64;
/// Nodes of one family taken from a reply; BEP 5 sends 8, some send twice as many.
pub const REPLY_NODES_MAX: usize = 16;
/// Peers taken from a reply, and given in one: what fits into 1,024 bytes (BEP 32).
pub const REPLY_VALUES_MAX: usize = 100;
/// Info-hashes taken from a reply.
pub const REPLY_SAMPLES_MAX: usize = 50;
/// Longest datagram that is looked at: more than fits through any network in one piece.
pub const MESSAGE_LEN_MAX: usize = 2_048;

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which the one who asked knows the answer again.
    pub transaction: Vec<u8>,
    /// The program that says it (BEP 20), when it says so in four bytes.
    pub version: Option<[u8; 4]>,
    /// In replies and errors: where the question came from (BEP 42).
    pub ip: Option<SocketAddr>,
    /// What it is about.
    pub body: Body,
}

/// What a [`Message`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A question.
    Query(Query),
    /// An answer.
    Reply(Reply),
    /// A refusal.
    Error(Code),
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub id: NodeId,
    /// Whoever asks does not answer itself, and belongs in no table (BEP 43).
    pub read_only: bool,
    /// Of which families nodes are wanted (BEP 32); `None`: of the one it came over.
    pub want: Option<Want>,
    /// What is asked.
    pub method: Method,
}

/// Families of which nodes are wanted (BEP 32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// `n4`
    pub v4: bool,
    /// `n6`
    pub v6: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Are you there?
    Ping,
    /// Who is closest to this?
    FindNode {
        /// To what.
        target: NodeId,
    },
    /// Who has this torrent?
    GetPeers {
        /// The torrent.
        info_hash: [u8; 20],
        /// Peers that have everything are of no use (BEP 33).
        noseed: bool,
        /// How many are there (BEP 33)?
        scrape: bool,
    },
    /// I have this torrent.
    AnnouncePeer {
        /// The torrent.
        info_hash: [u8; 20],
        /// The port peers connect to; `None`: the one this came from (`implied_port`).
        port: Option<u16>,
        /// As the same node gave it in its last answer to a `get_peers` for the same torrent.
        token: Vec<u8>,
        /// It has everything (BEP 33).
        seed: bool,
    },
    /// Which torrents do you know (BEP 51)?
    SampleInfohashes {
        /// And who is closest to this?
        target: NodeId,
    },
    /// Something that we know nothing of.
    Unknown,
}

/// An answer. Which of its parts are there depends on the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answers.
    pub id: NodeId,
    /// The nodes closest to what was asked for, IPv4.
    pub nodes: Option<Vec<Contact>>,
    /// The same, IPv6 (BEP 32).
    pub nodes6: Option<Vec<Contact>>,
    /// Peers of the torrent.
    pub values: Vec<SocketAddr>,
    /// To be shown when the torrent is announced.
    pub token: Option<Vec<u8>>,
    /// How many peers there are: those that have everything, and the others (BEP 33).
    pub filters: Option<Box<[Bloom; 2]>>,
    /// Some of the torrents it knows (BEP 51).
    pub samples: Option<Samples>,
}

impl Reply {
    /// That `id` is there, and no more.
    #[must_use]
    pub const fn new(id: NodeId) -> Self {
        Self { id, nodes: None, nodes6: None, values: Vec::new(), token: None, filters: None, samples: None }
    }
}

/// Some of the torrents a node knows (BEP 51).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Seconds until it has others to tell.
    pub interval: u16,
    /// How many it knows.
    pub num: u32,
    /// Some of them.
    pub hashes: Vec<[u8; 20]>,
}

/// Why a question is not answered (BEP 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 201, and every number that BEP 5 does not name.
    Generic,
    /// 202: something is wrong with the one who was asked.
    Server,
    /// 203: something is wrong with the question, or its token is not good.
    Protocol,
    /// 204: it does not know the question.
    Method,
}

impl Code {
    const fn number(self) -> i64 {
        match self {
            Self::Generic => 201,
            Self::Server => 202,
            Self::Protocol => 203,
            Self::Method => 204,
        }
    }

    const fn text(self) -> &'static [u8] {
        match self {
            Self::Generic => b"error",
            Self::Server => b"server error",
            Self::Protocol => b"protocol error",
            Self::Method => b"method unknown",
        }
    }

    const fn of(number: i64) -> Self {
        match number {
            202 => Self::Server,
            203 => Self::Protocol,
            204 => Self::Method,
            _ => Self::Generic,
        }
    }
}

impl Message {
    /// Reads a datagram.
    ///
    /// # Errors
    /// When it is not one message, or a part of it is of the wrong kind or length. A question that can be refused
    /// has its transaction id in the error.
    pub fn decode(datagram: &[u8]) -> Result<Self, MessageError> {
        if datagram.len() > MESSAGE_LEN_MAX {
            return Err(MessageError::Length { len: datagram.len() });
        }
        let document = bencode::decode(datagram, Limits::WIRE)?;
        let root = document.root();
        let transaction = root.get(b"t").and_then(Value::as_bytes).ok_or(MessageError::Transaction)?;
        if transaction.is_empty() || transaction.len() > TRANSACTION_LEN_MAX {
            return Err(MessageError::Transaction);
        }
        let body = match root.get(b"y").and_then(Value::as_bytes) {
            Some(b"q") => Body::Query(
                query(root).ok_or_else(|| MessageError::Query { transaction: transaction.to_vec() })?,
            ),
            Some(b"r") => Body::Reply(reply(root).ok_or(MessageError::Reply)?),
            Some(b"e") => Body::Error(error(root).ok_or(MessageError::Reply)?),
            _ => return Err(MessageError::Kind),
        };
        let ip = match body {
            Body::Query(_) => None,
            Body::Reply(_) | Body::Error(_) => {
                root.get(b"ip").and_then(Value::as_bytes).and_then(compact::read)
            }
        };
        let version = root.get(b"v").and_then(Value::as_bytes).and_then(|v| v.try_into().ok());
        Ok(Self { transaction: transaction.to_vec(), version, ip, body })
    }

    /// Writes a datagram.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        bencode::dict(|d| {
            match &self.body {
                Body::Query(query) => write_query(query, d),
                Body::Reply(reply) => {
                    d.bytes(b"y", b"r");
                    d.dict(b"r", |r| write_reply(reply, r));
                }
                Body::Error(code) => {
                    d.bytes(b"y", b"e");
                    d.list(b"e", |e| {
                        e.int(code.number());
                        e.bytes(code.text());
                    });
                }
            }
            d.bytes(b"t", &self.transaction);
            if let Some(ip) = self.ip {
                let mut bytes = Vec::new();
                compact::put(ip, &mut bytes);
                d.bytes(b"ip", &bytes);
            }
            if let Some(version) = self.version {
                d.bytes(b"v", &version);
            }
        })
    }
}

fn hash(dict: Value<'_>, key: &[u8]) -> Option<[u8; 20]> {
    dict.get(key)?.as_bytes()?.try_into().ok()
}

fn flag(dict: Value<'_>, key: &[u8]) -> bool {
    dict.get(key).and_then(Value::as_int).is_some_and(|flag| flag != 0)
}

fn query(root: Value<'_>) -> Option<Query> {
    let args = root.get(b"a")?;
    let method = match root.get(b"q")?.as_bytes()? {
        b"ping" => Method::Ping,
        b"find_node" => Method::FindNode { target: NodeId(hash(args, b"target")?) },
        b"get_peers" => Method::GetPeers {
            info_hash: hash(args, b"info_hash")?,
            noseed: flag(args, b"noseed"),
            scrape: flag(args, b"scrape"),
        },
        b"announce_peer" => {
            let implied = flag(args, b"implied_port");
            let port = args.get(b"port").and_then(Value::as_int);
            let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
            let token = args.get(b"token")?.as_bytes()?;
            if port.is_none() && !implied || token.len() > TOKEN_LEN_MAX {
                return None;
            }
            Method::AnnouncePeer {
                info_hash: hash(args, b"info_hash")?,
                port: port.filter(|_| !implied),
                token: token.to_vec(),
                seed: flag(args, b"seed"),
            }
        }
        b"sample_infohashes" => Method::SampleInfohashes { target: NodeId(hash(args, b"target")?) },
        _ => Method::Unknown,
    };
    let want = args.get(b"want").map(|want| {
        let wants = |family: &[u8]| want.items().any(|item| item.as_bytes() == Some(family));
        Want { v4: wants(b"n4"), v6: wants(b"n6") }
    });
    Some(Query { id: NodeId(hash(args, b"id")?), read_only: flag(root, b"ro"), want, method })
}

fn reply(root: Value<'_>) -> Option<Reply> {
    let values = root.get(b"r")?;
    let nodes = |key, family| match values.get(key) {
        Some(nodes) => read_nodes(nodes.as_bytes()?, family, REPLY_NODES_MAX).map(Some),
        None => Some(None),
    };
    let token = match values.get(b"token") {
        Some(token) => Some(token.as_bytes().filter(|token| token.len() <= TOKEN_LEN_MAX)?.to_vec()),
        None => None,
    };
    let peers = values.get(b"values").map(Value::items).into_iter().flatten().take(REPLY_VALUES_MAX);
    let samples = match values.get(b"samples") {
        Some(samples) => Some(read_samples(values, samples.as_bytes()?)?),
        None => None,
    };
    Some(Reply {
        id: NodeId(hash(values, b"id")?),
        nodes: nodes(b"nodes", Family::V4)?,
        nodes6: nodes(b"nodes6", Family::V6)?,
        values: peers.map(|peer| compact::read(peer.as_bytes()?)).collect::<Option<_>>()?,
        token,
        filters: filter(values, b"BFsd").zip(filter(values, b"BFpe")).map(|(a, b)| Box::new([a, b])),
        samples,
    })
}

fn filter(values: Value<'_>, key: &[u8]) -> Option<Bloom> {
    Some(Bloom(<[u8; BLOOM_LEN]>::try_from(values.get(key)?.as_bytes()?).ok()?))
}

fn read_samples(values: Value<'_>, bytes: &[u8]) -> Option<Samples> {
    let (hashes, []) = bytes.as_chunks::<20>() else { return None };
    let int = |key| values.get(key).and_then(Value::as_int).unwrap_or(0);
    Some(Samples {
        interval: u16::try_from(int(b"interval")).ok()?,
        num: u32::try_from(int(b"num")).ok()?,
        hashes: hashes.iter().take(REPLY_SAMPLES_MAX).copied().collect(),
    })
}

fn error(root: Value<'_>) -> Option<Code> {
    Some(Code::of(root.get(b"e")?.items().next()?.as_int()?))
}

fn write_query(query: &Query, d: &mut DictEncoder<'_>) {
    let name: &[u8] = match query.method {
        Method::Ping => b"ping",
        Method::FindNode { .. } => b"find_node",
        Method::GetPeers { .. } => b"get_peers",
        Method::AnnouncePeer { .. } => b"announce_peer",
        Method::SampleInfohashes { .. } => b"sample_infohashes",
        Method::Unknown => b"?",
    };
    d.bytes(b"y", b"q");
    d.bytes(b"q", name);
    if query.read_only {
        d.int(b"ro", 1);
    }
    d.dict(b"a", |a| {
        a.bytes(b"id", &query.id.0);
        if let Some(want) = query.want {
            a.list(b"want", |list| {
                for (wanted, name) in [(want.v4, b"n4"), (want.v6, b"n6")] {
                    if wanted {
                        list.bytes(name);
                    }
                }
            });
        }
        write_arguments(&query.method, a);
    });
}

fn write_arguments(method: &Method, a: &mut DictEncoder<'_>) {
    match method {
        Method::Ping | Method::Unknown => {}
        Method::FindNode { target } | Method::SampleInfohashes { target } => a.bytes(b"target", &target.0),
        Method::GetPeers { info_hash, noseed, scrape } => {
            a.bytes(b"info_hash", info_hash);
            if *noseed {
                a.int(b"noseed", 1);
            }
            if *scrape {
                a.int(b"scrape", 1);
            }
        }
        Method::AnnouncePeer { info_hash, port, token, seed } => {
            a.bytes(b"info_hash", info_hash);
            match port {
                Some(port) => a.int(b"port", (*port).into()),
                None => {
                    a.int(b"implied_port", 1);
                    a.int(b"port", 1); // whoever does not know `implied_port` still finds a port
                }
            }
            a.bytes(b"token", token);
            if *seed {
                a.int(b"seed", 1);
            }
        }
    }
}

fn write_reply(reply: &Reply, r: &mut DictEncoder<'_>) {
    r.bytes(b"id", &reply.id.0);
    for (key, nodes) in [(&b"nodes"[..], &reply.nodes), (&b"nodes6"[..], &reply.nodes6)] {
        if let Some(nodes) = nodes {
            r.bytes(key, &write_nodes(nodes));
        }
    }
    if let Some(token) = &reply.token {
        r.bytes(b"token", token);
    }
    if !reply.values.is_empty() {
        r.list(b"values", |list| {
            let mut bytes = Vec::new();
            for peer in &reply.values {
                bytes.clear();
                compact::put(*peer, &mut bytes);
                list.bytes(&bytes);
            }
        });
    }
    if let Some(filters) = &reply.filters {
        r.bytes(b"BFsd", &filters[0].0);
        r.bytes(b"BFpe", &filters[1].0);
    }
    if let Some(samples) = &reply.samples {
        r.int(b"interval", samples.interval.into());
        r.int(b"num", samples.num.into());
        r.bytes(b"samples", samples.hashes.as_flattened());
    }
}

#[cfg(test)]
mod tests;
