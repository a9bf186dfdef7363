//! What one run leaves to the next: nothing that was verified is fetched again, nothing that did not change is read
//! again, and nothing is believed that may have changed.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Event, TorrentError, TorrentState};
use pieceful_tests::{Data, Fault, Link, World};

const HOUR: Duration = Duration::from_secs(3600);
const SLOW: Link = Link::symmetric(20_000, Duration::from_millis(20));

/// What a disk needs that would take minutes to read the torrent through.
const CRAWL: u64 = 2_000;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two files of 8 pieces and one of a few bytes.
fn swarm(seed: u64) -> World {
    let data = Data::random(seed, &[("a", 512 << 10), ("b", 512 << 10), ("c", 10)], 64 << 10);
    World::new(seed).data(data).seed("alice").with(|spec| spec.link = SLOW).leecher("bob")
}

/// Ends a node in good order, and starts it again on a disk that takes its time.
fn again(world: &mut World, name: &str) {
    world.shutdown(name);
    world.run_until(|w| w.saw(name, |event| *event == Event::Stopped), seconds(10));
    world.begin_with(name, |spec| spec.disk.rate = CRAWL);
    world.restart(name);
}

fn is_checked(world: &World, name: &str) -> bool {
    world.status_is(name, |status| status.state != TorrentState::Checking)
}

#[test]
fn a_download_that_was_stopped_goes_on_without_reading_its_files_and_fetches_no_block_twice() {
    let mut world = swarm(1);
    world.run_for(seconds(25));
    let before = world.status("bob");
    assert!(before.pieces_done >= 3 && !world.complete("bob"));
    again(&mut world, "bob");
    world.run_until(|w| is_checked(w, "bob"), seconds(1));
    assert_eq!(world.status("bob").pieces_done, before.pieces_done);
    world.set_disk("bob", |disk| disk.rate = 500 << 20);
    world.run_until(|w| w.complete("bob"), HOUR);
    assert!(world.holds_everything("bob"));
    let (fetched, all) = (world.status("bob").downloaded_ever, world.torrent().layout.stored());
    // What was asked for when it stopped may have been on its way.
    assert!((all..all + 5 * (16 << 10)).contains(&fetched), "{fetched} of {all}");
}

#[test]
fn a_seed_begins_again_without_reading_its_files() {
    let mut world = swarm(2);
    world.run_until(|w| w.complete("bob"), HOUR);
    world.run_for(seconds(1));
    again(&mut world, "alice");
    again(&mut world, "bob");
    world.run_until(|w| w.complete("alice") && w.complete("bob"), seconds(1));
}

#[test]
fn who_wants_it_checked_has_it_checked() {
    let mut world = swarm(3);
    world.run_until(|w| w.complete("bob"), HOUR);
    world.run_for(seconds(1));
    world.begin_with("bob", |spec| spec.check = true);
    again(&mut world, "bob");
    world.run_for(seconds(20));
    assert!(!is_checked(&world, "bob"), "a megabyte cannot be read so soon");
    world.run_until(|w| w.complete("bob"), HOUR);
}

#[test]
fn a_file_that_was_changed_is_read_again_and_the_others_are_not() {
    let mut world = swarm(4);
    world.run_until(|w| w.complete("bob"), HOUR);
    world.run_for(seconds(1));
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), seconds(10));
    let path = world.torrent().layout.files()[1].path.as_ref().expect("no padding").to_string();
    let mut b = world.torrent().file(1).to_vec();
    b[100_000] ^= 1;
    world.put_file("bob", &path, Bytes::from(b));
    world.begin_with("bob", |spec| spec.disk.rate = 500_000);
    world.restart("bob");
    // Half a second for one of the two.
    world.run_until(|w| is_checked(w, "bob"), seconds(2));
    assert_eq!(world.status("bob").pieces_done, world.torrent().pieces() - 1);
    world.run_until(|w| w.complete("bob"), HOUR);
    assert!(world.holds_everything("bob"));
}

