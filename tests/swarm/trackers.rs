//! Finding peers by asking trackers.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::Event;
use pieceful_tests::{Data, Manner, World};

const MINUTES: Duration = Duration::from_secs(600);

/// Alice and Bob, who know nothing of each other but the torrent's trackers.
fn strangers(seed: u64, trackers: &[&str]) -> World {
    let urls: Vec<String> = trackers.iter().map(|tracker| format!("{tracker}/announce")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let data = Data::with_trackers(seed, &[("data.bin", 1 << 20)], 64 << 10, &urls);
    let mut world = World::new(seed).data(data);
    world = trackers.iter().fold(world, |world, tracker| world.tracker(tracker));
    world = world.seed("alice").with(|spec| spec.introduced = false);
    world.leecher("bob").with(|spec| {
        spec.introduced = false;
        spec.starts = Duration::from_secs(3);
    })
}

#[test]
fn strangers_meet_through_a_tracker() {
    let mut world = strangers(50, &["http://tracker.sim"]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(5));
    let bob = world.address("bob");
    let said: Vec<&str> = world
        .tracker_at(0)
        .announces
        .iter()
        .filter(|said| said.from == bob)
        .map(|said| &*said.event)
        .collect();
    assert_eq!(said, ["started", "completed"]);
}

#[test]
fn a_tracker_is_told_the_true_numbers() {
    let mut world = strangers(51, &["http://tracker.sim"]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), Duration::from_secs(10));
    let size = world.torrent().contents.len() as u64;
    let bob = world.address("bob");
    let said: Vec<_> = world.tracker_at(0).announces.iter().filter(|said| said.from == bob).collect();
    let (first, last) = (said[0], said[said.len() - 1]);
    assert_eq!((first.event.as_str(), first.left, first.downloaded), ("started", size, 0));
    assert_eq!((last.event.as_str(), last.left), ("stopped", 0));
    assert!(last.downloaded >= size && last.downloaded < size + size / 20, "{last:?}");
}

#[test]
fn a_seed_does_not_claim_to_have_completed() {
    let mut world = strangers(52, &["http://tracker.sim"]);
    world.run_until(|w| w.complete("bob"), MINUTES);
    let alice = world.address("alice");
    let said = world.tracker_at(0).announces.iter().filter(|said| said.from == alice);
    assert!(
        said.clone().all(|said| said.left == 0 && said.event != "completed"),
        "{:?}",
        said.collect::<Vec<_>>()
    );
}

#[test]
fn a_dead_tracker_does_not_keep_the_live_one_waiting() {
    for manner in [
        Manner::Down,
        Manner::Slow(Duration::from_secs(600)),
        Manner::Refuses("not today".into()),
        Manner::Says(500, Bytes::from_static(b"oh")),
        Manner::Says(404, Bytes::from_static(b"d5:peers0:e")),
        Manner::Says(200, Bytes::from_static(b"\x00\x01 not bencode")),
    ] {
        let mut world = strangers(53, &["http://dead.sim", "http://tracker.sim"]);
        world.tracker_mut(0).manner = manner.clone();
        world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
        let failed = |event: &Event| matches!(event, Event::TrackerFailed { url, .. } if url.starts_with("http://dead"));
        world.run_until(|w| w.saw("bob", failed), MINUTES);
    }
}

#[test]
fn a_tracker_that_comes_back_is_found_again() {
    let mut world = strangers(54, &["http://tracker.sim"]);
    world.tracker_mut(0).manner = Manner::Down;
    world.run_for(Duration::from_secs(120));
    assert!(!world.complete("bob"));
    world.tracker_mut(0).manner = Manner::Up;
    world.run_until(|w| w.complete("bob"), Duration::from_secs(3600));
}

#[test]
fn a_hanging_tracker_does_not_delay_the_end() {
    let mut world = strangers(55, &["http://tracker.sim"]);
    world.tracker_mut(0).manner = Manner::Slow(Duration::from_secs(600));
    world.run_for(Duration::from_secs(20));
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), Duration::from_secs(35));
}

#[test]
fn a_request_that_is_no_longer_wanted_counts_until_it_is_answered() {
    let mut world = strangers(58, &["http://tracker.sim"]).with(|spec| spec.config.limits.fetches_max = 1);
    world.tracker_mut(0).manner = Manner::Slow(Duration::from_secs(20));
    world.run_for(Duration::from_secs(13));
    world.pause("bob");
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.outstanding("bob"), 1, "it has only asked");
    world.tracker_mut(0).manner = Manner::Up;
    world.resume("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn an_interval_is_honoured() {
    let mut world = strangers(56, &["http://tracker.sim"]);
    world.tracker_mut(0).interval = Duration::from_secs(900);
    world.run_for(Duration::from_secs(3600));
    let alice = world.address("alice");
    let count = world.tracker_at(0).announces.iter().filter(|said| said.from == alice).count();
    assert!((4..=6).contains(&count), "{count} announces in an hour at an interval of 15 minutes");
}

#[test]
fn a_tracker_on_the_internet_cannot_make_us_dial_local_machines() {
    let mut world = strangers(57, &["http://tracker.sim"]);
    // 127.0.0.1:80, 10.0.0.1:80, 192.168.1.1:80 in compact form.
    world.tracker_mut(0).manner = Manner::Says(
        200,
        Bytes::from_static(
            b"d8:intervali900e5:peers18:\x7f\x00\x00\x01\x00\x50\x0a\x00\x00\x01\x00\x50\xc0\xa8\x01\x01\x00\x50e",
        ),
    );
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.status("bob").known_peers, 0);
}
