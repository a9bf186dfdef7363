//! What is on disk already, and what goes wrong there.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Event, TorrentError, TorrentState};
use pieceful_tests::{Data, World};

const MINUTES: Duration = Duration::from_secs(600);

#[test]
fn a_download_that_was_cut_off_continues_and_fetches_only_the_rest() {
    let mut world = World::new(20).seed("alice").with(|spec| spec.link.up = 500 << 10).leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 10), MINUTES);
    let done = world.status("bob").pieces_done;
    world.restart("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);

    let checked = world.events("bob").iter().rev().find_map(|(_, event)| match event {
        Event::Checked { pieces, .. } => Some(*pieces),
        _ => None,
    });
    assert!(checked >= Some(done), "{done} pieces were there, the check found {checked:?}");
    let fetched = world.status("bob").traffic.payload_down;
    let rest = world.torrent().contents.len() as u64 - u64::from(done) * (64 << 10);
    assert!(fetched <= rest + (64 << 10), "fetched {fetched} bytes, only {rest} were missing");
}

#[test]
fn a_seed_checks_and_serves_without_fetching() {
    let mut world = World::new(21).seed("alice").seed("anna");
    world.run_until(|w| w.complete("alice") && w.complete("anna"), MINUTES);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.status("alice").traffic.payload_down, 0);
    assert_eq!(world.status("anna").traffic.payload_down, 0);
}

#[test]
fn a_file_that_holds_other_data_is_not_touched() {
    let other = Bytes::from(vec![7; 300_000]);
    let mut world = World::new(22).seed("alice").leecher("bob");
    world = world.with(|spec| spec.files = vec![("data.bin".into(), other.clone())]);
    world.run_until(|w| w.saw("bob", |event| matches!(event, Event::Failed { .. })), MINUTES);
    world.run_for(Duration::from_secs(60));
    let named = |event: &Event| matches!(event, Event::Failed { error: TorrentError::OtherData { path }, .. } if path == "data.bin");
    assert!(world.saw("bob", named));
    assert_eq!(world.file("bob", "data.bin"), Some(other));
    assert_eq!(world.status("bob").state, TorrentState::Failed);
}

#[test]
fn a_file_that_holds_other_data_is_overwritten_when_that_is_asked_for() {
    let other = Bytes::from(vec![7; 3_000_000]);
    let mut world = World::new(23).seed("alice").leecher("bob");
    world = world.with(|spec| {
        spec.files = vec![("data.bin".into(), other)];
        spec.overwrite = true;
    });
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(world.file("bob", "data.bin"), Some(world.torrent().contents.clone()), "longer than it was");
}

#[test]
fn a_wrong_byte_on_disk_costs_one_piece() {
    let mut world = World::new(24).seed("alice").leecher("bob");
    let mut wrong = world.torrent().contents.to_vec();
    wrong[100_000] ^= 1;
    world = world.with(|spec| spec.files = vec![("data.bin".into(), wrong.into())]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    let fetched = world.status("bob").traffic.payload_down;
    assert!(fetched <= 2 * (64 << 10), "one piece was wrong, {fetched} bytes were fetched");
}

#[test]
fn a_full_disk_stops_the_torrent_and_more_room_lets_it_go_on() {
    let mut world =
        World::new(25).seed("alice").leecher("bob").with(|spec| spec.disk.capacity = Some(1 << 20));
    world.run_until(|w| w.saw("bob", |event| matches!(event, Event::NoSpace { .. })), MINUTES);
    world.run_for(Duration::from_secs(30));
    let before = world.status("bob").traffic.payload_down;
    world.run_for(Duration::from_secs(120));
    assert!(world.status("bob").traffic.payload_down <= before + (1 << 20), "a full disk asks for no more");
    world.set_disk("bob", |disk| disk.capacity = None);
    world.resume("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_disk_that_fails_now_and_then_never_leads_to_a_false_have() {
    for seed in 0..5 {
        let mut world =
            World::new(2600 + seed).seed("alice").leecher("bob").with(|spec| spec.disk.failures = 20);
        world.run_for(Duration::from_secs(60));
        world.set_disk("bob", |disk| disk.failures = 0);
        world.resume("bob");
        world.run_until(|w| w.complete("bob"), MINUTES);
    }
}

#[test]
fn bits_that_flip_on_read_while_checking_only_cost_a_download() {
    let mut world = World::new(27).seed("alice").seed("bob").with(|spec| spec.disk.flips = 200);
    world.run_until(|w| w.saw("bob", |event| matches!(event, Event::Checked { .. })), MINUTES);
    world.set_disk("bob", |disk| disk.flips = 0);
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_slow_disk_bounds_what_is_held_in_memory() {
    // The checker follows the write budget at every step; here it is reached.
    let data = Data::single(28, 16 << 20, 1 << 20);
    let mut world =
        World::new(28).data(data).seed("alice").with(|spec| spec.link = pieceful_tests::Link::fast());
    world = world.leecher("bob").with(|spec| {
        spec.link = pieceful_tests::Link::fast();
        spec.disk.latency = (Duration::from_millis(200), Duration::from_millis(400));
        spec.config.limits.write_bytes_max = 2 << 20;
    });
    world.run_until(|w| w.complete("bob"), MINUTES);
}