#[test]
fn a_power_failure_costs_no_more_than_what_came_in_the_last_seconds() {
    for seed in 10..20 {
        let mut world = swarm(seed);
        world.run_for(seconds(20));
        let safe = world.status("bob").pieces_done;
        // Five seconds until it is written out, and as long as that takes.
        world.run_for(seconds(6));
        world.inflict("bob", &Fault::PowerLoss { lost: 1000, lasts: seconds(1) });
        world.run_for(seconds(2));
        world.run_until(|w| is_checked(w, "bob"), seconds(5));
        assert!(world.status("bob").pieces_done >= safe, "seed {seed}");
        world.run_until(|w| w.complete("bob"), HOUR);
        assert!(world.holds_everything("bob"));
    }
}

#[test]
fn a_saved_state_that_is_damaged_is_refused_by_name_and_costs_a_check() {
    let mut world = swarm(5);
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 4), HOUR);
    let had = world.status("bob").pieces_done;
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), seconds(10));
    world.spoil_saved("bob");
    world.restart("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= had), seconds(5));
    assert!(world.saw("bob", |event| matches!(event, Event::SavedRefused { .. })));
    world.run_until(|w| w.complete("bob"), HOUR);
}

#[test]
fn what_a_disk_could_not_make_durable_is_fetched_again_though_it_reads_back_well() {
    let mut world = swarm(6);
    world.run_for(seconds(18));
    let safe = world.status("bob").pieces_done;
    world.inflict("bob", &Fault::Sync { of_thousand: 1000, takes: Duration::ZERO, lasts: HOUR });
    world.run_until(|w| w.saw("bob", |event| matches!(event, Event::Failed { .. })), seconds(60));
    let had = world.status("bob").pieces_done;
    assert!(had > safe);
    world.heal();
    world.resume("bob");
    world.run_until(|w| is_checked(w, "bob"), seconds(5));
    assert!(world.status("bob").pieces_done < had);
    world.run_until(|w| w.complete("bob"), HOUR);
    assert!(world.holds_everything("bob"));
}

#[test]
fn peers_that_were_of_use_are_asked_again_with_nobody_else_to_name_them() {
    let mut world = swarm(7);
    world.run_for(seconds(10));
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), seconds(10));
    world.begin_with("bob", |spec| spec.introduced = false);
    world.restart("bob");
    world.run_until(|w| w.complete("bob"), HOUR);
}

#[test]
fn a_file_that_shrinks_while_it_is_served_is_noticed_and_what_it_lost_is_fetched_again() {
    for direct in [false, true] {
        // What the test does to the files breaks every rule there is.
        let mut world = swarm(8).unwatched().leecher("carol").with(|spec| spec.starts = seconds(300));
        world.begin_with("alice", |spec| spec.config.direct_blocks = direct);
        world.begin_with("bob", |spec| spec.config.direct_blocks = direct);
        world.run_until(|w| w.complete("bob"), seconds(290));
        world.run_for(seconds(1));
        let path = world.torrent().layout.files()[0].path.as_ref().expect("no padding").to_string();
        world.put_file("bob", &path, world.torrent().file(0).slice(..100_000));
        world.run_until(|w| w.saw("bob", |event| matches!(event, Event::FilesChanged { .. })), HOUR);
        world.run_until(|w| w.holds_everything("bob") && w.holds_everything("carol"), HOUR);
        world
            .run_until(|w| w.status_is("carol", |status| status.state == TorrentState::Seeding), seconds(10));
        assert!(!world.banned("carol", "alice"), "direct {direct}");
    }
}

#[test]
fn a_torrent_that_is_only_served_fails_by_name_when_its_files_are_gone() {
    let mut world = swarm(9).unwatched();
    world.begin_with("alice", |spec| spec.serve_only = true);
    world.run_for(seconds(10));
    for file in [0, 1] {
        let path = world.torrent().layout.files()[file].path.as_ref().expect("no padding").to_string();
        world.put_file("alice", &path, Bytes::new());
    }
    let failed =
        |event: &Event| matches!(event, Event::Failed { error: TorrentError::Incomplete { .. }, .. });
    world.run_until(|w| w.saw("alice", failed), seconds(60));
}
