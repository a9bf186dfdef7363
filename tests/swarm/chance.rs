//! Swarms put together by chance. First everything goes wrong that may; then it heals, and all must finish.

use std::time::Duration;

use pieceful_core::engine::{Event, PieceOrder, RateLimits};
use pieceful_core::rng::Rng;
use pieceful_tests::odd::{Answer, Offer, Sharer};
use pieceful_tests::{Data, Has, Link, Segmentation, World, seeded};

/// Seeds tried in an ordinary run; `SIM_SEED=n` runs that one alone, `SIM_SEEDS=n` the first n.
const SEEDS: u64 = 40;

#[test]
fn whatever_happens_in_a_swarm_all_finish_once_it_heals() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        println!("again with: SIM_SEED={seed} cargo test -p pieceful-tests --test swarm chance");
        one(seed);
    }
}

fn one(seed: u64) {
    let mut rng = seeded(seed, "chance");
    let rng = &mut rng;
    let mut world = World::new(seed)
        .data(data(seed, rng))
        .segmentation(*pick(rng, &[Segmentation::Natural, Segmentation::Random, Segmentation::Random]));
    if rng.below(2) == 0 {
        world = world.script("odd", sharer(rng).script());
    }
    let pieces = world.torrent().pieces();
    let nodes: Vec<String> = (0..2 + rng.below(5)).map(|number| format!("node {number}")).collect();
    for (number, name) in nodes.iter().enumerate() {
        world = world.node(name, |spec| {
            spec.has = match rng.below(3) {
                _ if number == 0 => Has::Everything,
                0 => Has::Pieces((0..pieces).filter(|_| rng.below(2) == 0).collect()),
                _ => Has::Nothing,
            };
            spec.link = Link {
                up: 50_000 << rng.below(10),
                down: 100_000 << rng.below(10),
                delay: Duration::from_millis(rng.below(80).into()),
                loss: 0,
            };
            spec.starts = Duration::from_millis(rng.below(5_000).into());
            spec.order = *pick(rng, &[PieceOrder::default(), PieceOrder::Sequential]);
            spec.config.direct_blocks = rng.below(2) == 0;
            if rng.below(4) == 0 {
                spec.rates = RateLimits { download: Some(100_000), upload: Some(100_000) };
            }
            if rng.below(4) == 0 {
                spec.config.limits.write_bytes_max = 256 << 10;
                spec.disk.latency.1 = Duration::from_millis(100);
            }
        });
    }
    if rng.below(2) == 0 {
        let whom = pick(rng, &nodes).clone();
        world = world.dialling_script("caller", sharer(rng).script(), &whom);
    }
    let troubled: Vec<String> = (0..rng.below(6)).map(|_| trouble(&mut world, &nodes, rng)).collect();
    for name in troubled {
        world.set_disk(&name, |disk| (disk.failures, disk.capacity) = (0, None));
    }
    world.run_for(Duration::from_secs(5));
    nodes.iter().for_each(|name| world.resume(name));
    let within = Duration::from_secs(2 * 3600);
    world.run_until(|w| nodes.iter().all(|name| w.complete(name) && w.holds_everything(name)), within);
    for name in &nodes {
        world.shutdown(name);
    }
    let gone = |world: &World, name: &str| world.saw(name, |event| *event == Event::Stopped);
    world.run_until(|w| nodes.iter().all(|name| gone(w, name)), Duration::from_secs(10));
}

/// Something goes wrong at one of the nodes.
fn trouble(world: &mut World, nodes: &[String], rng: &mut Rng) -> String {
    world.run_for(Duration::from_millis(rng.below(5_000).into()));
    let name = pick(rng, nodes).clone();
    if !world.is_up(&name) {
        return name;
    }
    match rng.below(5) {
        0 => world.restart(&name),
        1 => world.pause(&name),
        2 => world.set_disk(&name, |disk| disk.failures = 10),
        3 => world.set_disk(&name, |disk| disk.capacity = Some(200_000)),
        _ => {
            world.pause(&name);
            world.resume(&name);
        }
    }
    world.run_for(Duration::from_millis(rng.below(5_000).into()));
    name
}

fn data(seed: u64, rng: &mut Rng) -> Data {
    let files: Vec<(String, u64)> = (0..1 + rng.below(6))
        .map(|number| {
            (format!("folder/{number}"), u64::from(rng.below(4)).min(1) * u64::from(rng.below(600_000)))
        })
        .collect();
    let mut files: Vec<(&str, u64)> = files.iter().map(|(name, len)| (&**name, *len)).collect();
    files.push(("last", 1 + u64::from(rng.below(300_000))));
    Data::random(seed, &files, 16_384 << rng.below(4))
}

fn sharer(rng: &mut Rng) -> Sharer {
    let answers = [
        Answer::Right,
        Answer::Twice,
        Answer::Unasked,
        Answer::Short,
        Answer::Double,
        Answer::Wrong(50),
        Answer::Wrong(1000),
        Answer::Silence,
    ];
    let offers =
        [Offer::All, Offer::OnlyHave, Offer::Nothing, Offer::Some(vec![0, 2]), Offer::Lie(vec![0, 1])];
    Sharer {
        offer: pick(rng, &offers).clone(),
        answer: *pick(rng, &answers),
        close_after: (rng.below(3) == 0).then_some(7),
        choke_after: (rng.below(3) == 0).then_some(5),
        dribble: (rng.below(4) == 0).then_some(4096),
        half_close_after: (rng.below(4) == 0).then_some(3),
        fast: rng.below(2) == 0,
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.below(from.len() as u32) as usize]
}
