//! Who gives gets.

use std::time::Duration;

use pieceful_tests::{Data, Has, Link, World};

const HOUR: u64 = 3_600;

/// One seed and forty-nine leechers that give, with the same link each, and two that only take. Links are slow and
/// the pieces small so that more than an hour of them is computed in less than one minute; what counts is how many
/// blocks a peer sends in a round.
#[test]
fn in_a_swarm_of_equals_everybody_gives_what_it_gets_and_who_gives_nothing_gets_little() {
    const RATE: u64 = 32 << 10;
    // Until the seed has given everybody something to trade, links are not full and chance decides who gives.
    const BEGINNING: u64 = 600;
    let data = Data::single(1, RATE * (BEGINNING + HOUR), 128 << 10);
    let mut world = World::new(1).data(data).buffer(16 << 10).unwatched();
    let honest: Vec<String> = (0..49).map(|number| format!("honest {number}")).collect();
    let riders = ["rider 0", "rider 1"];
    let names = riders.iter().copied().chain(honest.iter().map(String::as_str));
    for name in core::iter::once("seed").chain(names) {
        world = world.node(name, |spec| {
            spec.link = Link::symmetric(RATE, Duration::from_millis(20));
            spec.config.direct_blocks = true;
            if name == "seed" {
                spec.has = Has::Everything;
            }
            if riders.contains(&name) {
                spec.config.limits.unchoked_max = 0;
                spec.config.rates.upload = Some(0);
            }
        });
    }
    let payload = |world: &World, name: &str| {
        let traffic = world.status(name).traffic;
        [traffic.payload_up, traffic.payload_down]
    };
    world.run_for(Duration::from_secs(BEGINNING));
    let before: Vec<[u64; 2]> = honest.iter().map(|name| payload(&world, name)).collect();
    world.run_for(Duration::from_secs(HOUR));

    let mut least = u64::MAX;
    for (name, before) in honest.iter().zip(before) {
        assert!(!world.complete(name), "it was to last longer");
        let after = payload(&world, name);
        let [up, down] = [0, 1].map(|way| after[way] - before[way]);
        println!(
            "{name} gave {} % of what it got, {} % from the start",
            up * 100 / down,
            after[0] * 100 / after[1]
        );
        assert!(up.abs_diff(down) * 10 <= down, "{name} gave {up} and got {down}");
        assert!(down * 10 > RATE * HOUR * 7, "{name} used its link: {down}");
        least = least.min(after[1]);
    }
    for name in riders {
        let [up, down] = payload(&world, name);
        println!("{name} got {} % of what others got", down * 100 / least);
        assert!(up == 0 && down * 5 <= least, "{name} gave nothing and got {down}, others {least}");
    }
}

#[test]
fn twenty_peers_of_one_seed_have_a_slot_for_equally_long() {
    const RATE: u64 = 16 << 10;
    let span = 8 * HOUR;
    let mut world = World::new(2).data(Data::single(2, 32 << 20, 64 << 10)).buffer(16 << 10).unwatched();
    world = world.seed("seed").with(|spec| spec.link = Link::symmetric(RATE, Duration::from_millis(20)));
    let seed = world.address("seed");
    for number in 0..20 {
        world = world.node(&format!("peer {number}"), |spec| {
            spec.link = Link::symmetric(RATE, Duration::from_millis(20));
            // They do not know each other: all they get is the seed's.
            (spec.introduced, spec.peers, spec.config.pex) = (false, vec![seed], false);
        });
    }
    let mut seconds = std::collections::BTreeMap::new();
    for _ in 0..span {
        world.run_for(Duration::from_secs(1));
        for peer in world.peers("seed") {
            *seconds.entry(peer.address).or_insert(0_u64) += u64::from(!peer.choked);
        }
    }
    let (least, most) = (*seconds.values().min().unwrap(), *seconds.values().max().unwrap());
    assert_eq!(seconds.len(), 20);
    assert!((most - least) * 20 <= most, "{least} s to {most} s: {seconds:?}");
    let slots = u64::from(pieceful_core::engine::Limits::default().unchoked_max);
    let all: u64 = seconds.values().sum();
    assert!(all * 100 >= span * slots * 99, "a slot is given at once: {all} s of {} s in use", span * slots);
}
