//! Addresses as bare bytes: 4 or 16 of address and 2 of port each (BEP 5, 7, 11, 15, 23, 32, 55).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Bytes of an IPv4 address with its port, and of an IPv6 one.
pub(crate) const V4_LEN: usize = 6;
pub(crate) const V6_LEN: usize = 18;

/// The IPv4 addresses in `bytes`; what is left over at the end is ignored, as common clients do: some trackers pad.
pub(crate) fn v4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.as_chunks::<V4_LEN>().0.iter().filter_map(|entry| read(entry))
}

/// The IPv6 addresses in `bytes`; what is left over at the end is ignored. An IPv4 address in IPv6 clothes is IPv4.
pub(crate) fn v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    let read = |entry: &[u8; V6_LEN]| read(entry);
    let each = bytes.as_chunks::<V6_LEN>().0.iter().filter_map(read);
    each.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The one address that `bytes` are, as it stands there; `None` if they are too few or too many.
pub(crate) fn read(bytes: &[u8]) -> Option<SocketAddr> {
    let (address, port) = bytes.split_last_chunk::<2>()?;
    let ip = match address.len() {
        4 => IpAddr::from(*address.first_chunk::<4>()?),
        16 => IpAddr::from(*address.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// Appends an address, in the form of its family.
pub(crate) fn put(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_left_over_is_ignored() {
        for text in ["1.2.3.4:6881", "[2001:db8::1]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = Vec::new();
            put(address, &mut bytes);
            assert_eq!(read(&bytes), Some(address));
            bytes.push(9);
            assert_eq!(read(&bytes), None);
            let list: Vec<_> = if address.is_ipv4() { v4(&bytes).collect() } else { v6(&bytes).collect() };
            assert_eq!(list, [address]);
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let mut bytes = [0; V6_LEN];
        bytes[10..].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4, 0, 80]);
        assert_eq!(v6(&bytes).collect::<Vec<_>>(), ["1.2.3.4:80".parse().unwrap()]);
    }
}
