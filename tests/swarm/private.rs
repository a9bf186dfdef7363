//! Private torrents (BEP 27): with everything switched on that finds peers, nobody is told of one, asked for one, or
//! believed about one. Of every node the world's checker sees to it at every datagram and every word.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pieceful_core::engine::{Call, DhtConfig, Event, Source, Sources};
use pieceful_core::peer::CloseReason;
use pieceful_tests::script::{MakeScript, Script, Talk};
use pieceful_tests::words::{self, Listener, Said};
use pieceful_tests::{Data, Spec, World};

const MINUTES: Duration = Duration::from_secs(600);

fn data(seed: u64, private: bool) -> Data {
    let data = Data::single(seed, 300_000, 1 << 10);
    if private { data.private() } else { data }
}

/// Somebody who tells of peers that are not there, whether or not he was asked to, and of a DHT node.
#[derive(Debug)]
struct Gossip {
    listener: Listener,
    /// The number under which he was last told that peer exchange goes, each time he was.
    told: Arc<Mutex<Vec<u8>>>,
}

impl Gossip {
    fn script(told: &Arc<Mutex<Vec<u8>>>) -> MakeScript {
        let told = Arc::clone(told);
        Box::new(move || Box::new(Self { listener: Listener::new(false), told: Arc::clone(&told) }))
    }
}

/// The number that engines give to peer exchange.
const PEX: u8 = 1;

impl Script for Gossip {
    fn open(&mut self, talk: &mut Talk<'_>) {
        talk.say(words::handshake(talk.data.info_hash().on_the_wire(), [b'g'; 20], true));
        talk.say(words::message(15, &[]));
        talk.say(words::extended(0, b"d1:md6:ut_pexi9eee"));
        talk.say(words::message(9, &6881_u16.to_be_bytes()));
        let peers: Vec<u8> = (100..103).flat_map(|last| [192, 168, 0, last, 0x1a, 0xe1]).collect();
        talk.say(words::extended(PEX, &[b"d5:added18:", &peers[..], b"7:added.f3:\0\0\0e"].concat()));
    }

    fn heard(&mut self, _: &mut Talk<'_>, bytes: &[u8]) {
        let mut said = Vec::new();
        self.listener.hear(bytes, &mut said);
        for said in said {
            if let Said::Extended(0, body) = said {
                let pex = words::number_after(&body, b"6:ut_pex").map(|id| id as u8);
                self.told.lock().expect("nobody panics with it").extend(pex);
            }
        }
    }
}

/// All are in one network of private addresses, where neighbours hear each other. Nobody knows anybody.
fn at(last: u8) -> impl FnOnce(&mut Spec) {
    move |spec| {
        spec.ip = Some([192, 168, 0, last].into());
        spec.introduced = false;
    }
}

/// A node where the DHT begins, and somebody who gossips.
fn world(data: Data, told: &Arc<Mutex<Vec<u8>>>) -> World {
    let world = World::new(1).data(data).node("router", at(1));
    world
        .with(|spec| (spec.idle, spec.config.dht) = (true, Some(DhtConfig::default())))
        .script("gossip", Gossip::script(told))
        .with(|spec| spec.ip = Some([192, 168, 0, 2].into()))
}

/// Finds peers in every way there is.
fn everything(router: SocketAddr, spec: &mut Spec) {
    let bootstrap = vec![(router.ip().to_string(), router.port())];
    spec.config.dht = Some(DhtConfig { bootstrap, ..DhtConfig::default() });
    spec.config.lsd = true;
}

/// Alice has a torrent and Bob wants it; both find peers in every way there is, and Bob's user knows the gossip.
fn together(private: bool, told: &Arc<Mutex<Vec<u8>>>) -> World {
    let mut world = world(data(800, private), told);
    let (router, gossip) = (world.address("router"), world.address("gossip"));
    world = world.seed("alice").with(at(3)).with(|spec| everything(router, spec));
    world = world.leecher("bob").with(at(4)).with(|spec| everything(router, spec));
    world.with(|spec| spec.peers = vec![gossip])
}

