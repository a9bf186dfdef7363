//! Addresses as bare bytes: 4 or 16 of address and 2 of port each (BEP 11, BEP 23, BEP 7).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of an IPv4 address with its port, and of an IPv6 one.
pub(super) const V4_LEN: usize = 6;
pub(super) const V6_LEN: usize = 18;

/// The IPv4 addresses in `bytes`; what is left over at the end is ignored.
pub(super) fn v4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.as_chunks::<V4_LEN>().0.iter().map(|&[a, b, c, d, high, low]| {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([high, low]))
    })
}

/// The IPv6 addresses in `bytes`; what is left over at the end is ignored. An IPv4 address in IPv6 clothes is IPv4.
pub(super) fn v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.as_chunks::<V6_LEN>().0.iter().filter_map(|entry| {
        let (address, &[high, low]) = entry.split_first_chunk::<16>()? else { return None };
        let address = IpAddr::V6(Ipv6Addr::from(*address)).to_canonical();
        Some(SocketAddr::new(address, u16::from_be_bytes([high, low])))
    })
}

/// Appends an address, in the form of its family.
pub(super) fn put(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}
