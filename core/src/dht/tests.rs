//! A node among others that do as the test says.

use alloc::collections::VecDeque;
use alloc::vec;

use super::*;
use crate::rng::Seed;

struct World {
    dht: Dht,
    rng: Rng,
    now: Instant,
    sent: VecDeque<(SocketAddr, Message)>,
    found: Vec<SocketAddr>,
    done: Vec<Outcome>,
}

const HASH: [u8; 20] = [0xaa; 20];
const ANNOUNCE: Announce = Announce { port: 7_000, implied_port: false, seed: false };

/// A node whose id is `number` bits and some from [`HASH`].
fn node(number: u8) -> Contact {
    let mut id = HASH;
    id[usize::from(number) / 8] ^= 0x80 >> (number % 8);
    id[19] = number;
    Contact { id: NodeId(id), address: SocketAddr::from(([9, 9, number, 1], 6881)) }
}

impl World {
    fn new() -> Self {
        let mut rng = Rng::new(Seed([3; 32]));
        let now = Instant::from_micros(1_000_000_000);
        let dht = Dht::new(Config { ipv6: false, ..Config::default() }, now, &mut rng);
        Self { dht, rng, now, sent: VecDeque::new(), found: Vec::new(), done: Vec::new() }
    }

    fn call<R>(&mut self, act: impl FnOnce(&mut Dht, &mut Cx<'_, Action>) -> R) -> R {
        let mut out = Vec::new();
        let result = act(&mut self.dht, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
        for action in out {
            match action {
                Action::Send { to, data } => self.sent.push_back((to, Message::decode(&data).unwrap())),
                Action::Peers { info_hash, peers } => {
                    assert_eq!(info_hash, HASH);
                    self.found.extend(peers);
                }
                Action::Done { outcome, .. } => self.done.push(outcome),
            }
        }
        result
    }

    /// Answers a question as `reply` says, from where it was sent to.
    fn answer(&mut self, to: SocketAddr, transaction: Vec<u8>, reply: Reply, ip: Option<SocketAddr>) {
        let data = Message { transaction, version: None, ip, body: Body::Reply(reply) }.encode();
        self.call(|dht, cx| dht.receive(to, &data, cx));
    }

    /// Answers all that is asked, until nothing is: `reply` says what each node says, if anything.
    fn answer_all(&mut self, reply: impl Fn(Contact, &Method) -> Option<Reply>) {
        for _ in 0..2_000 {
            match self.sent.pop_front() {
                Some((to, Message { transaction, body: Body::Query(query), .. })) => {
                    let SocketAddr::V4(v4) = to else { panic!("IPv4 only") };
                    let who = node(v4.ip().octets()[2]);
                    if let Some(reply) = reply(who, &query.method) {
                        self.answer(to, transaction, reply, None);
                    }
                }
                Some(_) => {}
                None if self.dht.status(self.now).queries == 0 => return,
                None => self.wait(Duration::from_millis(500)),
            }
        }
        panic!("it goes on for ever");
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        self.call(Dht::tick);
    }

    fn asked(&self) -> Vec<SocketAddr> {
        self.sent.iter().map(|(to, _)| *to).collect()
    }

    fn knows(mut self, nodes: impl IntoIterator<Item = u8>) -> Self {
        for number in nodes {
            self.dht.v4.table.answered(node(number), true, self.now);
        }
        // Nobody is looked for but what a test looks for.
        self.dht.v4.own_lookup_at = self.now + Duration::from_secs(3_600);
        self.dht.maintain_by(self.now + maintain::PAUSE);
        self
    }
}

/// An honest node that knows the next four nearer ones.
fn leads_on(who: Contact, method: &Method) -> Option<Reply> {
    let number = who.id.0[19];
    let nearer = (number + 1..=(number + 4).min(60)).map(node).collect();
    let mut reply = Reply { nodes: Some(nearer), ..Reply::new(who.id) };
    if matches!(method, Method::GetPeers { .. }) {
        reply.token = Some(vec![number]);
        if number == 60 {
            reply.values = vec!["5.6.7.8:9".parse().unwrap()];
        }
    }
    Some(reply)
}

#[test]
fn a_lookup_is_led_to_the_closest_nodes_and_announces_there_with_their_tokens() {
    let mut world = World::new().knows([1]);
    world.call(|dht, cx| dht.announce(HASH, ANNOUNCE, cx)).unwrap();
    let mut told = Vec::new();
    let heard = core::cell::RefCell::new(&mut told);
    world.answer_all(|who, method| {
        if let Method::AnnouncePeer { info_hash, port, token, .. } = method {
            assert_eq!((*info_hash, *port, &**token), (HASH, Some(7_000), &[who.id.0[19]][..]));
            heard.borrow_mut().push(who.id.0[19]);
        }
        leads_on(who, method)
    });
    told.sort_unstable();
    assert_eq!(told, [53, 54, 55, 56, 57, 58, 59, 60]);
    assert_eq!(world.found, ["5.6.7.8:9".parse().unwrap()]);
    assert_eq!((world.done.len(), world.done[0].announced, world.done[0].peers), (1, 8, 1));
}

#[test]
fn an_announce_is_repeated_until_it_is_stopped() {
    let mut world = World::new().knows([1]);
    world.call(|dht, cx| dht.announce(HASH, ANNOUNCE, cx)).unwrap();
    for round in 1..4 {
        world.answer_all(leads_on);
        assert_eq!(world.done.len(), round);
        world.wait(Duration::from_secs(16 * 60));
    }
    world.answer_all(leads_on);
    let rounds = world.done.len();
    world.call(|dht, cx| dht.stop(HASH, cx));
    for _ in 0..4 {
        world.wait(Duration::from_secs(16 * 60));
        world.answer_all(leads_on);
    }
    assert_eq!(world.done.len(), rounds);
}

#[test]
fn an_answer_from_elsewhere_or_under_another_name_is_not_believed() {
    let mut world = World::new().knows([1]);
    world.call(|dht, cx| dht.find_peers(HASH, cx)).unwrap();
    let (to, message) = world.sent.pop_front().unwrap();
    let lie = |id| Reply { values: vec!["5.6.7.8:9".parse().unwrap()], ..Reply::new(id) };
    world.answer(node(2).address, message.transaction.clone(), lie(node(1).id), None);
    assert_eq!(world.found, []);
    assert_eq!(world.dht.status(world.now).queries, 1, "the right one may still come");
    world.answer(to, message.transaction, lie(node(3).id), None);
    assert_eq!(world.found, []);
    assert_eq!((world.done.len(), world.done[0].answered), (1, 0));
}

#[test]
fn a_node_that_has_taken_another_name_is_known_by_that_one() {
    let mut world = World::new().knows([1]);
    for name in [3, 4] {
        world.call(|dht, cx| {
            dht.ask(node(1).address, Some(node(1).id), Method::Ping, Purpose::Check, true, cx)
        });
        let (to, message) = world.sent.pop_front().unwrap();
        world.answer(to, message.transaction, Reply::new(node(name).id), None);
        let known: Vec<Contact> = world.dht.v4.table.nodes().map(|node| node.contact).collect();
        assert_eq!(known, [Contact { id: node(name).id, address: node(1).address }]);
    }
}

#[test]
fn nobody_is_sent_to_where_it_has_no_business() {
    let mut world = World::new().knows([1]);
    world.call(|dht, cx| dht.find_peers(HASH, cx)).unwrap();
    let (to, message) = world.sent.pop_front().unwrap();
    let addresses = ["127.0.0.1:1", "192.168.1.1:1", "8.8.8.8:0", "0.0.0.0:1", "224.0.0.1:1", "8.8.8.8:1"];
    let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let nodes = (10..).zip(&addresses).map(|(number, address)| Contact { address: *address, ..node(number) });
    let reply = Reply { nodes: Some(nodes.collect()), values: addresses.clone(), ..Reply::new(node(1).id) };
    world.answer(to, message.transaction, reply, None);
    assert_eq!(world.asked(), [addresses[5]]);
    assert_eq!(world.found, [addresses[5]]);
}

#[test]
fn with_nobody_there_a_search_ends_and_an_announce_is_tried_again_when_somebody_comes() {
    let mut world = World::new();
    world.call(|dht, cx| dht.find_peers(HASH, cx)).unwrap();
    assert_eq!(world.done, [Outcome::default()]);
    world.call(|dht, cx| dht.announce(HASH, ANNOUNCE, cx)).unwrap();
    world.call(|dht, cx| dht.add_node(node(1).address, cx));
    world.answer_all(leads_on);
    assert_eq!(world.done.last().unwrap().announced, 8);
}

#[test]
fn a_router_that_does_not_answer_at_first_is_asked_again() {
    let mut world = World::new();
    world.call(|dht, cx| dht.add_node(node(1).address, cx));
    let mut times = 0;
    for _ in 0..120 {
        times += world.sent.drain(..).count();
        world.wait(Duration::from_secs(1));
    }
    assert!((4..=12).contains(&times), "{times}");
    world.answer_all(leads_on);
    while world.dht.status(world.now).good() < 8 {
        world.wait(Duration::from_secs(60));
        world.answer_all(leads_on);
    }
}

#[test]
fn our_id_follows_the_address_that_many_networks_see_us_at() {
    let mut world = World::new().knows(1..=40);
    let seen: SocketAddr = "8.8.4.4:6881".parse().unwrap();
    let before = world.dht.v4.table.own();
    assert!(!before.fits(seen.ip()));
    for number in 1..=12 {
        world.call(|dht, cx| dht.ask(node(number).address, None, Method::Ping, Purpose::Check, true, cx));
        let (to, message) = world.sent.pop_back().unwrap();
        world.answer(to, message.transaction, Reply::new(node(number).id), Some(seen));
    }
    let status = world.dht.status(world.now).v4;
    assert_eq!(status.address, Some(seen.ip()));
    assert!(status.id.fits(seen.ip()) && status.id != before);
    assert!(status.good >= 8, "who is known stays known");
}

#[test]
fn what_is_saved_is_where_the_next_run_begins() {
    let mut world = World::new().knows(1..=40);
    let saved = world.dht.save(world.now);
    let mut next = World::new();
    next.call(|dht, cx| dht.load(&saved, cx)).unwrap();
    assert_eq!(next.dht.v4.table.own(), world.dht.v4.table.own());
    assert_eq!(next.dht.status(next.now).v4.good, 0, "nobody is good who has not answered");
    let known: Vec<SocketAddr> = world.dht.v4.table.nodes().map(|node| node.contact.address).collect();
    assert!(!next.asked().is_empty() && next.asked().iter().all(|asked| known.contains(asked)));
    next.answer_all(leads_on);
    assert!(next.dht.status(next.now).v4.good > 0);
    world.call(|dht, cx| dht.load(&saved, cx)).unwrap();
}

#[test]
fn saved_state_that_somebody_has_tampered_with_is_refused_whole() {
    let world = World::new().knows(1..=10);
    let saved = world.dht.save(world.now);
    let mut next = World::new();
    for len in 0..saved.len() {
        assert!(next.call(|dht, cx| dht.load(&saved[..len], cx)).is_err());
    }
    let load = |next: &mut World, saved: &[u8]| next.call(|dht, cx| dht.load(saved, cx));
    assert_eq!(load(&mut next, b"d7:versioni2ee"), Err(LoadError::Version));
    assert_eq!(load(&mut next, b"d2:id3:abc7:versioni1ee"), Err(LoadError::Length));
    let inward = Contact { address: "0.0.0.0:7".parse().unwrap(), ..node(5) };
    let bytes = crate::bencode::dict(|d| {
        d.int(b"version", 1);
        d.bytes(b"id", &[1; 20]);
        d.bytes(b"id6", &[1; 20]);
        d.bytes(b"nodes", &contact::write_nodes(&vec![inward; 500]));
        d.bytes(b"nodes6", b"");
    });
    assert_eq!(load(&mut next, &bytes), Ok(()));
    assert_eq!(next.asked(), []);
}

#[test]
fn an_idle_node_keeps_its_table_with_little_traffic() {
    let mut world = World::new().knows(1..=60);
    world.wait(Duration::from_secs(1));
    let (began, known) = (world.now, world.dht.status(world.now).v4.good);
    let mut queries = 0;
    while world.now.since(began) < Duration::from_secs(3_600) {
        let next = world.dht.deadline().unwrap();
        assert!(next > world.now);
        world.now = next;
        world.call(Dht::tick);
        queries += world.sent.len();
        world.answer_all(|who, method| Some(Reply { nodes: None, ..leads_on(who, method)? }));
    }
    assert!((20..600).contains(&queries), "{queries} questions in an hour");
    assert_eq!(world.dht.status(world.now).v4.good, known);
}
