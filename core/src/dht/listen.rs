//! What arrives: which of it answers a question of ours, and what follows from that.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::contact::{may_name, plain};
use super::lookup::Goal;
use super::queries::Pending;
use super::{Action, Body, Code, Contact, Dht, Family, Message, MessageError, NodeId, Purpose, Reply};
use crate::cx::Cx;

impl Dht {
    /// A datagram came.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], cx: &mut Cx<'_, Action>) {
        let from = plain(from);
        if !self.may_ask(from) {
            return;
        }
        match Message::decode(datagram) {
            Ok(Message { transaction, body: Body::Query(query), .. }) => {
                self.serve(from, transaction, query, datagram.len(), cx);
            }
            Ok(Message { transaction, ip, body: Body::Reply(reply), .. }) => {
                let Some(pending) = self.queries.end(from, &transaction, cx.now) else { return };
                self.replied(from, pending, reply, ip, cx);
            }
            Ok(Message { transaction, body: Body::Error(_), .. }) => {
                // Whoever refuses is there, but of no use.
                if let Some(Pending { purpose: Purpose::Lookup(lookup), .. }) =
                    self.queries.end(from, &transaction, cx.now)
                {
                    self.fail(lookup, from, cx);
                }
            }
            Err(MessageError::Query { transaction }) => {
                self.refuse(from, transaction, Code::Protocol, datagram.len(), cx);
            }
            Err(_) => {}
        }
    }

    fn replied(
        &mut self,
        from: SocketAddr,
        pending: Pending,
        reply: Reply,
        ip: Option<SocketAddr>,
        cx: &mut Cx<'_, Action>,
    ) {
        let family = Family::of(from);
        let own = self.side(family).table.own();
        if reply.id == own || pending.id.is_some_and(|id| id != reply.id) {
            // It is not who it was said to be: nothing it says is of use here. It may have learned its address, and
            // taken an id that fits: then it is known by that one from now on.
            let contact = Contact { id: reply.id, address: from };
            self.side(family).table.renamed(contact, pending.cold, cx.now);
            if let Purpose::Lookup(lookup) = pending.purpose {
                self.fail(lookup, from, cx);
            }
            return;
        }
        let side = self.side(family);
        let known_before = side.table.has(1, cx.now);
        side.table.answered(Contact { id: reply.id, address: from }, pending.cold, cx.now);
        let moved = ip.and_then(|ip| side.votes.cast(from, ip.ip()));
        self.maintain_by(cx.now + super::maintain::PAUSE);
        if !known_before {
            self.searches.hasten(cx.now);
        }
        if let Some(address) = moved
            && !own.fits(address)
        {
            self.take_id(family, NodeId::for_address(address, cx.rng), cx);
        }
        match pending.purpose {
            Purpose::Lookup(lookup) => self.led_on(lookup, from, reply, cx),
            Purpose::Check => {
                for nodes in [reply.nodes, reply.nodes6].into_iter().flatten() {
                    self.hear_of(from, nodes, cx);
                }
            }
            Purpose::Announce => {}
        }
        if !known_before {
            self.search(cx);
        }
    }

    /// A step of a lookup was answered.
    fn led_on(&mut self, id: u64, from: SocketAddr, reply: Reply, cx: &mut Cx<'_, Action>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let (own, others) = match lookup.family {
            Family::V4 => (reply.nodes, reply.nodes6),
            Family::V6 => (reply.nodes6, reply.nodes),
        };
        lookup.answer(from, reply.id, reply.token);
        for contact in own.into_iter().flatten() {
            let contact = Contact { address: plain(contact.address), ..contact };
            let fits = Family::of(contact.address) == lookup.family && may_name(from, contact.address);
            // Closer to us than anybody may be a node that has our own id.
            if fits && contact.id != self.v4.table.own() && contact.id != self.v6.table.own() {
                lookup.add(contact, Some(from));
            }
        }
        if lookup.goal == Goal::Peers {
            let peers = reply.values.into_iter().map(plain).filter(|peer| may_name(from, *peer));
            let peers = lookup.find(peers);
            let info_hash = lookup.target.0;
            if !peers.is_empty() {
                cx.out.push(Action::Peers { info_hash, peers });
            }
        }
        if let Some(others) = others {
            self.hear_of(from, others, cx);
        }
        self.advance(id, cx);
    }

    /// A node told of others, outside of a lookup for them: they are asked themselves if there is room.
    fn hear_of(&mut self, from: SocketAddr, nodes: Vec<Contact>, cx: &mut Cx<'_, Action>) {
        for contact in nodes {
            let contact = Contact { address: plain(contact.address), ..contact };
            let family = Family::of(contact.address);
            if self.may_ask(contact.address)
                && may_name(from, contact.address)
                && self.side(family).table.has_room_for(contact, cx.now)
            {
                self.expect(cx.now, contact);
            }
        }
    }

    /// Takes another id on one of the DHTs, and looks at who is near it.
    fn take_id(&mut self, family: Family, id: NodeId, cx: &mut Cx<'_, Action>) {
        let side = self.side(family);
        side.table.set_own(id, cx.now);
        side.own_lookup_at = cx.now;
        if let Some(lookup) = side.own_lookup.take() {
            self.lookups.remove(&lookup);
        }
        self.maintain_by(cx.now);
    }
}
