//! Many peers and many torrents in one engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pieceful_core::engine::{
    AddTorrent, Call, Event, RateLimits, SeedingLimits, TorrentError, TorrentState, UploadSlots,
};
use pieceful_core::id::TorrentId;
use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Link, Manner, World};

const MINUTES: Duration = Duration::from_secs(600);
const BLOCK: u64 = 16 << 10;

/// A seed without a limit but the ratio, beside leechers that all take of it at once.
fn ratio_world(seed: u64, permille: u32, direct: bool, leechers: usize) -> World {
    let limits = SeedingLimits { ratio_permille: Some(permille), time: None };
    let mut world =
        World::new(seed).data(Data::single(seed, 8 << 20, 256 << 10)).seed("alice").with(|spec| {
            spec.link = Link::fast();
            spec.seeding = limits;
            spec.config.direct_blocks = direct;
        });
    for number in 0..leechers {
        world = world.leecher(&format!("leecher {number}")).with(|spec| {
            spec.link = Link::fast();
            spec.introduced = false;
        });
        let alice = world.address("alice");
        world = world.with(|spec| spec.peers = vec![alice]);
    }
    world
}

fn is_done(world: &World) -> bool {
    world.saw("alice", |event| matches!(event, Event::SeedingDone { .. }))
}

#[test]
fn a_ratio_is_kept_to_the_block_however_fast_the_seed_and_nothing_handed_over_is_cut_off() {
    for (seed, direct, leechers) in [(120, false, 1), (121, true, 1), (122, false, 6), (123, true, 6)] {
        let mut world = ratio_world(seed, 500, direct, leechers);
        world.run_until(is_done, MINUTES);
        world.run_for(Duration::from_secs(20));
        let given = world.status("alice").traffic.payload_up;
        let due = 4 << 20;
        assert!((due..due + BLOCK).contains(&given), "{given} where {due} are due, direct: {direct}");
        let taken: u64 =
            (0..leechers).map(|number| world.status(&format!("leecher {number}")).traffic.payload_down).sum();
        assert_eq!(taken, given, "what was handed over arrives, direct: {direct}");
    }
}

#[test]
fn who_resumes_a_seed_that_has_given_enough_means_it() {
    let mut world = ratio_world(124, 250, true, 1);
    world.run_until(is_done, MINUTES);
    assert!(world.status_is("alice", |alice| alice.state == TorrentState::Paused));
    world.resume("alice");
    world.run_until(|w| w.complete("leecher 0"), MINUTES);
    assert!(world.status_is("alice", |alice| alice.state == TorrentState::Seeding));
}

#[test]
fn a_ratio_set_while_it_runs_counts_what_was_given_before() {
    let mut world = ratio_world(125, 100_000, false, 1);
    world.run_until(|w| w.complete("leecher 0"), MINUTES);
    let limits = SeedingLimits { ratio_permille: Some(900), time: None };
    world.command("alice", |id| Call::SetSeedingLimits(id, limits));
    assert!(is_done(&world));
}

/// Data of another torrent than the world's.
fn other(seed: u64, len: u64) -> Arc<Data> {
    let piece_len = if len > 4 << 20 { 256 << 10 } else { 16 << 10 };
    Arc::new(Data::random(seed, &[(&format!("other {seed}.bin"), len)], piece_len))
}

/// Adds another torrent to a node that runs, which knows some peers of it.
fn add(world: &mut World, name: &str, data: &Arc<Data>, peers: Vec<SocketAddr>) -> TorrentId {
    let spec = AddTorrent { peers, ..AddTorrent::new(Arc::clone(&data.metainfo)) };
    world.add_torrent(name, spec, Arc::clone(data))
}

/// Adds another torrent to a node that runs and has all of it.
fn seed_too(world: &mut World, name: &str, data: &Arc<Data>) -> TorrentId {
    world.put(name, data, 0..data.pieces());
    add(world, name, data, Vec::new())
}

