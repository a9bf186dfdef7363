//! Rounds of a choker over peers made up for the purpose.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use slotmap::SlotMap;

use super::*;
use crate::rng::Seed;

/// Peers, a choker over them, and a clock.
struct Scene {
    now: Instant,
    peers: Vec<Candidate>,
    choker: Choker,
    rng: Rng,
}

impl Scene {
    /// Interested peers that send us 1, 2, 3 ... kB/s.
    fn new(count: u64) -> Self {
        let mut keys: SlotMap<PeerKey, ()> = SlotMap::with_key();
        let peers = (1..=count)
            .map(|rank| Candidate {
                key: keys.insert(()),
                interested: true,
                snubbed: false,
                unchoked: false,
                down_rate: rank * 1_000,
                turns: 0,
                sent_since_unchoke: 0,
                last_unchoked: Instant::ZERO,
                connected_at: Instant::ZERO,
                unreturned: 0,
                refuses: false,
            })
            .collect();
        let now = Instant::from_micros(1_000_000_000);
        Self { now, peers, choker: Choker::new(now), rng: Rng::new(Seed([4; 32])) }
    }

    /// Waits for the next decision, carries it out, and says which peers (counted from 0) are unchoked.
    fn next(&mut self, slots: u32, mode: Mode) -> Vec<usize> {
        self.now = self.now.max(self.choker.deadline());
        let mut out = Vec::new();
        assert!(self.choker.tick(self.now, &self.peers, slots, mode, &mut self.rng, &mut out));
        for peer in &mut self.peers {
            let unchoked = out.contains(&peer.key);
            if unchoked && !peer.unchoked {
                peer.last_unchoked = self.now;
                peer.sent_since_unchoke = 0;
                peer.turns += 1;
            }
            peer.unchoked = unchoked;
        }
        assert!(out.len() <= slots as usize);
        (0..self.peers.len()).filter(|&peer| self.peers[peer].unchoked).collect()
    }
}

#[test]
fn those_who_send_most_are_unchoked_and_one_more_by_chance() {
    let mut scene = Scene::new(20);
    let unchoked = scene.next(4, Mode::Leeching);
    assert_eq!(unchoked.len(), 4);
    assert_eq!(unchoked[1..], [17, 18, 19]);
}

#[test]
fn a_decision_stands_for_ten_seconds_and_the_optimistic_one_for_thirty() {
    let mut scene = Scene::new(20);
    let start = scene.now;
    let mut lucky = vec![];
    for round in 0..60 {
        scene.next(4, Mode::Leeching);
        assert_eq!(scene.now, start + round * ROUND);
        lucky.push(scene.choker.optimistic().next());
    }
    assert!(lucky.chunks(3).all(|three| three.iter().all(|&peer| peer == three[0])));
    lucky.dedup();
    assert!(lucky.len() > 12, "chance goes round");
}

#[test]
fn an_optimistic_turn_ends_early_with_one_that_takes_and_refuses() {
    let mut scene = Scene::new(20);
    scene.peers.iter_mut().for_each(|peer| (peer.down_rate, peer.refuses) = (0, true));
    let first = scene.next(4, Mode::Leeching);
    assert_eq!(scene.next(4, Mode::Leeching), first, "it has a round to think of us");
    first.iter().for_each(|&peer| scene.peers[peer].unreturned = TAKER_ROUNDS);
    let third = scene.next(4, Mode::Leeching);
    assert!(third.iter().all(|peer| !first.contains(peer)), "{first:?} {third:?}");
}

#[test]
fn peers_that_are_not_interested_or_snub_us_earn_no_slot() {
    let mut scene = Scene::new(6);
    scene.peers[5].interested = false;
    scene.peers[4].snubbed = true;
    assert_eq!(scene.next(3, Mode::Leeching)[1..], [2, 3]);
    assert_eq!(scene.next(10, Mode::Leeching).len(), 5, "a free slot is better used than not");
}

