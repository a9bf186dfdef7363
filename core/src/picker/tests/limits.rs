//! What there is not, what there is too much of, and a picker with nothing to do.

use super::*;

#[test]
fn pieces_that_there_are_not_are_ignored() {
    let mut scene = Scene::new(3);
    let beyond = PieceIndex(3);
    scene.picker.set_priority(beyond, Priority::High);
    scene.picker.set_have(beyond);
    scene.picker.set_alone(beyond);
    scene.picker.lost(beyond);
    scene.picker.saw_have(beyond);
    scene.picker.check();
    assert_eq!(scene.picker.priority(beyond), Priority::Skip);
    assert_eq!((scene.picker.availability(beyond), scene.picker.needs(beyond)), (0, false));
    assert_eq!((scene.picker.have().count(), scene.picker.missing_blocks()), (0, 12));
}

#[test]
fn a_piece_that_is_there_is_not_taken_from_one_peer_only_once_it_is_lost() {
    let mut scene = Scene::new(1);
    let (a, b) = (scene.peer(), scene.peer());
    scene.picker.set_have(PieceIndex(0));
    scene.picker.set_alone(PieceIndex(0));
    scene.picker.lost(PieceIndex(0));
    assert_eq!(scene.pick(a, Has::All, 2, &PLAIN).len(), 2);
    assert_eq!(scene.pick(b, Has::All, 2, &PLAIN).len(), 2);
}

/// Pieces of so many blocks that two of them are all that may be partial.
fn giant_pieces() -> Scene {
    let length = PARTIAL_BLOCKS_MAX / 2 * BLOCK_LEN;
    let mut scene = Scene::new(1);
    scene.picker = Picker::new(3, length, 3 * u64::from(length));
    scene.picker.set_order(PieceOrder::Sequential);
    scene
}

#[test]
fn the_partial_piece_with_least_in_it_is_given_up_for_a_new_one() {
    let mut scene = giant_pieces();
    for (piece, blocks) in [(0, 2), (1, 1), (2, 1)] {
        let peer = scene.peer();
        let asked = scene.pick(peer, Has::Some(&scene.only(&[piece])), blocks, &PLAIN);
        assert_eq!((pieces(&asked), asked.len()), (vec![piece], blocks as usize));
        scene.send(peer, &asked);
        assert_eq!(scene.picker.partial_pieces(), (piece + 1).min(2));
    }
    assert_eq!(scene.picker.contributors(PieceIndex(0)).iter().count(), 2);
    assert_eq!(scene.picker.contributors(PieceIndex(1)).iter().count(), 0);
}

#[test]
fn what_peers_are_asked_for_is_not_given_up_for_a_new_piece() {
    let mut scene = giant_pieces();
    let mut asked = Vec::new();
    for piece in 0..3 {
        let peer = scene.peer();
        asked.push(scene.pick(peer, Has::Some(&scene.only(&[piece])), 1, &PLAIN));
    }
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    // Nor what the disk is writing.
    let first = scene.picker.asked_of(scene.keys.keys().next().unwrap()).next().unwrap();
    let sender = scene.keys.keys().next().unwrap();
    scene.picker.received(first, sender);
    let late = scene.peer();
    assert_eq!(scene.pick(late, Has::Some(&scene.only(&[2])), 1, &PLAIN), []);
    scene.picker.written(first);
    assert_eq!(scene.pick(late, Has::Some(&scene.only(&[2])), 1, &PLAIN).len(), 1);
}

#[test]
fn a_picker_rests_until_there_is_something_to_choose_and_after_everybody_left() {
    let mut scene = Scene::new(5);
    let peer = scene.peer();
    assert!(scene.picker.is_resting());
    assert_eq!(scene.pick(peer, Has::All, 0, &PLAIN), []);
    assert!(scene.picker.is_resting(), "nothing was asked for");

    let has = scene.only(&[1, 2]);
    scene.picker.saw_bitfield(&has);
    scene.picker.rest();
    assert!(!scene.picker.is_resting(), "a peer's pieces are counted");
    scene.picker.gone_bitfield(&has);
    scene.picker.rest();
    assert!(scene.picker.is_resting());

    let blocks = scene.pick(peer, Has::All, 1, &PLAIN);
    scene.picker.rest();
    assert!(!scene.picker.is_resting(), "a block is asked of somebody");
    scene.send(peer, &blocks);
    scene.picker.saw_seed();
    scene.picker.rest();
    assert!(!scene.picker.is_resting(), "a seed is counted");
    scene.picker.gone_seed();
    scene.picker.rest();
    assert!(scene.picker.is_resting());
    scene.picker.check();
    assert_eq!(scene.picker.missing_blocks(), 19, "what has come is not forgotten");
    assert_eq!(scene.pick(peer, Has::All, 3, &PLAIN)[0].piece, blocks[0].piece, "nor what is begun");
}

#[test]
fn a_picker_with_everything_stays_at_rest_whoever_comes() {
    let mut scene = Scene::new(1);
    scene.picker.set_have(PieceIndex(0));
    let peer = scene.peer();
    assert_eq!(scene.pick(peer, Has::All, 9, &PLAIN), []);
    assert!(scene.picker.is_resting());
}