#[test]
fn torrents_that_wait_for_a_place_to_dial_take_turns() {
    let mut world = World::new(130).seed("alice").leecher("bob").with(|spec| {
        spec.introduced = false;
        spec.config.limits.connecting_max = 2;
        // A hundred addresses where nobody answers.
        spec.peers = (1..=100).map(|last| SocketAddr::from(([203, 0, 113, last], 6881))).collect();
    });
    world.run_for(Duration::from_millis(100));
    let data = other(130, 64 << 10);
    seed_too(&mut world, "alice", &data);
    let alice = world.address("alice");
    let second = add(&mut world, "bob", &data, vec![alice]);
    let done = |w: &World| w.status_of("bob", second).state == TorrentState::Seeding;
    world.run_until(done, Duration::from_secs(25));
}

#[test]
fn a_small_torrent_is_checked_before_a_large_one_that_came_first() {
    let mut world = World::new(131).data(Data::single(131, 16 << 20, 16 << 10)).seed("alice");
    world = world.with(|spec| spec.disk.latency = (Duration::from_millis(20), Duration::from_millis(20)));
    world.run_for(Duration::from_millis(100));
    let small = other(131, 128 << 10);
    let id = seed_too(&mut world, "alice", &small);
    world.run_until(|w| w.status_of("alice", id).state == TorrentState::Seeding, MINUTES);
    let large = world.status("alice");
    assert_eq!(large.state, TorrentState::Checking);
    assert!(large.pieces_checked < 200, "{}", large.pieces_checked);
}

#[test]
fn a_torrent_paused_while_it_is_checked_goes_on_where_it_stopped_and_lets_others_pass() {
    let mut world = World::new(132).data(Data::single(132, 8 << 20, 16 << 10)).seed("alice");
    world = world.with(|spec| spec.disk.latency = (Duration::from_millis(20), Duration::from_millis(20)));
    world.run_until(|w| w.status_is("alice", |alice| alice.pieces_checked > 50), MINUTES);
    world.pause("alice");
    world.run_for(Duration::from_secs(1));
    let paused = world.status("alice");
    assert_eq!(paused.state, TorrentState::Paused);
    assert_eq!(world.outstanding("alice"), 0);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.status("alice").pieces_checked, paused.pieces_checked);
    world.resume("alice");
    world.run_until(|w| w.status_is("alice", |alice| alice.state == TorrentState::Seeding), MINUTES);
}

#[test]
fn a_torrent_may_be_removed_while_it_waits_to_be_checked_or_is_checked() {
    let mut world = World::new(133).data(Data::single(133, 8 << 20, 16 << 10)).seed("alice");
    world = world.with(|spec| spec.disk.latency = (Duration::from_millis(20), Duration::from_millis(20)));
    world.run_until(|w| w.status_is("alice", |alice| alice.pieces_checked > 50), MINUTES);
    let data = other(133, 1 << 20);
    let second = seed_too(&mut world, "alice", &data);
    world.call("alice", Call::Remove(second));
    world.remove("alice");
    let gone =
        |w: &World| w.events("alice").iter().filter(|(_, e)| matches!(e, Event::Removed { .. })).count();
    world.run_until(|w| gone(w) == 2, Duration::from_secs(10));
    assert_eq!(world.outstanding("alice"), 0);
    let data = other(134, 1 << 20);
    let third = seed_too(&mut world, "alice", &data);
    world.run_until(|w| w.status_of("alice", third).state == TorrentState::Seeding, MINUTES);
}

#[test]
fn pausing_and_resuming_in_any_order_with_the_disk_behind_ends_well() {
    let mut world = World::new(134).seed("alice").leecher("bob");
    world = world.with(|spec| spec.disk.latency = (Duration::from_millis(50), Duration::from_millis(300)));
    for step in 0..40 {
        world.run_for(Duration::from_millis(37 * (step % 7)));
        world.pause("bob");
        world.run_for(Duration::from_millis(61 * (step % 5)));
        world.resume("bob");
    }
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(world.holds_everything("bob"));
}

