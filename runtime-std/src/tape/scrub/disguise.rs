//! Other addresses in place of the real ones, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pieceful_core::rng::Seed;
use pieceful_core::scope::{Scope, plain, scope};
use sha1::{Digest as _, Sha1};

/// A mapping of addresses to addresses that only its key undoes.
///
/// Addresses that share their first bits do so in disguise, too (as in Crypto-PAn, Xu et al. 2002), because an engine
/// looks at networks. Those that mean something only on this machine or its own network stay as they are: what
/// an engine allows depends on that.
#[derive(Clone, Debug)]
pub(super) struct Disguise {
    key: Seed,
}

impl Disguise {
    pub(super) const fn new(key: Seed) -> Self {
        Self { key }
    }

    /// The disguise of an address.
    pub(super) fn on(&self, ip: IpAddr) -> IpAddr {
        self.walk(ip, Self::hide)
    }

    /// The address behind a disguise.
    pub(super) fn off(&self, ip: IpAddr) -> IpAddr {
        self.walk(ip, Self::show)
    }

    pub(super) fn socket_on(&self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.on(address.ip()), address.port())
    }

    pub(super) fn socket_off(&self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.off(address.ip()), address.port())
    }

    /// Steps until the address is a global one again. The steps form a circle through every address of its family,
    /// so there is a way back, and it ends.
    fn walk(&self, ip: IpAddr, step: impl Fn(&Self, u128, u32) -> u128) -> IpAddr {
        if scope(ip) != Some(Scope::Global) {
            return ip;
        }
        match (ip, plain(ip)) {
            (IpAddr::V6(v6), IpAddr::V4(inside)) => {
                // IPv4 in IPv6's clothes.
                let IpAddr::V4(inside) = self.walk(inside.into(), step) else { return ip };
                let clothes = v6.to_bits() & !u128::from(u32::MAX);
                Ipv6Addr::from_bits(clothes | u128::from(inside.to_bits())).into()
            }
            (IpAddr::V4(v4), _) => {
                let mut bits = v4.to_bits().into();
                loop {
                    bits = step(self, bits, 32);
                    let there = IpAddr::from(Ipv4Addr::from_bits(bits as u32));
                    if scope(there) == Some(Scope::Global) {
                        return there;
                    }
                }
            }
            (IpAddr::V6(v6), _) => {
                let mut bits = v6.to_bits();
                loop {
                    bits = step(self, bits, 128);
                    let there = IpAddr::from(Ipv6Addr::from_bits(bits));
                    if scope(there) == Some(Scope::Global) && plain(there) == there {
                        return there;
                    }
                }
            }
        }
    }

    fn hide(&self, real: u128, len: u32) -> u128 {
        (0..len).fold(real, |hidden, at| hidden ^ self.flip(real, len, at))
    }

    fn show(&self, hidden: u128, len: u32) -> u128 {
        // Each bit depends on those before it, which are known by then.
        (0..len).fold(hidden, |real, at| real ^ self.flip(real, len, at))
    }

    /// Whether the bit at place `at`, counted from the first of `len`, is turned over: decided by the bits before.
    fn flip(&self, bits: u128, len: u32, at: u32) -> u128 {
        let before = bits.checked_shr(len - at).unwrap_or_default();
        let hash = Sha1::new().chain_update(self.key.0).chain_update([len as u8, at as u8]);
        let hash = hash.chain_update(before.to_be_bytes()).finalize();
        u128::from(hash[0] & 1) << (len - 1 - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_disguise_comes_off_again_and_keeps_how_far_an_address_reaches() {
        let disguise = Disguise::new(Seed([7; 32]));
        let mut same = 0;
        for number in 0..2_000_u32 {
            let v4 = IpAddr::from(Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b1)));
            let v6 = IpAddr::from(Ipv6Addr::from_bits(
                u128::from(number).wrapping_mul(0x2545_f491_4f6c_dd1d << 60),
            ));
            for real in [v4, v6] {
                let hidden = disguise.on(real);
                assert_eq!(disguise.off(hidden), real);
                assert_eq!(scope(hidden), scope(real), "{real} as {hidden}");
                same += u32::from(hidden == real && scope(real) == Some(Scope::Global));
            }
        }
        assert!(same < 3, "{same} addresses are their own disguise");
    }

    #[test]
    fn neighbours_stay_neighbours_and_what_is_at_home_stays_as_it_is() {
        let disguise = Disguise::new(Seed([8; 32]));
        let [one, other] = ["2a02:1:2:3::4", "2a02:1:2:3::5"].map(|text| disguise.on(ip(text)));
        let network = |ip: IpAddr| if let IpAddr::V6(v6) = ip { v6.to_bits() >> 64 } else { 0 };
        assert_eq!(network(one), network(other));
        assert_ne!(one, other);
        for home in
            ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.3.4", "::1", "fd00::2", "fe80::3", "0.0.0.0"]
        {
            assert_eq!(disguise.on(ip(home)), ip(home));
        }
        let mapped = disguise.on(ip("::ffff:11.2.3.4"));
        assert_eq!(plain(mapped), disguise.on(ip("11.2.3.4")));
    }
}
