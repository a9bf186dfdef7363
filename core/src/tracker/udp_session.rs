//! Whom to send which datagram, when to send it again, and whose answer to believe (BEP 15).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use super::names::{Lookup, Names};
use super::url::literal;
use super::{Answer, Retry, TrackerError, UDP_REQUESTS_MAX, udp};
use crate::cx::Cx;
use crate::rng::Rng;
use crate::scope::{self, NamedBy};
use crate::time::Instant;

pub use super::names::QueryTag;

/// What a [`UdpTrackers`] wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpAction {
    /// Look up a host name and answer with [`UdpTrackers::resolved`].
    Resolve {
        /// To answer with.
        query: QueryTag,
        /// A host name, never a literal address.
        host: String,
    },
    /// Send a datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The payload.
        data: Bytes,
    },
    /// An announce ended.
    Answered {
        /// As given to [`UdpTrackers::ask`].
        token: u64,
        /// The answer and the address it came from, or why there is none.
        result: Result<(Answer, IpAddr), TrackerError>,
    },
}

/// All UDP trackers of all torrents.
///
/// Announces to one address share a connection id, and the wait for it. A reply is believed when it comes from
/// exactly the address and port that was asked and carries that request's random transaction id. Every request
/// sends at most three times, to each of the host's addresses in turn, waits 15, 30 and 60 s for the answers
/// (BEP 15 would go on for an hour), and then fails. Each datagram and each timer costs O(log n) in the number
/// of requests.
#[derive(Debug, Default)]
pub struct UdpTrackers {
    requests: BTreeMap<u64, Request>,
    connections: BTreeMap<SocketAddr, Connection>,
    /// Who waits for the reply with this transaction id from this address.
    replies: BTreeMap<(SocketAddr, u32), Awaited>,
    /// When which request sends again or fails: one entry each.
    timers: BTreeSet<(Instant, u64)>,
    /// When which connection id becomes invalid.
    expiries: BTreeSet<(Instant, SocketAddr)>,
    names: Names,
}

impl UdpTrackers {
    /// With nothing to do.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces to the tracker at `host` and `port`. Ends with one [`UdpAction::Answered`] for `token`, unless
    /// cancelled; a `token` that is in use already is cancelled first.
    pub fn ask(
        &mut self,
        token: u64,
        named_by: NamedBy,
        host: &str,
        port: u16,
        announce: udp::Announce,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        self.cancel(token);
        if self.requests.len() >= UDP_REQUESTS_MAX {
            cx.out.push(UdpAction::Answered { token, result: Err(TrackerError::Busy) });
            return;
        }
        let host = host.to_ascii_lowercase();
        let lookup = match literal(&host) {
            Some(address) => Lookup::Known(Vec::from([address])),
            None => self.names.look_up(&host, token, cx.now),
        };
        let (addresses, stage) = match lookup {
            Lookup::Known(addresses) => (addresses, Stage::New),
            Lookup::UnderWay(query) => (Vec::new(), Stage::Resolving { query }),
            Lookup::Ask(query) => {
                cx.out.push(UdpAction::Resolve { query, host });
                (Vec::new(), Stage::Resolving { query })
            }
            Lookup::Busy => {
                cx.out.push(UdpAction::Answered { token, result: Err(TrackerError::Busy) });
                return;
            }
        };
        let timer = cx.now + RESOLVE_TIME;
        let give_up = cx.now + GIVE_UP_TIME;
        self.timers.insert((timer, token));
        let request =
            Request { named_by, port, announce, addresses: Vec::new(), tries: 0, stage, timer, give_up };
        self.requests.insert(token, request);
        if stage == Stage::New {
            self.found(token, &addresses, cx);
        }
    }

    /// Forgets the announce `token`.
    pub fn cancel(&mut self, token: u64) {
        let Some(request) = self.requests.remove(&token) else { return };
        self.timers.remove(&(request.timer, token));
        self.leave(token, request.stage);
    }

    /// A [`UdpAction::Resolve`] ended.
    pub fn resolved(
        &mut self,
        query: QueryTag,
        result: Result<Vec<IpAddr>, TrackerError>,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        for token in self.names.resolved(query, result.as_deref().unwrap_or_default(), cx.now) {
            match &result {
                Ok(addresses) => self.found(token, addresses, cx),
                Err(error) => self.finish(token, Err(error.clone()), cx),
            }
        }
    }

    /// A datagram arrived. `true` when it answers a request of ours, whatever it says; `false` when it is for
    /// somebody else.
    pub fn receive(&mut self, from: SocketAddr, data: &[u8], cx: &mut Cx<'_, UdpAction>) -> bool {
        let from = endpoint(from.ip(), from.port());
        let Some(transaction) = udp::transaction(data) else { return false };
        let Some(awaited) = self.replies.remove(&(from, transaction)) else { return false };
        let reply = udp::parse(data, from.is_ipv6());
        match awaited {
            Awaited::Connection => self.connection_replied(from, reply, data.len(), cx),
            Awaited::Announce(token) => self.announce_replied(token, from, reply, data.len(), cx),
        }
        true
    }

