//! Local discovery: neighbours find each other without anybody's help, and only where they may.

use std::time::Duration;

use pieceful_core::engine::Source;
use pieceful_tests::{Data, World};

/// Alice has everything and Bob nothing, both in one private network, and neither knows of the other.
fn neighbours(seed: u64, data: Data, bob: &str, lsd: bool) -> World {
    let mut world = World::new(seed).data(data).seed("alice").with(|spec| {
        (spec.ip, spec.config.lsd) = (Some([192, 168, 0, 1].into()), true);
    });
    world.add_node("bob", |spec| {
        spec.introduced = false;
        (spec.ip, spec.config.lsd) = (Some(bob.parse().expect("an address")), lsd);
    });
    world
}

fn data(seed: u64) -> Data {
    Data::single(seed, 500_000, 64 << 10)
}

#[test]
fn neighbours_find_each_other_within_seconds() {
    let mut world = neighbours(720, data(720), "192.168.0.2", true);
    world.run_until(|w| w.complete("bob"), Duration::from_secs(10));
    assert_eq!(world.status("bob").known_from.of(Source::User), 0);
}

#[test]
fn who_comes_later_is_found_at_once_all_the_same() {
    let mut world = neighbours(721, data(721), "192.168.0.2", true);
    world.run_until(|w| w.complete("bob"), Duration::from_secs(10));
    world.run_for(Duration::from_secs(100));
    world.add_node("carol", |spec| {
        spec.introduced = false;
        (spec.ip, spec.config.lsd) = (Some("192.168.0.3".parse().unwrap()), true);
    });
    world.run_until(|w| w.complete("carol"), Duration::from_secs(10));
}

#[test]
fn nobody_is_found_who_does_not_want_it_or_is_further_away() {
    for (seed, bob, lsd) in [(722, "192.168.0.2", false), (723, "93.184.1.1", true)] {
        let mut world = neighbours(seed, data(seed), bob, lsd);
        world.run_for(Duration::from_secs(600));
        assert_eq!(world.status("bob").known_peers, 0, "{bob}");
        assert_eq!(world.status("alice").known_peers, 0, "{bob}");
    }
}
