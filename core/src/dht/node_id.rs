//! A node's place in the DHT: 160 bits, how far two of them are apart (BEP 5), and which an address may have (BEP 42).

use core::fmt;
use core::net::IpAddr;

use data_encoding::HEXLOWER;

use crate::rng::Rng;
use crate::scope::{self, Scope};

/// The name of a node, from the same space as info-hashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

/// How far two ids are apart: their exclusive or, read as a number (BEP 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 20]);

impl NodeId {
    /// Bits in an id.
    pub const BITS: usize = 160;

    /// Any id.
    #[must_use]
    pub fn random(rng: &mut Rng) -> Self {
        let mut id = [0; 20];
        rng.fill(&mut id);
        Self(id)
    }

    /// An id that a node at `address` may have (BEP 42): of its 2^160 places it has one in eight of 2^21 left.
    #[must_use]
    pub fn for_address(address: IpAddr, rng: &mut Rng) -> Self {
        let mut id = Self::random(rng).0;
        let [first, second, third, _] = prefix(address, id[19]);
        id[0] = first;
        id[1] = second;
        id[2] = third & 0xf8 | id[2] & 0x07;
        Self(id)
    }

    /// Whether a node at `address` may have this id (BEP 42). Addresses that the internet does not know may have any.
    #[must_use]
    pub fn fits(&self, address: IpAddr) -> bool {
        if scope::scope(address) != Some(Scope::Global) {
            return true;
        }
        let [first, second, third, _] = prefix(address, self.0[19]);
        self.0[0] == first && self.0[1] == second && self.0[2] & 0xf8 == third & 0xf8
    }

    /// How far it is from here to `other`.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut distance = self.0;
        for (byte, other) in distance.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        Distance(distance)
    }

    /// How many bits are the same, counted from the front.
    #[must_use]
    pub fn shared_bits(&self, other: &Self) -> usize {
        let mut shared = 0;
        for byte in self.distance(other).0 {
            shared += byte.leading_zeros() as usize;
            if byte != 0 {
                break;
            }
        }
        shared
    }

    /// Any id that shares exactly `shared` bits with this one, or at least as many when `and_more` is set.
    #[must_use]
    pub fn random_near(&self, shared: usize, and_more: bool, rng: &mut Rng) -> Self {
        let mut id = Self::random(rng).0;
        for bit in 0..Self::BITS.min(shared + usize::from(!and_more)) {
            let mask = 0x80_u8 >> (bit % 8);
            let own = self.0[bit / 8] & mask;
            let want = if bit == shared { own ^ mask } else { own };
            id[bit / 8] = id[bit / 8] & !mask | want;
        }
        Self(id)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// What the first 21 bits of an id at `address` have to be, where its last byte is `last` (BEP 42).
fn prefix(address: IpAddr, last: u8) -> [u8; 4] {
    const MASK_V4: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
    const MASK_V6: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];

    let mut masked = [0; 8];
    let used = match scope::plain(address) {
        IpAddr::V4(v4) => mask(&mut masked, &v4.octets(), &MASK_V4),
        IpAddr::V6(v6) => mask(&mut masked, &v6.octets(), &MASK_V6),
    };
    masked[0] |= (last & 0x07) << 5;
    crc32c(&masked[..used]).to_be_bytes()
}

fn mask(out: &mut [u8; 8], octets: &[u8], mask: &[u8]) -> usize {
    for ((out, octet), mask) in out.iter_mut().zip(octets).zip(mask) {
        *out = octet & mask;
    }
    mask.len()
}

/// CRC-32C (Castagnoli), bit by bit: it is taken of eight bytes at most.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    fn id(hex: &str) -> NodeId {
        NodeId(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
    }

    #[test]
    fn the_ids_of_bep_42_fit_their_addresses_and_no_others() {
        let vectors = [
            ("124.31.75.21", "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
            ("21.75.31.124", "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
            ("65.23.51.170", "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
            ("84.124.73.14", "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
            ("43.213.53.83", "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
        ];
        for (address, hex) in vectors {
            for (other, _) in vectors {
                let fits = id(hex).fits(other.parse().unwrap());
                assert_eq!(fits, address == other, "{hex} at {other}");
            }
        }
    }

    #[test]
    fn only_the_first_21_bits_are_bound() {
        let mut free = id("e56f6cbf5b7c4be0237986d5243b87aa6d51305a");
        free.0[2] ^= 0x07;
        assert!(free.fits("43.213.53.83".parse().unwrap()));
        free.0[2] ^= 0x08;
        assert!(!free.fits("43.213.53.83".parse().unwrap()));
    }

    #[test]
    fn an_id_made_for_an_address_fits_it_and_local_addresses_take_any() {
        let mut rng = Rng::new(Seed([1; 32]));
        for address in ["8.8.4.4", "2001:db8::1:2", "2600:1234:5678:9abc::1"] {
            let address = address.parse().unwrap();
            assert!(NodeId::for_address(address, &mut rng).fits(address));
            assert!(!NodeId([0x55; 20]).fits(address));
        }
        assert!(NodeId([0x55; 20]).fits("127.0.0.1".parse().unwrap()));
        assert!(NodeId([0x55; 20]).fits("192.168.3.4".parse().unwrap()));
    }

    #[test]
    fn distance_is_exclusive_or() {
        let (zero, mut near, mut far) = (NodeId([0; 20]), NodeId([0; 20]), NodeId([0; 20]));
        near.0[19] = 200;
        far.0[18] = 1;
        assert!(zero.distance(&near) < zero.distance(&far));
        assert_eq!((zero.shared_bits(&near), zero.shared_bits(&far)), (152, 151));
        assert_eq!(zero.shared_bits(&zero), NodeId::BITS);
    }

    #[test]
    fn a_random_id_near_another_shares_as_many_bits_as_asked_for() {
        let mut rng = Rng::new(Seed([2; 32]));
        let own = NodeId::random(&mut rng);
        for shared in [0, 1, 7, 8, 20, 159] {
            assert_eq!(own.random_near(shared, false, &mut rng).shared_bits(&own), shared);
            assert!(own.random_near(shared, true, &mut rng).shared_bits(&own) >= shared);
        }
        assert_eq!(own.random_near(160, true, &mut rng), own);
    }
}
