//! Magnet links: the metadata is fetched from strangers, none of whom is believed, and then the rest.

use std::net::SocketAddr;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Call, Event, Source, TorrentState};
use pieceful_core::metainfo::{METADATA_LEN_MAX, Magnet, Metainfo};
use pieceful_core::peer::CloseReason;
use pieceful_tests::odd::{Teller, Told};
use pieceful_tests::{Data, Has, World};

const MINUTES: Duration = Duration::from_secs(600);

/// A torrent whose metadata has five pieces.
fn long(seed: u64) -> Data {
    Data::single(seed, 500_000, 128)
}

fn world(seed: u64) -> World {
    World::new(seed).data(long(seed)).keep_trace(200)
}

/// Bob has a link and knows everybody who was there before him.
fn with_bob(world: World) -> World {
    // By then all others have looked at their files.
    world.node("bob", |spec| (spec.magnet, spec.starts) = (true, Duration::from_secs(5)))
}

fn finishes(mut world: World) -> World {
    world.run_until(|world| world.complete("bob"), MINUTES);
    assert!(world.holds_everything("bob"));
    world
}

fn count(world: &World, name: &str, like: impl Fn(&Event) -> bool) -> usize {
    world.events(name).iter().filter(|(_, event)| like(event)).count()
}

fn received(world: &World, name: &str) -> usize {
    count(world, name, |event| matches!(event, Event::MetadataReceived { .. }))
}

#[test]
fn a_magnet_link_and_one_seed_are_enough() {
    let world = finishes(with_bob(world(2_000).seed("alice")));
    assert_eq!(received(&world, "bob"), 1);
    assert_eq!(world.closed("bob", "alice"), [CloseReason::NothingToExchange], "it was there all the time");
}

#[test]
fn a_megabyte_of_metadata_is_there_within_a_second_and_a_piece_within_two() {
    let data = Data::single(2_002, 26 << 20, 512);
    assert!(data.metainfo.info.raw.len() > 1 << 20);
    let began = Duration::from_secs(120);
    let mut world = World::new(2_002).data(data).keep_trace(0).seed("alice");
    world = world.node("bob", |spec| (spec.magnet, spec.starts) = (true, began));
    world.run_for(began);
    world.run_until(|world| received(world, "bob") == 1, Duration::from_secs(1));
    let asked = |world: &World| world.peers("bob").iter().any(|peer| peer.asked > 0 || peer.downloaded > 0);
    world.run_until(asked, Duration::from_secs(1));
}

#[test]
fn the_longest_metadata_there_may_be_is_fetched_and_makes_a_torrent_that_can_be_read() {
    // 20 bytes a piece, and a few for the rest.
    let data = Data::single(2_003, (METADATA_LEN_MAX as u64 - 100) / 20, 1);
    let long = METADATA_LEN_MAX - 100..=METADATA_LEN_MAX;
    assert!(long.contains(&data.metainfo.info.raw.len()), "{}", data.metainfo.info.raw.len());
    let mut world = World::new(2_003).data(data).keep_trace(0).script("teller", Teller::default().script());
    world = world.node("bob", |spec| spec.idle = true);
    world.run_for(Duration::from_secs(1));
    let (data, teller) = (world.torrent().clone(), world.address("teller"));
    let link = data.metainfo.to_magnet();
    let spec = AddTorrent { metadata_only: true, peers: vec![teller], ..AddTorrent::new(link) };
    let bob = world.add_torrent("bob", spec, data);
    world.run_until(|world| received(world, "bob") == 1, MINUTES);
    let torrent = world.engine("bob").metainfo(bob).expect("its metadata is there").to_torrent();
    assert!(torrent.len() > 10_000_000, "longer than some programs read");
    assert_eq!(Metainfo::parse(torrent).map(|it| it.info), Ok(world.torrent().metainfo.info.clone()));
}

#[test]
fn the_peers_come_from_the_links_tracker() {
    let url = "http://tracker.example/announce";
    let mut world = World::new(2_001).tracker(url);
    world = world.data(Data::with_trackers(2_001, &[("data.bin", 500_000)], 1 << 10, &[url]));
    world = world.seed("alice").with(|spec| spec.introduced = false);
    let world = world.node("bob", |spec| (spec.magnet, spec.introduced) = (true, false));
    finishes(world);
}

/// Bob gets all of it from Alice, whatever the liar tells him, and closes the liar for a reason that says this.
fn beside(seed: u64, liar: Teller, why: Option<&str>) -> World {
    let world = world(seed).script("liar", liar.script());
    let world = world.seed("alice").with(|spec| spec.link.delay = Duration::from_millis(100));
    let world = finishes(with_bob(world));
    let closed: Vec<String> = world.closed("bob", "liar").iter().map(ToString::to_string).collect();
    if let Some(why) = why {
        assert!(closed.iter().any(|reason| reason.contains(why)), "{closed:?}");
    }
    world
}

