//! Nodes behind routers: they call others, and nobody can call them.

use std::time::Duration;

use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Fault, Link, Nat, World};

const HOUR: Duration = Duration::from_secs(3600);
const TRACKER: &str = "udp://tracker.sim:80";
const TIMEOUT: Duration = Duration::from_secs(30);
const KINDS: [Nat; 4] = [
    Nat::FullCone { timeout: TIMEOUT },
    Nat::AddressRestricted { timeout: TIMEOUT },
    Nat::PortRestricted { timeout: TIMEOUT },
    Nat::Symmetric { timeout: TIMEOUT },
];

/// Alice has it all, Bob wants it, and both ask the same tracker by datagrams.
fn strangers(seed: u64, alice: Nat, bob: Nat) -> World {
    let url = format!("{TRACKER}/announce");
    let data = Data::with_trackers(seed, &[("data.bin", 300_000)], 32 << 10, &[&url]);
    let mut world = World::new(seed).data(data).tracker(TRACKER).seed("alice");
    world = world.with(|spec| (spec.nat, spec.introduced) = (alice, false)).leecher("bob");
    world.with(|spec| {
        (spec.nat, spec.introduced) = (bob, false);
        spec.starts = Duration::from_secs(2);
    })
}

#[test]
fn who_is_behind_a_router_hears_trackers_and_calls_who_is_not() {
    for kind in KINDS {
        let mut world = strangers(1, Nat::Open, kind);
        world.run_until(|w| w.complete("bob"), Duration::from_secs(30));
        assert_eq!(world.tracker_at(0).announces[1].from, world.address("bob"));
    }
}

#[test]
fn a_seed_behind_a_router_serves_those_that_it_calls() {
    for kind in KINDS {
        let mut world = strangers(2, kind, Nat::Open);
        // The seed has no need of anybody: it learns of Bob at its next announce.
        world.tracker_mut(0).interval = Duration::from_secs(120);
        world.run_until(|w| w.complete("bob"), HOUR);
        assert!(world.closed("bob", "alice").iter().all(|reason| *reason != CloseReason::Banned));
    }
}

#[test]
fn two_behind_routers_do_not_meet_and_try_ever_more_rarely() {
    let mut world = strangers(3, KINDS[2], KINDS[3]);
    world.run_for(HOUR);
    assert!(!world.complete("bob"));
    let tries = world.closed("bob", "alice");
    assert!(tries.iter().all(|reason| *reason == CloseReason::GreetingTimedOut), "{tries:?}");
    assert!((2..=15).contains(&tries.len()), "{} calls in an hour", tries.len());
}

#[test]
fn a_router_that_forgets_costs_less_than_a_minute() {
    let link = Link::symmetric(20_000, Duration::from_millis(20));
    let mut world = strangers(4, Nat::Open, KINDS[2]);
    world.begin_with("alice", |spec| spec.link = link);
    world.run_for(Duration::from_secs(8));
    let before = world.status("bob").traffic.payload_down;
    assert!(before > 0 && !world.complete("bob"));
    world.inflict("bob", &Fault::NatForgets);
    world.run_for(Duration::from_secs(60));
    assert!(world.status("bob").traffic.payload_down > before + 50_000);
    world.run_until(|w| w.complete("bob"), HOUR);
}
