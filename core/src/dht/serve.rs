//! What is answered to strangers: never much more than they sent, never to anybody else, never too often.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::bucket::{BUCKET_NODES, Health};
use super::message::REPLY_SAMPLES_MAX;
use super::{
    Action, Body, CHECKS_MAX, Code, Contact, Dht, Family, Message, Method, NodeId, Purpose, Query,
    REPLY_VALUES_MAX, Reply, Samples,
};
use crate::cx::Cx;
use crate::scope;
use crate::time::Instant;

/// Bytes that go out for one that came unasked for, at most: whoever forges an address gains little by it.
pub const AMPLIFICATION_MAX: usize = 5;

/// Longest answer (BEP 32).
pub const REPLY_LEN_MAX: usize = 1_024;

/// A question of ours takes no more bytes than this.
const PING_LEN_MAX: usize = 96;

/// Seconds after which a node that asks for samples gets others (BEP 51).
const SAMPLE_TIME: u16 = 60;

/// While fewer nodes than this are known, whoever asks us is asked at once.
const FEW_NODES: usize = 2 * BUCKET_NODES;

/// Nodes that wait to be asked whether they are there.
const NEWCOMERS_MAX: usize = 64;

/// A node that has asked us is asked so much later: behind a NAT, the door it opened to us is shut by then, and only
/// a node that anybody can reach answers. Others in our table would be of no use to anybody.
const NEWCOMER_TIME: Duration = Duration::from_secs(4 * 60);

impl Dht {
    /// A question came, in `len` bytes.
    pub(super) fn serve(
        &mut self,
        from: SocketAddr,
        transaction: Vec<u8>,
        query: Query,
        len: usize,
        cx: &mut Cx<'_, Action>,
    ) {
        if self.config.read_only || !self.sources.hear(from, cx.now) {
            return;
        }
        let most = (len * AMPLIFICATION_MAX).min(REPLY_LEN_MAX);
        let spent = self.meet(from, &query, cx);
        let most = most.saturating_sub(spent);
        match self.answer(from, &query, cx) {
            Ok(reply) => self.reply(from, transaction, reply, most, cx),
            Err(code) => self.say_no(from, transaction, code, most, cx),
        }
    }

    /// Somebody asks: if it is not in the table, it may be soon. Gives the bytes that it is sent for that, now or later.
    fn meet(&mut self, from: SocketAddr, query: &Query, cx: &mut Cx<'_, Action>) -> usize {
        let contact = Contact { id: query.id, address: from };
        let table = &mut self.side(Family::of(from)).table;
        if let Some(node) = table.get(from) {
            if node.contact.id == query.id {
                (node.asked, node.touched) = (Some(cx.now), cx.now);
            }
            return 0;
        }
        if query.read_only || !table.has_room_for(contact, cx.now) {
            return 0;
        }
        if table.has(FEW_NODES, cx.now) {
            let asked = self.expect(cx.now + NEWCOMER_TIME, contact);
            return if asked { PING_LEN_MAX } else { 0 };
        }
        if self.queries.is_asked(from)
            || self.queries.len() >= CHECKS_MAX / 2
            || !self.sources.spend(PING_LEN_MAX, cx.now)
        {
            return 0;
        }
        self.ask(from, Some(query.id), Method::Ping, Purpose::Check, false, cx);
        PING_LEN_MAX
    }

    /// A node is to be asked whether it is there, at `at`, if that is news and there is room.
    pub(super) fn expect(&mut self, at: Instant, contact: Contact) -> bool {
        let known = self.newcomers.iter().any(|(_, it)| it.address == contact.address);
        let new = !known && self.newcomers.len() < NEWCOMERS_MAX;
        if new {
            let place = self.newcomers.partition_point(|(other, _)| *other <= at);
            self.newcomers.insert(place, (at, contact));
            self.maintain_by(at);
        }
        new
    }

    fn answer(&mut self, from: SocketAddr, query: &Query, cx: &mut Cx<'_, Action>) -> Result<Reply, Code> {
        let own = self.side(Family::of(from)).table.own();
        let mut reply = Reply::new(own);
        match &query.method {
            Method::Ping => {}
            Method::FindNode { target } => self.tell_nodes(from, query, target, &mut reply, cx.now),
            Method::GetPeers { info_hash, noseed, scrape } => {
                self.tell_nodes(from, query, &NodeId(*info_hash), &mut reply, cx.now);
                reply.token = Some(self.tokens.give(from.ip(), info_hash, cx.now).to_vec());
                let known = self.store.get(info_hash, from, *noseed, REPLY_VALUES_MAX, cx.now, cx.rng);
                if let Some(known) = known {
                    reply.values = known.peers;
                    reply.filters = scrape.then(|| Box::new(known.filters));
                }
            }
            Method::AnnouncePeer { info_hash, port, token, seed } => {
                if !self.tokens.is_good(token, from.ip(), info_hash, cx.now) {
                    return Err(Code::Protocol);
                }
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                if !self.store.put(&own, *info_hash, peer, *seed, cx.now) {
                    return Err(Code::Server);
                }
                if self.searches.is_wanted(info_hash) {
                    cx.out.push(Action::Peers { info_hash: *info_hash, peers: Vec::from([peer]) });
                }
            }
            Method::SampleInfohashes { target } => {
                self.tell_nodes(from, query, target, &mut reply, cx.now);
                reply.samples = Some(Samples {
                    interval: SAMPLE_TIME,
                    num: u32::try_from(self.store.torrents()).unwrap_or(u32::MAX),
                    hashes: self.store.sample(REPLY_SAMPLES_MAX, cx.rng),
                });
            }
            Method::Unknown => return Err(Code::Method),
        }
        Ok(reply)
    }