#[test]
fn one_that_names_a_size_that_cannot_be() {
    for (seed, size) in [(2_010, (1 << 31) - 1), (2_011, u32::MAX), (2_012, (16 << 20) + 1)] {
        let world = beside(seed, Teller { size: Some(size), told: Told::Right }, None);
        assert_eq!(count(&world, "bob", |event| matches!(event, Event::MetadataFailed { .. })), 0);
    }
}

#[test]
fn one_that_names_another_size() {
    for (seed, size) in [(2_013, 16 << 20), (2_014, 20), (2_015, 40_000)] {
        beside(seed, Teller { size: Some(size), told: Told::Right }, None);
    }
}

#[test]
fn one_that_sends_a_wrong_piece_is_found_out() {
    for seed in 2_020..2_030 {
        let world = beside(seed, Teller { size: None, told: Told::Wrong(seed as u32 % 5) }, None);
        let failed = count(&world, "bob", |event| matches!(event, Event::MetadataFailed { .. }));
        assert_eq!(world.banned("bob", "liar"), failed > 0, "{failed} failures");
    }
}

#[test]
fn one_that_sends_all_of_it_wrong_is_banned_and_the_next_is_asked() {
    let mut world =
        with_bob(world(2_030).script("liar", Teller { size: None, told: Told::Wrong(2) }.script()));
    world.run_until(|world| world.banned("bob", "liar"), MINUTES);
    assert_eq!(received(&world, "bob"), 0);
    world.add_node("alice", |spec| (spec.has, spec.introduced) = (Has::Everything, true));
    finishes(world);
}

#[test]
fn those_that_send_what_they_should_not_are_closed_by_name() {
    beside(2_031, Teller { size: None, told: Told::Short }, Some("of the metadata with"));
    beside(2_032, Teller { size: None, told: Told::OtherTotal }, Some("of the metadata with"));
    beside(2_033, Teller { size: None, told: Told::Again }, None);
}

#[test]
fn seeds_that_refuse_and_seeds_that_are_silent() {
    let mut world = world(2_034);
    for name in ["one", "two", "three"] {
        world = world.script(name, Teller { size: None, told: Told::Reject }.script());
    }
    world = world.script("four", Teller { size: None, told: Told::Silence }.script());
    finishes(with_bob(world.seed("alice")));
}

#[test]
fn one_that_refuses_at_first_is_asked_again() {
    let mut world =
        with_bob(world(2_035).script("teller", Teller { size: None, told: Told::RejectFirst }.script()));
    world.run_until(|world| received(world, "bob") == 1, Duration::from_secs(20));
}

#[test]
fn two_links_wait_for_each_other_until_a_seed_comes() {
    let world = world(2_040).node("carol", |spec| spec.magnet = true);
    let mut world = with_bob(world);
    world.run_for(Duration::from_secs(60));
    assert_eq!((received(&world, "bob"), received(&world, "carol")), (0, 0));
    world.add_node("alice", |spec| spec.has = Has::Everything);
    world.run_until(|world| world.complete("bob") && world.complete("carol"), MINUTES);
    assert!(world.holds_everything("bob") && world.holds_everything("carol"));
}

#[test]
fn metadata_is_had_of_somebody_who_had_it_of_a_link_himself() {
    let world = world(2_041).seed("alice").with(|spec| spec.config.rates.upload = Some(40 << 10));
    let world = with_bob(world);
    let mut world = world.node("carol", |spec| (spec.magnet, spec.introduced) = (true, false));
    let bob = world.address("bob");
    world.run_for(Duration::from_secs(6));
    world.command("carol", |torrent| Call::AddPeer(torrent, bob));
    world.run_until(|world| received(world, "carol") == 1, MINUTES);
    assert!(!world.complete("bob"));
    world.run_until(|world| world.complete("carol"), MINUTES);
}

#[test]
fn a_restart_needs_nobody_to_tell_the_metadata_again() {
    let mut world = with_bob(world(2_042).script("teller", Teller::default().script()));
    world.run_until(|world| received(world, "bob") == 1, MINUTES);
    world.kill("bob");
    world.restart("bob");
    world.run_for(Duration::from_millis(1));
    let engine = world.engine("bob");
    assert!(
        engine.torrents().all(|torrent| engine.metainfo(torrent).is_some()),
        "before anybody is there to ask"
    );
    assert_eq!(received(&world, "bob"), 2, "told again, to an application that has forgotten it");
    world.add_node("alice", |spec| spec.has = Has::Everything);
    finishes(world);
}

#[test]
fn what_is_on_disk_already_is_found_and_told_to_those_who_were_there_before() {
    for (seed, have) in [(2_043, 900), (2_044, 2_000), (2_045, 3_907)] {
        let some = (0..have).collect();
        let world = world(seed).seed("alice").node("carol", |spec| spec.introduced = true);
        let world = world.node("bob", |spec| (spec.magnet, spec.has) = (true, Has::Pieces(some)));
        let mut world = finishes(world);
        world.run_until(|world| world.complete("carol"), MINUTES);
    }
}

