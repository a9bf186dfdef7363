//! Small torrents and a few peers: what each pick must and must not be.

use alloc::vec::Vec;
use core::time::Duration;

use slotmap::SlotMap;

use super::*;
use crate::rate::Pace;
use crate::rng::{Rng, Seed};

mod limits;
mod sharing;

/// A torrent of pieces of four blocks, and peers that can be named.
struct Scene {
    picker: Picker,
    rng: Rng,
    keys: SlotMap<PeerKey, ()>,
}

const PLAIN: PickOptions<'static> = PickOptions { allowed: None, suggested: &[], fast_peer: false };
const FAST: PickOptions<'static> = PickOptions { fast_peer: true, ..PLAIN };

impl Scene {
    fn new(pieces: u32) -> Self {
        let length = 4 * BLOCK_LEN;
        let picker = Picker::new(pieces, length, u64::from(pieces) * u64::from(length));
        Self { picker, rng: Rng::new(Seed([1; 32])), keys: SlotMap::with_key() }
    }

    fn peer(&mut self) -> PeerKey {
        self.keys.insert(())
    }

    fn pick(&mut self, peer: PeerKey, has: Has<'_>, want: u32, options: &PickOptions<'_>) -> Vec<Block> {
        let mut out = Vec::new();
        self.picker.pick(peer, has, want, options, &mut self.rng, &mut out);
        self.picker.check();
        out
    }

    fn pick_again(
        &mut self,
        peer: PeerKey,
        want: u32,
        pace: impl Fn(PeerKey) -> Option<Pace>,
    ) -> (Vec<Block>, Option<Duration>) {
        let mut out = Vec::new();
        let wait = self.picker.pick_again(peer, Has::All, want, pace, &mut self.rng, &mut out);
        self.picker.check();
        (out, wait)
    }

    /// Lets `peer` send `blocks`; says which pieces they complete.
    fn send(&mut self, peer: PeerKey, blocks: &[Block]) -> Vec<PieceIndex> {
        let mut complete = Vec::new();
        for &block in blocks {
            let Received::Wanted { piece_complete, .. } = self.picker.received(block, peer) else {
                panic!("{block:?} is not wanted")
            };
            self.picker.written(block);
            complete.extend(piece_complete.then_some(block.piece));
        }
        self.picker.check();
        complete
    }

    fn only(&self, pieces: &[u32]) -> Bitfield {
        let mut set = Bitfield::new(self.picker.pieces());
        for &piece in pieces {
            set.set(PieceIndex(piece));
        }
        set
    }
}

fn pieces(blocks: &[Block]) -> Vec<u32> {
    let mut pieces: Vec<_> = blocks.iter().map(|block| block.piece.0).collect();
    pieces.dedup();
    pieces
}

