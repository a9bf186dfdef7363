//! The core is a function of its configuration, its seed and the calls made to it: every scenario, run twice,
//! gives the same outputs at the same times, byte for byte.

use std::time::Duration;

use pieceful_core::engine::{Output, RateLimits};
use pieceful_std::tape::Tape;
use pieceful_tests::odd::{Answer, Sharer};
use pieceful_tests::{Data, Manner, Segmentation, World};

mod hashes;

/// What a run is remembered by.
fn run(build: impl Fn() -> World, then: impl Fn(&mut World)) -> ([u8; 20], u64, Duration) {
    let mut world = build().keep_trace(0);
    then(&mut world);
    (world.transcript(), world.outputs(), world.elapsed())
}

fn same_twice(build: impl Fn() -> World, then: impl Fn(&mut World)) {
    let once = run(&build, &then);
    let again = run(&build, &then);
    assert!(once.1 > 100, "a run of {} outputs shows nothing", once.1);
    assert_eq!(once, again);
}

fn until_complete(names: &'static [&'static str]) -> impl Fn(&mut World) {
    move |world| world.run_until(|w| names.iter().all(|name| w.complete(name)), Duration::from_secs(3600))
}

#[test]
fn a_seed_and_three_leechers() {
    let names = &["bob", "carol", "dave"];
    same_twice(
        || names.iter().fold(World::new(1).seed("alice"), |world, name| world.leecher(name)),
        until_complete(names),
    );
}

#[test]
fn a_swarm_with_liars() {
    let odd = |answer| Sharer { answer, ..Sharer::default() }.script();
    same_twice(
        || {
            let world = World::new(2).seed("alice").script("mallory", odd(Answer::Wrong(300)));
            world.script("mute", odd(Answer::Silence)).leecher("bob").leecher("carol")
        },
        until_complete(&["bob", "carol"]),
    );
}

#[test]
fn trackers_that_fail_and_rates_that_hold() {
    let urls = ["http://one.sim/announce", "http://two.sim/announce"];
    same_twice(
        || {
            let data = Data::with_trackers(3, &[("a", 700_000), ("b/c", 500_000)], 32 << 10, &urls);
            let mut world = World::new(3).data(data).tracker("http://one.sim").tracker("http://two.sim");
            world.tracker_mut(0).manner = Manner::Down;
            world = world.seed("alice").with(|spec| spec.introduced = false).leecher("bob");
            world.with(|spec| {
                spec.introduced = false;
                spec.rates = RateLimits { download: Some(100 << 10), upload: Some(50 << 10) };
            })
        },
        until_complete(&["bob"]),
    );
}

#[test]
fn machines_that_fail_and_come_back() {
    same_twice(
        || World::new(4).seed("alice").leecher("bob").with(|spec| spec.disk.failures = 5).leecher("carol"),
        |world| {
            world.run_for(Duration::from_millis(400));
            world.restart("carol");
            world.run_for(Duration::from_secs(60));
            world.set_disk("bob", |disk| disk.failures = 0);
            world.resume("bob");
            until_complete(&["bob", "carol"])(world);
        },
    );
}

#[test]
fn another_seed_is_another_run() {
    let transcript = |seed| {
        run(
            || World::new(seed).data(Data::single(0, 1 << 20, 64 << 10)).seed("alice").leecher("bob"),
            |world| {
                until_complete(&["bob"])(world);
            },
        )
        .0
    };
    assert_ne!(transcript(5), transcript(6));
}

#[test]
fn cutting_the_stream_in_another_way_changes_no_result() {
    for how in [Segmentation::Natural, Segmentation::Random, Segmentation::Bytewise] {
        let data = Data::single(7, 200_000, 32 << 10);
        let mut world = World::new(7).data(data).segmentation(how).seed("alice").leecher("bob");
        until_complete(&["bob"])(&mut world);
        assert_eq!(world.status("bob").traffic.payload_down, 200_000, "{how:?}");
    }
}

#[test]
fn the_tape_of_a_simulated_machine_plays_as_that_of_a_real_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bob.tape");
    let mut world = World::new(8).seed("alice").leecher("bob").with(|spec| spec.recorded = true);
    world.run_for(Duration::from_millis(400));
    world.pause("bob");
    world.run_for(Duration::from_secs(5));
    world.resume("bob");
    until_complete(&["bob"])(&mut world);
    world.shutdown("bob");
    world.tape("bob").save(&file).expect("a tape");
    let mut said = Vec::new();
    let played = Tape::open(&file).expect("a tape").play(|_, output| {
        if let Output::Event(event) = output {
            said.push(event.clone());
        }
    });
    assert_eq!(played.expect("the same again").calls, world.tape("bob").calls.len() as u64);
    assert_eq!(said, world.events("bob").iter().map(|(_, event)| event.clone()).collect::<Vec<_>>());
}
