//! UDP trackers in virtual time: what is sent where, what is believed, when it is given up.

use alloc::string::ToString;

use super::*;
use crate::id::PeerId;
use crate::rng::Seed;
use crate::tracker::{Announce, AnnounceEvent, Numbers};

/// A [`UdpTrackers`] with its surroundings.
struct Scene {
    trackers: UdpTrackers,
    rng: Rng,
    now: Instant,
    out: Vec<UdpAction>,
}

const PLACE: &str = "9.9.9.9:6969";

impl Scene {
    fn new() -> Self {
        let rng = Rng::new(Seed([5; 32]));
        Self { trackers: UdpTrackers::new(), rng, now: Instant::ZERO, out: Vec::new() }
    }

    fn call<R>(
        &mut self,
        run: impl FnOnce(&mut UdpTrackers, &mut Cx<'_, UdpAction>) -> R,
    ) -> (R, Vec<UdpAction>) {
        let result =
            run(&mut self.trackers, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut self.out });
        (result, core::mem::take(&mut self.out))
    }

    fn ask(&mut self, token: u64, named_by: NamedBy, host: &str) -> Vec<UdpAction> {
        self.call(|t, cx| t.ask(token, named_by, host, 6969, announce(), cx)).1
    }

    fn reply(&mut self, from: &str, data: &[&[u8]]) -> (bool, Vec<UdpAction>) {
        self.call(|t, cx| t.receive(from.parse().unwrap(), &data.concat(), cx))
    }

    /// Moves to the deadline and does what is due.
    fn next(&mut self) -> Vec<UdpAction> {
        self.now = self.now.max(self.trackers.deadline().expect("something is to be done"));
        self.call(UdpTrackers::tick).1
    }

    fn seconds(&self) -> u64 {
        self.now.as_micros() / 1_000_000
    }

    /// Asks 9.9.9.9 and has it grant the connection id 1; returns the announce's datagram.
    fn connected(&mut self, token: u64) -> Bytes {
        let connect = self.ask(token, NamedBy::Torrent, "9.9.9.9");
        let (_, data) = sent(&connect);
        let (_, announce) = self.reply(PLACE, &[CONNECT, transaction(&data), &1_u64.to_be_bytes()]);
        sent(&announce).1
    }

    fn is_empty(&self) -> bool {
        let trackers = &self.trackers;
        trackers.requests.is_empty() && trackers.replies.is_empty() && trackers.timers.is_empty()
    }
}

const CONNECT: &[u8] = &[0, 0, 0, 0];
const ANNOUNCE: &[u8] = &[0, 0, 0, 1];
const ERROR: &[u8] = &[0, 0, 0, 3];
const BODY: &[u8] = &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 0, 80];

fn announce() -> udp::Announce {
    let numbers =
        Numbers { peer_id: PeerId([0; 20]), port: 6881, uploaded: 0, downloaded: 0, left: 1, numwant: 50 };
    let announce = Announce { info_hash: [1; 20], key: 2, event: AnnounceEvent::Started, numbers };
    udp::Announce { announce, url_data: "/announce".to_string() }
}

/// The one datagram among `actions`.
fn sent(actions: &[UdpAction]) -> (SocketAddr, Bytes) {
    let [UdpAction::Send { to, data }] = actions else { panic!("not one datagram: {actions:?}") };
    (*to, data.clone())
}

/// The one failure among `actions`.
fn failed(actions: &[UdpAction]) -> (u64, TrackerError) {
    let [UdpAction::Answered { token, result: Err(error) }] = actions else {
        panic!("no failure: {actions:?}")
    };
    (*token, error.clone())
}

fn transaction(sent: &[u8]) -> &[u8] {
    &sent[12..16]
}

