//! Faults as values: what lasts ends by itself, or when everything heals.

use std::time::Duration;

use pieceful_core::engine::Event;
use pieceful_tests::{Data, Fault, World};

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
    assert!(world.saw("bob", |event| matches!(event, Event::NoSpace { .. })), "nothing went wrong");
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

#[test]
fn a_full_disk_stops_the_asking_and_nothing_else_and_when_there_is_space_it_goes_on_by_itself() {
    let mut world = World::new(20).data(Data::single(20, 4 << 20, 64 << 10)).seed("alice");
    world = world.leecher("bob").with(|spec| spec.disk.capacity = Some(2 << 20));
    world = world.leecher("carol");
    let full = |event: &Event| matches!(event, Event::NoSpace { .. });
    world.run_until(|w| w.saw("bob", full), LONG);
    world.run_until(|w| w.complete("carol"), LONG);
    let before = world.status("bob");
    // Ten times 30 s: a block each, or another while the disk has not answered for the first.
    world.run_for(Duration::from_secs(300));
    let after = world.status("bob");
    let fetched = after.traffic.payload_down - before.traffic.payload_down;
    assert!(fetched <= 20 * (16 << 10), "{fetched} bytes were fetched for nothing");
    assert!(
        after.pieces_done >= before.pieces_done && after.peers > 0,
        "it keeps what it has, and its peers"
    );
    assert!(!world.saw("bob", |event| matches!(event, Event::Failed { .. })));
    let said = world.events("bob").iter().filter(|(_, event)| full(event)).count();
    assert_eq!(said, 1, "nobody is told every 30 s");
    world.set_disk("bob", |disk| disk.capacity = None);
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
    assert!(
        world.saw("bob", |event| matches!(event, Event::SpaceAgain { .. })) && world.holds_everything("bob")
    );
    assert!(!world.banned("bob", "alice") && !world.banned("bob", "carol"));
}
