//! What a stranger gets for its question.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::dht::{Bloom, Config, QUERIES_MAX, Want};
use crate::rng::{Rng, Seed};

struct Asked {
    dht: Dht,
    rng: Rng,
    now: Instant,
}

const STRANGER: NodeId = NodeId([0x33; 20]);

fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([9, 9, number, 1], 6881))
}

fn address(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([11, high, low, 1], 6881))
}

impl Asked {
    fn with(config: Config) -> Self {
        let mut rng = Rng::new(Seed([1; 32]));
        let now = Instant::from_micros(1_000_000_000);
        Self { dht: Dht::new(config, now, &mut rng), rng, now }
    }

    fn new() -> Self {
        Self::with(Config::default())
    }

    /// A table full of good nodes.
    fn with_nodes(mut self) -> Self {
        for number in 0..400 {
            let contact = Contact { id: NodeId::random(&mut self.rng), address: address(number) };
            self.dht.v4.table.answered(contact, true, self.now);
        }
        self
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<(SocketAddr, Bytes)> {
        let mut out = Vec::new();
        self.dht.receive(from, datagram, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
        let sent = |action| match action {
            Action::Send { to, data } => (to, data),
            other => panic!("{other:?}"),
        };
        out.into_iter().map(sent).collect()
    }

    /// Everything that is sent for a question; its length, too.
    fn ask_raw(&mut self, from: SocketAddr, query: Query) -> (usize, Vec<Message>) {
        let body = Body::Query(query);
        let datagram =
            Message { transaction: b"aa".to_vec(), version: Some(*b"LT21"), ip: None, body }.encode();
        let sent = self.hear(from, &datagram);
        let bytes: usize = sent.iter().map(|(_, data)| data.len()).sum();
        assert!(bytes <= AMPLIFICATION_MAX * datagram.len(), "{bytes} for {}", datagram.len());
        assert!(sent.iter().all(|(to, _)| *to == from), "a third party");
        (datagram.len(), sent.iter().map(|(_, data)| Message::decode(data).unwrap()).collect())
    }

    fn ask(&mut self, from: SocketAddr, method: Method) -> Body {
        let query = Query { id: STRANGER, read_only: true, want: None, method };
        let mut messages = self.ask_raw(from, query).1;
        assert_eq!(messages.len(), 1);
        messages.remove(0).body
    }

    fn reply(&mut self, from: SocketAddr, method: Method) -> Reply {
        match self.ask(from, method) {
            Body::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn announce(&mut self, from: SocketAddr, info_hash: [u8; 20], seed: bool) -> Body {
        let token = self.reply(from, get(info_hash)).token.expect("a token");
        self.ask(from, Method::AnnouncePeer { info_hash, port: Some(7_000), token, seed })
    }
}

const fn get(info_hash: [u8; 20]) -> Method {
    Method::GetPeers { info_hash, noseed: false, scrape: false }
}

#[test]
fn whoever_asks_is_told_who_answers_and_how_it_is_seen() {
    let mut node = Asked::new();
    let query = Query { id: STRANGER, read_only: true, want: None, method: Method::Ping };
    let reply = node.ask_raw(stranger(1), query).1.remove(0);
    assert_eq!((reply.ip, &*reply.transaction), (Some(stranger(1)), &b"aa"[..]));
    assert_eq!(reply.body, Body::Reply(Reply::new(node.dht.v4.table.own())));
}

#[test]
fn the_eight_closest_nodes_are_told_of() {
    let mut node = Asked::new().with_nodes();
    let target = NodeId([7; 20]);
    let nodes = node.reply(stranger(1), Method::FindNode { target }).nodes.unwrap();
    assert_eq!(nodes, node.dht.v4.table.closest(&target, 8, |_| true));
}

#[test]
fn nodes_that_anybody_can_reach_are_told_of_before_others() {
    let mut node = Asked::new();
    for number in 0..8 {
        let contact = Contact { id: NodeId([number as u8; 20]), address: address(number) };
        node.dht.v4.table.answered(contact, number % 2 == 1, node.now);
    }
    let nodes = node.reply(stranger(1), Method::FindNode { target: NodeId([0; 20]) }).nodes.unwrap();
    let first: Vec<u8> = nodes[..4].iter().map(|contact| contact.id.0[0]).collect();
    assert_eq!((nodes.len(), first), (8, vec![1, 3, 5, 7]));
}

#[test]
fn an_announced_peer_is_found_by_others() {
    let mut node = Asked::new().with_nodes();
    assert!(matches!(node.announce(stranger(1), [5; 20], false), Body::Reply(_)));
    let found = node.reply(stranger(2), get([5; 20]));
    assert_eq!(found.values, [SocketAddr::new(stranger(1).ip(), 7_000)]);
    assert_eq!(found.nodes.map(|nodes| nodes.len()), Some(8), "closer nodes may know more of them");
}

#[test]
fn somebody_who_announces_what_we_look_for_is_found_at_once() {
    let mut node = Asked::new();
    let announce = crate::dht::Announce { port: 1, implied_port: false, seed: false };
    let mut out = Vec::new();
    let mut cx = Cx { now: node.now, rng: &mut node.rng, out: &mut out };
    node.dht.announce([5; 20], announce, &mut cx).unwrap();
    let token = node.reply(stranger(1), get([5; 20])).token.unwrap();
    let method = Method::AnnouncePeer { info_hash: [5; 20], port: Some(7_000), token, seed: false };
    let query = Query { id: STRANGER, read_only: true, want: None, method };
    let data = Message { transaction: vec![1], version: None, ip: None, body: Body::Query(query) }.encode();
    let mut out = Vec::new();
    node.dht.receive(stranger(1), &data, &mut Cx { now: node.now, rng: &mut node.rng, out: &mut out });
    let found = Action::Peers { info_hash: [5; 20], peers: vec![SocketAddr::new(stranger(1).ip(), 7_000)] };
    assert!(out.contains(&found), "{out:?}");
}

#[test]
fn an_announce_needs_the_token_that_its_own_address_was_given() {
    let mut node = Asked::new();
    let token = node.reply(stranger(1), get([5; 20])).token.unwrap();
    for (from, info_hash) in [(stranger(2), [5; 20]), (stranger(1), [6; 20])] {
        let method = Method::AnnouncePeer { info_hash, port: Some(1), token: token.clone(), seed: false };
        assert_eq!(node.ask(from, method), Body::Error(Code::Protocol));
    }
    assert_eq!(node.dht.store.peers(), 0);
}

#[test]
fn an_implied_port_is_where_the_datagram_came_from() {
    let mut node = Asked::new();
    let token = node.reply(stranger(1), get([5; 20])).token.unwrap();
    node.ask(stranger(1), Method::AnnouncePeer { info_hash: [5; 20], port: None, token, seed: false });
    assert_eq!(node.reply(stranger(2), get([5; 20])).values, [stranger(1)]);
}

#[test]
fn a_torrent_of_many_peers_has_as_many_told_as_five_times_the_question_holds() {
    let mut node = Asked::new().with_nodes();
    for number in 0..300 {
        let own = node.dht.v4.table.own();
        node.dht.store.put(&own, [5; 20], address(number), false, node.now);
    }
    let reply = node.reply(stranger(1), get([5; 20]));
    assert!((15..=40).contains(&reply.values.len()), "{}", reply.values.len());
    assert_eq!(reply.nodes.map(|nodes| nodes.len()), Some(8));
    assert!(reply.token.is_some());
}

#[test]
fn a_scrape_counts_seeds_and_others_when_the_question_was_long_enough() {
    let mut node = Asked::new().with_nodes();
    for number in 0..30 {
        let own = node.dht.v4.table.own();
        node.dht.store.put(&own, [5; 20], address(number), number < 10, node.now);
    }
    let scrape = Method::GetPeers { info_hash: [5; 20], noseed: false, scrape: true };
    let query = |want| Query { id: STRANGER, read_only: true, want, method: scrape.clone() };
    let both = Some(Want { v4: true, v6: true });
    let Body::Reply(long) = node.ask_raw(stranger(1), query(both)).1.remove(0).body else {
        panic!("a reply")
    };
    let mut seeds = Bloom::default();
    (0..10).for_each(|number| seeds.insert(address(number).ip()));
    assert_eq!(long.filters.unwrap()[0], seeds);
    assert!(node.reply(stranger(1), get([5; 20])).filters.is_none(), "nobody asked");
}

#[test]
fn a_sample_of_the_torrents_is_given() {
    let mut node = Asked::new();
    for number in 0..40 {
        let own = node.dht.v4.table.own();
        node.dht.store.put(&own, [number; 20], address(1), false, node.now);
    }
    let samples = node.reply(stranger(1), Method::SampleInfohashes { target: STRANGER }).samples.unwrap();
    assert_eq!((samples.num, samples.interval), (40, SAMPLE_TIME));
    assert!((10..40).contains(&samples.hashes.len()), "{}", samples.hashes.len());
}

#[test]
fn what_it_does_not_know_or_cannot_read_it_refuses() {
    let mut node = Asked::new();
    assert_eq!(node.ask(stranger(1), Method::Unknown), Body::Error(Code::Method));
    let sent = node.hear(stranger(1), b"d1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t2:zz1:y1:qe");
    let refusal = Message::decode(&sent[0].1).unwrap();
    assert_eq!((refusal.body, &*refusal.transaction), (Body::Error(Code::Protocol), &b"zz"[..]));
    for noise in [&b"d1:t2:aa1:y1:re"[..], b"", b"d", b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"] {
        assert_eq!(node.hear(stranger(1), noise), []);
    }
}

#[test]
fn a_read_only_node_answers_nobody_and_says_what_it_is() {
    let mut node = Asked::with(Config { read_only: true, ..Config::default() });
    let query = Query { id: STRANGER, read_only: false, want: None, method: Method::Ping };
    assert_eq!(node.ask_raw(stranger(1), query).1, []);
    let mut out = Vec::new();
    node.dht.ping(stranger(1), &mut Cx { now: node.now, rng: &mut node.rng, out: &mut out });
    let Action::Send { data, .. } = &out[0] else { panic!("a ping") };
    assert!(data.windows(7).any(|part| part == b"2:roi1e"));
}

#[test]
fn a_node_that_knows_few_asks_back_whoever_asks_unless_that_one_is_read_only() {
    let mut node = Asked::new();
    let query = |read_only| Query { id: STRANGER, read_only, want: None, method: Method::Ping };
    assert_eq!(node.ask_raw(stranger(1), query(true)).1.len(), 1);
    let both = node.ask_raw(stranger(1), query(false)).1;
    let is_ping = |message: &Message| matches!(&message.body, Body::Query(q) if q.method == Method::Ping);
    assert_eq!((both.len(), both.iter().filter(|it| is_ping(it)).count()), (2, 1));
}

#[test]
fn a_node_that_knows_many_asks_back_when_the_door_of_a_nat_has_shut() {
    let mut node = Asked::new().with_nodes();
    let mut near = node.dht.v4.table.own();
    near.0[19] ^= 1;
    let query = Query { id: near, read_only: false, want: None, method: Method::Ping };
    assert_eq!(node.ask_raw(stranger(1), query).1.len(), 1);
    let mut asked_at = None;
    for second in 0..600 {
        let now = node.now + Duration::from_secs(second);
        let mut out = Vec::new();
        node.dht.tick(&mut Cx { now, rng: &mut node.rng, out: &mut out });
        if out.iter().any(|it| matches!(it, Action::Send { to, .. } if *to == stranger(1))) {
            asked_at = asked_at.or(Some(second));
        }
    }
    assert!(asked_at.is_some_and(|second| second >= 240), "{asked_at:?}");
}

#[test]
fn a_thousand_questions_in_two_seconds_are_not_answered_for_long() {
    let mut node = Asked::new();
    let datagram = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    let mut answers = 0;
    for _ in 0..1_000 {
        node.now += Duration::from_millis(2);
        answers += node.hear(stranger(1), datagram).len();
    }
    assert!(answers <= usize::from(QUERIES_MAX) + 1, "{answers}");
    node.now += Duration::from_secs(200);
    assert_eq!(node.hear(stranger(1), datagram), []);
    assert_ne!(node.hear(stranger(2), datagram), []);
    node.now += Duration::from_secs(101);
    assert_ne!(node.hear(stranger(1), datagram), []);
}

#[test]
fn a_node_on_the_internet_hears_nothing_of_local_ones() {
    let mut node = Asked::new();
    let local = Contact { id: NodeId([1; 20]), address: "192.168.1.2:6881".parse().unwrap() };
    node.dht.v4.table.answered(local, true, node.now);
    let find = || Method::FindNode { target: STRANGER };
    assert_eq!(node.reply(stranger(1), find()).nodes, Some(vec![]));
    assert_eq!(node.reply("192.168.1.3:6881".parse().unwrap(), find()).nodes, Some(vec![local]));
}

#[test]
fn nodes_of_the_other_family_are_told_of_to_whoever_wants_them() {
    let mut node = Asked::new();
    let v6 = Contact { id: NodeId([1; 20]), address: "[2001:db8::2]:6881".parse().unwrap() };
    node.dht.v6.table.answered(v6, true, node.now);
    let want = Some(Want { v4: false, v6: true });
    let method = Method::FindNode { target: STRANGER };
    let query = Query { id: STRANGER, read_only: true, want, method };
    let Body::Reply(reply) = node.ask_raw(stranger(1), query).1.remove(0).body else { panic!("a reply") };
    assert_eq!((reply.nodes, reply.nodes6), (None, Some(vec![v6])));
}

use bytes::Bytes;