fn is_connect(data: &[u8]) -> bool {
    data.len() == 16 && data[..12] == [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0]
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_name_is_looked_up_a_connection_asked_for_and_the_announce_sent() {
    let mut scene = Scene::new();
    let actions = scene.ask(7, NamedBy::Torrent, "Tracker.Example");
    let [UdpAction::Resolve { query, host }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(host, "tracker.example");
    let (_, actions) = scene.call(|t, cx| t.resolved(*query, Ok(Vec::from([address("9.9.9.9")])), cx));
    let (to, connect) = sent(&actions);
    assert_eq!(to, PLACE.parse().unwrap());
    assert!(is_connect(&connect));

    let (ours, actions) = scene.reply(PLACE, &[CONNECT, transaction(&connect), b"connecti"]);
    assert!(ours);
    let (to, data) = sent(&actions);
    assert_eq!(to, PLACE.parse().unwrap());
    assert_eq!(data[..12], *b"connecti\0\0\0\x01");
    assert!(data.ends_with(b"/announce\0"));

    let (ours, actions) = scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]);
    assert!(ours);
    let [UdpAction::Answered { token: 7, result: Ok((answer, from)) }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(answer.peers, ["1.2.3.4:80".parse().unwrap()]);
    assert_eq!(*from, address("9.9.9.9"));
    assert!(scene.is_empty());
    assert_eq!(scene.trackers.deadline(), None);
}

#[test]
fn a_reply_counts_only_from_whom_was_asked_and_only_once() {
    let mut scene = Scene::new();
    let data = scene.connected(7);
    let txn = transaction(&data);
    let mut other = [0; 4];
    other.copy_from_slice(txn);
    other[3] ^= 1;
    assert_eq!(scene.reply("9.9.9.8:6969", &[ANNOUNCE, txn, BODY]), (false, Vec::new()), "another host");
    assert_eq!(scene.reply("9.9.9.9:6968", &[ANNOUNCE, txn, BODY]), (false, Vec::new()), "another port");
    assert_eq!(scene.reply(PLACE, &[ANNOUNCE, &other, BODY]), (false, Vec::new()), "another transaction");
    assert_eq!(scene.reply(PLACE, &[&txn[..3]]), (false, Vec::new()), "too short for any");
    let (ours, actions) = scene.reply("[::ffff:9.9.9.9]:6969", &[ANNOUNCE, txn, BODY]);
    assert!(
        ours && matches!(actions[..], [UdpAction::Answered { result: Ok(_), .. }]),
        "IPv4 from an IPv6 socket"
    );
    assert_eq!(scene.reply(PLACE, &[ANNOUNCE, txn, BODY]), (false, Vec::new()), "twice");
}

#[test]
fn a_connection_id_is_used_for_a_minute_by_all_torrents() {
    let mut scene = Scene::new();
    let data = scene.connected(1);
    scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]);
    scene.now += Duration::from_secs(59);
    let (_, data) = sent(&scene.ask(2, NamedBy::Torrent, "9.9.9.9"));
    assert!(!is_connect(&data));
    scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]);
    scene.now += Duration::from_secs(1);
    assert!(is_connect(&sent(&scene.ask(3, NamedBy::Torrent, "9.9.9.9")).1));
}

