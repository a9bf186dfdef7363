//! Peers as bare bytes: 4 or 16 of address and 2 of port each (BEP 23, BEP 7, BEP 15).
//!
//! Bytes left over at the end are ignored, as common clients do: some trackers pad.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ANSWER_PEERS_MAX;

/// Adds the IPv4 peers in `bytes` to `peers`, as far as there is room.
pub(super) fn read_v4(bytes: &[u8], peers: &mut Vec<SocketAddr>) {
    let (entries, _left_over) = bytes.as_chunks::<6>();
    for &[a, b, c, d, high, low] in entries {
        add(peers, IpAddr::V4(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([high, low]));
    }
}

/// Adds the IPv6 peers in `bytes` to `peers`, as far as there is room.
pub(super) fn read_v6(bytes: &[u8], peers: &mut Vec<SocketAddr>) {
    let (entries, _left_over) = bytes.as_chunks::<18>();
    for entry in entries {
        if let Some((address, &[high, low])) = entry.split_first_chunk::<16>() {
            add(peers, IpAddr::V6(Ipv6Addr::from(*address)), u16::from_be_bytes([high, low]));
        }
    }
}

/// Adds one peer unless it cannot be dialled or there is no room.
pub(super) fn add(peers: &mut Vec<SocketAddr>, address: IpAddr, port: u16) {
    if port != 0 && peers.len() < ANSWER_PEERS_MAX {
        peers.push(SocketAddr::new(address.to_canonical(), port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_bytes_and_port_0_are_no_peers() {
        let mut peers = Vec::new();
        read_v4(&[1, 2, 3, 4, 0x1a, 0xe1, 5, 6, 7, 8, 0, 0, 9, 9], &mut peers);
        assert_eq!(peers, ["1.2.3.4:6881".parse().unwrap()]);
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let mut peers = Vec::new();
        let mut bytes = [0; 18];
        bytes[10..].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4, 0, 80]);
        read_v6(&bytes, &mut peers);
        assert_eq!(peers, ["1.2.3.4:80".parse().unwrap()]);
    }

    #[test]
    fn an_answer_has_room_for_so_many_peers_and_no_more() {
        let mut peers = Vec::new();
        read_v4(&[1; 6].repeat(ANSWER_PEERS_MAX + 5), &mut peers);
        read_v6(&[1; 18], &mut peers);
        assert_eq!(peers.len(), ANSWER_PEERS_MAX);
    }
}
