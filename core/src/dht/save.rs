//! The table as bytes, for the next run: whoever was there yesterday is the best place to begin today (BEP 5).

use alloc::vec::Vec;

use bytes::Bytes;

use super::bucket::{Health, Node};
use super::contact::{plain, read_nodes, write_nodes};
use super::{Action, Contact, Dht, Family, LoadError, NodeId};
use crate::bencode::{self, Limits, Value};
use crate::cx::Cx;
use crate::time::Instant;

/// Nodes of one family that are saved, and loaded.
pub const SAVED_NODES_MAX: usize = 200;

/// What the saved bytes begin with the number of.
const VERSION: i64 = 1;

impl Dht {
    /// What [`load`](Self::load) takes: our ids, and the nodes that answered last.
    #[must_use]
    pub fn save(&self, now: Instant) -> Bytes {
        let data = bencode::dict(|d| {
            d.int(b"version", VERSION);
            d.bytes(b"id", &self.v4.table.own().0);
            d.bytes(b"id6", &self.v6.table.own().0);
            d.bytes(b"nodes", &write_nodes(&best(self.v4.table.nodes(), now)));
            d.bytes(b"nodes6", &write_nodes(&best(self.v6.table.nodes(), now)));
        });
        data.into()
    }

    /// Goes on where an earlier run ended: takes its ids, and asks the nodes it knew. Nothing is believed of them but
    /// that they are worth a try.
    ///
    /// # Errors
    /// When the bytes are not as [`save`](Self::save) writes them; then nothing has changed.
    pub fn load(&mut self, saved: &[u8], cx: &mut Cx<'_, Action>) -> Result<(), LoadError> {
        let document = bencode::decode(saved, Limits::WIRE)?;
        let root = document.root();
        if root.get(b"version").and_then(Value::as_int) != Some(VERSION) {
            return Err(LoadError::Version);
        }
        let bytes = |key: &[u8]| root.get(key).and_then(Value::as_bytes).ok_or(LoadError::Length);
        let id = |key: &[u8]| bytes(key)?.try_into().map(NodeId).map_err(|_| LoadError::Length);
        let nodes =
            |key: &[u8], family| read_nodes(bytes(key)?, family, SAVED_NODES_MAX).ok_or(LoadError::Length);
        let sides = [
            (Family::V4, id(b"id")?, nodes(b"nodes", Family::V4)?),
            (Family::V6, id(b"id6")?, nodes(b"nodes6", Family::V6)?),
        ];
        for (family, id, nodes) in sides {
            self.side(family).table.set_own(id, cx.now);
            for contact in nodes {
                let contact = Contact { address: plain(contact.address), ..contact };
                if self.may_ask(contact.address) && Family::of(contact.address) == family {
                    self.side(family).table.remember(contact, cx.now);
                }
            }
            self.side(family).own_lookup_at = cx.now;
        }
        self.maintain(cx);
        self.searches.hasten(cx.now);
        self.search(cx);
        Ok(())
    }
}

/// The nodes most likely to be there next time, those heard of last first.
fn best<'a>(nodes: impl Iterator<Item = &'a Node>, now: Instant) -> Vec<Contact> {
    let mut nodes: Vec<&Node> = nodes.filter(|node| node.health(now) != Health::Bad).collect();
    nodes.sort_by_key(|node| core::cmp::Reverse((node.proven, node.heard())));
    nodes.truncate(SAVED_NODES_MAX);
    nodes.into_iter().map(|node| node.contact).collect()
}
