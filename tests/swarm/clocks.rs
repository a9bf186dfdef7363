//! Clocks that leap, machines that sleep, and timers that come late, early or for nothing.

use std::time::Duration;

use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Fault, Link, World};

use crate::partitions::{received, until_next_byte};

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const SLOW: Link = Link::symmetric(20_000, Duration::from_millis(20));
const TRACKER: &str = "http://tracker.sim/announce";

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A download of a minute or two, a third of it done.
fn under_way(seed: u64) -> World {
    let data = Data::with_trackers(seed, &[("data.bin", 2_000_000)], 32 << 10, &[TRACKER]);
    let mut world = World::new(seed).data(data).tracker("http://tracker.sim").seed("alice");
    world = world.with(|spec| spec.link = SLOW).leecher("bob").leecher("carol");
    world.run_for(seconds(30));
    world
}

fn announces_of(world: &World, name: &str) -> usize {
    let ip = world.address(name).ip();
    world.tracker_at(0).announces.iter().filter(|announce| announce.from.ip() == ip).count()
}

#[test]
fn a_machine_that_was_suspended_goes_on_with_its_download_at_once() {
    for span in [1, 10, 50, 100, 200, 600, 3600] {
        let mut world = under_way(span);
        world.inflict("bob", &Fault::Asleep { lasts: seconds(span) });
        let before = received(&world, "bob");
        world.run_for(seconds(span) - Duration::from_millis(1));
        assert_eq!(received(&world, "bob"), before, "it was to sleep");
        let took = until_next_byte(&mut world, "bob");
        assert!(took <= seconds(30), "after {span} s: {took:?}");
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    }
}

#[test]
fn a_seed_that_was_suspended_is_found_again() {
    for span in [10, 100, 600] {
        let mut world = under_way(span);
        world.inflict("alice", &Fault::Asleep { lasts: seconds(span) });
        world.run_for(seconds(span));
        let took = until_next_byte(&mut world, "bob");
        assert!(took <= seconds(30), "after {span} s: {took:?}");
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    }
}

#[test]
fn a_clock_that_leaps_makes_at_most_one_announce_and_one_burst_of_work() {
    let leaps = [seconds(1), seconds(30), seconds(100), seconds(200), HOUR, 24 * HOUR, YEAR, 50 * YEAR];
    for (seed, by) in leaps.into_iter().enumerate() {
        let mut world = under_way(seed as u64);
        let (announces, outputs) = (announces_of(&world, "bob"), world.outputs());
        world.inflict("bob", &Fault::ClockLeaps { by });
        world.run_for(Duration::from_micros(1));
        let burst = world.outputs() - outputs;
        assert!(burst < 50, "{by:?}: {burst} outputs at once");
        let took = until_next_byte(&mut world, "bob");
        assert!(took <= seconds(30), "{by:?}: {took:?}");
        world.run_for(seconds(60));
        assert!(announces_of(&world, "bob") <= announces + 1, "{by:?}");
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    }
}

#[test]
fn a_clock_that_leaps_by_less_than_a_silence_costs_no_connection() {
    let mut world = under_way(1);
    for _ in 0..10 {
        world.inflict("bob", &Fault::ClockLeaps { by: seconds(15) });
        world.run_for(seconds(2));
    }
    let lost = |reason: &CloseReason| *reason == CloseReason::Silent;
    assert!(!world.closed("bob", "alice").iter().any(lost));
}

#[test]
fn timers_that_come_late_cost_time_and_nothing_else() {
    for by in [Duration::from_millis(500), seconds(5), seconds(60)] {
        let mut world = under_way(2);
        for name in ["alice", "bob", "carol"] {
            world.inflict(name, &Fault::WakesLate { by, lasts: 10 * HOUR });
        }
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
    }
}

#[test]
fn timers_that_come_for_nothing_change_nothing() {
    let run = |times: u32| {
        let mut world = under_way(3);
        for name in ["alice", "bob", "carol"] {
            world.inflict(name, &Fault::WakesInVain { times, lasts: HOUR });
        }
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
        (world.elapsed(), received(&world, "bob"), received(&world, "carol"))
    };
    let (usual, _, _) = run(0);
    let (often, ..) = run(20);
    assert!(often < usual * 5 / 4, "{often:?}, and {usual:?} without");
}
