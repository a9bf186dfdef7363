//! Odd and hostile peers: finish with them, or close them by name. The honest are never blamed.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Call, Event};
use pieceful_core::peer::CloseReason;
use pieceful_tests::odd::{Answer, Offer, Rude, Sharer, Slow};
use pieceful_tests::script::MakeScript;
use pieceful_tests::{Data, Has, World, words};

const MINUTES: Duration = Duration::from_secs(600);
const HOURS: Duration = Duration::from_secs(4 * 3600);

/// Bob downloads from nobody but the odd one.
fn alone(seed: u64, odd: Sharer) -> World {
    World::new(seed).script("odd", odd.script()).leecher("bob")
}

/// Bob downloads from an honest but slow seed and from the odd one.
fn beside(seed: u64, odd: MakeScript) -> World {
    let mut world = World::new(seed).seed("alice").with(|spec| spec.link.up = 200 << 10);
    world = world.script("odd", odd);
    world.leecher("bob")
}

/// That no engine is ever banned is checked by the world itself.
fn finishes(mut world: World, within: Duration) -> World {
    world.run_until(|w| w.complete("bob"), within);
    assert!(world.holds_everything("bob"));
    world
}

/// The odd one is closed for a reason that says this, and the download finishes without it.
fn closed_by_name(seed: u64, odd: MakeScript, why: &str) {
    let world = finishes(beside(seed, odd), MINUTES);
    let reasons: Vec<String> =
        world.closed("bob", "odd").iter().map(|why| format!("{why}, {why:?}")).collect();
    assert!(reasons.iter().any(|reason| reason.contains(why)), "{reasons:?}");
}

#[test]
fn one_that_takes_pieces_back_and_has_them_again_later() {
    let odd = Sharer { fast: true, takes_back_after: Some(3), ..Sharer::default() };
    finishes(alone(59, odd.clone()), MINUTES);
    finishes(beside(59, odd.script()), MINUTES);
}

#[test]
fn one_that_sends_only_have() {
    finishes(alone(60, Sharer { offer: Offer::OnlyHave, ..Sharer::default() }), MINUTES);
}

#[test]
fn one_that_sends_only_have_to_a_seed() {
    let odd = Sharer { offer: Offer::OnlyHave, ..Sharer::default() };
    let mut world = World::new(59).script("odd", odd.script()).seed("bob");
    world.run_until(|w| !w.closed("bob", "odd").is_empty(), MINUTES);
    assert_eq!(world.closed("bob", "odd"), [CloseReason::NothingToExchange]);
}