fn from(sources: Sources) -> [u32; 3] {
    [Source::Dht, Source::Lsd, Source::Pex].map(|source| sources.of(source))
}

#[test]
fn a_private_torrent_is_told_to_nobody_and_nobody_is_believed_about_it() {
    let told = Arc::default();
    let mut world = together(true, &told);
    world.run_for(Duration::from_secs(1_800));
    for name in ["alice", "bob"] {
        assert_eq!(from(world.status(name).known_from), [0; 3], "{name}");
        assert!(world.engine(name).dht().unwrap().good() > 0, "{name} takes part in the DHT");
        assert_eq!(world.engine(name).dht().unwrap().announced, 0, "{name}");
    }
    assert_eq!(world.engine("router").dht().unwrap().torrents_stored, 0);
    assert!(told.lock().unwrap().is_empty(), "peer exchange is not offered");
    assert!(!world.complete("bob"));
    let alice = world.address("alice");
    world.command("bob", |torrent| Call::AddPeer(torrent, alice));
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn any_other_torrent_is_found_in_all_of_these_ways() {
    let told = Arc::default();
    let mut world = together(false, &told);
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(60));
    assert_eq!(from(world.status("bob").known_from)[2], 3, "whom the gossip named");
    assert_eq!(world.engine("router").dht().unwrap().torrents_stored, 1);
    assert_eq!(told.lock().unwrap().first(), Some(&PEX));
}

/// Bob has a link, and has met strangers in every way there is by the time he learns that the torrent is private.
#[test]
fn a_link_that_turns_out_private_ends_all_of_it_at_once() {
    let told = Arc::default();
    let mut world = world(data(801, true), &told);
    let (router, gossip) = (world.address("router"), world.address("gossip"));
    // They take connections and make none, so that it is Bob who has found them.
    let passive = |spec: &mut Spec| (spec.magnet, spec.config.limits.connecting_max) = (true, 0);
    world = world.node("neighbour", passive).with(at(5)).with(|spec| spec.config.lsd = true);
    world = world.node("stranger", passive).with(at(6)).with(|spec| everything(router, spec));
    world = world.with(|spec| spec.config.lsd = false);
    world = world.seed("alice").with(at(7));
    let alice = world.address("alice");
    world = world.node("bob", |spec| spec.magnet = true).with(at(8)).with(|spec| everything(router, spec));
    world = world.with(|spec| spec.peers = vec![gossip]);

    let connected = |world: &World, to: &str| {
        let to = world.address(to).ip();
        world.peers("bob").iter().find(|peer| peer.address.ip() == to).map(|peer| peer.source)
    };
    let met = |w: &World| [connected(w, "stranger"), connected(w, "neighbour"), connected(w, "gossip")];
    world.run_for(Duration::from_millis(1)); // they begin
    let all = [Some(Source::Dht), Some(Source::Lsd), Some(Source::User)];
    world.run_until(|w| met(w) == all && from(w.status("bob").known_from)[2] > 0, MINUTES);
    assert_eq!(from(world.status("bob").known_from), [1, 1, 3]);
    assert_eq!(*told.lock().unwrap(), [PEX]);

    world.command("bob", |torrent| Call::AddPeer(torrent, alice));
    let received = |event: &Event| matches!(event, Event::MetadataReceived { .. });
    world.run_until(|w| w.saw("bob", received), MINUTES);
    assert_eq!(from(world.status("bob").known_from), [0; 3]);
    assert_eq!(met(&world), [None, None, Some(Source::User)]);
    for name in ["stranger", "neighbour"] {
        assert_eq!(world.closed("bob", name), [CloseReason::Private], "{name}");
    }
    let dht = world.engine("bob").dht().unwrap();
    assert_eq!((dht.announced, dht.searching), (0, 0));

    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(*told.lock().unwrap(), [PEX, 0], "peer exchange is withdrawn");
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(from(world.status("bob").known_from), [0; 3]);
    assert_eq!(
        world.engine("router").dht().unwrap().torrents_stored,
        1,
        "the stranger's link is a link still"
    );
}
