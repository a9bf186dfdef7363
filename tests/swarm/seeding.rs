//! A complete torrent stops when it has given enough.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Event, SeedingLimits, TorrentError, TorrentState};
use pieceful_tests::{Data, World};

const MINUTES: Duration = Duration::from_secs(600);

fn seed_with(seed: u64, limits: SeedingLimits) -> World {
    let world = World::new(seed).data(Data::single(seed, 2 << 20, 64 << 10));
    world.seed("alice").with(|spec| spec.seeding = limits)
}

fn is_done(world: &World) -> bool {
    world.saw("alice", |event| matches!(event, Event::SeedingDone { .. }))
}

#[test]
fn a_seed_that_has_given_as_much_as_a_download_takes_stops_after_the_last_byte() {
    let limits = SeedingLimits { ratio_permille: Some(1_000), time: None };
    let mut world = seed_with(90, limits).leecher("bob");
    world.run_until(|w| w.complete("bob") && is_done(w), MINUTES);
    assert!(world.status_is("alice", |alice| alice.state == TorrentState::Paused));
    let given = world.status("alice").traffic.payload_up;
    assert!((2 << 20..(2 << 20) + (128 << 10)).contains(&given), "{given}");
}

#[test]
fn a_seed_whose_time_is_up_stops_even_if_nobody_came() {
    let limits = SeedingLimits { ratio_permille: None, time: Some(Duration::from_secs(60)) };
    let mut world = seed_with(91, limits).leecher("bob");
    world.run_for(Duration::from_secs(50));
    assert!(!is_done(&world));
    world.run_for(Duration::from_secs(11));
    assert!(is_done(&world));
}

#[test]
fn a_ratio_is_of_no_concern_before_the_download_is_complete() {
    let limits = SeedingLimits { ratio_permille: Some(0), time: None };
    let mut world = World::new(92).data(Data::single(92, 1 << 20, 64 << 10)).seed("alice");
    world = world.leecher("bob").with(|spec| spec.seeding = limits);
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(world.holds_everything("bob"));
}

#[test]
fn what_is_to_be_served_only_is_never_completed_from_others_nor_written() {
    let mut world = World::new(93).seed("alice").leecher("bob");
    let mut wrong = world.torrent().contents.to_vec();
    wrong[100_000] ^= 1;
    let wrong = Bytes::from(wrong);
    world = world.with(|spec| {
        spec.files = vec![("data.bin".into(), wrong.clone())];
        spec.serve_only = true;
    });
    world.run_for(Duration::from_secs(60));
    let incomplete = |event: &Event| matches!(event, Event::Failed { error: TorrentError::Incomplete { missing: 1, pieces }, .. } if *pieces > 1);
    assert!(world.saw("bob", incomplete));
    assert_eq!(world.status("bob").traffic.payload_down, 0);
    assert_eq!(world.file("bob", "data.bin"), Some(wrong));
}

#[test]
fn what_is_to_be_served_only_is_served_and_left_as_it_is_even_where_a_file_is_too_long() {
    let mut world = World::new(94).leecher("alice");
    let mut long = world.torrent().contents.to_vec();
    long.extend_from_slice(b"more");
    let long = Bytes::from(long);
    world = world.with(|spec| {
        spec.files = vec![("data.bin".into(), long.clone())];
        spec.serve_only = true;
    });
    world = world.leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(world.file("alice", "data.bin"), Some(long));
}