#[test]
fn a_torrent_that_turns_out_to_be_private_keeps_its_users_peers_and_is_finished() {
    let world = finishes(with_bob(World::new(2_046).data(private(2_046)).seed("alice")));
    assert_eq!(world.closed("bob", "alice"), [CloseReason::NothingToExchange]);
}

/// A private torrent.
fn private(seed: u64) -> Data {
    let data = long(seed);
    let (torrent, end) = (data.torrent.clone(), data.torrent.len() - 2);
    let torrent = [&torrent[..end], b"7:privatei1eee"].concat();
    let metainfo = Metainfo::parse(torrent.clone()).expect("a valid torrent");
    assert!(metainfo.info.private);
    Data { torrent: torrent.into(), metainfo: metainfo.into(), ..data }
}

#[test]
fn only_the_metadata_is_fetched_where_no_more_is_wanted() {
    let mut world = world(2_047).seed("alice").node("bob", |spec| spec.idle = true);
    world.run_for(Duration::from_secs(5));
    let data = world.torrent().clone();
    let magnet = data.metainfo.to_magnet();
    let spec =
        AddTorrent { metadata_only: true, peers: vec![world.address("alice")], ..AddTorrent::new(magnet) };
    let bob = world.add_torrent("bob", spec, data);
    world.run_until(|world| received(world, "bob") == 1, MINUTES);
    world.run_for(Duration::from_secs(10));
    let engine = world.engine("bob");
    assert_eq!(engine.metainfo(bob).map(|metainfo| &metainfo.info), Some(&world.torrent().metainfo.info));
    let status = engine.torrent(bob).expect("it is there");
    assert_eq!((status.state, status.peers, status.traffic.payload_down), (TorrentState::Paused, 0, 0));
    world.resume("bob");
    finishes(world);
}

/// Bob, whose link names this peer, and nobody else.
fn by_name(seed: u64, host: &str, resolves_to: impl FnOnce(SocketAddr) -> SocketAddr) -> World {
    let mut world =
        world(seed).seed("alice").node("bob", |spec| (spec.idle, spec.introduced) = (true, false));
    let alice = world.address("alice");
    world = world.host("alice.example", &[resolves_to(alice).ip()]);
    world.run_for(Duration::from_secs(5));
    let data = world.torrent().clone();
    let magnet = Magnet { peers: vec![(host.to_owned(), alice.port())], ..data.metainfo.to_magnet() };
    world.add_torrent("bob", AddTorrent::new(magnet), data);
    world
}

#[test]
fn a_peer_that_the_link_names_by_host_is_looked_up_and_called() {
    let mut world = by_name(2_049, "alice.example", |alice| alice);
    world.run_until(|world| world.status("bob").known_from.of(Source::User) == 1, Duration::from_secs(2));
    finishes(world);
}

#[test]
fn a_host_that_is_not_found_is_looked_up_again() {
    let mut world = by_name(2_050, "later.example", |alice| alice);
    world.run_for(Duration::from_secs(30));
    let alice = world.address("alice");
    world = world.host("later.example", &[alice.ip()]);
    world.run_until(|world| received(world, "bob") == 1, Duration::from_secs(40));
}

#[test]
fn a_host_that_is_this_machine_after_all_is_not_called() {
    let mut world = by_name(2_051, "alice.example", |_| SocketAddr::from(([127, 0, 0, 1], 1)));
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.status("bob").known_peers, 0);
}

#[test]
fn no_host_is_looked_up_for_a_torrent_that_is_paused() {
    let mut world = by_name(2_052, "later.example", |alice| alice);
    let looks = |world: &World| world.trace().matches("resolve later.example").count();
    assert_eq!(looks(&world), 1);
    world.pause("bob");
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(looks(&world), 1);
    world.resume("bob");
    assert_eq!(looks(&world), 2);
}

#[test]
fn peers_that_the_link_names_are_called_unless_they_are_this_machine() {
    let mut world =
        world(2_048).seed("alice").node("bob", |spec| (spec.idle, spec.introduced) = (true, false));
    world.run_for(Duration::from_secs(5));
    let data = world.torrent().clone();
    let here = SocketAddr::from(([127, 0, 0, 1], 6881));
    let named = [here, world.address("alice")].map(|peer| (peer.ip().to_string(), peer.port()));
    let magnet = Magnet { peers: named.to_vec(), ..data.metainfo.to_magnet() };
    let bob = world.add_torrent("bob", AddTorrent::new(magnet), data);
    assert_eq!(world.engine("bob").torrent(bob).map(|status| status.known_peers), Some(1));
    finishes(world);
}