#[test]
fn one_peer_gets_a_piece_block_by_block_in_order() {
    let mut scene = Scene::new(10);
    let seed = scene.peer();
    let mut blocks = scene.pick(seed, Has::All, 3, &FAST);
    blocks.extend(scene.pick(seed, Has::All, 5, &FAST));
    assert_eq!(pieces(&blocks).len(), 2);
    let offsets: Vec<_> = blocks.iter().map(|block| block.offset / BLOCK_LEN).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn the_rarest_piece_is_begun_first() {
    let mut scene = Scene::new(50);
    for piece in 0..4 {
        scene.picker.set_have(PieceIndex(piece)); // past the random first pieces
    }
    let (most, some) = (Bitfield::full(50), scene.only(&[7, 8, 9, 20, 33]));
    let all_but_33 = {
        let mut set = most.clone();
        set.clear(PieceIndex(33));
        set
    };
    scene.picker.saw_bitfield(&all_but_33);
    scene.picker.saw_bitfield(&all_but_33);
    scene.picker.saw_bitfield(&some);
    let peer = scene.peer();
    assert_eq!(pieces(&scene.pick(peer, Has::All, 4, &FAST)), [33]);
    scene.picker.gone_bitfield(&all_but_33);
    for _ in 0..5 {
        scene.picker.saw_have(PieceIndex(33));
    }
    for piece in (0..50).filter(|piece| *piece != 41) {
        scene.picker.saw_have(PieceIndex(piece));
    }
    assert_eq!(pieces(&scene.pick(peer, Has::All, 4, &FAST)), [41]);
    assert_eq!(scene.picker.availability(PieceIndex(33)), 7);
}

#[test]
fn pieces_equally_rare_are_begun_in_different_order_by_different_seeds() {
    let order = |seed| {
        let mut scene = Scene::new(64);
        scene.rng = Rng::new(Seed([seed; 32]));
        let peer = scene.peer();
        pieces(&scene.pick(peer, Has::All, 64, &FAST))
    };
    assert_ne!(order(1), order(2));
}

#[test]
fn a_peer_with_few_pieces_gets_the_rarest_of_those() {
    let mut scene = Scene::new(5_000);
    for piece in 0..4 {
        scene.picker.set_have(PieceIndex(piece));
    }
    for piece in [4_000, 4_001] {
        (0..3).for_each(|_| scene.picker.saw_have(PieceIndex(piece)));
    }
    scene.picker.saw_have(PieceIndex(4_001));
    let peer = scene.peer();
    let has = scene.only(&[1, 4_000, 4_001]);
    assert_eq!(pieces(&scene.pick(peer, Has::Some(&has), 8, &FAST)), [4_000, 4_001]);
}

#[test]
fn in_sequential_order_the_front_comes_first_and_priorities_before_that() {
    let mut scene = Scene::new(20);
    scene.picker.set_order(PieceOrder::Sequential);
    scene.picker.set_priority(PieceIndex(12), Priority::High);
    scene.picker.set_priority(PieceIndex(1), Priority::Skip);
    let peer = scene.peer();
    assert_eq!(pieces(&scene.pick(peer, Has::All, 16, &FAST)), [12, 0, 2, 3]);
}

#[test]
fn beyond_the_window_of_sequential_order_the_rarest_comes_first() {
    let mut scene = Scene::new(40);
    scene.picker.set_order(PieceOrder::Sequential);
    scene.picker.set_window(5);
    (0..5).for_each(|piece| scene.picker.set_have(PieceIndex(piece)));
    (0..40).filter(|piece| *piece != 30).for_each(|piece| scene.picker.saw_have(PieceIndex(piece)));
    let peer = scene.peer();
    assert_eq!(pieces(&scene.pick(peer, Has::All, 24, &FAST)), [5, 6, 7, 8, 9, 30]);
}

#[test]
fn no_block_is_asked_twice_before_the_endgame_and_at_most_three_times_in_it() {
    let mut scene = Scene::new(2);
    let first = scene.peer();
    let mut asked: Vec<_> =
        scene.pick(first, Has::All, 7, &PLAIN).into_iter().map(|block| (block, first)).collect();
    let late = Pace { waited: Duration::from_secs(1), ..Pace::default() };
    for round in 0..5 {
        let peer = scene.peer();
        let pace = |other| Some(if other == peer { Pace::default() } else { late });
        if round == 0 {
            assert_eq!(scene.pick_again(peer, 8, pace).0, [], "a block is still open");
            asked.extend(scene.pick(first, Has::All, 8, &PLAIN).into_iter().map(|block| (block, first)));
        }
        assert_eq!(scene.pick(peer, Has::All, 8, &PLAIN), []);
        let (blocks, _) = scene.pick_again(peer, 8, pace);
        assert_eq!(blocks.len(), if round < 2 { 8 } else { 0 });
        asked.extend(blocks.into_iter().map(|block| (block, peer)));
        if round == 0 {
            assert_eq!(scene.pick_again(peer, 8, pace).0, [], "never twice of the same peer");
        }
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 24);
}

#[test]
fn an_equally_fast_peer_is_not_asked_for_what_another_is_about_to_send() {
    let mut scene = Scene::new(2);
    let (a, b) = (scene.peer(), scene.peer());
    let blocks = scene.pick(a, Has::All, 8, &PLAIN);
    let each = Duration::from_millis(100);
    let equal = |waited| move |_| Some(Pace { first: each, each, waited });
    // Those it could send in less than half the time, one after the other.
    let (again, _) = scene.pick_again(b, 8, equal(Duration::ZERO));
    assert_eq!(again, [blocks[7], blocks[6], blocks[5]]);
    scene.send(b, &again);
    scene.send(a, &blocks[..4]);
    let idle =
        |other| Some(Pace { first: each, each, waited: if other == a { each } else { Duration::ZERO } });
    let (again, wait) = scene.pick_again(b, 8, idle);
    assert_eq!((again, wait), (vec![], Some(each)), "the last one is due");
    let (again, _) = scene.pick_again(b, 8, |other| {
        Some(Pace { first: each, each, waited: if other == a { 2 * each } else { Duration::ZERO } })
    });
    assert_eq!(again, [blocks[4]], "the last one is overdue");
}

#[test]
fn a_slow_peer_helps_nobody() {
    let mut scene = Scene::new(2);
    let (a, b) = (scene.peer(), scene.peer());
    scene.pick(a, Has::All, 8, &PLAIN);
    let second = Duration::from_secs(1);
    let pace = |other| {
        Some(if other == b {
            Pace { first: 9 * second, ..Pace::default() }
        } else {
            Pace { first: second, each: second, waited: second }
        })
    };
    let (again, wait) = scene.pick_again(b, 8, pace);
    assert_eq!(
        (again, wait),
        (vec![], Some(10 * second)),
        "18 s, of which 7 are for the others and 1 is past"
    );
    assert_eq!(
        scene.pick_again(b, 8, |other| (other == b).then(Pace::default)),
        (vec![], None),
        "nothing is known"
    );
}

#[test]
fn a_block_that_comes_in_the_endgame_is_cancelled_everywhere_else() {
    let mut scene = Scene::new(1);
    let (a, b, c) = (scene.peer(), scene.peer(), scene.peer());
    let blocks = scene.pick(a, Has::All, 4, &PLAIN);
    for helper in [b, c] {
        let waited = Duration::from_secs(1);
        let pace =
            |other| (other != helper).then_some(Pace { waited, ..Pace::default() }).or(Some(Pace::default()));
        assert_eq!(scene.pick_again(helper, 4, pace).0.len(), 4);
    }
    let Received::Wanted { cancel, .. } = scene.picker.received(blocks[0], b) else { panic!() };
    let mut cancelled = cancel.peers().to_vec();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [a, c]);
    assert!(!scene.picker.is_asked_of(blocks[0], a));
    assert_eq!(scene.picker.asked_of(a).count(), 3);
    assert_eq!(scene.picker.received(blocks[0], a), Received::Duplicate);
    scene.picker.check();
}

