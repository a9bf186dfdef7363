//! Whom a lookup asks, whom it believes, and when it ends.

use alloc::vec::Vec;

use super::*;

/// A node of a network of its own, so far from the target.
fn node(distance: u8) -> Contact {
    let mut id = NodeId([0; 20]);
    id.0[0] = distance;
    Contact { id, address: SocketAddr::from(([9, 9, distance, 1], 6881)) }
}

fn lookup(known: impl IntoIterator<Item = u8>) -> Lookup {
    let mut lookup = Lookup::new(NodeId([0; 20]), Family::V4, Goal::Peers);
    for distance in known {
        lookup.add(node(distance), None);
    }
    lookup
}

fn asked(lookup: &mut Lookup) -> Vec<u8> {
    core::iter::from_fn(|| lookup.next()).filter_map(|(_, id)| id).map(|id| id.0[0]).collect()
}

fn answer(lookup: &mut Lookup, distance: u8) {
    lookup.answer(node(distance).address, node(distance).id, Some(Vec::from([distance])));
}

#[test]
fn the_nearest_are_asked_first_and_a_few_at_a_time() {
    let mut lookup = lookup([50, 10, 40, 20, 30]);
    assert_eq!(asked(&mut lookup), [10, 20, 30, 40]);
    answer(&mut lookup, 20);
    assert_eq!(asked(&mut lookup), [50]);
}

#[test]
fn it_ends_when_the_eight_nearest_have_answered() {
    let mut lookup = lookup(1..=20);
    for distance in 1..=8 {
        asked(&mut lookup);
        assert!(!lookup.is_over());
        answer(&mut lookup, distance);
    }
    assert_eq!(asked(&mut lookup), []);
    assert!(lookup.is_over());
    assert_eq!((lookup.asked(), lookup.answered()), (8, 8));
    let tokens: Vec<u8> = lookup.closest_with_tokens().into_iter().map(|(.., token)| token[0]).collect();
    assert_eq!(tokens, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_nearer_node_that_turns_up_late_is_asked_all_the_same() {
    let mut lookup = lookup(11..=18);
    for distance in 11..=18 {
        asked(&mut lookup);
        answer(&mut lookup, distance);
    }
    lookup.add(node(3), Some(node(15).address));
    lookup.add(node(33), Some(node(15).address));
    assert_eq!(asked(&mut lookup), [3]);
}

#[test]
fn whoever_takes_long_is_gone_around_and_still_heard() {
    let mut lookup = lookup(1..=12);
    asked(&mut lookup);
    for distance in 1..=4 {
        lookup.slow(node(distance).address);
    }
    assert_eq!(asked(&mut lookup), [5, 6, 7, 8]);
    answer(&mut lookup, 2);
    assert_eq!(lookup.closest_with_tokens().len(), 1);
}

#[test]
fn whoever_names_nodes_that_do_not_answer_is_not_believed_before_others() {
    let mut lookup = lookup([100, 101, 102]);
    asked(&mut lookup);
    answer(&mut lookup, 100);
    for distance in 1..=8 {
        lookup.add(node(distance), Some(node(100).address));
    }
    assert_eq!(asked(&mut lookup), [1, 2]);
    answer(&mut lookup, 101);
    for distance in 51..=53 {
        lookup.add(node(distance), Some(node(101).address));
    }
    for distance in 1..=2 {
        lookup.slow(node(distance).address);
    }
    assert_eq!(asked(&mut lookup), [51, 52, 53]);
    lookup.add(node(5), Some(node(101).address));
    answer(&mut lookup, 51);
    assert_eq!(asked(&mut lookup), [5], "somebody else knows it, too");
    for distance in [52, 53, 5, 102] {
        answer(&mut lookup, distance);
    }
    assert_eq!(asked(&mut lookup), [3], "where eight are not to be had without, even those");
}

#[test]
fn of_a_network_only_one_node_is_asked_unless_it_failed() {
    let mut lookup = lookup([9]);
    let neighbour = Contact { address: SocketAddr::from(([9, 9, 9, 77], 6881)), ..node(8) };
    lookup.add(neighbour, None);
    assert_eq!(asked(&mut lookup), [9]);
    lookup.fail(node(9).address);
    lookup.add(neighbour, None);
    assert_eq!(asked(&mut lookup), [8]);
}

#[test]
fn however_many_nodes_are_named_the_number_asked_has_an_end() {
    let mut lookup = Lookup::new(NodeId([0; 20]), Family::V4, Goal::Nodes);
    for number in (0..5_000_u32).rev() {
        let mut id = NodeId([0; 20]);
        id.0[..4].copy_from_slice(&number.to_be_bytes());
        let ip = core::net::Ipv4Addr::from_bits(0x0900_0000 + (number << 8));
        lookup.add(Contact { id, address: SocketAddr::from((ip, 6881)) }, None);
        while let Some((address, _)) = lookup.next() {
            lookup.fail(address);
        }
    }
    assert!(lookup.is_over());
    assert_eq!(lookup.asked(), ASKED_MAX);
    assert!(lookup.candidates.len() <= CANDIDATES_MAX);
}

#[test]
fn a_peer_is_told_of_once() {
    let mut lookup = lookup([]);
    let peer = |port| SocketAddr::from(([1, 2, 3, 4], port));
    assert_eq!(lookup.find([peer(1), peer(2), peer(1)].into_iter()), [peer(1), peer(2)]);
    assert_eq!(lookup.find([peer(2), peer(3)].into_iter()), [peer(3)]);
    assert_eq!(lookup.find((0..5_000).map(peer)).len() + 3, FOUND_MAX);
}
