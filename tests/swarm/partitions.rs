//! Networks that fail and come back: what was lost is fetched, and nobody has to do anything for it.

use std::time::Duration;

use pieceful_core::engine::{Event, StreamEnd};
use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Fault, Link, World};

const HOUR: Duration = Duration::from_secs(3600);
const SLOW: Link = Link::symmetric(20_000, Duration::from_millis(20));

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A download that takes some five minutes, and has begun.
fn under_way(seed: u64) -> World {
    let data = Data::single(seed, 6_000_000, 64 << 10);
    let mut world = World::new(seed).data(data).seed("alice").with(|spec| spec.link = SLOW).leecher("bob");
    world.run_for(seconds(20));
    world
}

/// A small download.
fn small(seed: u64) -> World {
    World::new(seed).data(Data::single(seed, 400_000, 16 << 10)).seed("alice").with(|spec| spec.link = SLOW)
}

/// Bytes of blocks that `name` has received.
pub(crate) fn received(world: &World, name: &str) -> u64 {
    world.status(name).traffic.payload_down
}

/// Runs until `name` receives something it has not yet; how long that took.
pub(crate) fn until_next_byte(world: &mut World, name: &str) -> Duration {
    let (before, since) = (received(world, name), world.elapsed());
    world.run_until(|w| received(w, name) > before, HOUR);
    world.elapsed() - since
}

fn connections_lost(world: &World, name: &str) -> usize {
    world.events(name).iter().filter(|(_, event)| matches!(event, Event::PeerClosed { .. })).count()
}

#[test]
fn what_was_under_way_when_the_network_failed_for_a_moment_arrives_late_and_nobody_is_lost() {
    for fault in [Fault::BlackHole { lasts: seconds(3) }, Fault::Mute { lasts: seconds(3) }] {
        let mut world = small(1).leecher("bob");
        world.run_for(seconds(3));
        world.inflict("alice", &fault);
        world.run_for(seconds(3));
        assert!(until_next_byte(&mut world, "bob") < seconds(5), "{fault:?}");
        world.run_until(|w| w.complete("bob"), HOUR);
        let lost = |reason: &CloseReason| matches!(reason, CloseReason::Stream(_) | CloseReason::Silent);
        assert!(!world.closed("bob", "alice").iter().any(lost), "{fault:?}");
    }
}

#[test]
fn a_download_goes_on_within_half_a_minute_of_the_network() {
    let lasts = HOUR;
    let mut troubles = vec![
        (Fault::Deaf { lasts }, 60),
        (Fault::Mute { lasts }, 60),
        (Fault::Partition { with: vec![], lasts }, 60),
    ];
    troubles.extend([5, 20, 45, 60, 100, 300].map(|span| (Fault::BlackHole { lasts }, span)));
    for (seed, (fault, span)) in troubles.into_iter().enumerate() {
        let mut world = under_way(seed as u64);
        world.inflict("bob", &fault);
        world.run_for(seconds(span));
        world.heal();
        let took = until_next_byte(&mut world, "bob");
        assert!(took <= seconds(30), "{fault:?} for {span} s: {took:?}");
    }
}

#[test]
fn peers_that_a_tracker_named_are_back_as_soon() {
    let url = "http://tracker.sim/announce";
    let data = Data::with_trackers(7, &[("data.bin", 6_000_000)], 64 << 10, &[url]);
    let mut world = World::new(7).data(data).tracker("http://tracker.sim").seed("alice");
    world = world.with(|spec| spec.link = SLOW).leecher("bob").with(|spec| {
        spec.introduced = false;
        spec.starts = seconds(5);
    });
    world.run_for(seconds(30));
    world.inflict("bob", &Fault::BlackHole { lasts: seconds(60) });
    world.run_for(seconds(60));
    let took = until_next_byte(&mut world, "bob");
    assert!(took <= seconds(30), "{took:?}");
}

