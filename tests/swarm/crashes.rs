//! Power that fails and disks that hang: what was lost is fetched again, and nobody is told of it before it is.

use std::time::Duration;

use pieceful_core::engine::Event;
use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Fault, Link, World};

const HOUR: Duration = Duration::from_secs(3600);
const SLOW: Link = Link::symmetric(20_000, Duration::from_millis(20));

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn swarm(seed: u64) -> World {
    let data = Data::random(seed, &[("a", 300_000), ("b/c", 500_000), ("d", 10)], 32 << 10);
    World::new(seed).data(data).seed("alice").with(|spec| spec.link = SLOW).leecher("bob").leecher("carol")
}

#[test]
fn a_power_failure_that_takes_what_was_written_leads_to_no_false_have() {
    // That nobody says it has what is not on its disk is seen to by the world, message by message.
    for (seed, lost) in [(1, 800), (2, 900), (3, 950), (4, 1000)] {
        let mut world = swarm(seed);
        for _ in 0..6 {
            world.run_for(seconds(6));
            world.inflict("bob", &Fault::PowerLoss { lost, lasts: seconds(2) });
            world.run_for(seconds(1));
            assert!(!world.is_up("bob"));
        }
        world.run_for(seconds(3));
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
        assert!(world.holds_everything("bob") && world.holds_everything("carol"));
    }
}

#[test]
fn what_a_power_failure_left_is_not_fetched_again() {
    let mut world = swarm(5);
    world.run_for(seconds(20));
    let had = world.status("bob").pieces_done;
    world.inflict("bob", &Fault::PowerLoss { lost: 0, lasts: seconds(2) });
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= had), seconds(10));
}

#[test]
fn a_whole_download_that_was_lost_before_it_was_synced_is_fetched_again() {
    let mut world = swarm(6);
    world.run_until(|w| w.complete("bob"), HOUR);
    world.inflict("bob", &Fault::PowerLoss { lost: 1000, lasts: seconds(2) });
    world.run_for(seconds(2) + Duration::from_millis(10));
    assert!(world.is_up("bob") && !world.complete("bob"), "nothing of it was ever synced");
    world.run_until(|w| w.complete("bob"), HOUR);
    assert!(world.holds_everything("bob"));
}

#[test]
fn a_download_that_has_been_complete_for_a_moment_survives_a_power_failure() {
    let mut world = swarm(9);
    world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    world.run_for(seconds(1));
    world.inflict("bob", &Fault::PowerLoss { lost: 1000, lasts: seconds(2) });
    world.run_for(seconds(5));
    assert!(world.complete("bob") && world.holds_everything("bob"));
    assert_eq!(world.status("bob").traffic.payload_down, 0, "it fetched something again");
}

#[test]
fn a_download_that_cannot_be_made_durable_is_not_called_safe() {
    let mut world = swarm(10);
    world.inflict("bob", &Fault::Sync { of_thousand: 1000, takes: seconds(1), lasts: HOUR });
    world.run_until(|w| w.saw("bob", |event| matches!(event, Event::Failed { .. })), HOUR);
    world.inflict("bob", &Fault::PowerLoss { lost: 1000, lasts: seconds(2) });
    world.run_for(seconds(3));
    world.heal();
    world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    assert!(world.holds_everything("bob"));
}

#[test]
fn a_disk_that_hangs_for_a_minute_costs_a_minute_and_no_peer() {
    for whom in ["alice", "bob"] {
        let mut world = swarm(7);
        world.run_for(seconds(10));
        world.inflict(whom, &Fault::DiskHangs { lasts: seconds(60) });
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
        let failed = |event: &Event| matches!(event, Event::Failed { .. });
        assert!(!world.saw(whom, failed), "{whom}");
        let ours = [CloseReason::Silent, CloseReason::GreetingTimedOut];
        assert!(!world.closed("bob", "carol").iter().any(|reason| ours.contains(reason)), "{whom}");
    }
}

#[test]
fn a_seed_whose_files_are_shorter_for_a_while_serves_again_when_they_are_not() {
    let mut world = swarm(8);
    world.run_for(seconds(5));
    world.inflict("alice", &Fault::DiskShort { of_thousand: 1000, lasts: seconds(20) });
    world.run_for(seconds(20));
    assert!(!world.banned("bob", "alice") && !world.banned("carol", "alice"));
    world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
}
