//! Which pieces a choked peer may have all the same (BEP 6).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use sha1::{Digest as _, Sha1};

use crate::id::PieceIndex;

/// The allowed-fast set of the peer at `ip`: `k` of `pieces` pieces, in the order BEP 6 finds them.
///
/// Both sides can compute it, so a peer gains nothing by reconnecting. All pieces when there are no more than
/// `k`; never more than [`ALLOWED_FAST_MAX`].
#[must_use]
pub fn allowed_fast(ip: Ipv4Addr, info_hash: &[u8; 20], pieces: u32, k: u32) -> Vec<PieceIndex> {
    let k = k.min(ALLOWED_FAST_MAX);
    if pieces <= k {
        return (0..pieces).map(PieceIndex).collect();
    }
    let [a, b, c, _] = ip.octets();
    let mut hash: [u8; 20] = Sha1::new().chain_update([a, b, c, 0]).chain_update(info_hash).finalize().into();
    let mut set = Vec::with_capacity(k as usize);
    for _ in 0..ROUNDS_MAX {
        for word in hash.as_chunks().0 {
            if set.len() == k as usize {
                return set;
            }
            let piece = PieceIndex(u32::from_be_bytes(*word) % pieces);
            if !set.contains(&piece) {
                set.push(piece);
            }
        }
        hash = Sha1::digest(hash).into();
    }
    set
}

/// The largest set that is worth it: it only has to get a new peer started.
pub const ALLOWED_FAST_MAX: u32 = 32;

/// Five draws each: twice what the hardest case, 32 of 33 pieces, is expected to take is 60 rounds. A set that
/// is still short then is short.
const ROUNDS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pieces: u32, k: u32) -> Vec<u32> {
        let set = allowed_fast(Ipv4Addr::new(80, 4, 4, 200), &[0xaa; 20], pieces, k);
        set.into_iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn the_set_is_the_one_bep_6_prints() {
        assert_eq!(set(1313, 7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(set(1313, 9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn peers_of_one_network_get_the_same_set() {
        let neighbour = allowed_fast(Ipv4Addr::new(80, 4, 4, 1), &[0xaa; 20], 1313, 7);
        assert_eq!(neighbour[0], PieceIndex(1059));
    }

    #[test]
    fn small_torrents_end_with_every_piece_at_most_once() {
        assert_eq!(set(0, 7), []);
        assert_eq!(set(3, 7), [0, 1, 2]);
        assert_eq!(set(1313, 0), []);
        for pieces in 1..40 {
            let mut found = set(pieces, u32::MAX);
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len() as u32, pieces.min(ALLOWED_FAST_MAX));
        }
    }
}
