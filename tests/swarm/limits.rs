//! Rate limits to the second: how closely they hold, how little they burst, and whom they concern.

use std::sync::Arc;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Call, RateLimits};
use pieceful_core::id::BLOCK_LEN;
use pieceful_tests::{Data, Has, Link, World};

const LIMIT: u64 = 2 << 20;
/// Two torrents of this size last for all that is measured.
const SIZE: u64 = 64 << 20;
const STEP: Duration = Duration::from_millis(50);
const STEPS_A_SECOND: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

/// "us" with two torrents, and two peers for each of them, all with links that are much faster than any limit.
fn world(seed: u64, way: Way, direct: bool, all: RateLimits, first: RateLimits) -> World {
    let mut world = World::new(seed).data(Data::single(seed, SIZE, 256 << 10)).unwatched();
    let other = Arc::new(Data::random(seed, &[("other.bin", SIZE)], 256 << 10));
    let here = |way_here| if way == way_here { Has::Everything } else { Has::Nothing };
    for name in ["a", "b", "c", "d"] {
        world = world.node(name, |spec| {
            (spec.link, spec.has, spec.idle) = (Link::fast(), here(Way::Down), name > "b");
            spec.introduced = false;
        });
    }
    world = world.node("us", |spec| {
        (spec.link, spec.has) = (Link::fast(), here(Way::Up));
        (spec.config.rates, spec.rates, spec.config.direct_blocks) = (all, first, direct);
    });
    world.run_for(Duration::from_millis(1));
    let has_all: &[&str] = if way == Way::Down { &["c", "d"] } else { &["us"] };
    has_all.iter().for_each(|name| world.put(name, &other, 0..other.pieces()));
    for name in ["c", "d"] {
        world.add_torrent(name, AddTorrent::new(other.metainfo.clone()), other.clone());
    }
    let mut add = AddTorrent::new(other.metainfo.clone());
    add.peers = vec![world.address("c"), world.address("d")];
    world.add_torrent("us", add, other);
    world
}

/// Payload of each of our torrents.
fn payload(world: &World, way: Way) -> [u64; 2] {
    let mut payload = [0; 2];
    for (sum, id) in payload.iter_mut().zip(world.engine("us").torrents()) {
        let traffic = world.status_of("us", id).traffic;
        *sum = if way == Way::Down { traffic.payload_down } else { traffic.payload_up };
    }
    payload
}

/// What had flowed after each step.
fn flow(world: &mut World, way: Way, span: Duration) -> Vec<[u64; 2]> {
    let steps = (span.as_millis() / STEP.as_millis()) as usize;
    (0..=steps)
        .map(|step| {
            world.run_for(if step == 0 { Duration::ZERO } else { STEP });
            payload(world, way)
        })
        .collect()
}

/// A limit holds within 3 % and a block over any ten seconds, and no burst is longer than a second of it.
fn holds(flow: impl IntoIterator<Item = u64>, limit: u64) {
    let flow: Vec<u64> = flow.into_iter().collect();
    for window in flow.windows(10 * STEPS_A_SECOND + 1) {
        let got = window[window.len() - 1] - window[0];
        let off = got.abs_diff(10 * limit).saturating_sub(BLOCK_LEN.into());
        assert!(off * 100 <= 10 * limit * 3, "{got} in ten seconds of {limit}");
    }
    for steps in 1..=STEPS_A_SECOND {
        let most = flow.windows(steps + 1).map(|window| window[steps] - window[0]).max().expect("a window");
        let allowed = limit + limit * steps as u64 / STEPS_A_SECOND as u64;
        assert!(most <= allowed, "{most} in {steps} steps of {limit}");
    }
}

fn only(way: Way, limit: u64) -> RateLimits {
    let (download, upload) = if way == Way::Down { (Some(limit), None) } else { (None, Some(limit)) };
    RateLimits { download, upload }
}

const WARM_UP: Duration = Duration::from_secs(4);

fn a_limit_for_all_holds(way: Way, direct: bool) {
    let mut world = world(60, way, direct, only(way, LIMIT), RateLimits::default());
    world.run_for(WARM_UP);
    let flow = flow(&mut world, way, Duration::from_secs(20));
    holds(flow.iter().map(|flow| flow.iter().sum()), LIMIT);
    let [one, other] = [0, 1].map(|torrent| flow[flow.len() - 1][torrent] - flow[0][torrent]);
    assert!(one.min(other) * 3 >= one.max(other) * 2, "neither starves: {one} and {other}");
}

#[test]
fn a_download_limit_for_all_holds_to_the_second() {
    a_limit_for_all_holds(Way::Down, false);
}

#[test]
fn a_download_limit_that_is_less_than_one_read_holds_as_well() {
    for limit in [200 << 10, 400 << 10] {
        let mut world = world(63, Way::Down, false, only(Way::Down, limit), RateLimits::default());
        world.run_for(WARM_UP);
        let flow = flow(&mut world, Way::Down, Duration::from_secs(20));
        holds(flow.iter().map(|flow| flow.iter().sum()), limit);
    }
}

#[test]
fn an_upload_limit_for_all_holds_to_the_second() {
    a_limit_for_all_holds(Way::Up, false);
}

#[test]
fn an_upload_limit_for_all_holds_when_drivers_fetch_the_blocks() {
    a_limit_for_all_holds(Way::Up, true);
}

fn a_torrents_limit_holds_and_concerns_no_other(way: Way, direct: bool) {
    let mut world = world(61, way, direct, RateLimits::default(), only(way, LIMIT));
    world.run_for(Duration::from_secs(2));
    let [_, other] = payload(&world, way);
    assert!(other >= SIZE, "the other goes as fast as links are: {other}");
    world.run_for(WARM_UP);
    let flow = flow(&mut world, way, Duration::from_secs(20));
    holds(flow.iter().map(|flow| flow[0]), LIMIT);
}

#[test]
fn a_torrents_download_limit_holds_and_concerns_no_other() {
    a_torrents_limit_holds_and_concerns_no_other(Way::Down, false);
}

#[test]
fn a_torrents_upload_limit_holds_and_concerns_no_other() {
    a_torrents_limit_holds_and_concerns_no_other(Way::Up, false);
}

#[test]
fn a_torrents_upload_limit_holds_when_drivers_fetch_the_blocks() {
    a_torrents_limit_holds_and_concerns_no_other(Way::Up, true);
}

#[test]
fn a_limit_that_is_changed_holds_from_then_on() {
    for way in [Way::Down, Way::Up] {
        let mut world = world(62, way, true, only(way, LIMIT), RateLimits::default());
        world.run_for(WARM_UP);
        for limit in [LIMIT * 2, LIMIT, LIMIT * 3 / 2] {
            world.call("us", Call::SetLimits(only(way, limit)));
            let flow = flow(&mut world, way, Duration::from_secs(11));
            holds(flow.iter().map(|flow| flow.iter().sum()), limit);
        }
    }
}
