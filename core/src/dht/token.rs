//! Who may announce what: whoever was told so within the last minutes at the same address (BEP 5).

use core::net::IpAddr;
use core::time::Duration;

use sha1::{Digest as _, Sha1};

use crate::rng::Rng;
use crate::time::Instant;

/// Bytes of a token we give.
pub(super) const TOKEN_LEN: usize = 8;

/// A token is good for this long at least, and for twice as long at most.
const EPOCH: Duration = Duration::from_secs(5 * 60);

/// Gives tokens and knows them again, without remembering one.
///
/// A token is a hash over a secret, the number of the five minutes it was given in, the address and the torrent.
#[derive(Clone)]
pub(super) struct Tokens([u8; 32]);

impl Tokens {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        Self(secret)
    }

    pub(super) fn give(&self, to: IpAddr, info_hash: &[u8; 20], now: Instant) -> [u8; TOKEN_LEN] {
        self.of(epoch(now), to, info_hash)
    }

    pub(super) fn is_good(&self, token: &[u8], from: IpAddr, info_hash: &[u8; 20], now: Instant) -> bool {
        let epoch = epoch(now);
        [Some(epoch), epoch.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|epoch| self.of(epoch, from, info_hash) == token)
    }

    fn of(&self, epoch: u64, address: IpAddr, info_hash: &[u8; 20]) -> [u8; TOKEN_LEN] {
        let mut hash = Sha1::new();
        hash.update(self.0);
        hash.update(epoch.to_be_bytes());
        match address {
            IpAddr::V4(v4) => hash.update(v4.octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
        hash.update(info_hash);
        // The secret at the end, too: else whoever sees a token could go on hashing where it ends.
        hash.update(self.0);
        let mut token = [0; TOKEN_LEN];
        token.copy_from_slice(&hash.finalize()[..TOKEN_LEN]);
        token
    }
}

impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

const fn epoch(now: Instant) -> u64 {
    now.as_micros() / EPOCH.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn a_token_is_good_for_its_address_and_torrent_for_five_to_ten_minutes() {
        let tokens = Tokens::new(&mut Rng::new(Seed([1; 32])));
        let at = |seconds: u64| Instant::from_micros(1_000_000 * seconds);
        let (own, other) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([1, 2, 3, 5]));
        let token = tokens.give(own, &[7; 20], at(1_000));
        assert!(tokens.is_good(&token, own, &[7; 20], at(1_300)));
        assert!(!tokens.is_good(&token, own, &[7; 20], at(1_600)));
        assert!(!tokens.is_good(&token, other, &[7; 20], at(1_000)));
        assert!(!tokens.is_good(&token, own, &[8; 20], at(1_000)));
        assert!(!tokens.is_good(&token[1..], own, &[7; 20], at(1_000)));
        let elsewhere = Tokens::new(&mut Rng::new(Seed([2; 32])));
        assert!(!elsewhere.is_good(&token, own, &[7; 20], at(1_000)));
    }
}
