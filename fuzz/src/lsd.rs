//! Whatever is announced on the local network stays within its limits, can be said again, and leads to nobody but its
//! sender.

use pieceful_core::cx::Cx;
use pieceful_core::lsd::{Action, Announcement, GROUPS, HASHES_MAX, Lsd};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let Some(heard) = Announcement::parse(data) else { return };
    assert!((1..=HASHES_MAX).contains(&heard.hashes.len()) && heard.port > 0);
    for group in GROUPS {
        let again = heard.encode(group);
        assert!(again.len() < 1_400, "{}", again.len());
        assert_eq!(Announcement::parse(&again).as_ref(), Some(&heard), "{}", again.escape_ascii());
    }
    let (mut rng, mut out) = (Rng::new(Seed([1; 32])), Vec::new());
    let mut lsd = Lsd::new(6881, &mut rng);
    let known = heard.hashes[heard.hashes.len() / 2];
    lsd.announce(known, Instant::ZERO);
    let from = "192.168.0.9:6771".parse().expect("an address");
    lsd.receive(from, data, &mut Cx { now: Instant::ZERO, rng: &mut rng, out: &mut out });
    let [Action::Found { info_hash, peer }] = out[..] else { panic!("{out:?} for one torrent that is here") };
    assert_eq!((info_hash, peer.ip(), peer.port()), (known, from.ip(), heard.port));
}
