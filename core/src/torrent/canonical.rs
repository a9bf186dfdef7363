//! Canonical peer priority (BEP 40): which of two strangers to have, decided alike on both sides.
//!
//! Where everybody keeps whom they happen to know, a swarm has no place for newcomers, and whoever dials most
//! often takes every place. A number that both ends of a connection arrive at, and that nobody can choose, gives
//! each peer another set of favourites. It decides among equals only: what a peer gives counts for more.

use core::net::{IpAddr, SocketAddr};

use crate::scope::{self, Scope};

/// The priority of a connection between `ours` and `theirs`; higher is better. `None` across address families.
#[must_use]
pub fn priority(ours: SocketAddr, theirs: SocketAddr) -> Option<u32> {
    match (scope::plain(ours.ip()), scope::plain(theirs.ip())) {
        (a, b) if a == b => {
            let (low, high) = (ours.port().min(theirs.port()), ours.port().max(theirs.port()));
            Some(crc32c(low.to_be_bytes().into_iter().chain(high.to_be_bytes())))
        }
        (IpAddr::V4(a), IpAddr::V4(b)) => Some(of_masked(a.octets(), b.octets(), 2)),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some(of_masked(a.octets(), b.octets(), 6)),
        _ => None,
    }
}

/// The first `whole` bytes count, and of each further one every other bit; where those agree one byte more counts,
/// and so on. Neighbours share a mask then, so an owner of a network has few numbers to choose from.
fn of_masked<const N: usize>(a: [u8; N], b: [u8; N], whole: usize) -> u32 {
    let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let whole = if common < whole { whole } else { common + 1 };
    let masked = |mut address: [u8; N]| {
        address.iter_mut().skip(whole).for_each(|byte| *byte &= 0x55);
        address
    };
    let (a, b) = (masked(a), masked(b));
    let (low, high) = (a.min(b), a.max(b));
    crc32c(low.into_iter().chain(high))
}

/// CRC-32C (Castagnoli), bit by bit: of a few bytes, a few times a connection.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// What our address looks like from outside, as most peers see it (`yourip`, BEP 10).
///
/// A peer may lie, so the answer is what a majority says if there is one, kept as one candidate and a count for
/// each family. A wrong one makes our favourites others than the peers would choose, and nothing worse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outside {
    v4: Candidate,
    v6: Candidate,
}

#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    ip: Option<IpAddr>,
    votes: u32,
}

impl Outside {
    /// A peer sees us at `ip`.
    pub fn seen_as(&mut self, ip: IpAddr) {
        let ip = scope::plain(ip);
        if scope::scope(ip) != Some(Scope::Global) {
            return; // it is in our own network, and others are not
        }
        let candidate = if ip.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        if candidate.ip == Some(ip) {
            candidate.votes = (candidate.votes + 1).min(VOTES_MAX);
        } else if candidate.votes > 0 {
            candidate.votes -= 1;
        } else {
            *candidate = Candidate { ip: Some(ip), votes: 1 };
        }
    }

    /// Whether we are known to be at `ip`.
    #[must_use]
    pub fn is_at(&self, ip: IpAddr) -> bool {
        let ip = scope::plain(ip);
        self.v4.ip == Some(ip) || self.v6.ip == Some(ip)
    }

    /// The priority of a peer for us, who listen at `port`; 0 as long as we do not know where we are.
    #[must_use]
    pub fn priority(&self, port: u16, theirs: SocketAddr) -> u32 {
        let candidate = if scope::plain(theirs.ip()).is_ipv4() { self.v4 } else { self.v6 };
        candidate.ip.and_then(|ip| priority(SocketAddr::new(ip, port), theirs)).unwrap_or(0)
    }
}

/// So many votes suffice; an address that changes is noticed after as many.
const VOTES_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn between(a: &str, b: &str) -> Option<u32> {
        priority(a.parse().unwrap(), b.parse().unwrap())
    }

    #[test]
    fn the_examples_of_bep_40() {
        assert_eq!(between("123.213.32.10:1", "98.76.54.32:2"), Some(0xec2d_7224));
        assert_eq!(between("123.213.32.10:1", "123.213.32.234:2"), Some(0x9956_8189));
    }

    #[test]
    fn both_sides_arrive_at_the_same_number() {
        for (a, b) in [
            ("1.2.3.4:5", "1.2.9.8:7"),
            ("1.2.3.4:5", "1.2.3.4:7"),
            ("[2001:db8::1]:5", "[2001:db8:0:ff00::1]:7"),
            ("[::ffff:1.2.3.4]:5", "9.2.9.8:7"),
        ] {
            assert_eq!(between(a, b), between(b, a));
            assert!(between(a, b).is_some());
        }
        assert_eq!(between("1.2.3.4:5", "[2001:db8::1]:5"), None);
    }

    #[test]
    fn masked_bits_change_nothing_until_the_network_is_the_same() {
        assert_eq!(between("1.2.3.4:5", "7.2.0.0:1"), between("1.2.3.4:5", "7.2.170.170:1"));
        assert_ne!(between("1.2.3.4:5", "1.2.0.0:1"), between("1.2.3.4:5", "1.2.170.0:1"));
        assert_eq!(between("1.2.3.4:5", "1.2.9.0:1"), between("1.2.3.4:5", "1.2.9.170:1"));
        assert_ne!(between("1.2.3.4:5", "1.2.3.0:1"), between("1.2.3.4:5", "1.2.3.170:1"));
        let (other, same) = ("[2001:db8:1:aaaa::]:1", "[2001:db8::aaaa:0:0:0:0]:1");
        assert_eq!(between("[2001:db8::1]:5", other), between("[2001:db8::1]:5", "[2001:db8:1::]:1"));
        assert_ne!(between("[2001:db8::1]:5", same), between("[2001:db8::1]:5", "[2001:db8::]:1"));
    }

    #[test]
    fn few_liars_do_not_move_us() {
        let (right, wrong) = ("80.1.2.3".parse().unwrap(), "90.1.2.3".parse().unwrap());
        let mut outside = Outside::default();
        let theirs = "70.1.2.3:4".parse().unwrap();
        assert_eq!(outside.priority(1, theirs), 0);
        for n in 0..100 {
            outside.seen_as(if n % 3 == 0 { wrong } else { right });
            outside.seen_as("192.168.1.1".parse().unwrap());
        }
        assert_eq!(outside.priority(1, theirs), priority("80.1.2.3:1".parse().unwrap(), theirs).unwrap());
    }
}
