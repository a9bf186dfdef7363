//! Where an engine's seed comes from: the operating system.

use std::io;

use pieceful_core::rng::Seed;

/// A seed nobody can guess.
///
/// # Errors
/// When the system has no randomness to give, which on a running system does not happen.
pub fn seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(Seed(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
