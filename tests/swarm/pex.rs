//! Peer exchange: those who know somebody get to know the others, and nobody hears what is none of his business.

use std::net::IpAddr;
use std::time::Duration;

use pieceful_core::engine::Source;
use pieceful_tests::World;
use pieceful_tests::odd::{Flood, Flooder, Odd};

const MINUTES: Duration = Duration::from_secs(600);

/// Carol has everything; Bob knows her, and nobody else knows anybody but Bob.
fn chain(seed: u64, pex: bool) -> World {
    let mut world = World::new(seed)
        .seed("carol")
        .with(|spec| spec.config.pex = pex)
        .leecher("bob")
        .with(|spec| (spec.config.pex, spec.link.down) = (pex, 20 << 10));
    let bob = world.address("bob");
    world.add_node("alice", |spec| {
        spec.introduced = false;
        spec.peers = vec![bob];
        spec.config.pex = pex;
    });
    world.run_for(Duration::from_millis(100));
    world
}

fn sources(world: &World, name: &str, of: &str) -> Vec<Source> {
    let ip = world.address(of).ip();
    world.peers(name).iter().filter(|peer| peer.address.ip() == ip).map(|peer| peer.source).collect()
}

#[test]
fn a_friend_of_a_friend_is_found_within_seconds() {
    let mut world = chain(700, true);
    world.run_until(|w| !sources(w, "alice", "carol").is_empty(), Duration::from_secs(10));
    // Either heard of the other from Bob, and was the first to dial.
    let heard = ["alice", "carol"].map(|name| world.status(name).known_from.of(Source::Pex));
    assert!(heard.contains(&1), "{heard:?}");
    assert_eq!(sources(&world, "alice", "bob"), [Source::User]);
    world.run_until(|w| w.complete("alice"), MINUTES);
    assert!(!world.complete("bob"), "Alice did not have it from him, who is far slower");
}

#[test]
fn without_peer_exchange_nobody_is_found_that_way() {
    let mut world = chain(701, false);
    world.run_for(Duration::from_secs(90));
    assert_eq!(world.status("alice").known_peers, 1);
}

#[test]
fn whoever_comes_later_is_named_within_a_minute_or_two() {
    let mut world = World::new(703).leecher("bob");
    let bob = world.address("bob");
    world.add_node("alice", |spec| (spec.introduced, spec.peers) = (false, vec![bob]));
    world.run_for(Duration::from_secs(30));
    world.add_node("carol", |spec| (spec.introduced, spec.peers) = (false, vec![bob]));
    world.run_until(|w| !sources(w, "alice", "carol").is_empty(), Duration::from_secs(10));
    world.run_for(Duration::from_secs(1));
    world.add_node("dave", |spec| (spec.introduced, spec.peers) = (false, vec![bob]));
    world.run_until(|w| !sources(w, "alice", "dave").is_empty(), Duration::from_secs(70));
}

#[test]
fn a_peer_of_the_internet_hears_of_nobody_in_a_private_network() {
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let mut world = World::new(704).leecher("bob").with(|spec| spec.ip = ip("10.0.0.1"));
    let bob = world.address("bob");
    for (name, at) in
        [("near", "10.0.0.2"), ("next", "10.0.0.3"), ("far", "93.184.1.1"), ("off", "151.101.1.1")]
    {
        world.add_node(name, |spec| {
            (spec.introduced, spec.peers, spec.ip) = (false, vec![bob], ip(at));
            spec.config.limits.torrent_connections_max = 1; // Bob, so that whom they hear of stays hearsay
        });
    }
    world.run_for(Duration::from_secs(5));
    let by_pex = |name: &str| world.status(name).known_from.of(Source::Pex);
    assert_eq!((by_pex("near"), by_pex("next")), (3, 3), "all the others");
    assert_eq!((by_pex("far"), by_pex("off")), (1, 1), "each other");
}

#[test]
fn a_flood_of_addresses_ends_by_name_and_slows_nobody_down() {
    let took = |floods: bool| {
        let mut world = World::new(705).seed("alice").with(|spec| spec.link.up = 200 << 10);
        if floods {
            let odd = Odd::Flooder(Flooder::of(Flood::Addresses));
            world = world.odd("odd", odd);
        }
        world = world.leecher("bob");
        world.run_until(|w| w.complete("bob"), MINUTES);
        (world.elapsed(), world)
    };
    let (alone, _) = took(false);
    let (beside, world) = took(true);
    assert!(beside < alone * 11 / 10, "{beside:?} in place of {alone:?}");
    let reasons: Vec<String> = world.closed("bob", "odd").iter().map(ToString::to_string).collect();
    assert!(reasons.iter().any(|why| why == "flooded with peer exchange"), "{reasons:?}");
    let known = world.status("bob").known_from;
    assert!(known.of(Source::Pex) <= 100 * reasons.len() as u32, "{known:?}");
}