#[test]
fn a_torrent_added_paused_looks_at_nothing_until_it_is_resumed() {
    let mut world = World::new(135).seed("alice").leecher("bob");
    world.run_for(Duration::from_millis(100));
    let data = other(135, 256 << 10);
    seed_too(&mut world, "alice", &data);
    let peers = vec![world.address("alice")];
    let spec = AddTorrent { peers, paused: true, ..AddTorrent::new(Arc::clone(&data.metainfo)) };
    let id = world.add_torrent("bob", spec, Arc::clone(&data));
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(60));
    let status = world.status_of("bob", id);
    assert_eq!((status.state, status.pieces_checked, status.peers), (TorrentState::Paused, 0, 0));
    world.call("bob", Call::Resume(id));
    world.run_until(|w| w.status_of("bob", id).state == TorrentState::Seeding, MINUTES);
}

/// Many leechers of the first torrent and one of the second, all from one seed.
fn busy_and_quiet(seed: u64, leechers: usize, set: impl Fn(&mut pieceful_tests::Spec)) -> (World, TorrentId) {
    let mut world =
        World::new(seed).data(Data::single(seed, 64 << 20, 256 << 10)).seed("alice").with(|spec| {
            spec.link = Link::fast();
            set(spec);
        });
    for number in 0..leechers {
        world = world.leecher(&format!("busy {number}")).with(|spec| {
            spec.link = Link::fast();
            spec.introduced = false;
        });
        let alice = world.address("alice");
        world = world.with(|spec| spec.peers = vec![alice]);
    }
    world = world.node("quiet", |spec| {
        spec.idle = true;
        spec.link = Link::fast();
    });
    world.run_for(Duration::from_secs(3));
    let data = other(seed, 32 << 20);
    seed_too(&mut world, "alice", &data);
    let alice = world.address("alice");
    let id = add(&mut world, "quiet", &data, vec![alice]);
    (world, id)
}

#[test]
fn a_busy_torrent_does_not_starve_another_of_the_upload_limit() {
    for (seed, direct) in [(136, false), (137, true)] {
        const LIMIT: u64 = 1 << 20;
        let (mut world, quiet) = busy_and_quiet(seed, 6, |spec| {
            spec.config.direct_blocks = direct;
            spec.config.rates = RateLimits { download: None, upload: Some(LIMIT) };
        });
        world.run_for(Duration::from_secs(5));
        let before = world.status_of("quiet", quiet).traffic.payload_down;
        assert_eq!(world.status_of("quiet", quiet).peers, 1);
        world.run_for(Duration::from_secs(10));
        let got = world.status_of("quiet", quiet).traffic.payload_down - before;
        assert!(got * 100 >= LIMIT * 10 * 10, "{got} of {} bytes, direct: {direct}", LIMIT * 10);
    }
}

#[test]
fn slots_are_shared_between_torrents_and_none_goes_without() {
    let (mut world, quiet) = busy_and_quiet(138, 12, |spec| {
        spec.config.upload_slots = UploadSlots::Fixed(2);
        spec.link.up = 300 << 10;
    });
    world.run_for(Duration::from_secs(30));
    let mut served = 0;
    let now_served =
        |world: &World| world.peers("alice").iter().filter(|peer| !peer.choked && peer.interested).count();
    for _ in 0..10 {
        world.run_for(Duration::from_secs(1));
        served = served.max(now_served(&world));
    }
    assert!(world.status_of("quiet", quiet).traffic.payload_down > 0);
    assert!((1..=2).contains(&served), "{served}");
}