#[test]
fn who_dies_in_the_midst_of_a_transfer_is_dropped_within_two_minutes_on_both_sides() {
    let mut world = under_way(11);
    world.inflict("bob", &Fault::Severed { with: None });
    // Nor is it to come back at once.
    world.inflict("bob", &Fault::BlackHole { lasts: HOUR });
    world.run_for(seconds(120));
    assert_eq!(world.closed("bob", "alice").first(), Some(&CloseReason::Silent));
    assert_eq!(world.closed("alice", "bob").first(), Some(&CloseReason::Stream(StreamEnd::TimedOut)));
}

#[test]
fn whose_peer_still_believes_in_the_old_connection_gets_a_new_one_all_the_same() {
    let mut world = under_way(12);
    world.inflict("bob", &Fault::HalfOpen { with: None });
    assert_eq!(world.closed("bob", "alice"), [CloseReason::Stream(StreamEnd::Reset)]);
    let took = until_next_byte(&mut world, "bob");
    assert!(took <= seconds(30), "{took:?}");
}

#[test]
fn a_peer_that_cannot_be_reached_yet_is_found_once_it_can() {
    let mut world = small(13).leecher("bob");
    world.inflict("alice", &Fault::BlackHole { lasts: seconds(60) });
    world.run_for(seconds(60));
    assert!(world.closed("bob", "alice").contains(&CloseReason::GreetingTimedOut));
    let took = until_next_byte(&mut world, "bob");
    assert!(took <= seconds(30), "{took:?}");
}

#[test]
fn two_halves_of_a_swarm_go_on_by_themselves_and_together_again() {
    let data = Data::single(14, 800_000, 16 << 10);
    let mut world = World::new(14).data(data).seed("alice").with(|spec| spec.link = SLOW);
    world = world.leecher("bob").leecher("carol").leecher("dave");
    world.inflict("alice", &Fault::Partition { with: vec!["bob".into()], lasts: seconds(120) });
    world.run_for(seconds(120));
    assert!(world.complete("bob"), "bob is on the seed's side");
    assert_eq!(received(&world, "carol") + received(&world, "dave"), 0, "something crossed");
    world.run_until(|w| w.complete("carol") && w.complete("dave"), seconds(300));
}

#[test]
fn connections_that_are_cut_off_again_and_again_do_not_stop_a_download() {
    let mut world = under_way(15);
    for _ in 0..10 {
        world.inflict("alice", &Fault::Reset { with: Some("bob".into()) });
        let took = until_next_byte(&mut world, "bob");
        assert!(took <= seconds(20), "{took:?}");
        world.run_for(seconds(3));
    }
    assert!(connections_lost(&world, "bob") >= 10);
}

#[test]
fn packets_that_get_lost_cost_time_and_nothing_else() {
    let time = |of_thousand: u32| {
        let data = Data::single(16, 2_000_000, 64 << 10);
        let mut world = World::new(16).data(data).seed("alice").leecher("bob").leecher("carol");
        for name in ["alice", "bob", "carol"] {
            world.begin_with(name, |spec| spec.link.loss = of_thousand);
        }
        world.run_until(|w| w.complete("bob") && w.complete("carol"), HOUR);
        world.elapsed()
    };
    let times = [0, 10, 50, 300].map(time);
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[1] > times[0] && times[3] < seconds(600), "{times:?}");
}

#[test]
fn of_what_was_on_its_way_when_its_sender_died_nothing_arrives_behind_a_gap() {
    let mut world = under_way(17);
    world.inflict("bob", &Fault::BlackHole { lasts: seconds(3) });
    world.run_for(seconds(1));
    world.inflict("alice", &Fault::PowerLoss { lost: 0, lasts: seconds(1) });
    world.run_for(seconds(60));
    let misled =
        |event: &Event| matches!(event, Event::PeerClosed { reason, .. } if reason.is_misbehaviour());
    assert!(!world.saw("bob", misled));
    assert!(!world.saw("bob", |event| matches!(event, Event::PieceFailed { .. })));
}