#[test]
fn blocks_given_back_are_asked_of_the_next_peer_first() {
    let mut scene = Scene::new(30);
    let (a, b) = (scene.peer(), scene.peer());
    let blocks = scene.pick(a, Has::All, 4, &FAST);
    scene.send(a, &blocks[..1]);
    assert!(scene.picker.give_back(blocks[2], a) && !scene.picker.give_back(blocks[2], a));
    scene.picker.give_back_all(a);
    scene.picker.check();
    assert_eq!(scene.picker.outstanding(), 0);
    assert_eq!(scene.pick(b, Has::All, 3, &FAST), blocks[1..]);
}

#[test]
fn a_piece_nobody_sent_a_block_of_is_no_longer_begun_when_it_is_given_back() {
    let mut scene = Scene::new(30);
    let peer = scene.peer();
    scene.pick(peer, Has::All, 40, &FAST);
    assert_eq!(scene.picker.partial_pieces(), 10);
    scene.picker.give_back_all(peer);
    assert_eq!(scene.picker.partial_pieces(), 0);
    assert_eq!(scene.picker.missing_blocks(), 120);
    scene.picker.check();
}

#[test]
fn fast_peers_begin_pieces_of_their_own_and_slow_ones_help() {
    let mut scene = Scene::new(30);
    let (fast, other, slow, slower) = (scene.peer(), scene.peer(), scene.peer(), scene.peer());
    let first = scene.pick(fast, Has::All, 1, &FAST)[0].piece;
    let second = scene.pick(other, Has::All, 1, &FAST)[0].piece;
    assert_ne!(first, second);
    let third = scene.pick(slow, Has::All, 1, &PLAIN)[0].piece;
    assert!(third != first && third != second, "a fast peer is left alone while there is something else");
    assert_eq!(scene.pick(slower, Has::All, 1, &PLAIN)[0].piece, third);
}

#[test]
fn a_slow_crowd_does_not_begin_a_piece_each() {
    let mut scene = Scene::new(500);
    for _ in 0..100 {
        let peer = scene.peer();
        scene.pick(peer, Has::All, 1, &PLAIN);
    }
    assert_eq!(scene.picker.partial_pieces(), 25);
}

#[test]
fn while_choked_only_allowed_pieces_are_asked_for() {
    let mut scene = Scene::new(30);
    let peer = scene.peer();
    let allowed = [PieceIndex(9), PieceIndex(4), PieceIndex(99)];
    scene.picker.set_have(PieceIndex(9));
    let options = PickOptions { allowed: Some(&allowed), ..PLAIN };
    let blocks = scene.pick(peer, Has::All, 64, &options);
    assert_eq!((blocks.len(), pieces(&blocks)), (4, vec![4]));
}

#[test]
fn a_suggested_piece_is_begun_before_others() {
    let mut scene = Scene::new(300);
    let peer = scene.peer();
    let options = PickOptions { suggested: &[PieceIndex(500), PieceIndex(123)], ..PLAIN };
    assert_eq!(pieces(&scene.pick(peer, Has::All, 4, &options)), [123]);
}

