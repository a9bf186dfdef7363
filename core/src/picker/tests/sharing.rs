//! Who helps whom, and who begins something new.

use super::*;

/// Past the first pieces, of which any will do.
fn grown(pieces: u32) -> Scene {
    let mut scene = Scene::new(pieces);
    (0..4).for_each(|piece| scene.picker.set_have(PieceIndex(piece)));
    scene
}

/// Lets a new peer have a block each of `pieces` under way, which stay open, and its.
fn at_work_on(scene: &mut Scene, pieces: &[u32]) -> PeerKey {
    let peer = scene.peer();
    for &piece in pieces {
        let allowed = [PieceIndex(piece)];
        let options = PickOptions { allowed: Some(&allowed), ..PLAIN };
        assert_eq!(scene.pick(peer, Has::All, 1, &options).len(), 1);
    }
    peer
}

#[test]
fn a_newcomer_begins_with_any_piece_and_not_with_the_rarest() {
    let first = |seed| {
        let mut scene = Scene::new(20);
        scene.rng = Rng::new(Seed([seed; 32]));
        (0..19).for_each(|piece| scene.picker.saw_have(PieceIndex(piece)));
        let peer = scene.peer();
        scene.pick(peer, Has::All, 1, &FAST)[0].piece.0
    };
    assert!((0..10).any(|seed| first(seed) != 19), "19 is the rarest, and may have one slow source");
}

#[test]
fn a_peer_stays_with_the_piece_it_helps_with() {
    let mut scene = grown(20);
    at_work_on(&mut scene, &[8]);
    let other = at_work_on(&mut scene, &[9]);
    let helper = scene.peer();
    assert_eq!(pieces(&scene.pick(helper, Has::All, 1, &PLAIN)), [8]);
    // Nobody is at work on this one any more, which would make it the better choice for a newcomer.
    let sent: Vec<_> = scene.picker.asked_of(other).collect();
    scene.send(other, &sent);
    assert_eq!(pieces(&scene.pick(helper, Has::All, 1, &PLAIN)), [8]);
}

#[test]
fn a_fast_peers_piece_stays_its_own_though_another_helps_with_it() {
    let mut scene = grown(20);
    let (fast, helper, slow) = (scene.peer(), scene.peer(), scene.peer());
    let own = scene.pick(fast, Has::All, 1, &FAST)[0].piece;
    let only_that = scene.only(&[own.0]);
    assert_eq!(scene.pick(helper, Has::Some(&only_that), 1, &PLAIN)[0].piece, own);
    assert_ne!(scene.pick(slow, Has::All, 1, &PLAIN)[0].piece, own);
}

#[test]
fn fast_peers_begin_a_piece_each_while_no_more_are_open_than_are_worked_on() {
    let mut scene = grown(40);
    for count in 1..=12 {
        let peer = scene.peer();
        scene.pick(peer, Has::All, 1, &FAST);
        assert_eq!(scene.picker.partial_pieces(), count);
    }
}

#[test]
fn when_too_many_pieces_are_open_even_a_fast_peer_helps() {
    for (open, begins) in [(3, true), (4, true), (5, false), (8, false)] {
        let mut scene = grown(40);
        at_work_on(&mut scene, &[10]);
        at_work_on(&mut scene, &(11..10 + open).collect::<Vec<_>>());
        let fast = scene.peer();
        scene.pick(fast, Has::All, 1, &FAST);
        assert_eq!(scene.picker.partial_pieces(), open + u32::from(begins), "{open} open, two peers at work");
    }
}

/// Everybody has the pieces up to 9, nobody but a seed those from 10 on; somebody slow is at work on one.
fn one_seed(begun: u32) -> (Scene, PeerKey) {
    let mut scene = grown(20);
    (0..10).for_each(|piece| scene.picker.saw_have(PieceIndex(piece)));
    scene.picker.saw_seed();
    at_work_on(&mut scene, &[begun]);
    let seed = scene.peer();
    (scene, seed)
}

#[test]
fn the_only_seed_is_asked_for_what_nobody_else_has() {
    let (mut scene, seed) = one_seed(5);
    let blocks = scene.pick(seed, Has::All, 12, &PLAIN);
    assert_eq!(blocks.len(), 12);
    assert!(blocks.iter().all(|block| block.piece.0 >= 10), "{blocks:?}");
    // What is begun of that is completed before more of it is begun.
    let (mut scene, seed) = one_seed(15);
    assert_eq!(pieces(&scene.pick(seed, Has::All, 1, &PLAIN)), [15]);
}

#[test]
fn a_seed_helps_like_anybody_where_its_pieces_are_not_its_alone() {
    let helps = |scene: &mut Scene, peer, has: Has<'_>| {
        assert_eq!(pieces(&scene.pick(peer, has, 1, &PLAIN)), [5]);
    };
    let (mut scene, seed) = one_seed(5);
    scene.picker.saw_seed();
    helps(&mut scene, seed, Has::All);

    let (mut scene, seed) = one_seed(5);
    scene.picker.set_order(PieceOrder::Sequential);
    helps(&mut scene, seed, Has::All);

    let (mut scene, seed) = one_seed(5);
    scene.picker.saw_bitfield(&Bitfield::full(20));
    helps(&mut scene, seed, Has::All);

    let (mut scene, leecher) = one_seed(5);
    let has = scene.only(&[5, 6, 7]);
    helps(&mut scene, leecher, Has::Some(&has));
}
