//! Faults as values: what lasts ends by itself, or when everything heals.

use std::time::Duration;

use pieceful_core::engine::Event;
use pieceful_tests::{Fault, World};

const LONG: Duration = Duration::from_secs(3600);

fn swarm(seed: u64) -> World {
    World::new(seed).seed("alice").leecher("bob")
}

#[test]
fn a_machine_that_is_off_comes_back_by_itself() {
    let mut world = swarm(1);
    world.run_for(Duration::from_millis(300));
    world.inflict("bob", &Fault::Off { lasts: Duration::from_secs(60) });
    assert!(!world.is_up("bob"));
    world.run_for(Duration::from_secs(59));
    assert!(!world.is_up("bob"), "it is not time yet");
    world.run_until(|w| w.complete("bob"), LONG);
}

#[test]
fn a_pause_ends_by_itself() {
    let mut world = swarm(2);
    world.run_for(Duration::from_millis(300));
    world.inflict("bob", &Fault::Paused { lasts: Duration::from_secs(60) });
    world.run_for(Duration::from_secs(59));
    assert!(!world.complete("bob"), "a paused torrent finished");
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
}

#[test]
fn a_disk_that_was_full_has_room_again_once_all_heals() {
    let mut world = swarm(3);
    world.inflict("bob", &Fault::DiskFull { capacity: 200_000, lasts: LONG });
    world.run_for(Duration::from_secs(60));
    assert!(world.saw("bob", |event| matches!(event, Event::Failed { .. })), "nothing went wrong");
    world.heal();
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
}

#[test]
fn of_two_faults_of_a_kind_the_younger_counts_and_the_older_comes_back_after_it() {
    let mut world = swarm(4);
    world.inflict("bob", &Fault::DiskFails { of_thousand: 1000, lasts: LONG });
    world.inflict("bob", &Fault::DiskFails { of_thousand: 0, lasts: Duration::from_millis(200) });
    world.run_for(Duration::from_millis(200));
    assert!(!world.saw("bob", |event| matches!(event, Event::Failed { .. })), "it failed too early");
    world.run_for(Duration::from_secs(60));
    assert!(world.saw("bob", |event| matches!(event, Event::Failed { .. })), "the older one is forgotten");
    world.heal();
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
}

#[test]
fn a_machine_that_never_ran_cannot_be_restarted() {
    let mut world = swarm(5).leecher("carol").with(|spec| spec.starts = Duration::from_secs(10));
    world.inflict("carol", &Fault::Restart);
    world.run_for(Duration::from_secs(5));
    assert!(!world.is_up("carol"), "it starts when it is time");
    world.run_until(|w| w.complete("carol"), LONG);
}