    fn tell_nodes(&self, from: SocketAddr, query: &Query, target: &NodeId, reply: &mut Reply, now: Instant) {
        let (v4, v6) = match query.want {
            Some(want) if want.v4 || want.v6 => (want.v4, want.v6),
            _ => (from.is_ipv4(), from.is_ipv6()),
        };
        let closest = |family| self.closest_for(from, family, target, now);
        reply.nodes = v4.then(|| closest(Family::V4));
        reply.nodes6 = v6.then(|| closest(Family::V6));
    }

    /// The nodes to tell somebody of: such as it can reach, and first those that are known to be reached by anybody.
    fn closest_for(&self, from: SocketAddr, family: Family, target: &NodeId, now: Instant) -> Vec<Contact> {
        let table = match family {
            Family::V4 => &self.v4.table,
            Family::V6 => &self.v6.table,
        };
        let own_scope = scope::scope(from.ip());
        let reachable = |address: IpAddr| scope::scope(address) >= own_scope;
        let of_use = |proven: bool| {
            table.closest(target, BUCKET_NODES, |node| {
                node.proven == proven
                    && node.health(now) == Health::Good
                    && node.contact.address != from
                    && reachable(node.contact.address.ip())
            })
        };
        let mut nodes = of_use(true);
        if nodes.len() < BUCKET_NODES {
            let rest = BUCKET_NODES - nodes.len();
            nodes.extend(of_use(false).into_iter().take(rest));
        }
        nodes
    }

    /// Sends as much of `reply` as goes into `most` bytes.
    fn reply(
        &mut self,
        to: SocketAddr,
        transaction: Vec<u8>,
        reply: Reply,
        most: usize,
        cx: &mut Cx<'_, Action>,
    ) {
        let version = Some(self.config.version);
        let mut message = Message { transaction, version, ip: Some(to), body: Body::Reply(reply) };
        let mut data = message.encode();
        while data.len() > most {
            if !shorten(&mut message, data.len() - most) {
                return;
            }
            data = message.encode();
        }
        if self.sources.spend(data.len(), cx.now) {
            cx.out.push(Action::Send { to, data: data.into() });
        }
    }

    /// Says that a question is not answered, and why.
    pub(super) fn refuse(
        &mut self,
        to: SocketAddr,
        transaction: Vec<u8>,
        code: Code,
        len: usize,
        cx: &mut Cx<'_, Action>,
    ) {
        if !self.config.read_only && self.sources.hear(to, cx.now) {
            self.say_no(to, transaction, code, len * AMPLIFICATION_MAX, cx);
        }
    }

    fn say_no(
        &mut self,
        to: SocketAddr,
        transaction: Vec<u8>,
        code: Code,
        most: usize,
        cx: &mut Cx<'_, Action>,
    ) {
        let message = Message {
            transaction,
            version: Some(self.config.version),
            ip: Some(to),
            body: Body::Error(code),
        };
        let data = message.encode();
        if data.len() <= most && self.sources.spend(data.len(), cx.now) {
            cx.out.push(Action::Send { to, data: data.into() });
        }
    }
}

/// Leaves something out of a reply that is `excess` bytes too long, what matters least first; says whether there was
/// anything.
fn shorten(message: &mut Message, excess: usize) -> bool {
    let Body::Reply(reply) = &mut message.body else { return false };
    if let Some(last) = reply.values.last() {
        // Each is written with its length in front.
        let len = Family::of(*last).peer_len() + 2;
        let left = reply.values.len().saturating_sub(excess.div_ceil(len));
        reply.values.truncate(left);
        return true;
    }
    if let Some(samples) = &mut reply.samples
        && !samples.hashes.is_empty()
    {
        let left = samples.hashes.len().saturating_sub(excess.div_ceil(20));
        samples.hashes.truncate(left);
        return true;
    }
    for (nodes, family) in [(&mut reply.nodes6, Family::V6), (&mut reply.nodes, Family::V4)] {
        if let Some(nodes) = nodes
            && !nodes.is_empty()
        {
            let left = nodes.len().saturating_sub(excess.div_ceil(family.node_len()));
            nodes.truncate(left);
            return true;
        }
    }
    reply.token.take().is_some() || message.version.take().is_some() || reply.filters.take().is_some()
}

#[cfg(test)]
mod tests;
