//! Limits on how fast data goes.

use std::time::Duration;

use pieceful_core::engine::{Call, RateLimits};
use pieceful_tests::odd::{Flood, Flooder, Odd};
use pieceful_tests::{Data, Link, Segmentation, World};

const MINUTES: Duration = Duration::from_secs(600);
const LIMIT: u64 = 200 << 10;

fn world(seed: u64) -> World {
    World::new(seed).data(Data::single(seed, 4 << 20, 64 << 10))
}

/// Whether 4 MiB took as long as they do at the limit, a burst of one second allowed.
fn took_as_long_as_it_should(world: &World) {
    let took = world.elapsed().as_secs_f64();
    let ideal = (4 << 20) as f64 / LIMIT as f64;
    assert!(
        took > ideal * 0.9 - 1.0 && took < ideal * 1.15 + 1.0,
        "took {took:.1} s, ideal are {ideal:.1} s"
    );
}

#[test]
fn a_download_limit_holds() {
    let mut world = world(40).seed("alice").with(|spec| spec.link = Link::fast());
    world = world.leecher("bob").with(|spec| {
        spec.link = Link::fast();
        spec.config.rates = RateLimits { download: Some(LIMIT), upload: None };
    });
    world.run_until(|w| w.complete("bob"), MINUTES);
    took_as_long_as_it_should(&world);
}

#[test]
fn an_upload_limit_holds() {
    let mut world = world(41).seed("alice").with(|spec| {
        spec.link = Link::fast();
        spec.config.rates = RateLimits { download: None, upload: Some(LIMIT) };
    });
    world = world.leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    took_as_long_as_it_should(&world);
}

#[test]
fn who_waits_for_an_upload_limit_is_not_forgotten_when_blocks_leave_by_themselves() {
    const FAST: u64 = 6 << 20;
    let mut world = World::new(44).data(Data::single(44, 24 << 20, 64 << 10)).seed("alice").with(|spec| {
        spec.link = Link::fast();
        spec.config.rates = RateLimits { download: None, upload: Some(FAST) };
        // The last that is heard of a block is then that it was sent, not that it was read.
        spec.config.direct_blocks = true;
    });
    world = world.leecher("bob").with(|spec| spec.link = Link::fast());
    world.run_until(|w| w.complete("bob"), MINUTES);
    let took = world.elapsed();
    assert!(took < Duration::from_secs(6), "4 s would do, it took {took:?}");
}

#[test]
fn a_torrents_own_limit_holds() {
    let mut world = world(42).seed("alice").leecher("bob");
    world = world.with(|spec| spec.rates = RateLimits { download: Some(LIMIT), upload: None });
    world.run_until(|w| w.complete("bob"), MINUTES);
    took_as_long_as_it_should(&world);
}

#[test]
fn a_limit_that_is_lifted_is_gone_at_once() {
    let mut world = world(43).seed("alice").leecher("bob");
    world = world.with(|spec| spec.config.rates = RateLimits { download: Some(20 << 10), upload: None });
    world.run_for(Duration::from_secs(10));
    world.call("bob", Call::SetLimits(RateLimits::default()));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(10));
}

#[test]
fn blocks_that_nobody_asked_for_stay_within_a_limit_in_however_small_parts_they_come() {
    for with in [Flood::Blocks, Flood::WholeBlocks] {
        let burst = if with == Flood::Blocks { 2_000 } else { 2 };
        let flooder = Odd::Flooder(Flooder { with, burst, every: Duration::from_millis(100) });
        let mut world = World::new(45).data(Data::single(45, 100_000, 64 << 10));
        world = world.segmentation(Segmentation::Bytewise).odd("mallory", flooder).leecher("bob");
        world = world.with(|spec| spec.config.rates = RateLimits { download: Some(10_000), upload: None });
        world.run_for(Duration::from_secs(10));
        let traffic = world.status("bob").traffic;
        let received = traffic.payload_down + traffic.protocol_down;
        assert!(received < 11 * 10_000 + 1_000, "{received} bytes of {with:?}");
    }
}