#[test]
fn one_with_an_empty_bitfield() {
    finishes(beside(61, Sharer { offer: Offer::Nothing, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_with_some_of_the_pieces() {
    let offer = Offer::Some((0..10).collect());
    finishes(beside(62, Sharer { offer, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_whose_bitfield_lies() {
    let offer = Offer::Lie((0..5).collect());
    finishes(beside(63, Sharer { offer, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_whose_bitfield_lies_and_that_rejects() {
    let offer = Offer::Lie((0..5).collect());
    finishes(beside(64, Sharer { offer, fast: true, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_dribbles_4_kib_at_a_time() {
    finishes(alone(65, Sharer { dribble: Some(4096), ..Sharer::default() }), MINUTES);
}

#[test]
fn one_that_closes_after_each_10_blocks() {
    let world = finishes(alone(66, Sharer { close_after: Some(10), ..Sharer::default() }), HOURS);
    assert!(world.met("odd") >= 12, "{} connections for 129 blocks", world.met("odd"));
    assert!(!world.banned("bob", "odd"));
}

#[test]
fn one_that_sends_no_more_after_a_while_but_listens() {
    finishes(beside(67, Sharer { half_close_after: Some(10), ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_chokes_and_unchokes() {
    finishes(alone(68, Sharer { choke_after: Some(7), ..Sharer::default() }), MINUTES);
}

#[test]
fn one_that_answers_with_blocks_nobody_asked_for() {
    finishes(beside(69, Sharer { answer: Answer::Unasked, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_sends_every_block_twice() {
    finishes(beside(70, Sharer { answer: Answer::Twice, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_sends_every_block_twice_takes_twice_as_long_when_there_is_nobody_else() {
    let odd = Sharer { answer: Answer::Twice, ..Sharer::default() };
    let world = World::new(92).data(Data::single(92, 5 << 20, 64 << 10)).script("odd", odd.script());
    let world = finishes(world.leecher("bob"), MINUTES);
    // 10 MiB at 4 MiB/s.
    let took = world.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}, closed for {:?}", world.closed("bob", "odd"));
    let wasted = world.status("bob").traffic.wasted;
    assert!(wasted > 4 << 20, "{wasted} bytes in vain");
}

#[test]
fn one_whose_blocks_are_too_short() {
    finishes(beside(71, Sharer { answer: Answer::Short, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_whose_blocks_are_32_kib_long() {
    finishes(beside(72, Sharer { answer: Answer::Double, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_unchokes_and_then_says_nothing() {
    finishes(beside(73, Sharer { answer: Answer::Silence, ..Sharer::default() }.script()), MINUTES);
}

#[test]
fn one_that_corrupts_5_percent_beside_an_honest_one() {
    for seed in 0..10 {
        let odd = Sharer { answer: Answer::Wrong(50), ..Sharer::default() };
        finishes(beside(7400 + seed, odd.script()), HOURS);
    }
}

#[test]
fn one_that_corrupts_everything_beside_an_honest_one_is_banned() {
    for seed in 0..5 {
        let odd = Sharer { answer: Answer::Wrong(1000), ..Sharer::default() };
        let world = finishes(beside(7500 + seed, odd.script()), HOURS);
        assert!(world.banned("bob", "odd"), "seed {seed}");
    }
}

#[test]
fn one_that_dials_us_and_corrupts_everything_is_banned() {
    let odd = Sharer { answer: Answer::Wrong(1000), ..Sharer::default() };
    let mut world = World::new(88).seed("alice").with(|spec| spec.link.up = 100 << 10).leecher("bob");
    world = world.dialling_script("odd", odd.clone().script(), "bob");
    world.run_until(|w| w.banned("bob", "odd"), MINUTES);
    let failed = world.status("bob").traffic.hash_failures;
    assert!(failed <= 3, "{failed} pieces failed before");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_lone_corrupter_never_leads_to_a_finish() {
    let mut world = alone(76, Sharer { answer: Answer::Wrong(1000), ..Sharer::default() });
    world.run_for(HOURS);
    assert!(!world.complete("bob"));
    assert!(!world.saw("bob", |event| matches!(event, Event::Finished { .. })));
    assert_eq!(world.status("bob").pieces_done, 0);
    let wasted = world.status("bob").traffic.payload_down;
    assert!(wasted < 2 * world.torrent().contents.len() as u64, "{wasted} bytes from a peer that only lies");
}

#[test]
fn one_of_another_torrent() {
    let odd = Rude { wrong_hash: true, ..Rude::default() };
    closed_by_name(77, odd.script(), "hash");
}

#[test]
fn one_that_is_not_a_peer_at_all() {
    let odd: MakeScript = Box::new(|| Box::new(Web));
    closed_by_name(78, odd, "ProtocolString");
}

#[derive(Debug)]
struct Web;

impl pieceful_tests::script::Script for Web {
    fn open(&mut self, talk: &mut pieceful_tests::script::Talk<'_>) {
        talk.say(
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n.........."[..],
        );
    }

    fn heard(&mut self, _: &mut pieceful_tests::script::Talk<'_>, _: &[u8]) {}
}

#[test]
fn one_whose_bitfield_is_too_long() {
    closed_by_name(79, Rude::saying(words::message(5, &[0; 100])), "Bitfield");
}

#[test]
fn one_whose_bitfield_is_too_short() {
    closed_by_name(80, Rude::saying(words::message(5, &[0])), "Bitfield");
}

#[test]
fn one_whose_bitfield_has_bits_beyond_the_last_piece() {
    // 33 pieces take 5 bytes and leave 7 bits over.
    closed_by_name(81, Rude::saying(words::message(5, &[0, 0, 0, 0, 1])), "Bitfield");
}

#[test]
fn one_that_has_a_piece_beyond_the_last() {
    closed_by_name(82, Rude::saying(words::have(33)), "33");
    closed_by_name(82, Rude::saying(words::have(u32::MAX)), "4294967295");
}

#[test]
fn one_that_requests_a_piece_beyond_the_last() {
    let mut said = words::plain(words::INTERESTED).to_vec();
    said.extend_from_slice(&words::request(1_000_000, 0, 16_384));
    finishes(beside(83, Rude::saying(said)), MINUTES);
}

#[test]
fn one_that_announces_a_message_of_2_gib() {
    closed_by_name(84, Rude::saying(&b"\x7f\xff\xff\xff"[..]), "TooLong");
    closed_by_name(84, Rude::saying(&b"\x7f\xff\xff\xff\x07"[..]), "TooLong");
}

#[test]
fn one_that_floods_with_requests() {
    let mut said = words::plain(words::INTERESTED).to_vec();
    for round in 0..20_000_u32 {
        said.extend_from_slice(&words::request(round % 33, 0, 16_384));
    }
    finishes(beside(85, Rude::saying(said)), MINUTES);
}

#[test]
fn one_that_tells_what_it_has_between_requests_that_get_it_closed() {
    let mut said = words::have(0).to_vec();
    for _ in 0..200 {
        said.extend_from_slice(&words::request(1, 0, 16_384));
    }
    said.extend_from_slice(&words::have(5));
    closed_by_name(88, Rude::saying(said), "InvalidRequests");
}

#[test]
fn one_that_tells_twice_what_it_has() {
    let said = [words::have(1), words::bitfield(33, |piece| piece < 9), words::bitfield(33, |_| true)];
    finishes(beside(89, Rude { then: said.into(), ..Rude::default() }.script()), MINUTES);
}

#[test]
fn one_that_sends_messages_nobody_knows() {
    let said: Vec<Bytes> = (20..=255).map(|id| words::message(id, b"de")).collect();
    finishes(beside(86, Rude { then: said, ..Rude::default() }.script()), MINUTES);
}

#[test]
fn honest_peers_get_in_past_200_that_send_a_byte_every_5_seconds() {
    let mut world = World::new(87).data(Data::single(87, 1 << 20, 64 << 10)).leecher("bob");
    for number in 0..200 {
        world = world.dialling_script(&format!("slow {number}"), Slow::script(Duration::from_secs(5)), "bob");
    }
    world = world.seed("alice").with(|spec| spec.starts = Duration::from_secs(2));
    world.run_until(
        |w| w.saw("bob", |event| matches!(event, Event::PeerConnected { .. })),
        Duration::from_secs(5),
    );
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
    world.run_for(Duration::from_secs(30));
    // The oldest gave way to newer ones, the others took too long.
    for number in 0..200 {
        let why = world.closed("bob", &format!("slow {number}"));
        assert!(
            matches!(why[..], [CloseReason::GreetingTimedOut | CloseReason::NoRoom]),
            "{number}: {why:?}"
        );
    }
}

#[test]
fn honest_peers_get_in_past_200_that_greet_and_then_say_nothing() {
    let mut world = World::new(90).data(Data::single(90, 1 << 20, 64 << 10)).leecher("bob");
    for number in 0..200 {
        world = world.dialling_script(&format!("mute {number}"), Rude::default().script(), "bob");
    }
    world = world.seed("alice").with(|spec| spec.starts = Duration::from_secs(2));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(8));
}

#[test]
fn an_address_is_dialled_past_200_that_greet_and_then_say_nothing() {
    let mut world = World::new(91).data(Data::single(91, 1 << 20, 64 << 10)).leecher("bob");
    for number in 0..200 {
        world = world.dialling_script(&format!("mute {number}"), Rude::default().script(), "bob");
    }
    world.run_for(Duration::from_secs(2));
    world.add_node("alice", |spec| {
        spec.has = Has::Everything;
        spec.introduced = false;
    });
    let alice = world.address("alice");
    world.command("bob", |id| Call::AddPeer(id, alice));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
}