#[test]
fn a_newcomer_is_three_times_as_likely_to_be_tried() {
    let mut scene = Scene::new(10);
    scene.peers.iter_mut().for_each(|peer| peer.connected_at = scene.now - NEWCOMER_TIME);
    scene.peers[0].connected_at = scene.now;
    let (now, mut tried) = (scene.now, BTreeMap::new());
    for _ in 0..12_000 {
        let key = optimistic(now, &scene.peers, &[], &mut scene.rng);
        *tried.entry(key).or_insert(0) += 1;
    }
    let (newcomer, other) = (tried[&Some(scene.peers[0].key)], tried[&Some(scene.peers[5].key)]);
    assert!((2_700..3_300).contains(&newcomer) && (850..1_150).contains(&other), "{newcomer} and {other}");
}

#[test]
fn one_that_only_ever_takes_is_hardly_ever_tried_and_gets_a_free_slot_last() {
    let mut scene = Scene::new(5);
    scene.peers[0].unreturned = TAKER_ROUNDS;
    let (now, mut tried) = (scene.now, BTreeMap::new());
    for _ in 0..65_000 {
        let key = optimistic(now, &scene.peers, &[], &mut scene.rng);
        *tried.entry(key).or_insert(0) += 1;
    }
    let (taker, other) = (tried[&Some(scene.peers[0].key)], tried[&Some(scene.peers[3].key)]);
    assert!((850..1_150).contains(&taker) && (15_000..17_000).contains(&other), "{taker} and {other}");
    scene.peers.iter_mut().for_each(|peer| peer.down_rate = 0);
    let last = rank(now, &scene.peers, 5, Mode::Leeching);
    assert_eq!(last[4], scene.peers[0].key);
}

#[test]
fn a_free_slot_is_given_at_once_and_nobody_is_choked_for_it() {
    let mut scene = Scene::new(20);
    let before = scene.next(4, Mode::Leeching);
    scene.now += Duration::from_secs(1);
    scene.peers[19].interested = false;
    before.iter().for_each(|&peer| scene.peers[peer].down_rate = 0);
    let best = (0..19).rfind(|peer| !before.contains(peer)).unwrap();
    scene.choker.slot_freed(scene.now);
    assert_eq!(scene.choker.deadline(), scene.now);
    assert!(!scene.choker.is_round(scene.now), "nobody is judged anew");
    let after = scene.next(4, Mode::Leeching);
    assert_eq!(after.len(), 4);
    assert!(before.iter().all(|peer| *peer == 19 || after.contains(peer)), "{before:?} {after:?}");
    assert!(after.contains(&best), "the best of those waiting");
}

#[test]
fn a_seed_serves_everybody_for_about_as_long() {
    let mut scene = Scene::new(12);
    let mut served = vec![0_u64; 12];
    for _ in 0..12 * 60 {
        for peer in scene.next(3, Mode::Seeding) {
            let rate = (peer as u64 + 1) * 100_000;
            scene.peers[peer].sent_since_unchoke += rate * 10;
            served[peer] += 10;
        }
    }
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(*most <= least + least / 4, "{served:?}");
}

#[test]
fn a_peer_that_takes_nothing_cannot_keep_a_seeds_slot() {
    let mut scene = Scene::new(2);
    let first = scene.next(1, Mode::Seeding);
    let turns: Vec<_> = (0..40).map(|_| scene.next(1, Mode::Seeding)).collect();
    assert!(turns.iter().any(|turn| *turn != first));
}

#[test]
fn those_who_take_and_come_back_do_not_keep_a_seeds_slot_among_them() {
    let mut scene = Scene::new(3);
    let mut served = [0; 3];
    for _ in 0..60 {
        let [peer] = scene.next(1, Mode::Seeding)[..] else { panic!("one slot") };
        served[peer] += 1;
        if peer < 2 {
            let returned = &mut scene.peers[peer];
            (returned.unchoked, returned.turns) = (false, 0);
            (returned.last_unchoked, returned.connected_at) = (Instant::ZERO, scene.now);
        }
    }
    assert!(served[2] >= 30, "{served:?}");
}

#[test]
fn the_order_of_the_candidates_does_not_matter() {
    let mut scene = Scene::new(9);
    for peer in &mut scene.peers {
        peer.down_rate = 5;
    }
    let now = scene.now;
    let forward = rank(now, &scene.peers, 4, Mode::Leeching);
    scene.peers.reverse();
    assert_eq!(rank(now, &scene.peers, 4, Mode::Leeching), forward);
}

