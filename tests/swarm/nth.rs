//! Whatever fails, and whenever it does: one operation of a small swarm after the other is made to fail, each in a
//! run of its own, until there are no more of them.

use std::time::Duration;

use pieceful_core::disk::DiskErrorKind;
use pieceful_core::engine::Event;
use pieceful_tests::{Data, Operation, World};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
/// More than there are of any kind.
const MOST: u64 = 2_000;

/// A seed and two that know of it from trackers, one of each kind.
fn swarm(data: &Data) -> World {
    let mut world = World::new(1).data(data.clone()).keep_trace(100);
    world = world.tracker("http://one.sim").tracker("udp://two.sim:80").seed("alice");
    world = world.with(|spec| spec.introduced = false);
    for name in ["bob", "carol"] {
        world = world.leecher(name).with(|spec| {
            spec.introduced = false;
            spec.starts = Duration::from_secs(2);
        });
    }
    world
}

/// Whether there was an `n`th of the kind.
fn fails(data: &Data, operation: Operation, n: u64) -> bool {
    let mut world = swarm(data).failing(operation, n);
    // First whatever comes of it; then what a user would do: resume what has failed.
    world.run_for(Duration::from_secs(20));
    world.heal();
    let done = |w: &World, name: &str| w.complete(name) && w.holds_everything(name);
    world.run_until(|w| NAMES.iter().all(|name| done(w, name)), Duration::from_secs(3600));
    NAMES.iter().for_each(|name| world.shutdown(name));
    let stopped = |w: &World, name: &str| w.saw(name, |event| *event == Event::Stopped);
    world.run_until(|w| NAMES.iter().all(|name| stopped(w, name)), Duration::from_secs(70));
    for name in NAMES {
        for other in NAMES {
            assert!(
                !world.banned(name, other),
                "{name} banned {other} because the {n}th {operation:?} failed"
            );
        }
    }
    world.has_failed()
}

/// Fails every one of a kind; there are at least `least`.
fn exhaust(operation: Operation, least: u64) {
    let trackers = ["http://one.sim/announce", "udp://two.sim:80/announce"];
    let data = Data::with_trackers(1, &[("a", 40_000), ("b", 30_000)], 16 << 10, &trackers);
    let mut n = 1;
    while fails(&data, operation, n) {
        n += 1;
        assert!(n < MOST, "there is no end to {operation:?}");
    }
    println!("{operation:?}: {} runs", n - 1);
    assert!(n > least, "only {n} of {operation:?}");
}

#[test]
fn whichever_disk_action_fails_the_swarm_completes_once_it_is_resumed() {
    exhaust(Operation::Disk(DiskErrorKind::Io), 30);
}

#[test]
fn whichever_disk_action_finds_no_space_the_swarm_completes_once_it_is_resumed() {
    exhaust(Operation::Disk(DiskErrorKind::NoSpace), 30);
}

#[test]
fn whichever_connection_is_refused_the_swarm_completes() {
    exhaust(Operation::Connect, 2);
}

#[test]
fn whichever_send_ends_in_a_reset_the_swarm_completes() {
    exhaust(Operation::Send, 20);
}

#[test]
fn whichever_question_to_the_network_goes_unanswered_the_swarm_completes() {
    exhaust(Operation::Resolve, 1);
    exhaust(Operation::Fetch, 5);
    exhaust(Operation::Datagram, 5);
}

#[test]
fn whichever_timer_is_a_minute_late_the_swarm_completes() {
    exhaust(Operation::Timer, 10);
}
