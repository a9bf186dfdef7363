//! The engine does not depend on how it is driven: when its outputs are taken out, how a stream is cut, when
//! exactly it is woken.

use std::sync::OnceLock;
use std::time::Duration;

use pieceful_core::engine::{Call, Input, PieceOrder};
use pieceful_tests::odd::{Answer, Odd, Sharer};
use pieceful_tests::{Data, Segmentation, Tape, World};
use proptest::prelude::*;

/// What Bob was told while he downloaded from Alice and from somebody who is wrong now and then.
fn swarm() -> &'static Tape {
    static TAPE: OnceLock<Tape> = OnceLock::new();
    TAPE.get_or_init(|| {
        let odd = Sharer { answer: Answer::Wrong(100), ..Sharer::default() };
        let mut world = World::new(90).data(Data::single(90, 600_000, 64 << 10)).seed("alice");
        world = world
            .script("odd", odd.script())
            .leecher("bob")
            .with(|spec| spec.recorded = true)
            .leecher("carol");
        world.run_until(|w| w.complete("bob") && w.complete("carol"), Duration::from_secs(3600));
        world.tape("bob").clone()
    })
}

/// What Bob was told while he downloaded in order, from Alice alone.
fn pair() -> &'static Tape {
    static TAPE: OnceLock<Tape> = OnceLock::new();
    TAPE.get_or_init(|| {
        let mut world = World::new(91).data(Data::single(91, 400_000, 64 << 10));
        world = world.segmentation(Segmentation::Natural).seed("alice").leecher("bob").with(|spec| {
            spec.recorded = true;
            spec.order = PieceOrder::Sequential;
        });
        world.run_until(|w| w.complete("bob"), Duration::from_secs(600));
        world.tape("bob").clone()
    })
}

/// What a seed was told by an odd peer that dialled it, and by nobody else.
fn hostile(kind: usize) -> (String, Tape) {
    let mut all = Odd::all();
    let (name, odd) = all.swap_remove(kind % all.len());
    let data = Data::single(92, 400_000, 64 << 10);
    let mut world = World::new(92).data(data).segmentation(Segmentation::Natural);
    world = world.seed("alice").with(|spec| spec.recorded = true);
    world = world.dialling_script("odd", odd.script(), "alice");
    world.run_for(Duration::from_secs(30));
    (name, world.tape("alice").clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn however_an_odd_peer_is_cut_the_same_is_said_to_it(
        kind in 0_usize..1_000,
        cuts in prop::collection::vec(0_usize..2_000, 1..40),
    ) {
        let (name, tape) = hostile(kind);
        let whole = tape.effects(|call| vec![call]);
        let mut next = cuts.iter().cycle();
        let cut = tape.effects(|call| cut_up(call, &mut || next.next().copied().unwrap_or_default()));
        prop_assert_eq!(whole, cut, "{}", name);
    }

    #[test]
    fn when_outputs_are_taken_out_changes_none_of_them(calls_between in 1_usize..200) {
        let tape = swarm();
        prop_assert_eq!(tape.play(1), tape.play(calls_between));
    }

    #[test]
    fn however_a_stream_is_cut_the_same_is_said_and_written(cuts in prop::collection::vec(0_usize..20_000, 1..40)) {
        let tape = pair();
        let whole = tape.effects(|call| vec![call]);
        prop_assert!(whole.written.len() == 25 && whole.sent.values().any(|sent| sent.len() > 400));
        let mut next = cuts.iter().cycle();
        let cut = tape.effects(|call| cut_up(call, &mut || next.next().copied().unwrap_or_default()));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn waking_too_often_changes_nothing(every in 1_usize..5) {
        let tape = pair();
        let mut number = 0;
        let often = tape.effects(|call| {
            number += 1;
            if number % every == 0 { vec![Call::Timeout, call, Call::Timeout] } else { vec![call] }
        });
        let seldom = tape.effects(|call| vec![call]);
        prop_assert_eq!(often, seldom);
    }
}

#[test]
fn a_tape_played_again_is_the_same_run() {
    for tape in [swarm(), pair()] {
        assert!(tape.calls.len() > 100);
        assert_eq!(tape.play(1), tape.play(1));
    }
}

/// What was received, in pieces at most as long as `next` says.
fn cut_up(call: Call, next: &mut impl FnMut() -> usize) -> Vec<Call> {
    let Call::Handle(Input::Received { conn, mut data }) = call else { return vec![call] };
    let mut calls = Vec::new();
    while !data.is_empty() {
        let part = data.split_to((1 + next()).min(data.len()));
        calls.push(Call::Handle(Input::Received { conn, data: part }));
    }
    calls
}