#[test]
fn many_torrents_wait_for_one_look_up_and_one_connection() {
    let mut scene = Scene::new();
    let first = scene.ask(0, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = first[..] else { panic!("{first:?}") };
    for token in 1..100 {
        assert_eq!(scene.ask(token, NamedBy::Torrent, "t.example"), []);
    }
    let (_, actions) = scene.call(|t, cx| t.resolved(query, Ok(Vec::from([address("9.9.9.9")])), cx));
    let (_, connect) = sent(&actions);
    let (_, actions) = scene.reply(PLACE, &[CONNECT, transaction(&connect), &[0; 8]]);
    assert_eq!(actions.len(), 100);
    let mut transactions: Vec<&[u8]> = Vec::new();
    for action in &actions {
        let UdpAction::Send { data, .. } = action else { panic!("{action:?}") };
        transactions.push(transaction(data));
    }
    transactions.sort_unstable();
    transactions.dedup();
    assert_eq!(transactions.len(), 100, "each has its own transaction");
}

#[test]
fn silence_is_given_three_tries_and_105_seconds() {
    let mut scene = Scene::new();
    let (_, first) = sent(&scene.ask(7, NamedBy::Torrent, "9.9.9.9"));
    let (_, second) = sent(&scene.next());
    assert_eq!((scene.seconds(), &first), (15, &second), "the same question again");
    sent(&scene.next());
    assert_eq!(scene.seconds(), 45);
    assert_eq!(failed(&scene.next()), (7, TrackerError::TimedOut));
    assert_eq!(scene.seconds(), 105);
    assert!(scene.is_empty() && scene.trackers.connections.is_empty());
}

#[test]
fn a_tracker_that_only_grants_connections_is_given_up_as_soon() {
    let mut scene = Scene::new();
    let mut data = sent(&scene.ask(7, NamedBy::Torrent, "9.9.9.9")).1;
    loop {
        if is_connect(&data) {
            scene.now = scene.trackers.deadline().unwrap() - Duration::from_millis(1);
            sent(&scene.reply(PLACE, &[CONNECT, transaction(&data), &[0; 8]]).1);
        }
        let actions = scene.next();
        if let [UdpAction::Answered { result: Err(TrackerError::TimedOut), .. }] = actions[..] {
            break;
        }
        data = sent(&actions).1;
    }
    assert!(scene.seconds() <= 105, "{}", scene.seconds());
}

#[test]
fn each_address_of_a_host_gets_its_turn() {
    let mut scene = Scene::new();
    let actions = scene.ask(7, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    let addresses = Vec::from([address("2001:db8::1"), address("9.9.9.9")]);
    let (_, actions) = scene.call(|t, cx| t.resolved(query, Ok(addresses), cx));
    assert_eq!(sent(&actions).0, "[2001:db8::1]:6969".parse().unwrap());
    assert_eq!(sent(&scene.next()).0, PLACE.parse().unwrap());
    assert_eq!(sent(&scene.next()).0, "[2001:db8::1]:6969".parse().unwrap());
}

#[test]
fn peers_that_come_over_ipv6_have_18_bytes() {
    let mut scene = Scene::new();
    let from = "[2001:db8::1]:6969";
    let (_, data) = sent(&scene.ask(7, NamedBy::Torrent, "2001:db8::1"));
    let (_, data) = sent(&scene.reply(from, &[CONNECT, transaction(&data), &[0; 8]]).1);
    let peer = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 80];
    let (_, actions) = scene.reply(from, &[ANNOUNCE, transaction(&data), &BODY[..12], &peer]);
    let [UdpAction::Answered { result: Ok((answer, _)), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(answer.peers, ["[2001:db8::9]:80".parse().unwrap()]);
}

#[test]
fn a_refusal_ends_the_announce_with_the_trackers_words() {
    let mut scene = Scene::new();
    let data = scene.connected(7);
    let (_, actions) = scene.reply(PLACE, &[ERROR, transaction(&data), b"unregistered torrent"]);
    let refusal = TrackerError::Failure { reason: "unregistered torrent".to_string(), retry: Retry::Unsaid };
    assert_eq!(failed(&actions), (7, refusal));
}

#[test]
fn a_connection_id_the_tracker_has_forgotten_is_asked_for_anew() {
    let mut scene = Scene::new();
    let data = scene.connected(7);
    let (_, actions) = scene.reply(PLACE, &[ERROR, transaction(&data), b"Connection ID missmatch.\0"]);
    let (_, data) = sent(&actions);
    assert!(is_connect(&data));
    let (_, data) = sent(&scene.reply(PLACE, &[CONNECT, transaction(&data), &[2; 8]]).1);
    let (_, data) = sent(&scene.reply(PLACE, &[ERROR, transaction(&data), b"bad connection id"]).1);
    let (_, data) = sent(&scene.reply(PLACE, &[CONNECT, transaction(&data), &[3; 8]]).1);
    let (_, actions) = scene.reply(PLACE, &[ERROR, transaction(&data), b"bad connection id"]);
    assert!(matches!(failed(&actions), (7, TrackerError::Failure { .. })), "but not for ever");
}

#[test]
fn a_reply_of_the_wrong_kind_or_length_ends_the_announce_by_name() {
    let mut scene = Scene::new();
    let data = scene.connected(7);
    let (_, actions) = scene.reply(PLACE, &[ANNOUNCE, transaction(&data), &BODY[..11]]);
    assert_eq!(failed(&actions), (7, TrackerError::Datagram { action: 1, len: 19 }));
    let (_, data) = sent(&scene.ask(8, NamedBy::Torrent, "9.9.9.9"));
    let (_, actions) = scene.reply(PLACE, &[CONNECT, transaction(&data), &[0; 8]]);
    assert_eq!(failed(&actions), (8, TrackerError::Datagram { action: 0, len: 16 }));

    let mut scene = Scene::new();
    let (_, data) = sent(&scene.ask(9, NamedBy::Torrent, "9.9.9.9"));
    let (_, actions) = scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]);
    assert_eq!(failed(&actions), (9, TrackerError::Datagram { action: 1, len: 26 }));
    assert!(scene.is_empty() && scene.trackers.connections.is_empty());
}

#[test]
fn an_address_out_of_bounds_is_not_asked() {
    let inside = NamedBy::Host(scope::Scope::Global);
    let mut scene = Scene::new();
    let actions = scene.ask(7, inside, "127.0.0.1");
    assert_eq!(failed(&actions), (7, TrackerError::Scope(address("127.0.0.1"))));

    let actions = scene.ask(8, inside, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    let addresses = Vec::from([address("10.0.0.1"), address("9.9.9.9"), address("0.0.0.0")]);
    let (_, actions) = scene.call(|t, cx| t.resolved(query, Ok(addresses), cx));
    assert_eq!(sent(&actions).0, PLACE.parse().unwrap(), "the one that is allowed");
    assert_eq!(sent(&scene.next()).0, PLACE.parse().unwrap());

    let (to, _) = sent(&scene.ask(9, NamedBy::User, "t.example"));
    assert_eq!(to, "10.0.0.1:6969".parse().unwrap(), "the same name, remembered, for someone who may");
}

#[test]
fn a_name_is_remembered_for_five_minutes_and_a_failure_not_at_all() {
    let mut scene = Scene::new();
    let actions = scene.ask(1, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    let (_, actions) = scene.call(|t, cx| t.resolved(query, Err(TrackerError::NoSuchHost), cx));
    assert_eq!(failed(&actions), (1, TrackerError::NoSuchHost));

    let actions = scene.ask(2, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    scene.call(|t, cx| t.resolved(query, Ok(Vec::from([address("9.9.9.9")])), cx));
    scene.now += Duration::from_secs(299);
    sent(&scene.ask(3, NamedBy::Torrent, "t.example"));
    scene.now += Duration::from_secs(1);
    assert!(matches!(scene.ask(4, NamedBy::Torrent, "t.example")[..], [UdpAction::Resolve { .. }]));
}

#[test]
fn a_look_up_that_never_ends_fails_the_announce() {
    let mut scene = Scene::new();
    let actions = scene.ask(1, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    assert_eq!(failed(&scene.next()), (1, TrackerError::TimedOut));
    assert_eq!(scene.seconds(), 30);
    let (_, actions) = scene.call(|t, cx| t.resolved(query, Ok(Vec::from([address("9.9.9.9")])), cx));
    assert_eq!(actions, [], "nobody waits any more");
}

#[test]
fn what_is_cancelled_is_forgotten_in_every_stage() {
    let mut scene = Scene::new();
    let actions = scene.ask(1, NamedBy::Torrent, "t.example");
    let [UdpAction::Resolve { query, .. }] = actions[..] else { panic!("{actions:?}") };
    scene.trackers.cancel(1);
    assert_eq!(scene.call(|t, cx| t.resolved(query, Ok(Vec::from([address("9.9.9.9")])), cx)).1, []);

    let (_, data) = sent(&scene.ask(2, NamedBy::Torrent, "9.9.9.9"));
    scene.trackers.cancel(2);
    assert!(!scene.reply(PLACE, &[CONNECT, transaction(&data), &[0; 8]]).0);

    let data = scene.connected(3);
    scene.trackers.cancel(3);
    assert!(!scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]).0);
    assert!(scene.is_empty());

    let data = scene.connected_again(4);
    scene.ask(4, NamedBy::Torrent, "9.9.9.9");
    assert!(!scene.reply(PLACE, &[ANNOUNCE, transaction(&data), BODY]).0, "asked anew under the same token");
    assert_eq!(scene.trackers.requests.len(), 1);
}

impl Scene {
    /// Asks 9.9.9.9 while its connection id is good; returns the announce's datagram.
    fn connected_again(&mut self, token: u64) -> Bytes {
        sent(&self.ask(token, NamedBy::Torrent, "9.9.9.9")).1
    }
}

#[test]
fn requests_and_connections_are_limited() {
    let mut scene = Scene::new();
    for token in 0..UDP_REQUESTS_MAX as u64 {
        scene.ask(token, NamedBy::Torrent, "9.9.9.9");
    }
    assert_eq!(failed(&scene.ask(u64::MAX, NamedBy::Torrent, "9.9.9.9")), (u64::MAX, TrackerError::Busy));

    let mut scene = Scene::new();
    for host in 0..CONNECTIONS_MAX as u32 + 10 {
        let ip = IpAddr::from((0x0901_0000 + host).to_be_bytes());
        let (to, data) = sent(&scene.ask(u64::from(host), NamedBy::Torrent, &ip.to_string()));
        scene.reply(&to.to_string(), &[CONNECT, transaction(&data), &[0; 8]]);
    }
    assert_eq!(scene.trackers.connections.len(), CONNECTIONS_MAX);
    assert_eq!(scene.trackers.expiries.len(), CONNECTIONS_MAX);
}
