//! Every kind of odd or hostile peer there is, alone and all at once, dialled and dialling: the honest finish, and
//! stay connected to each other.

use std::net::IpAddr;
use std::time::Duration;

use pieceful_core::engine::Event;
use pieceful_tests::odd::{Answer, Calls, Flood, Flooder, Odd, Rude, Sharer, Taker};
use pieceful_tests::{Data, World};

const MINUTES: Duration = Duration::from_secs(600);

/// Alice seeds and Bob downloads; both know the odd one, and it calls Bob as well.
fn beside(seed: u64, odd: &Odd) -> World {
    World::new(seed)
        .data(Data::single(seed, 900_000, 64 << 10))
        .keep_trace(100)
        .odd("odd", odd.clone())
        .seed("alice")
        .with(|spec| spec.link.up = 200 << 10)
        .leecher("bob")
        .caller("caller", odd.clone(), "bob", Calls::default())
}

/// Bob finishes, and nobody but he himself or Alice, once both have everything, ends what they have together.
fn finishes(world: &mut World, what: &str) {
    println!("{what}");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(world.holds_everything("bob"), "{what}");
    world.run_for(Duration::from_secs(1));
    for (one, other) in [("alice", "bob"), ("bob", "alice")] {
        assert!(world.closed(one, other).len() <= 1, "{what}: {:?}", world.closed(one, other));
    }
}

fn all_like(first_seed: u64, like: impl Fn(&Odd) -> bool) {
    for (number, (what, odd)) in (first_seed..).zip(Odd::all().into_iter().filter(|(_, odd)| like(odd))) {
        finishes(&mut beside(number, &odd), &what);
    }
}

#[test]
fn a_download_finishes_beside_anybody_who_shares_badly() {
    all_like(400, |odd| matches!(odd, Odd::Sharer(_)));
}

#[test]
fn a_download_finishes_beside_any_flood() {
    all_like(450, |odd| matches!(odd, Odd::Flooder(_)));
}

#[test]
fn a_download_finishes_beside_anybody_who_never_comes_to_share() {
    all_like(500, |odd| matches!(odd, Odd::Taker(_) | Odd::Rude(_) | Odd::Slow(_)));
}

#[test]
fn a_download_finishes_beside_all_of_them_at_once() {
    let mut world = World::new(520).data(Data::single(520, 900_000, 64 << 10)).keep_trace(0);
    for (name, odd) in Odd::all() {
        world = world.odd(&name, odd);
    }
    let mut world = world.seed("alice").leecher("bob").leecher("carol");
    for (name, odd) in Odd::all() {
        world = world.caller(&format!("{name}, calling"), odd, "bob", Calls::default());
    }
    world.run_until(|w| w.complete("bob") && w.complete("carol"), MINUTES);
}

#[test]
fn those_that_call_again_and_again_keep_nobody_out() {
    let odd = Rude { leaves: true, ..Rude::default() };
    let calls = Calls { connections: 50, again: Some(Duration::from_millis(20)) };
    let mut world = World::new(530).data(Data::single(530, 900_000, 64 << 10)).keep_trace(100).leecher("bob");
    world = world.caller("storm", Odd::Rude(odd), "bob", calls);
    world = world.seed("alice").with(|spec| spec.starts = Duration::from_secs(2));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(12));
    assert!(world.met("storm") > 1_000, "{} calls", world.met("storm"));
}

#[test]
fn a_crowd_of_one_address_keeps_nobody_out() {
    let calls = Calls { connections: 150, again: Some(Duration::from_secs(1)) };
    let taker = Odd::Taker(Taker::default());
    let mut world = World::new(531).data(Data::single(531, 900_000, 64 << 10)).keep_trace(100).seed("alice");
    world = world.caller("crowd", taker, "alice", calls);
    world = world.leecher("bob").with(|spec| spec.starts = Duration::from_secs(5));
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn liars_of_one_network_do_not_keep_a_download_from_its_end() {
    let mut world = World::new(532).data(Data::single(532, 900_000, 64 << 10)).keep_trace(100);
    for host in 1..=20 {
        let odd = Sharer { answer: Answer::Wrong(500), ..Sharer::default() };
        let ip = IpAddr::from([77, 7, 7, host]);
        world = world.odd(&format!("sybil {host}"), Odd::Sharer(odd)).with(|spec| spec.ip = Some(ip));
    }
    world = world.seed("alice").with(|spec| spec.link.up = 100 << 10).leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(world.saw("bob", |event| matches!(event, Event::PeerBanned { .. })));
}

#[test]
fn a_piece_that_has_to_come_from_one_peer_is_not_left_to_one_that_never_sends_it() {
    for seed in 533..543 {
        let odd = |answer| Odd::Sharer(Sharer { answer, ..Sharer::default() });
        let mut world = World::new(seed).data(Data::single(seed, 300_000, 64 << 10)).keep_trace(0);
        world = world.odd("corrupter", odd(Answer::Wrong(300))).odd("mute", odd(Answer::Silence));
        world = world.odd("short", odd(Answer::Short)).seed("alice").leecher("bob");
        world.run_until(|w| w.complete("bob"), Duration::from_secs(120));
    }
}

#[test]
fn one_that_chokes_and_unchokes_at_once_is_not_asked_anew_each_time() {
    let habits = Flooder { with: Flood::Choking, burst: 1, every: Duration::from_millis(5) };
    let data = Data::single(541, 900_000, 64 << 10);
    let mut world =
        World::new(541).data(data).keep_trace(0).odd("flood", Odd::Flooder(habits)).leecher("bob");
    world.run_for(Duration::from_secs(30));
    let traffic = world.status("bob").traffic;
    let (heard, said) = (traffic.protocol_down, traffic.protocol_up);
    assert!(said <= 2 * heard, "{said} bytes said to {heard}");
}

#[test]
fn what_is_said_to_a_flood_is_no_more_than_the_flood_itself() {
    for with in Flood::ALL {
        let data = Data::single(540, 900_000, 64 << 10);
        let mut world = World::new(540).data(data).keep_trace(0).leecher("bob");
        let flooder = Odd::Flooder(Flooder::of(with));
        world = world.caller(
            "flood",
            flooder,
            "bob",
            Calls { again: Some(Duration::from_secs(1)), connections: 1 },
        );
        world.run_for(Duration::from_secs(30));
        let traffic = world.status("bob").traffic;
        let (heard, said) = (traffic.protocol_down + traffic.payload_down, traffic.protocol_up);
        println!("{with:?}: {heard} bytes heard, {said} said");
        assert!(said <= 2 * heard + 5_000, "{with:?}: {said} bytes said to {heard}");
    }
}