#[test]
fn a_suggestion_does_not_come_before_what_is_wanted_more() {
    let mut scene = Scene::new(300);
    scene.picker.set_priority(PieceIndex(7), Priority::High);
    let peer = scene.peer();
    let options = PickOptions { suggested: &[PieceIndex(123)], ..PLAIN };
    assert_eq!(pieces(&scene.pick(peer, Has::All, 8, &options)), [7, 123]);
}

#[test]
fn a_complete_piece_is_had_once_it_is_written_and_passes() {
    let mut scene = Scene::new(3);
    let peer = scene.peer();
    let blocks = scene.pick(peer, Has::All, 4, &FAST);
    assert_eq!(scene.send(peer, &blocks[..3]), []);
    assert!(matches!(scene.picker.received(blocks[3], peer), Received::Wanted { piece_complete: true, .. }));
    assert_eq!(scene.picker.passed(blocks[0].piece), None, "a block is not on disk yet");
    scene.picker.written(blocks[3]);
    assert_eq!(scene.picker.passed(blocks[0].piece).and_then(|sent| sent.sole()), Some(peer));
    assert!(scene.picker.have().get(blocks[0].piece));
    assert_eq!(scene.picker.received(blocks[0], peer), Received::Duplicate);
    scene.picker.check();
}

#[test]
fn a_write_that_fails_opens_the_block_and_undoes_a_hash_that_passed() {
    let mut scene = Scene::new(1);
    let peer = scene.peer();
    let blocks = scene.pick(peer, Has::All, 4, &FAST);
    scene.send(peer, &blocks);
    scene.picker.write_failed(blocks[1]);
    assert_eq!(scene.picker.passed(blocks[0].piece), None);
    assert_eq!(scene.pick(peer, Has::All, 4, &FAST), [blocks[1]]);
}

#[test]
fn a_piece_that_fails_its_hash_is_asked_again_and_names_who_sent_it() {
    let mut scene = Scene::new(1);
    let (a, b) = (scene.peer(), scene.peer());
    let first = scene.pick(a, Has::All, 3, &FAST);
    let second = scene.pick(b, Has::All, 1, &FAST);
    scene.send(a, &first);
    assert_eq!(scene.send(b, &second), [PieceIndex(0)]);
    let sent = scene.picker.failed(PieceIndex(0));
    assert_eq!(sent.iter().collect::<Vec<_>>(), [(0, a), (1, a), (2, a), (3, b)]);
    assert_eq!((sent.peers(), sent.sole()), (vec![a, b], None));
    assert_eq!(scene.picker.missing_blocks(), 4);
    assert_eq!(scene.pick(b, Has::All, 9, &FAST).len(), 4);
}

#[test]
fn a_piece_to_be_had_from_one_peer_is_shared_with_nobody() {
    let mut scene = Scene::new(1);
    let (a, b) = (scene.peer(), scene.peer());
    scene.picker.set_alone(PieceIndex(0));
    let blocks = scene.pick(a, Has::All, 2, &PLAIN);
    assert_eq!(scene.pick(b, Has::All, 9, &PLAIN), []);
    assert_eq!(scene.picker.received(blocks[0], b), Received::Unwanted);
    scene.send(a, &blocks[..1]);
    scene.picker.give_back_all(a);
    scene.picker.check();
    assert_eq!(scene.picker.missing_blocks(), 4, "what the first one sent is dropped");
    let again = scene.pick(b, Has::All, 9, &PLAIN);
    assert_eq!(again.len(), 4);
    assert_eq!(scene.picker.received(blocks[1], a), Received::Unwanted);
    scene.send(b, &again);
    assert_eq!(scene.picker.passed(PieceIndex(0)).and_then(|sent| sent.sole()), Some(b));
}

#[test]
fn a_piece_alone_is_taken_over_from_a_peer_that_left_with_nothing_asked() {
    let mut scene = Scene::new(1);
    let (a, b) = (scene.peer(), scene.peer());
    scene.picker.set_alone(PieceIndex(0));
    let blocks = scene.pick(a, Has::All, 1, &PLAIN);
    scene.send(a, &blocks);
    scene.picker.give_back_all(a);
    assert_eq!(scene.picker.missing_blocks(), 4, "it is nobody's at once");
    assert_eq!(scene.pick(b, Has::All, 9, &PLAIN).len(), 4);
}

