//! Who has a place in the table, and who gives it up to whom.

use alloc::vec::Vec;

use super::*;
use crate::rng::Seed;

const OWN: NodeId = NodeId([0; 20]);

fn at(minutes: u64) -> Instant {
    Instant::from_micros((1_000 + minutes * 60) * 1_000_000)
}

/// A node of a network of its own, whose id shares `shared` bits with ours.
fn node(number: u8, shared: usize) -> Contact {
    let mut id = NodeId([0; 20]);
    id.0[shared / 8] = 0x80 >> (shared % 8);
    id.0[18] = number;
    Contact { id, address: SocketAddr::from(([9, 9, number, 1], 6881)) }
}

fn table_of(nodes: impl IntoIterator<Item = Contact>) -> Table {
    let mut table = Table::new(OWN);
    for contact in nodes {
        table.answered(contact, true, at(0));
    }
    table
}

fn has(table: &Table, contact: Contact) -> bool {
    table.nodes().any(|node| node.contact == contact)
}

#[test]
fn far_away_there_are_eight_nodes_and_near_us_there_is_room_for_all() {
    let far = table_of((0..100).map(|number| node(number, 0)));
    assert_eq!(far.nodes().count(), 8);
    let near = table_of((0..100).map(|number| node(number, usize::from(number))));
    assert_eq!(near.nodes().count(), 100);
}

#[test]
fn the_closest_nodes_come_first() {
    let mut rng = Rng::new(Seed([4; 32]));
    let nodes: Vec<Contact> = (0..60).map(|number| node(number, usize::from(number) / 4)).collect();
    let table = table_of(nodes.iter().copied());
    for _ in 0..50 {
        let target = NodeId::random(&mut rng);
        let mut want: Vec<Contact> = table.nodes().map(|node| node.contact).collect();
        want.sort_by_key(|contact| contact.id.distance(&target));
        assert_eq!(table.closest(&target, 8, |_| true), want[..8]);
    }
}

#[test]
fn a_node_that_stops_answering_gives_its_place_to_the_one_that_waits() {
    let mut table = table_of((0..9).map(|number| node(number, 0)));
    assert!(!has(&table, node(8, 0)), "the ninth waits");
    table.failed(node(3, 0).address, at(1));
    assert!(has(&table, node(3, 0)), "one datagram may get lost");
    table.failed(node(3, 0).address, at(1));
    assert!(has(&table, node(8, 0)) && !has(&table, node(3, 0)));
}

#[test]
fn a_bad_node_stays_as_long_as_nobody_else_wants_its_place() {
    let mut table = table_of([node(1, 0)]);
    for _ in 0..5 {
        table.failed(node(1, 0).address, at(1));
    }
    assert_eq!(table.count(Health::Bad, at(1)), 1);
    table.answered(node(1, 0), false, at(2));
    assert_eq!(table.count(Health::Good, at(2)), 1);
}

#[test]
fn a_good_node_becomes_questionable_after_a_quarter_of_an_hour_of_silence() {
    let mut table = table_of([node(1, 0)]);
    assert_eq!(table.count(Health::Good, at(15)), 1);
    assert_eq!(table.count(Health::Questionable, at(16)), 1);
    table.get(node(1, 0).address).unwrap().asked = Some(at(16));
    assert_eq!(table.count(Health::Good, at(30)), 1);
}

#[test]
fn of_one_network_one_node_has_a_place_in_a_bucket_and_of_one_address_one_in_the_table() {
    let neighbour = |contact: Contact, last: u8| {
        let IpAddr::V4(v4) = contact.address.ip() else { panic!("IPv4") };
        let [a, b, c, _] = v4.octets();
        SocketAddr::from(([a, b, c, last], 6881))
    };
    let (one, mut two, mut three) = (node(1, 0), node(2, 0), node(3, 5));
    two.address = neighbour(one, 77);
    three.address = SocketAddr::new(one.address.ip(), 7000);
    let table = table_of([one, two, three]);
    assert!(has(&table, one) && !has(&table, two) && !has(&table, three));
    let mut other_bucket = node(4, 5);
    other_bucket.address = neighbour(one, 78);
    let others = (10..18).map(|number| node(number, 0)).chain((20..24).map(|number| node(number, 5)));
    assert!(has(&table_of([one].into_iter().chain(others).chain([other_bucket])), other_bucket));
}

#[test]
fn on_one_machine_there_may_be_as_many_nodes_as_there_are_ports() {
    let local = |number: u8| Contact {
        address: SocketAddr::from(([127, 0, 0, 1], 7_000 + u16::from(number))),
        ..node(number, usize::from(number))
    };
    assert_eq!(table_of((0..50).map(local)).nodes().count(), 50);
}

#[test]
fn a_node_whose_id_fits_its_address_is_preferred() {
    let mut rng = Rng::new(Seed([5; 32]));
    let address = SocketAddr::from(([8, 8, 8, 8], 6881));
    let verified = Contact { id: NodeId::for_address(address.ip(), &mut rng), address };
    let far_from_it = NodeId(verified.id.0.map(|byte| !byte));
    let mut table = Table::new(far_from_it);
    for number in 0..8 {
        let mut id = verified.id;
        id.0[18] = number;
        table.answered(Contact { id, ..node(number, 0) }, true, at(0));
    }
    assert_eq!(table.nodes().count(), 8);
    table.answered(verified, true, at(0));
    assert!(has(&table, verified));
}

#[test]
fn nobody_gets_in_under_our_id_or_under_that_of_a_good_node() {
    let mut table = table_of([node(1, 0)]);
    table.answered(Contact { id: OWN, ..node(2, 0) }, true, at(0));
    table.answered(Contact { id: node(1, 0).id, ..node(3, 0) }, true, at(0));
    assert_eq!(table.nodes().count(), 1);
    table.answered(Contact { address: node(1, 0).address, ..node(4, 0) }, true, at(0));
    assert_eq!(table.nodes().next().unwrap().contact.id, node(4, 0).id, "it has started anew");
}

#[test]
fn after_a_change_of_our_id_everyone_is_where_that_puts_them() {
    let mut table = table_of((0..50).map(|number| node(number, usize::from(number))));
    table.set_own(NodeId([0xff; 20]), at(0));
    assert_eq!(table.nodes().count(), 9, "eight far away, and the one with the other first bit");
    assert!(has(&table, node(0, 0)));
}

#[test]
fn whoever_was_silent_for_long_is_asked_and_a_bucket_without_news_is_looked_after() {
    let mut rng = Rng::new(Seed([6; 32]));
    let mut table = table_of([node(1, 0), node(2, 0)]);
    assert_eq!(table.stalest(at(5), &mut rng), None);
    table.answered(node(2, 0), true, at(6));
    assert_eq!(table.stalest(at(13), &mut rng).map(|(contact, _)| contact), Some(node(1, 0)));
    assert_eq!(table.refresh(at(20), &mut rng), None);
    assert!(table.refresh(at(21), &mut rng).is_some());
    assert_eq!(table.refresh(at(21), &mut rng), None, "once is enough");
}
