//! Trackers that are asked by datagrams, trackers that lie, names that are not found: each changes nothing but its
//! own line.

use std::net::IpAddr;
use std::time::Duration;

use pieceful_core::engine::Event;
use pieceful_core::peer::CloseReason;
use pieceful_tests::{Data, Fault, Lie, Manner, Names, UdpProfile, World};

const HOUR: Duration = Duration::from_secs(3600);
const HTTP: &str = "http://http.sim";
const UDP: &str = "udp://udp.sim:6969";
const LIES: [Lie; 11] = [
    Lie::Garbage,
    Lie::Short,
    Lie::Interval(0),
    Lie::Interval(1 << 31),
    Lie::Interval(u32::MAX),
    Lie::Nobody,
    Lie::Ourselves,
    Lie::Transaction,
    Lie::Connection,
    Lie::Action,
    Lie::Elsewhere,
];

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Alice and Bob, who know nothing of each other but the torrent's trackers.
fn strangers(seed: u64, trackers: &[&str]) -> World {
    let urls: Vec<String> = trackers.iter().map(|tracker| format!("{tracker}/announce")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let data = Data::with_trackers(seed, &[("data.bin", 300_000)], 32 << 10, &urls);
    let mut world = World::new(seed).data(data);
    world = trackers.iter().fold(world, |world, tracker| world.tracker(tracker));
    world = world.seed("alice").with(|spec| spec.introduced = false);
    world.leecher("bob").with(|spec| {
        spec.introduced = false;
        spec.starts = seconds(3);
    })
}

fn said(world: &World, tracker: usize, who: &str) -> Vec<String> {
    let ip = world.address(who).ip();
    let announces = world.tracker_at(tracker).announces.iter();
    announces.filter(|said| said.from.ip() == ip).map(|said| said.event.clone()).collect()
}

#[test]
fn strangers_meet_through_a_tracker_of_datagrams() {
    let mut world = strangers(1, &[UDP]);
    world.run_until(|w| w.complete("bob"), seconds(30));
    world.shutdown("bob");
    world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), seconds(10));
    assert_eq!(said(&world, 0, "bob"), ["started", "completed", "stopped"]);
    assert_eq!(said(&world, 0, "alice"), ["started"]);
}

#[test]
fn datagrams_that_are_lost_doubled_or_overtaken_delay_an_announce_and_no_more() {
    let profile = UdpProfile { lost: 300, doubled: 200, jitter: seconds(1), mtu: 1200 };
    for seed in 0..10 {
        let mut world = strangers(seed, &[UDP]).udp(profile);
        world.run_until(|w| w.complete("bob"), HOUR);
    }
}

#[test]
fn what_datagrams_suffer_can_change_and_change_back() {
    let mut world = strangers(2, &[UDP]);
    let profile = UdpProfile { lost: 1000, ..UdpProfile::default() };
    world.inflict("bob", &Fault::Datagrams { profile, lasts: seconds(60) });
    world.run_for(seconds(60));
    assert!(said(&world, 0, "bob").is_empty(), "something got through");
    world.run_until(|w| w.complete("bob"), seconds(200));
}

#[test]
fn a_tracker_that_is_silent_or_slow_is_asked_again() {
    for url in [HTTP, UDP] {
        let mut world = strangers(3, &[url]);
        world.inflict("bob", &Fault::Tracker { manner: Manner::Down, lasts: seconds(100) });
        world.run_until(|w| w.complete("bob"), seconds(400));
        let mut world = strangers(4, &[url]);
        world.inflict("bob", &Fault::Tracker { manner: Manner::Slow(seconds(7)), lasts: HOUR });
        world.run_until(|w| w.complete("bob"), seconds(60));
    }
}

#[test]
fn a_tracker_that_lies_changes_nothing_for_who_has_another_one() {
    for lie in LIES {
        for (liar, other) in [(HTTP, UDP), (UDP, HTTP)] {
            let mut world = strangers(5, &[liar, other]);
            world.tracker_mut(0).manner = Manner::Lies(lie);
            world.run_until(|w| w.complete("bob"), seconds(60));
            let honest = world.tracker_at(1).url.clone();
            let blamed =
                |event: &Event| matches!(event, Event::TrackerFailed { url, .. } if url.starts_with(&honest));
            assert!(!world.saw("bob", blamed), "{lie:?} of {liar}");
        }
    }
}

#[test]
fn a_tracker_that_lies_neither_sends_us_to_our_own_networks_nor_is_asked_all_the_time() {
    for url in [HTTP, UDP] {
        for lie in LIES {
            let mut world = strangers(6, &[url]);
            world.tracker_mut(0).manner = Manner::Lies(lie);
            world.run_for(HOUR);
            let global =
                |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 11 || ip.octets()[0] == 99);
            let astray =
                |event: &Event| matches!(event, Event::PeerClosed { peer, .. } if !global(peer.ip()));
            assert!(!world.saw("bob", astray), "{lie:?} of {url}");
            let asked = said(&world, 0, "bob").len();
            assert!(asked <= 62, "{lie:?} of {url}: asked {asked} times in an hour");
        }
    }
}

#[test]
fn once_a_tracker_speaks_the_truth_it_is_believed() {
    for url in [HTTP, UDP] {
        for lie in LIES.into_iter().filter(|lie| !matches!(lie, Lie::Interval(_))) {
            let mut world = strangers(7, &[url]);
            world.inflict("bob", &Fault::Tracker { manner: Manner::Lies(lie), lasts: seconds(50) });
            world.run_until(|w| w.complete("bob"), HOUR);
        }
    }
}

#[test]
fn a_name_that_is_not_found_now_is_looked_up_again() {
    let elsewhere = Names::Changed(vec![IpAddr::from([99, 0, 0, 1])]);
    for how in [Names::Unknown, Names::Silent, Names::Slow(seconds(5)), Names::Slow(seconds(60)), elsewhere] {
        let mut world = strangers(8, &[UDP]);
        world.inflict("bob", &Fault::Names { how: how.clone(), lasts: seconds(60) });
        world.run_until(|w| w.complete("bob"), seconds(900));
    }
}

#[test]
fn a_name_that_leads_to_ones_own_networks_leads_nowhere() {
    let mut world = strangers(9, &[UDP]);
    let how = Names::Changed(vec![IpAddr::from([127, 0, 0, 1])]);
    world.inflict("bob", &Fault::Names { how, lasts: HOUR });
    world.run_for(seconds(300));
    assert!(said(&world, 0, "bob").is_empty());
    assert!(world.saw("bob", |event| matches!(event, Event::TrackerFailed { .. })));
    let dialled = |reason: &CloseReason| matches!(reason, CloseReason::Stream(_));
    assert!(!world.closed("bob", "alice").iter().any(dialled));
}
