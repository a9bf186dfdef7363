//! Whatever a peer says of others, or of a piece that it lost, stays within its limits and can be said again.

use std::net::SocketAddr;

use pieceful_core::wire::extended;
use pieceful_core::wire::holepunch::HolepunchMessage;
use pieceful_core::wire::pex::{PEX_PEERS_MAX, PexMessage};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    assert_eq!(extended::dont_have(data).is_some(), data.len() == 4);
    if let Some(message) = HolepunchMessage::parse(data) {
        assert_eq!(HolepunchMessage::parse(&message.encode()), Some(message));
    }
    let Some(message) = PexMessage::parse(data) else { return };
    assert!(message.added.len() <= 2 * PEX_PEERS_MAX && message.dropped.len() <= 2 * PEX_PEERS_MAX);
    let again = PexMessage::parse(&message.encode()).expect("what is written is read");
    // Each list is written in the order of the families, and IPv4 addresses in IPv6 clothes may be too many of one.
    let added = in_order(&message.added, |(address, _)| *address);
    let dropped = in_order(&message.dropped, |address| *address);
    assert_eq!(again, PexMessage { added, dropped });
}

fn in_order<T: Copy>(list: &[T], address: impl Fn(&T) -> SocketAddr + Copy) -> Vec<T> {
    let of = |v4: bool| list.iter().filter(move |entry| address(entry).is_ipv4() == v4).take(PEX_PEERS_MAX);
    of(true).chain(of(false)).copied().collect()
}
