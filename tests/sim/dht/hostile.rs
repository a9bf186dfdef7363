//! Nodes that others take for good ones, until they are asked for peers.

use std::net::SocketAddr;

use bytes::Bytes;
use pieceful_core::dht::{Body, Contact, Message, Method, NodeId, Reply};
use pieceful_core::rng::Rng;

/// What a liar does when it is asked for peers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hostility {
    /// It does not answer.
    Silent,
    /// It answers under another name.
    OtherName,
    /// It names nodes that would be closest, if there were any.
    FalseNodes,
}

impl Hostility {
    pub(super) const fn of(number: u32) -> Self {
        match number % 3 {
            0 => Self::Silent,
            1 => Self::OtherName,
            _ => Self::FalseNodes,
        }
    }

    /// What it says to this datagram; `None`: what an honest node would.
    pub(super) fn answer(self, own: NodeId, datagram: &[u8], rng: &mut Rng) -> Option<Option<Bytes>> {
        let message = Message::decode(datagram).ok()?;
        let Body::Query(query) = &message.body else { return None };
        let target = match query.method {
            Method::GetPeers { info_hash, .. } => NodeId(info_hash),
            Method::AnnouncePeer { .. } => return Some(None),
            _ => return None,
        };
        let reply = match self {
            Self::Silent => return Some(None),
            Self::OtherName => Reply::new(NodeId::random(rng)),
            Self::FalseNodes => {
                let near =
                    (0..8).map(|_| Contact { id: target.random_near(40, true, rng), address: nowhere(rng) });
                Reply { nodes: Some(near.collect()), token: Some(vec![1; 8]), ..Reply::new(own) }
            }
        };
        let body = Body::Reply(reply);
        Some(Some(
            Message { transaction: message.transaction, version: None, ip: None, body }.encode().into(),
        ))
    }
}

fn nowhere(rng: &mut Rng) -> SocketAddr {
    let [a, b, c, _] = rng.u32().to_be_bytes();
    SocketAddr::from(([200 + a % 20, b, c, 1], 6881))
}