#[test]
fn one_torrent_that_fails_or_has_a_dead_tracker_does_not_slow_another() {
    let time = |troubled: bool| {
        let mut world = World::new(139).seed("alice").leecher("bob").with(|spec| {
            spec.files = vec![("other 139.bin".into(), bytes::Bytes::from_static(b"something else"))];
        });
        if troubled {
            world.run_for(Duration::from_millis(1));
            let data = other(139, 1 << 20);
            let id = add(&mut world, "bob", &data, Vec::new());
            world.run_for(Duration::from_millis(400));
            let foreign = |event: &Event| matches!(event, Event::Failed { torrent, error: TorrentError::OtherData { .. } } if *torrent == id);
            assert!(world.saw("bob", foreign));
            let data = other(140, 1 << 20);
            let trackers = vec!["http://192.0.2.77:1/announce".into()];
            let spec = AddTorrent { trackers, ..AddTorrent::new(Arc::clone(&data.metainfo)) };
            world.add_torrent("bob", spec, data);
        }
        world.run_until(|w| w.complete("bob"), MINUTES);
        world.elapsed()
    };
    let (alone, troubled) = (time(false), time(true));
    assert!(troubled < alone + alone / 10, "{troubled:?}, alone {alone:?}");
}

#[test]
fn a_torrent_whose_disk_breaks_fails_alone_and_goes_on_when_it_is_mended() {
    let run = |breaks: bool| {
        let data = Data::single(150, 8 << 20, 64 << 10);
        let mut world = World::new(150).data(data).seed("alice").leecher("bob");
        world.run_for(Duration::from_millis(1));
        let data = other(150, 8 << 20);
        seed_too(&mut world, "alice", &data);
        let alice = world.address("alice");
        let id = add(&mut world, "bob", &data, vec![alice]);
        world.run_for(Duration::from_millis(200));
        if breaks {
            world.set_disk("bob", |disk| disk.broken = Some(id));
        }
        world.run_until(|w| w.complete("bob"), MINUTES);
        let elapsed = world.elapsed();
        let failed = |event: &Event| matches!(event, Event::Failed { torrent, error: TorrentError::Disk(_) } if *torrent == id);
        assert_eq!(world.saw("bob", failed), breaks);
        world.set_disk("bob", |disk| disk.broken = None);
        world.call("bob", Call::Resume(id));
        let finished = |event: &Event| matches!(event, Event::Finished { torrent } if *torrent == id);
        world.run_until(|w| w.saw("bob", finished), MINUTES);
        elapsed
    };
    let (beside, broken) = (run(false), run(true));
    assert!(broken <= beside + Duration::from_millis(50), "{broken:?}, beside a sound one {beside:?}");
}

#[test]
fn limits_of_one_torrent_change_while_it_runs() {
    let mut world = World::new(141).data(Data::single(141, 8 << 20, 64 << 10)).seed("alice");
    world = world.with(|spec| spec.link = Link::fast());
    for name in ["bob", "carol"] {
        world = world.leecher(name).with(|spec| {
            spec.link = Link::fast();
            spec.rates = RateLimits { download: Some(50 << 10), upload: None };
        });
    }
    world.run_for(Duration::from_secs(20));
    let slow = world.status("bob").traffic.payload_down;
    assert!(slow < 1_200 << 10, "{slow}");
    world.command("bob", |id| Call::SetTorrentLimits(id, RateLimits::default()));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(20));
    world.command("alice", |id| Call::SetTorrentConnections(id, Some(0)));
    let no_room = |event: &Event| matches!(event, Event::PeerClosed { reason: CloseReason::NoRoom, .. });
    assert!(world.saw("alice", no_room));
    assert_eq!(world.status("alice").peers, 0);
}

#[test]
fn two_that_dial_each_other_at_the_same_instant_keep_one_connection() {
    for seed in 0..60 {
        let mut world = World::new(1_000 + seed).partial("alice", 0..16).partial("bob", 16..33);
        let (alice, bob) = (world.address("alice"), world.address("bob"));
        world.begin_with("alice", |spec| spec.peers = vec![bob]);
        world.begin_with("bob", |spec| spec.peers = vec![alice]);
        world.run_until(|w| w.status_is("alice", |alice| alice.peers > 0), MINUTES);
        world.run_for(Duration::from_secs(1));
        let peers = |name| world.status(name).peers;
        assert!(
            (peers("alice"), peers("bob")) == (1, 1) || world.complete("alice") && world.complete("bob"),
            "seed {seed}"
        );
        world.run_until(|w| w.complete("alice") && w.complete("bob"), MINUTES);
    }
}

