//! Which addresses a stranger may name: never a narrower network than the one it was reached on.
//!
//! A tracker on the internet that hands out `127.0.0.1` or `192.168.1.1` wants us to poke at machines that it
//! cannot reach itself. One rule stops it: a source may name addresses of its own [`Scope`] or wider. A tracker
//! reached on loopback may hand out loopback peers; what the user typed is trusted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches, narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// This wire: `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// This site: RFC 1918, carrier-grade NAT (RFC 6598), unique local IPv6.
    Private,
    /// Everywhere.
    Global,
}

/// Who named an address or URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedBy {
    /// The user, on the command line or through a control connection: may name anything.
    User,
    /// A torrent file or magnet link the user opened: may name anything wider than loopback, and a loopback
    /// tracker when its path begins with `/announce` or `/scrape` (a local tracker does; a local service that
    /// a hostile torrent wants to reach does not).
    Torrent,
    /// A machine reached at an address of this scope.
    Host(Scope),
}

/// The address without its IPv6 disguise: `::ffff:a.b.c.d` and the NAT64 prefix `64:ff9b::/96` are IPv4.
#[must_use]
pub fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    match v6.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => address,
    }
}

/// How far `address` reaches; `None` when nothing can be reached there (unspecified, multicast, broadcast).
#[must_use]
pub fn scope(address: IpAddr) -> Option<Scope> {
    match plain(address) {
        IpAddr::V4(v4) => scope_v4(v4),
        IpAddr::V6(v6) => scope_v6(v6),
    }
}

fn scope_v4(v4: Ipv4Addr) -> Option<Scope> {
    match v4.octets() {
        [0, ..] | [224..=255, ..] => None,
        [127, ..] => Some(Scope::Loopback),
        [169, 254, ..] => Some(Scope::LinkLocal),
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Some(Scope::Private),
        _ => Some(Scope::Global),
    }
}

fn scope_v6(v6: Ipv6Addr) -> Option<Scope> {
    let first = v6.segments()[0];
    if v6.is_unspecified() || first & 0xff00 == 0xff00 {
        None
    } else if v6.is_loopback() {
        Some(Scope::Loopback)
    } else if first & 0xffc0 == 0xfe80 {
        Some(Scope::LinkLocal)
    } else if first & 0xfe00 == 0xfc00 {
        Some(Scope::Private)
    } else {
        Some(Scope::Global)
    }
}

/// Whether `source` may name the peer address `target`.
#[must_use]
pub fn may_name(source: NamedBy, target: IpAddr) -> bool {
    let Some(target) = scope(target) else { return false };
    match source {
        NamedBy::User => true,
        NamedBy::Torrent => target > Scope::Loopback,
        NamedBy::Host(own) => target >= own,
    }
}

/// Whether an HTTP request for `path`, named by `source`, may be sent to `target`.
///
/// Ask with the *resolved* address, at every redirect again, where `source` is then the
/// [`NamedBy::Host`] of the hop that redirected.
#[must_use]
pub fn may_fetch(source: NamedBy, path: &str, target: IpAddr) -> bool {
    let tracker = path.starts_with("/announce") || path.starts_with("/scrape");
    may_name(source, target)
        || (source == NamedBy::Torrent && tracker && scope(target) == Some(Scope::Loopback))
}

/// Whether a UDP tracker named by `source` may be asked at `target`. There is no path to tell a tracker from
/// another service by, but neither is there anything a stranger could make us say to one: the packet is fixed.
#[must_use]
pub fn may_ask_udp_tracker(source: NamedBy, target: IpAddr) -> bool {
    may_name(source, target) || (source == NamedBy::Torrent && scope(target) == Some(Scope::Loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_disguise_of_loopback_is_loopback() {
        for disguise in ["127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert_eq!(scope(ip(disguise)), Some(Scope::Loopback), "{disguise}");
        }
    }

    #[test]
    fn the_ranges_of_the_registries() {
        for (address, want) in [
            ("169.254.1.1", Some(Scope::LinkLocal)),
            ("fe80::1", Some(Scope::LinkLocal)),
            ("10.1.2.3", Some(Scope::Private)),
            ("172.31.0.1", Some(Scope::Private)),
            ("172.32.0.1", Some(Scope::Global)),
            ("100.127.0.1", Some(Scope::Private)),
            ("fd00::1", Some(Scope::Private)),
            ("8.8.8.8", Some(Scope::Global)),
            ("2001:db8::1", Some(Scope::Global)),
            ("0.0.0.0", None),
            ("::", None),
            ("224.0.0.1", None),
            ("ff02::1", None),
            ("255.255.255.255", None),
        ] {
            assert_eq!(scope(ip(address)), want, "{address}");
        }
    }

    #[test]
    fn a_stranger_may_not_point_inward() {
        let internet = NamedBy::Host(Scope::Global);
        assert!(!may_name(internet, ip("127.0.0.1")));
        assert!(!may_name(internet, ip("::ffff:10.0.0.1")));
        assert!(may_name(internet, ip("1.2.3.4")));
        assert!(may_name(NamedBy::Host(Scope::Loopback), ip("127.0.0.2")));
        assert!(may_name(NamedBy::User, ip("127.0.0.1")));
        assert!(!may_name(NamedBy::User, ip("0.0.0.0")));
    }

    #[test]
    fn a_torrent_may_name_a_local_tracker_but_no_other_local_service() {
        assert!(may_fetch(NamedBy::Torrent, "/announce", ip("127.0.0.1")));
        assert!(!may_fetch(NamedBy::Torrent, "/admin/delete", ip("127.0.0.1")));
        assert!(may_fetch(NamedBy::Torrent, "/x/announce", ip("192.168.0.1")));
        assert!(!may_fetch(NamedBy::Host(Scope::Global), "/announce", ip("127.0.0.1")));
    }
}
