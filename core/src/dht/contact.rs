//! Where a node is reached, and how that is written: 20 bytes of name before its address (BEP 5, BEP 32).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::NodeId;
use crate::compact;
use crate::scope::{self, NamedBy, Scope};

/// A node and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Its name.
    pub id: NodeId,
    /// Its UDP address.
    pub address: SocketAddr,
}

/// One of the two DHTs, which have no nodes in common (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The one over IPv4.
    V4,
    /// The one over IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The one that `address` belongs to.
    #[must_use]
    pub const fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of an address and a port.
    #[must_use]
    pub const fn peer_len(self) -> usize {
        match self {
            Self::V4 => compact::V4_LEN,
            Self::V6 => compact::V6_LEN,
        }
    }

    /// Bytes of a node.
    #[must_use]
    pub const fn node_len(self) -> usize {
        20 + self.peer_len()
    }
}

/// The address without IPv6 around an IPv4 one, and without what only this machine knows it by.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Reads the first `most` nodes of one family; `None` when the bytes are no whole number of nodes.
pub(super) fn read_nodes(bytes: &[u8], family: Family, most: usize) -> Option<Vec<Contact>> {
    if !bytes.len().is_multiple_of(family.node_len()) {
        return None;
    }
    let read = |entry: &[u8]| {
        let (id, address) = entry.split_first_chunk::<20>()?;
        Some(Contact { id: NodeId(*id), address: compact::read(address)? })
    };
    bytes.chunks(family.node_len()).take(most).map(read).collect()
}

/// Writes nodes, which are all of one family.
pub(super) fn write_nodes(nodes: &[Contact]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nodes.len() * Family::V6.node_len());
    for node in nodes {
        out.extend_from_slice(&node.id.0);
        compact::put(node.address, &mut out);
    }
    out
}

/// Whether a node at `source` may send us to `address` ([`crate::scope`]), and there is something to reach.
pub(super) fn may_name(source: SocketAddr, address: SocketAddr) -> bool {
    let Some(own) = scope::scope(source.ip()) else { return false };
    address.port() != 0 && scope::may_name(NamedBy::Host(own), address.ip())
}

/// What many addresses of one owner have in common: the first 24 bits of an IPv4 address, the first 64 of an IPv6
/// one. `None` for addresses that the internet does not know: there, several nodes on one machine are no cheat.
pub(super) fn network(address: IpAddr) -> Option<u64> {
    if scope::scope(address) != Some(Scope::Global) {
        return None;
    }
    Some(match scope::plain(address) {
        IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn nodes_are_read_as_they_were_written() {
        for (family, address) in [(Family::V4, "1.2.3.4:6881"), (Family::V6, "[2001:db8::1]:80")] {
            let node = Contact { id: NodeId([7; 20]), address: address.parse().unwrap() };
            let bytes = write_nodes(&[node, node, node]);
            assert_eq!(bytes.len(), 3 * family.node_len());
            assert_eq!(read_nodes(&bytes, family, 2), Some(vec![node, node]));
            assert_eq!(read_nodes(&bytes[1..], family, 2), None);
        }
    }

    #[test]
    fn a_node_may_not_send_us_inwards_or_nowhere() {
        let internet = "9.9.9.9:6881".parse().unwrap();
        assert!(may_name(internet, "8.8.8.8:1".parse().unwrap()));
        for address in ["8.8.8.8:0", "10.0.0.1:1", "127.0.0.1:1", "0.0.0.0:1", "224.0.0.1:1"] {
            assert!(!may_name(internet, address.parse().unwrap()), "{address}");
        }
        assert!(may_name("127.0.0.1:9".parse().unwrap(), "127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn neighbours_on_the_internet_are_of_one_network_and_local_addresses_of_none() {
        let network = |address: &str| network(address.parse().unwrap());
        assert_eq!(network("8.8.8.8"), network("8.8.8.9"));
        assert_ne!(network("8.8.8.8"), network("8.8.9.8"));
        assert_eq!(network("2600::1:0:0:0:1"), network("2600::1:2:3:4:5"));
        assert_eq!(network("192.168.0.1"), None);
    }
}