    /// Does what is due.
    pub fn tick(&mut self, cx: &mut Cx<'_, UdpAction>) {
        while let Some(&(at, address)) = self.expiries.first()
            && at <= cx.now
        {
            self.expiries.pop_first();
            self.connections.remove(&address);
        }
        while let Some(&(at, token)) = self.timers.first()
            && at <= cx.now
        {
            self.timed_out(token, cx);
        }
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The addresses of a request's host are known.
    fn found(&mut self, token: u64, addresses: &[IpAddr], cx: &mut Cx<'_, UdpAction>) {
        let Some(request) = self.requests.get_mut(&token) else { return };
        let allowed = addresses.iter().filter(|ip| scope::may_ask_udp_tracker(request.named_by, **ip));
        request.addresses = allowed.take(ADDRESSES_MAX).map(|ip| endpoint(*ip, request.port)).collect();
        if !request.addresses.is_empty() {
            self.advance(token, cx);
            return;
        }
        let error = addresses.first().map_or(TrackerError::NoSuchHost, |ip| TrackerError::Scope(*ip));
        self.finish(token, Err(error), cx);
    }

    /// Sends the next thing that brings `token` nearer to its answer, and arms its timer.
    fn advance(&mut self, token: u64, cx: &mut Cx<'_, UdpAction>) {
        let Some(request) = self.requests.get_mut(&token) else { return };
        let Some(to) = request.address() else { return };
        self.timers.remove(&(request.timer, token));
        request.timer = request.give_up.min(cx.now + FIRST_WAIT * (1 << request.tries));
        self.timers.insert((request.timer, token));
        let stale =
            matches!(self.connections.get(&to), Some(Connection::Open { until, .. }) if *until <= cx.now);
        if stale {
            self.forget_connection(to);
        }
        let Some(request) = self.requests.get_mut(&token) else { return };
        match self.connections.get_mut(&to) {
            Some(Connection::Open { id, .. }) => {
                let transaction = unused(&self.replies, to, cx.rng);
                self.replies.insert((to, transaction), Awaited::Announce(token));
                request.stage = Stage::Announcing { to, transaction };
                let data = request.announce.encode(*id, transaction);
                cx.out.push(UdpAction::Send { to, data });
            }
            Some(Connection::Asked { transaction, sent, waiting }) => {
                request.stage = Stage::Connecting { to };
                waiting.insert(token);
                if cx.now >= *sent + FIRST_WAIT {
                    *sent = cx.now;
                    cx.out.push(UdpAction::Send { to, data: udp::connect(*transaction) });
                }
            }
            None => {
                let transaction = unused(&self.replies, to, cx.rng);
                self.replies.insert((to, transaction), Awaited::Connection);
                request.stage = Stage::Connecting { to };
                let waiting = BTreeSet::from([token]);
                self.connections.insert(to, Connection::Asked { transaction, sent: cx.now, waiting });
                cx.out.push(UdpAction::Send { to, data: udp::connect(transaction) });
            }
        }
    }

    fn timed_out(&mut self, token: u64, cx: &mut Cx<'_, UdpAction>) {
        let Some(request) = self.requests.get_mut(&token) else { return };
        let stage = request.stage;
        request.tries += 1;
        let over = request.tries >= TRIES_MAX || cx.now >= request.give_up;
        if over || matches!(stage, Stage::Resolving { .. }) {
            self.finish(token, Err(TrackerError::TimedOut), cx);
            return;
        }
        // The old wait is left only after the new one is entered: with a single address, the question for a
        // connection id stays the same one, and a late reply to its first sending is still of use.
        self.advance(token, cx);
        if self.requests.get(&token).is_some_and(|request| request.stage != stage) {
            self.leave(token, stage);
        }
    }

    fn connection_replied(
        &mut self,
        from: SocketAddr,
        reply: Result<udp::Reply, TrackerError>,
        len: usize,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        let Some(Connection::Asked { waiting, .. }) = self.connections.remove(&from) else { return };
        let error = match reply {
            Ok(udp::Reply::Connect(id)) => {
                self.open(from, id, cx.now);
                for token in waiting {
                    self.advance(token, cx);
                }
                return;
            }
            Ok(udp::Reply::Error(error)) | Err(error) => error,
            Ok(udp::Reply::Announce(_)) => TrackerError::Datagram { action: 1, len },
        };
        for token in waiting {
            self.finish(token, Err(error.clone()), cx);
        }
    }

    fn announce_replied(
        &mut self,
        token: u64,
        from: SocketAddr,
        reply: Result<udp::Reply, TrackerError>,
        len: usize,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        let result = match reply {
            Ok(udp::Reply::Announce(answer)) => Ok((answer, from.ip())),
            Ok(udp::Reply::Error(error)) if self.blames_connection(token, from, &error) => {
                self.forget_connection(from);
                self.advance(token, cx);
                return;
            }
            Ok(udp::Reply::Error(error)) | Err(error) => Err(error),
            Ok(udp::Reply::Connect(_)) => Err(TrackerError::Datagram { action: 0, len }),
        };
        self.finish(token, result, cx);
    }

    /// Whether a refusal may only mean that the connection id is no longer good: our address has changed, or
    /// the tracker has restarted. Then a new id is worth one more try.
    fn blames_connection(&mut self, token: u64, from: SocketAddr, error: &TrackerError) -> bool {
        let TrackerError::Failure { reason, retry: Retry::Unsaid } = error else { return false };
        let Some(request) = self.requests.get_mut(&token) else { return false };
        let about_it = reason.to_ascii_lowercase().contains("connection");
        if !about_it || request.tries + 1 >= TRIES_MAX || !self.connections.contains_key(&from) {
            return false;
        }
        request.tries += 1;
        // The next try goes to the same address: it is alive.
        if let Some(place) = request.addresses.iter().position(|address| *address == from) {
            let next = usize::from(request.tries) % request.addresses.len();
            request.addresses.swap(place, next);
        }
        true
    }

    fn open(&mut self, address: SocketAddr, id: u64, now: Instant) {
        if self.expiries.len() >= CONNECTIONS_MAX
            && let Some(&(_, oldest)) = self.expiries.first()
        {
            self.forget_connection(oldest);
        }
        let until = now + udp::CONNECTION_TIME;
        self.expiries.insert((until, address));
        self.connections.insert(address, Connection::Open { id, until });
    }

    /// Forgets the connection id for `address`; a question for one goes on.
    fn forget_connection(&mut self, address: SocketAddr) {
        if let Some(Connection::Open { until, .. }) = self.connections.get(&address) {
            self.expiries.remove(&(*until, address));
            self.connections.remove(&address);
        }
    }

    /// `token` ends its wait in `stage`.
    fn leave(&mut self, token: u64, stage: Stage) {
        match stage {
            Stage::New => {}
            Stage::Resolving { query } => self.names.leave(query, token),
            Stage::Announcing { to, transaction } => {
                self.replies.remove(&(to, transaction));
            }
            Stage::Connecting { to } => {
                let Some(Connection::Asked { transaction, waiting, .. }) = self.connections.get_mut(&to)
                else {
                    return;
                };
                waiting.remove(&token);
                if waiting.is_empty() {
                    self.replies.remove(&(to, *transaction));
                    self.connections.remove(&to);
                }
            }
        }
    }

    fn finish(
        &mut self,
        token: u64,
        result: Result<(Answer, IpAddr), TrackerError>,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        self.cancel(token);
        cx.out.push(UdpAction::Answered { token, result });
    }
}

/// One announce under way.
#[derive(Debug)]
struct Request {
    named_by: NamedBy,
    port: u16,
    announce: udp::Announce,
    /// Those we may ask, in the resolver's order.
    addresses: Vec<SocketAddr>,
    /// Waits that ended without an answer.
    tries: u8,
    stage: Stage,
    timer: Instant,
    /// When it fails whatever has happened.
    give_up: Instant,
}

impl Request {
    /// The address whose turn it is.
    fn address(&self) -> Option<SocketAddr> {
        let turn = usize::from(self.tries).checked_rem(self.addresses.len())?;
        self.addresses.get(turn).copied()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its addresses are at hand, nothing is sent.
    New,
    Resolving {
        query: QueryTag,
    },
    Connecting {
        to: SocketAddr,
    },
    Announcing {
        to: SocketAddr,
        transaction: u32,
    },
}

/// What we have of the tracker at an address.
#[derive(Debug)]
enum Connection {
    /// A connection id is asked for, on behalf of these requests: at least one.
    Asked { transaction: u32, sent: Instant, waiting: BTreeSet<u64> },
    /// A connection id.
    Open { id: u64, until: Instant },
}

#[derive(Debug)]
enum Awaited {
    Connection,
    Announce(u64),
}

/// A transaction id that no reply from `address` is awaited under. 32 random bits, so that nobody who cannot
/// see our datagrams can answer them.
fn unused(replies: &BTreeMap<(SocketAddr, u32), Awaited>, address: SocketAddr, rng: &mut Rng) -> u32 {
    let mut transaction = rng.u32();
    while replies.contains_key(&(address, transaction)) {
        transaction = transaction.wrapping_add(1);
    }
    transaction
}

/// The one form of an address and port that requests and replies are compared in.
fn endpoint(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

/// The first wait for a reply; doubles with each further one (BEP 15).
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// Waits without an answer after which a tracker is given up: 15 + 30 + 60 s.
const TRIES_MAX: u8 = 3;
/// The longest an announce may take in all: a tracker may grant a connection id in the last moment, each time.
const GIVE_UP_TIME: Duration = Duration::from_secs(105);
/// The longest wait for a name; resolvers give up sooner.
const RESOLVE_TIME: Duration = Duration::from_secs(30);
/// Addresses of one host that are considered.
const ADDRESSES_MAX: usize = 8;
/// Connection ids kept; beyond this the oldest goes. Each lives for a minute, and is some 100 bytes.
const CONNECTIONS_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
