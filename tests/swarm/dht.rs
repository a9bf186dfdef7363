//! A DHT as a whole: peers that some announce are found by others, whoever else is there.

use std::time::Duration;

use pieceful_core::engine::DhtConfig;
use pieceful_tests::dht::{Figures, Profile, measure};
use pieceful_tests::{Data, Fault, Names, Spec, World};

const AGE: Duration = Duration::from_secs(20 * 60);

/// Few, so that it takes seconds; `sim --dht 10000` is for thousands.
const NODES: Profile = Profile { nodes: 200, loss: 5, churn: 20, natted: 50, hostile: 0 };

fn found_quickly(figures: Figures, least_per_mille: usize) {
    assert!(figures.per_mille() >= least_per_mille, "{figures}");
    assert!(figures.median_time < Duration::from_secs(3), "{figures}");
    assert!(figures.median_asked <= 40, "{figures}");
    assert!(figures.idle_bytes < 1_000, "{figures}");
}

#[test]
fn peers_are_found_though_half_of_the_nodes_cannot_be_reached_and_nodes_come_and_go() {
    found_quickly(measure(1, NODES, AGE, 200), 990);
}

#[test]
fn peers_are_found_though_a_fifth_of_the_nodes_lie() {
    found_quickly(measure(2, Profile { hostile: 20, ..NODES }, AGE, 200), 950);
}

/// Somebody everyone begins at, who has no torrent; Alice has it all and Bob wants it, and neither knows the other.
fn strangers(seed: u64, data: Data) -> World {
    let mut world = World::new(seed).data(data).node("router", |spec| spec.idle = true).with(|spec| {
        spec.config.dht = Some(DhtConfig::default());
    });
    let router = world.address("router");
    for name in ["alice", "bob"] {
        world = if name == "alice" { world.seed(name) } else { world.leecher(name) }.with(|spec| {
            let bootstrap = vec![(router.ip().to_string(), router.port())];
            spec.config.dht = Some(DhtConfig { bootstrap, ..DhtConfig::default() });
            spec.introduced = false;
        });
    }
    world
}

fn public(seed: u64) -> Data {
    Data::random(seed, &[("data.bin", 300_000)], 32 << 10)
}

#[test]
fn strangers_meet_through_the_dht_alone() {
    let mut world = strangers(70, public(70));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(300));
}

#[test]
fn the_dht_never_hears_of_a_torrent_that_is_paused() {
    let mut world = strangers(72, public(72));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.engine("alice").dht().unwrap().announced, 1);
    world.pause("alice");
    assert_eq!(world.engine("alice").dht().unwrap().announced, 0);
    world.resume("alice");
    assert_eq!(world.engine("alice").dht().unwrap().announced, 1);
}

#[test]
fn peers_tell_each_other_where_their_nodes_are() {
    let node = |spec: &mut Spec| spec.config.dht = Some(DhtConfig::default());
    let mut world = World::new(73).data(public(73)).seed("alice").with(node).leecher("bob").with(node);
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
    world.run_for(Duration::from_secs(10));
    for name in ["alice", "bob"] {
        assert_eq!(world.engine(name).dht().unwrap().good(), 1, "{name}");
    }
}

#[test]
fn what_was_known_is_enough_to_begin_with_after_a_restart() {
    let mut world = strangers(74, public(74));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(3_600));
    world.shutdown("bob");
    world.run_for(Duration::from_secs(10));
    world.begin_with("bob", |spec| spec.config.dht = Some(DhtConfig::default()));
    world.restart("bob");
    world.run_for(Duration::from_secs(60));
    assert!(world.engine("bob").dht().unwrap().good() > 0);
}

#[test]
fn a_name_to_begin_at_is_looked_up_and_again_when_nobody_was_there() {
    let mut world = World::new(75).data(public(75)).node("router", |spec| {
        spec.idle = true;
        spec.config.dht = Some(DhtConfig::default());
    });
    let router = world.address("router");
    world = world.host("router.example", &[router.ip()]).seed("alice").with(|spec| {
        let bootstrap = vec![("router.example".to_owned(), router.port())];
        spec.config.dht = Some(DhtConfig { bootstrap, ..DhtConfig::default() });
    });
    world.inflict("alice", &Fault::Names { how: Names::Unknown, lasts: Duration::from_secs(30) });
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.engine("alice").dht().unwrap().good(), 0);
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.engine("alice").dht().unwrap().good(), 1);
}
