//! Randomness as an input: one seed, forked by label into independent streams.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};
use sha1::Digest as _;

/// 256 bits from which every random choice of an engine follows.
///
/// A driver takes it from the operating system; a test chooses it and gets the same run every time.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seed(pub [u8; 32]);

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(..)") // peer ids and DHT tokens follow from it: keep it out of logs
    }
}

/// A stream of random numbers (ChaCha with 12 rounds: fit for tokens and keys, not only for shuffling).
#[derive(Clone)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The stream that follows from `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self(ChaCha12Rng::from_seed(seed.0))
    }

    /// An independent stream for the component called `label`.
    ///
    /// One component's extra draw then never shifts what another draws, so a simulation stays comparable when
    /// a single policy changes.
    #[must_use]
    pub fn fork(&mut self, label: &str) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        let name = sha2::Sha256::digest(label.as_bytes());
        for (byte, mask) in seed.iter_mut().zip(name.iter()) {
            *byte ^= mask;
        }
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, each equally likely; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 {
            return 0;
        }
        // Lemire's method: the high half of a 64-bit product, drawn again when it would be biased.
        loop {
            let product = u64::from(self.u32()) * u64::from(bound);
            if product as u32 >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

impl core::fmt::Debug for Rng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Rng(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_labels_differ() {
        let mut one = Rng::new(Seed([1; 32]));
        let mut two = Rng::new(Seed([1; 32]));
        let (mut dht, mut picker) = (one.fork("dht"), two.fork("picker"));
        assert_eq!(one.u64(), two.u64());
        assert_ne!(dht.u64(), picker.u64());
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut rng = Rng::new(Seed([2; 32]));
        let mut seen = [false; 7];
        for _ in 0..500 {
            seen[rng.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut rng = Rng::new(Seed([3; 32]));
        let mut items: Vec<u32> = (0..100).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