#[test]
fn skipped_pieces_are_not_asked_for_and_make_nobody_interesting() {
    let mut scene = Scene::new(3);
    let peer = scene.peer();
    scene.picker.set_priority(PieceIndex(0), Priority::Skip);
    scene.picker.set_priority(PieceIndex(1), Priority::Skip);
    let has = scene.only(&[0, 1]);
    assert!(!scene.picker.is_interesting(Has::Some(&has)));
    assert_eq!(scene.pick(peer, Has::Some(&has), 9, &PLAIN), []);
    let blocks = scene.pick(peer, Has::All, 9, &PLAIN);
    assert_eq!(pieces(&blocks), [2]);
    scene.send(peer, &blocks);
    scene.picker.passed(PieceIndex(2));
    assert!(scene.picker.is_finished() && !scene.picker.is_complete());
    scene.picker.set_priority(PieceIndex(1), Priority::Low);
    assert_eq!(scene.pick(peer, Has::Some(&has), 9, &PLAIN).len(), 4);
}

#[test]
fn a_piece_lost_from_disk_is_missing_again() {
    let mut scene = Scene::new(2);
    let peer = scene.peer();
    scene.picker.set_have(PieceIndex(0));
    scene.picker.set_have(PieceIndex(1));
    assert!(scene.picker.is_complete() && !scene.picker.is_interesting(Has::All));
    scene.picker.lost(PieceIndex(1));
    assert_eq!(scene.picker.missing_blocks(), 4);
    assert_eq!(pieces(&scene.pick(peer, Has::All, 9, &PLAIN)), [1]);
}

#[test]
fn only_whole_blocks_in_their_places_are_taken() {
    let mut scene = Scene::new(2);
    let peer = scene.peer();
    let good = scene.pick(peer, Has::All, 1, &PLAIN)[0];
    for bad in [
        Block { piece: PieceIndex(2), ..good },
        Block { offset: good.offset + 1, ..good },
        Block { len: good.len - 1, ..good },
        Block { len: good.len * 2, ..good },
        Block { offset: 4 * BLOCK_LEN, ..good },
        Block { piece: PieceIndex(u32::MAX), offset: u32::MAX, len: u32::MAX },
    ] {
        assert_eq!(scene.picker.received(bad, peer), Received::NotABlock, "{bad:?}");
        assert!(!scene.picker.give_back(bad, peer));
    }
}

#[test]
fn the_last_block_of_all_may_be_short() {
    let mut scene = Scene::new(1);
    scene.picker = Picker::new(2, 2 * BLOCK_LEN, u64::from(3 * BLOCK_LEN) + 5);
    let peer = scene.peer();
    let mut blocks = scene.pick(peer, Has::All, 9, &PLAIN);
    blocks.sort_unstable();
    assert_eq!(blocks.last(), Some(&Block { piece: PieceIndex(1), offset: BLOCK_LEN, len: 5 }));
}

#[test]
fn a_late_block_is_used_while_it_is_missing() {
    let mut scene = Scene::new(9);
    let (slow, quick) = (scene.peer(), scene.peer());
    let blocks = scene.pick(slow, Has::All, 1, &PLAIN);
    scene.picker.give_back_all(slow);
    scene.picker.set_order(PieceOrder::Sequential);
    let asked = scene.pick(quick, Has::Some(&scene.only(&[blocks[0].piece.0])), 4, &PLAIN);
    assert_eq!(asked.len(), 4);
    let Received::Wanted { cancel, .. } = scene.picker.received(blocks[0], slow) else { panic!() };
    assert_eq!(cancel.peers(), [quick]);
}

#[test]
fn a_stream_of_lone_blocks_cannot_pile_up_partial_pieces() {
    let mut scene = Scene::new(2_000);
    for piece in 0..2_000 {
        let peer = scene.peer();
        let has = scene.only(&[piece]);
        let mut out = Vec::new();
        scene.picker.pick(peer, Has::Some(&has), 1, &PLAIN, &mut scene.rng, &mut out);
        assert_eq!(out.len(), 1, "an honest peer still gets its piece");
        scene.picker.received(out[0], peer);
        scene.picker.written(out[0]);
    }
    scene.picker.check();
    assert!(scene.picker.partial_pieces() <= OPEN_PARTIALS_MAX);
}

#[test]
fn a_peer_in_a_reused_slot_inherits_nothing() {
    let mut scene = Scene::new(1);
    let first = scene.peer();
    scene.pick(first, Has::All, 4, &PLAIN);
    scene.keys.remove(first);
    let second = scene.peer();
    assert_eq!(first.slot(), second.slot());
    assert_eq!(scene.picker.asked_of(second).count(), 0);
    assert_eq!(scene.pick(second, Has::All, 4, &PLAIN).len(), 4);
    assert!(!scene.picker.in_endgame() || scene.picker.outstanding() == 4);
}
