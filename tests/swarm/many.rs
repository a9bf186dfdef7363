//! Many peers and many torrents in one engine.

use std::time::Duration;

use pieceful_core::engine::{Event, SeedingLimits, TorrentState};
use pieceful_tests::{Data, Link, World};

const MINUTES: Duration = Duration::from_secs(600);
const BLOCK: u64 = 16 << 10;

/// A seed without a limit but the ratio, beside leechers that all take of it at once.
fn ratio_world(seed: u64, permille: u32, direct: bool, leechers: usize) -> World {
    let limits = SeedingLimits { ratio_permille: Some(permille), time: None };
    let mut world =
        World::new(seed).data(Data::single(seed, 8 << 20, 256 << 10)).seed("alice").with(|spec| {
            spec.link = Link::fast();
            spec.seeding = limits;
            spec.config.direct_blocks = direct;
        });
    for number in 0..leechers {
        world = world.leecher(&format!("leecher {number}")).with(|spec| {
            spec.link = Link::fast();
            spec.introduced = false;
        });
        let alice = world.address("alice");
        world = world.with(|spec| spec.peers = vec![alice]);
    }
    world
}

fn is_done(world: &World) -> bool {
    world.saw("alice", |event| matches!(event, Event::SeedingDone { .. }))
}

#[test]
fn a_ratio_is_kept_to_the_block_however_fast_the_seed_and_nothing_handed_over_is_cut_off() {
    for (seed, direct, leechers) in [(120, false, 1), (121, true, 1), (122, false, 6), (123, true, 6)] {
        let mut world = ratio_world(seed, 500, direct, leechers);
        world.run_until(is_done, MINUTES);
        world.run_for(Duration::from_secs(20));
        let given = world.status("alice").traffic.payload_up;
        let due = 4 << 20;
        assert!((due..due + BLOCK).contains(&given), "{given} where {due} are due, direct: {direct}");
        let taken: u64 =
            (0..leechers).map(|number| world.status(&format!("leecher {number}")).traffic.payload_down).sum();
        assert_eq!(taken, given, "what was handed over arrives, direct: {direct}");
    }
}

#[test]
fn who_resumes_a_seed_that_has_given_enough_means_it() {
    let mut world = ratio_world(124, 250, true, 1);
    world.run_until(is_done, MINUTES);
    assert!(world.status_is("alice", |alice| alice.state == TorrentState::Paused));
    world.resume("alice");
    world.run_until(|w| w.complete("leecher 0"), MINUTES);
    assert!(world.status_is("alice", |alice| alice.state == TorrentState::Seeding));
}

#[test]
fn a_ratio_set_while_it_runs_counts_what_was_given_before() {
    let mut world = ratio_world(125, 100_000, false, 1);
    world.run_until(|w| w.complete("leecher 0"), MINUTES);
    let limits = SeedingLimits { ratio_permille: Some(900), time: None };
    world.command("alice", |engine, now, id| engine.set_seeding_limits(now, id, limits));
    assert!(is_done(&world));
}
