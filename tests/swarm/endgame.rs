//! The last blocks: soon there, and few of them twice.

use std::time::Duration;

use pieceful_tests::odd::{Answer, Sharer};
use pieceful_tests::{Data, Link, World};

const MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);
const MIB: u64 = 1 << 20;

/// Bob, whose link holds nobody up, and so many seeds.
fn seeds(seed: u64, size: u64, count: usize, link: Link) -> World {
    let mut world = World::new(seed).data(Data::single(seed, size, 64 << 10));
    for number in 0..count {
        world = world.seed(&format!("seed {number}")).with(|spec| spec.link = link);
    }
    world.leecher("bob").with(|spec| spec.link = Link { delay: link.delay, ..Link::fast() })
}

/// Per mille of the payload that came in vain.
fn wasted(world: &World) -> u64 {
    let traffic = world.status("bob").traffic;
    1000 * traffic.wasted / traffic.payload_down
}

/// How long bob takes, and how much of it was in vain.
fn outcome(mut world: World) -> (Duration, u64) {
    world.run_until(|w| w.complete("bob"), MINUTES);
    let took = world.elapsed();
    world.run_for(Duration::from_secs(3)); // what is under way arrives as well
    println!("{took:?}, {} of 1000 bytes in vain", wasted(&world));
    (took, wasted(&world))
}

const BROADBAND: Link = Link::symmetric(10 * MIB, Duration::from_millis(5));

#[test]
fn of_several_equally_fast_seeds_hardly_anything_comes_twice() {
    for link in [Link::fast(), BROADBAND] {
        for (size, count) in [(2, 1), (2, 4), (2, 8), (8, 1), (8, 4), (8, 8)] {
            let (_, wasted) = outcome(seeds(200, size * MIB, count, link));
            assert!(wasted < 30, "{wasted} of 1000, {size} MiB from {count} seeds on {link:?}");
        }
    }
}

#[test]
fn a_slow_seed_beside_a_fast_one_does_not_hold_up_the_end() {
    let (alone, _) = outcome(seeds(300, 4 * MIB, 1, BROADBAND));
    for slow in [1 << 10, 20 << 10, 200 << 10, MIB] {
        let world = seeds(300, 4 * MIB, 1, BROADBAND).seed("slow").with(|spec| spec.link.up = slow);
        let (took, wasted) = outcome(world);
        assert!(
            took < alone + Duration::from_millis(200),
            "{took:?} with one of {slow} B/s, {alone:?} without"
        );
        assert!(wasted < 20, "{wasted} of 1000 with one of {slow} B/s");
    }
}

#[test]
fn nor_does_one_that_never_answers() {
    let (alone, _) = outcome(seeds(301, 4 * MIB, 1, BROADBAND));
    let mute = Sharer { answer: Answer::Silence, ..Sharer::default() };
    let (took, _) = outcome(seeds(301, 4 * MIB, 1, BROADBAND).script("mute", mute.script()));
    assert!(took < alone + Duration::from_millis(300), "{took:?} with it, {alone:?} without");
}

#[test]
fn nor_does_one_that_was_fast_and_stalls() {
    let mut world = seeds(302, 16 * MIB, 2, BROADBAND);
    world.run_until(|w| w.status_is("bob", |bob| bob.pieces_done >= 128), MINUTES);
    let half = world.elapsed();
    world.set_disk("seed 0", |disk| disk.latency = (HOUR, HOUR));
    world.run_until(|w| w.complete("bob"), MINUTES);
    // 8 MiB at 10 MiB/s are 0.8 s.
    let rest = world.elapsed() - half;
    assert!(rest < Duration::from_millis(1_500), "{rest:?}");
    assert!(wasted(&world) < 20, "{} of 1000", wasted(&world));
}
