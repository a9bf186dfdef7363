//! How many peers there are, in 256 bytes (BEP 33).

use core::net::IpAddr;

use sha1::{Digest as _, Sha1};

/// Bytes of a filter.
pub const BLOOM_LEN: usize = 256;

/// A set of addresses that cannot be listed, but counted and joined with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bloom(pub [u8; BLOOM_LEN]);

impl Default for Bloom {
    fn default() -> Self {
        Self([0; BLOOM_LEN])
    }
}

impl Bloom {
    /// Adds an address.
    pub fn insert(&mut self, address: IpAddr) {
        let hash = match address {
            IpAddr::V4(v4) => Sha1::digest(v4.octets()),
            IpAddr::V6(v6) => Sha1::digest(v6.octets()),
        };
        for index in [[hash[0], hash[1]], [hash[2], hash[3]]] {
            let index = usize::from(u16::from_le_bytes(index)) % (BLOOM_LEN * 8);
            self.0[index / 8] |= 1 << (index % 8);
        }
    }

    /// Adds what is in another.
    pub fn join(&mut self, other: &Self) {
        for (byte, other) in self.0.iter_mut().zip(other.0) {
            *byte |= other;
        }
    }

    /// Bits that are not set: from these follows how many addresses there are.
    #[must_use]
    pub fn zeros(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_zeros()).sum()
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// The filter that BEP 33 prints.
    const VECTOR: &str = "\
        f6c3f5eaa07ffd91bde89f777f26fb2bff37bdb8fb2bbaa2fd3ddde7bacfff75ee7ccbaefe5eedb1fbfaff67f6abff5e\
        43ddbca3fd9b9ffdf4ffd3e9dff12d1bdf59db53dbe9fa5b7ff3b8fdfcde1afb8bedd7be2f3ee71ebbbfe93bcdeefe14\
        8246c2bc5dbff7e7efdcf24fd8dc7adffd8fffdfddfff7a4bbeedf5cb95ce81fc7fcff1ff4ffffdfe5f7fdcbb7fd79b3\
        fa1fc77bfe07fff905b7b7ffc7fefeffe0b8370bb0cd3f5b7f2bd93feb4386cfdd6f7fd5bfaf2e9ebffffeecd67adbf7\
        c67f17efd5d75eba6ffeba7fff47a91eb1bfbb53e8abfb5762abe8ff237279bfefbfeef5ffc5febfdfe5adffadfee1fb\
        737ffffbfd9f6aeffeee76b6fd8f72ef";

    #[test]
    fn the_addresses_of_bep_33_make_its_filter() {
        let mut bloom = Bloom::default();
        for last in 0..=255 {
            bloom.insert(Ipv4Addr::new(192, 0, 2, last).into());
        }
        for last in 0..=0x3e7 {
            bloom.insert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into());
        }
        assert_eq!(data_encoding::HEXLOWER.encode(&bloom.0), VECTOR);
    }

    #[test]
    fn what_is_joined_holds_what_either_held() {
        let (mut one, mut two, mut both) = (Bloom::default(), Bloom::default(), Bloom::default());
        for (filter, address) in [(&mut one, [1, 2, 3, 4]), (&mut two, [5, 6, 7, 8])] {
            filter.insert(address.into());
            both.insert(address.into());
        }
        one.join(&two);
        assert_eq!(one, both);
        assert_eq!(both.zeros(), 2_044);
    }
}
