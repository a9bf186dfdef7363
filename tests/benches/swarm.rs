//! What a swarm costs in the simulator, and whether an event costs more when there are more peers.
//!
//! `cargo bench -p pieceful-tests --bench swarm` runs a hundred peers that get 100 MiB each and a thousand that get
//! 10 MiB, with a seed for every fifty, and prints processor seconds, steps of the world and nanoseconds a step.
//! `PEERS MIB` as arguments runs one swarm of another size.
//!
//! Where it was last run, beside much else on two shared cores, the hundred took 12 s and 1.9 us a step, the thousand
//! 46 s and 5.2 us. A step takes as many instructions with more peers (6,900 with a hundred, 6,500 with four hundred,
//! counted by `valgrind --tool=cachegrind`), but a thousand engines are 250 MB that are used all over the place:
//! twenty lines are not in a cache of 2 MiB where there are a hundred, and twice as many where there are more. Large
//! pages (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1` in the environment) take off a quarter of what a thousand cost.

use std::net::SocketAddr;
use std::time::Duration;

use pieceful_tests::{Data, Link, Segmentation, World, seeded};

/// How many others each is introduced to; as many are introduced to it.
const KNOWN: u32 = 20;
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// Peers behind usual lines, each of which knows some others.
fn swarm(peers: usize, mib: u64) -> (World, Vec<String>) {
    let data = Data::single(1, mib << 20, 256 << 10);
    let seeds = (peers / 50).max(1);
    let mut world = World::new(1).unwatched().data(data).segmentation(Segmentation::Natural);
    let mut names: Vec<String> = (0..seeds + peers).map(|number| format!("peer {number}")).collect();
    for (number, name) in names.iter().enumerate() {
        world = if number < seeds { world.seed(name) } else { world.leecher(name) };
        world = world.with(|spec| {
            spec.introduced = false;
            spec.link = Link::default();
        });
    }
    let addresses: Vec<SocketAddr> = names.iter().map(|name| world.address(name)).collect();
    let mut rng = seeded(1, "who knows whom");
    for name in &names {
        let known = (0..KNOWN).map(|_| addresses[rng.below(addresses.len() as u32) as usize]).collect();
        world.begin_with(name, |spec| spec.peers = known);
    }
    (world, names.split_off(seeds))
}

/// Time that processors have spent on this process.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a system that tells the time spent on a process"))
}

/// Runs a swarm until everybody has everything; nanoseconds a step.
fn run(peers: usize, mib: u64) -> f64 {
    let (mut world, mut names) = swarm(peers, mib);
    let before = spent();
    while !names.is_empty() {
        world.run_for(Duration::from_secs(1));
        names.retain(|name| !world.complete(name));
        assert!(world.elapsed() < LIMIT, "{} of {peers} peers are not complete", names.len());
    }
    let took = (spent() - before).as_secs_f64();
    let each = took * 1e9 / world.steps() as f64;
    println!(
        "{peers} peers, {mib} MiB each: {took:.1} s of CPU for {:.0} s of the world, {} steps, {each:.0} ns each",
        world.elapsed().as_secs_f64(),
        world.steps()
    );
    each
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if let [peers, mib] = numbers[..] {
        run(peers as usize, mib);
        return;
    }
    let (few, many) = (run(100, 100), run(1_000, 10));
    println!("ten times as many peers: {:.2} times as long a step", many / few);
}
