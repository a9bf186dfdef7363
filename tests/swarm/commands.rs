//! What a user tells a torrent.

use std::time::Duration;

use pieceful_core::engine::{Call, Event, TorrentState};
use pieceful_tests::World;

const MINUTES: Duration = Duration::from_secs(600);

#[test]
fn a_paused_torrent_stops_and_a_resumed_one_finishes() {
    let mut world = World::new(30).seed("alice").with(|spec| spec.link.up = 300 << 10).leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 5), MINUTES);
    world.pause("bob");
    world.run_for(Duration::from_secs(5));
    let paused = world.status("bob");
    assert_eq!(paused.state, TorrentState::Paused);
    assert_eq!(paused.peers, 0);
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.status("bob").traffic.payload_down, paused.traffic.payload_down);
    assert!(!world.complete("bob"));
    world.resume("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_removed_torrent_leaves_nothing_outstanding() {
    let mut world = World::new(31).seed("alice").with(|spec| spec.link.up = 300 << 10).leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 5), MINUTES);
    world.remove("bob");
    world
        .run_until(|w| w.saw("bob", |event| matches!(event, Event::Removed { .. })), Duration::from_secs(10));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.outstanding("bob"), 0);
}

#[test]
fn a_shutdown_ends_everything_within_seconds() {
    let mut world = World::new(32).seed("alice").leecher("bob").leecher("carol");
    world.run_for(Duration::from_millis(300));
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), Duration::from_secs(6));
    assert_eq!(world.outstanding("bob"), 0);
    world.run_until(|w| w.complete("carol"), MINUTES);
}

#[test]
fn a_peer_named_later_is_dialled() {
    let mut world = World::new(33).seed("alice").leecher("bob").with(|spec| spec.introduced = false);
    world.run_for(Duration::from_secs(60));
    assert!(!world.complete("bob"));
    let alice = world.address("alice");
    world.command("bob", |id| Call::AddPeer(id, alice));
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn an_idle_hour_wakes_an_engine_seldom() {
    let mut world = World::new(34).seed("alice").leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(60));
    let before = world.outputs();
    world.run_for(Duration::from_secs(3600));
    let outputs = world.outputs() - before;
    assert!(outputs < 4_000, "{outputs} outputs of two nodes in an hour in which nothing happened");
}

#[test]
fn a_node_dialling_itself_notices() {
    let mut world = World::new(35).seed("alice").leecher("bob");
    let bob = world.address("bob");
    world = world.with(|spec| spec.peers = vec![bob]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.status("bob").peers, world.status("alice").peers, "bob is its own peer");
}

#[test]
fn two_nodes_that_dial_each_other_keep_one_connection() {
    let mut world = World::new(36).seed("alice").leecher("bob");
    let bob = world.address("bob");
    world.begin_with("alice", |spec| spec.peers = vec![bob]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    let (alice, bob) = (world.status("alice").peers, world.status("bob").peers);
    assert!(alice <= 1 && bob <= 1, "alice has {alice} connections, bob {bob}");
}