#[test]
fn no_slots_means_nobody() {
    let mut scene = Scene::new(3);
    assert_eq!(scene.next(0, Mode::Leeching), []);
    assert_eq!(scene.next(1, Mode::Leeching).len(), 1);
}

#[test]
fn whoever_lost_a_seeds_slot_early_has_it_when_the_others_turn_is_over() {
    let mut scene = Scene::new(2);
    scene.peers[1].interested = false;
    assert_eq!(scene.next(2, Mode::Seeding), [0]);
    scene.peers[1].interested = true;
    assert_eq!(scene.next(2, Mode::Seeding), [0, 1]);
    let mut served = [0, 0];
    for _ in 0..72 {
        let unchoked = scene.next(1, Mode::Seeding); // there is one slot less
        unchoked.iter().for_each(|&peer| served[peer] += 1);
    }
    assert!(served.iter().all(|&rounds| rounds >= 30), "{served:?}");
}

#[test]
fn a_seed_serves_twenty_peers_for_equally_long() {
    let mut scene = Scene::new(20);
    let mut served = vec![0_u64; 20];
    for _ in 0..360 * 8 {
        for peer in scene.next(8, Mode::Seeding) {
            scene.peers[peer].sent_since_unchoke += 40_000;
            served[peer] += 1;
        }
    }
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!((most - least) * 20 <= *most, "{served:?}");
}

#[test]
fn nothing_is_decided_before_it_is_due_and_late_is_soon_enough() {
    let mut scene = Scene::new(3);
    scene.next(2, Mode::Leeching);
    let somebody = scene.peers[0].key;
    let (soon, mut out) = (scene.choker.deadline() - Duration::from_micros(1), vec![somebody]);
    assert!(!scene.choker.tick(soon, &scene.peers, 2, Mode::Leeching, &mut scene.rng, &mut out));
    assert_eq!(out, [somebody], "left alone");
    let late = scene.choker.deadline() + Duration::from_secs(3);
    assert!(scene.choker.tick(late, &scene.peers, 2, Mode::Leeching, &mut scene.rng, &mut out));
    assert_eq!((out.len(), scene.choker.deadline()), (2, late + ROUND));
}

#[test]
fn of_two_slots_one_is_for_the_best_and_one_for_anybody() {
    let mut scene = Scene::new(10);
    let rounds: Vec<_> = (0..30).map(|_| scene.next(2, Mode::Leeching)).collect();
    assert!(rounds.iter().all(|unchoked| unchoked.contains(&9)));
    assert!(rounds.iter().any(|unchoked| !unchoked.contains(&8)), "not the second best every time");
}

#[test]
fn a_slot_that_an_earner_leaves_goes_to_the_next_and_one_of_luck_is_drawn_again() {
    let (mut refilled, mut redrawn) = (0, 0);
    for seed in 0..20 {
        let mut scene = Scene::new(40);
        scene.rng = Rng::new(Seed([seed; 32]));
        scene.next(4, Mode::Leeching);
        let tried = scene.choker.optimistic().next().unwrap();
        scene.now += Duration::from_secs(1);
        scene.peers[39].interested = false;
        scene.choker.slot_freed(scene.now);
        refilled += u32::from(scene.next(4, Mode::Leeching).contains(&36));

        let mut scene = Scene::new(40);
        scene.rng = Rng::new(Seed([seed; 32]));
        scene.next(4, Mode::Leeching);
        scene.now += Duration::from_secs(1);
        scene.peers.iter_mut().filter(|peer| peer.key == tried).for_each(|peer| peer.interested = false);
        scene.choker.slot_freed(scene.now);
        redrawn += u32::from(!scene.next(4, Mode::Leeching).contains(&36));
    }
    assert!(refilled == 20 && redrawn >= 15, "{refilled} and {redrawn} of 20");
}

#[test]
fn a_turn_ends_when_the_peer_wants_nothing_more_or_earns_its_slot() {
    for earns in [false, true] {
        let mut scene = Scene::new(40);
        scene.next(4, Mode::Leeching);
        let tried = scene.choker.optimistic().next().unwrap();
        let lucky = scene.peers.iter_mut().find(|peer| peer.key == tried).unwrap();
        (lucky.interested, lucky.down_rate) = (earns, 1 << 30);
        let unchoked = scene.next(4, Mode::Leeching);
        assert_eq!(unchoked.iter().any(|&peer| scene.peers[peer].key == tried), earns);
        let next = scene.choker.optimistic().next();
        assert!(next.is_some_and(|next| next != tried), "another has its turn");
    }
}