#[test]
fn two_thousand_torrents_do_nothing_cheaply() {
    let mut world = World::new(142).keep_trace(0).node("alice", |spec| {
        spec.idle = true;
        spec.config.direct_blocks = true;
    });
    world.run_for(Duration::from_millis(1));
    let all: Vec<_> = (0..2_000).map(|n| other(10_000 + n, 20_000)).collect();
    let ids: Vec<_> = all.iter().map(|data| seed_too(&mut world, "alice", data)).collect();
    world.run_for(Duration::from_secs(60));
    assert!(ids.iter().all(|id| world.status_of("alice", *id).state == TorrentState::Seeding));
    let before = world.outputs();
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(world.outputs(), before, "nobody is there, so there is nothing to do");
}

/// A seed with few places, all of them taken by leechers of its first torrent.
fn crowded(seed: u64) -> World {
    let mut world =
        World::new(seed).data(Data::single(seed, 64 << 20, 256 << 10)).seed("alice").with(|spec| {
            spec.config.limits.connections_max = 12;
            spec.link.up = 200 << 10;
        });
    for number in 0..14 {
        world = world.leecher(&format!("busy {number}")).with(|spec| spec.introduced = false);
        let alice = world.address("alice");
        world = world.with(|spec| spec.peers = vec![alice]);
    }
    let data = other(seed, 256 << 10);
    world = world.node("quiet", |spec| spec.idle = true);
    world.run_for(Duration::from_secs(30));
    assert!(world.status("alice").peers >= 11, "{}", world.status("alice").peers);
    world.put("quiet", &data, 0..data.pieces());
    world
}

#[test]
fn a_peer_of_a_small_torrent_finds_a_place_among_many_of_a_large_one() {
    let mut world = crowded(150);
    let data = other(151, 256 << 10);
    seed_too(&mut world, "alice", &data);
    let alice = world.address("alice");
    let id = add(&mut world, "quiet", &data, vec![alice]);
    world.run_until(|w| w.status_of("quiet", id).state == TorrentState::Seeding, Duration::from_secs(120));
    assert!(world.status("alice").peers >= 5, "the other keeps its share");
}

#[test]
fn a_torrent_without_peers_gets_places_to_dial_from_one_that_has_them_all() {
    let mut world = crowded(152);
    let data = other(152, 256 << 10);
    let seed = world.address("quiet");
    add(&mut world, "quiet", &data, Vec::new());
    let id = add(&mut world, "alice", &data, vec![seed]);
    world.run_until(|w| w.status_of("alice", id).state == TorrentState::Seeding, Duration::from_secs(120));
}

#[test]
fn a_dead_tracker_of_many_torrents_does_not_keep_another_tracker_waiting() {
    let (dead, alive) = ("http://dead.sim", "http://alive.sim");
    let mut world = World::new(153).tracker(dead).tracker(alive).seed("alice").with(|spec| {
        spec.trackers = vec![format!("{alive}/announce")];
    });
    world = world.node("bob", |spec| spec.idle = true);
    world.tracker_mut(0).manner = Manner::Slow(Duration::from_secs(3_600));
    world.run_for(Duration::from_secs(5));
    for n in 0..200 {
        let data = other(20_000 + n, 20_000);
        world.put("bob", &data, 0..data.pieces());
        let trackers = vec![format!("{dead}/announce")];
        let spec = AddTorrent { trackers, ..AddTorrent::new(Arc::clone(&data.metainfo)) };
        world.add_torrent("bob", spec, data);
    }
    world.run_for(Duration::from_secs(2));
    let (data, trackers) = (Arc::clone(world.torrent()), vec![format!("{alive}/announce")]);
    let spec = AddTorrent { trackers, ..AddTorrent::new(Arc::clone(&data.metainfo)) };
    let id = world.add_torrent("bob", spec, data);
    world.run_until(|w| w.status_of("bob", id).state == TorrentState::Seeding, Duration::from_secs(60));
}