#[test]
fn those_who_earn_take_the_slots_of_those_who_are_tried() {
    let mut scene = Scene::new(8);
    scene.peers.iter_mut().for_each(|peer| peer.down_rate = 0);
    let first = scene.next(4, Mode::Leeching);
    assert_eq!((first.len(), scene.choker.optimistic().count()), (4, 4));
    let earners: Vec<_> = (0..8).filter(|peer| !first.contains(peer)).take(3).collect();
    earners.iter().for_each(|&peer| scene.peers[peer].down_rate = 1_000);
    let second = scene.next(4, Mode::Leeching);
    assert!(earners.iter().all(|peer| second.contains(peer)));
    assert_eq!((second.len(), scene.choker.optimistic().count()), (4, 1));
}

#[test]
fn one_slot_is_for_anybody_and_none_more_for_those_who_only_take() {
    let mut scene = Scene::new(6);
    for peer in &mut scene.peers {
        (peer.down_rate, peer.unreturned, peer.refuses) = (0, TAKER_ROUNDS, true);
    }
    assert_eq!(scene.next(4, Mode::Leeching).len(), 1);
    // What one has not, it cannot give.
    scene.peers.iter_mut().for_each(|peer| peer.refuses = false);
    assert_eq!(scene.next(4, Mode::Leeching).len(), 4);
    // And who refuses us for now has not only taken.
    let mut scene = Scene::new(6);
    scene.peers.iter_mut().for_each(|peer| (peer.down_rate, peer.refuses) = (0, true));
    assert_eq!(scene.next(4, Mode::Leeching).len(), 4);
}

#[test]
fn a_seeds_turn_lasts_for_its_bytes_and_its_time_but_not_for_ever() {
    let turn = |sent: u64, time: Duration, unchoked: bool| {
        let mut scene = Scene::new(2);
        let (now, waiting) = (scene.now, scene.peers[1].key);
        let peer = &mut scene.peers[0];
        (peer.unchoked, peer.sent_since_unchoke, peer.last_unchoked) = (unchoked, sent, now - time);
        rank(now, &scene.peers, 1, Mode::Seeding)[0] != waiting
    };
    let moment = Duration::from_micros(1);
    assert!(turn(0, moment, true));
    assert!(!turn(0, moment, false), "it has no turn to finish");
    assert!(turn(TURN_BYTES, TURN_TIME - moment, true), "fast as it is, TCP needs a while");
    assert!(turn(TURN_BYTES - 1, TURN_TIME, true));
    assert!(!turn(TURN_BYTES, TURN_TIME, true));
    assert!(turn(TURN_BYTES - 1, 3 * TURN_TIME - moment, true));
    assert!(!turn(TURN_BYTES - 1, 3 * TURN_TIME, true));
}

#[test]
fn whatever_happens_the_slots_are_not_overrun_and_go_to_those_who_want_them() {
    let mut scene = Scene::new(12);
    let mut chance = Rng::new(Seed([8; 32]));
    for _ in 0..3_000 {
        let peer = &mut scene.peers[chance.below(12) as usize];
        match chance.below(6) {
            0 => peer.interested = !peer.interested,
            1 => peer.down_rate = u64::from(chance.below(3)) * 1_000,
            2 => peer.unreturned = chance.below(4),
            3 => peer.refuses = !peer.refuses,
            4 => peer.snubbed = !peer.snubbed,
            _ => scene.now += Duration::from_millis(u64::from(chance.below(4_000))),
        }
        if chance.below(4) == 0 {
            scene.choker.slot_freed(scene.now);
        }
        if scene.now >= scene.choker.deadline() {
            let slots = 1 + chance.below(2) * 3;
            let mode = if chance.below(8) == 0 { Mode::Seeding } else { Mode::Leeching };
            let unchoked = scene.next(slots, mode);
            assert!(unchoked.iter().all(|&peer| scene.peers[peer].interested));
        }
    }
}
