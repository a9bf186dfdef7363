//! A torrent's trackers in virtual time: who is asked, when, and what they are told.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::{format, vec};

use super::super::{BodyError, Retry};
use super::*;
use crate::id::PeerId;
use crate::rng::Seed;

/// A [`Trackers`] with its surroundings, and a clock in seconds.
struct Scene {
    trackers: Trackers,
    rng: Rng,
    now: Instant,
    out: Vec<Action>,
}

const NUMBERS: Numbers =
    Numbers { peer_id: PeerId([b'p'; 20]), port: 6881, uploaded: 1, downloaded: 2, left: 3, numwant: 50 };

/// What an action asks for: the tracker's host and the event told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    tag: AnnounceTag,
    host: String,
    event: AnnounceEvent,
}

impl Scene {
    fn new(user: &[&str], torrent: &[&[&str]]) -> Self {
        let owned = |urls: &[&str]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
        let torrent: Vec<_> = torrent.iter().map(|tier| owned(tier)).collect();
        let mut rng = Rng::new(Seed([7; 32]));
        let trackers = Trackers::new([1; 20], &owned(user), &torrent, &mut rng);
        Self { trackers, rng, now: Instant::ZERO, out: Vec::new() }
    }

    fn call(&mut self, run: impl FnOnce(&mut Trackers, &mut Cx<'_, Action>)) -> Vec<Action> {
        run(&mut self.trackers, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut self.out });
        core::mem::take(&mut self.out)
    }

    fn start(&mut self) -> Vec<Asked> {
        asked(&self.call(|t, cx| t.start(&NUMBERS, cx)))
    }

    /// Moves to the deadline and does what is due.
    fn next(&mut self) -> Vec<Asked> {
        self.now = self.now.max(self.trackers.deadline().expect("something is to be done"));
        asked(&self.call(|t, cx| t.tick(&NUMBERS, cx)))
    }

    fn answer(&mut self, to: &Asked, body: &str) -> Vec<Action> {
        self.call(|t, cx| t.fetched(to.tag, Ok((200, body.as_bytes(), IpAddr::from([9, 9, 9, 9]))), cx))
    }

    fn fail(&mut self, to: &Asked) -> Vec<Action> {
        self.call(|t, cx| t.fetched(to.tag, Err(TrackerError::TimedOut), cx))
    }

    fn seconds(&self) -> u64 {
        self.now.as_micros() / 1_000_000
    }
}

fn asked(actions: &[Action]) -> Vec<Asked> {
    let asked = |action: &Action| match action {
        Action::Fetch { tag, url, .. } => {
            let event = match url.split_once("event=").map(|(_, event)| event) {
                None => AnnounceEvent::Regular,
                Some("started") => AnnounceEvent::Started,
                Some("completed") => AnnounceEvent::Completed,
                Some("stopped") => AnnounceEvent::Stopped,
                Some(other) => panic!("no event: {other}"),
            };
            Some(Asked { tag: *tag, host: TrackerUrl::parse(url).unwrap().host().to_string(), event })
        }
        Action::Udp { tag, host, announce, .. } => {
            Some(Asked { tag: *tag, host: host.clone(), event: announce.announce.event })
        }
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

fn hosts(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.host.as_str()).collect()
}

const OK: &str = "d8:intervali1800e12:min intervali600ee";

#[test]
fn one_tracker_of_every_tier_is_asked_at_once_the_users_first() {
    let mut scene =
        Scene::new(&["udp://mine:1/x"], &[&["http://a/announce", "http://b/announce"], &["http://c"]]);
    let actions = scene.call(|t, cx| t.start(&NUMBERS, cx));
    let first = asked(&actions);
    assert_eq!(first.len(), 3);
    assert_eq!(first[0].host, "mine");
    assert!(["a", "b"].contains(&first[1].host.as_str()));
    assert_eq!(first[2].host, "c");
    assert!(first.iter().all(|asked| asked.event == AnnounceEvent::Started));
    assert!(matches!(&actions[0], Action::Udp { named_by: NamedBy::User, port: 1, announce, .. }
        if announce.url_data == "/x" && announce.announce.numbers == NUMBERS));
    assert!(matches!(&actions[1], Action::Fetch { named_by: NamedBy::Torrent, .. }));
    assert_eq!(scene.trackers.deadline(), None, "all are under way");
}

#[test]
fn what_is_no_tracker_or_is_there_twice_is_left_out_and_numbers_are_limited() {
    let mut scene = Scene::new(&["http://a/"], &[&["wss://b", "http://a/", "magnet:?"], &["http://a/"], &[]]);
    assert_eq!(hosts(&scene.start()), ["a"]);

    let urls: Vec<String> = (0..500).map(|n| format!("http://t{n}/")).collect();
    let tiers: Vec<Vec<String>> = urls.iter().map(|url| vec![url.clone()]).collect();
    let mut rng = Rng::new(Seed([0; 32]));
    assert_eq!(Trackers::new([0; 20], &[], &tiers, &mut rng).tiers.len(), TIERS_MAX);
    let one_tier = Trackers::new([0; 20], &[], &[urls], &mut rng);
    assert_eq!(one_tier.tiers[0].trackers.len(), TRACKERS_MAX);
}

#[test]
fn a_tier_is_shuffled_so_that_its_trackers_share_the_load() {
    let mut rng = Rng::new(Seed([3; 32]));
    let tier = vec!["http://a/".to_string(), "http://b/".to_string()];
    let mut firsts = BTreeMap::new();
    for _ in 0..100 {
        let trackers = Trackers::new([0; 20], &[], core::slice::from_ref(&tier), &mut rng);
        *firsts.entry(trackers.tiers[0].trackers[0].url.as_str().to_string()).or_insert(0) += 1;
    }
    assert!(firsts.values().all(|times| *times > 25), "{firsts:?}");
}

#[test]
fn the_next_of_a_tier_is_asked_when_one_fails_and_who_answers_moves_to_the_front() {
    let mut scene = Scene::new(&[], &[&["http://a/", "http://b/"]]);
    let first = scene.start();
    let failed = scene.fail(&first[0]);
    assert!(matches!(&failed[..], [Action::Failed { error: TrackerError::TimedOut, .. }]));
    let second = scene.next();
    assert_eq!(scene.seconds(), 0, "at once");
    assert_ne!(second[0].host, first[0].host);
    scene.answer(&second[0], OK);

    let third = scene.next();
    assert_eq!(scene.seconds(), 1800, "its interval, though the other might be asked sooner");
    assert_eq!((&third[0].host, third[0].event), (&second[0].host, AnnounceEvent::Regular));
}

#[test]
fn when_all_of_a_tier_fail_the_first_is_tried_again_after_a_pause() {
    let mut scene = Scene::new(&[], &[&["http://a/", "http://b/"]]);
    let mut last = scene.start();
    let mut times = Vec::new();
    for _ in 0..8 {
        scene.fail(&last[0]);
        last = scene.next();
        times.push(scene.seconds());
    }
    assert_eq!(times[0], 0);
    assert!((15..20).contains(&times[1]) && (15..20).contains(&times[2]), "{times:?}");
    assert!((45..60).contains(&times[3]) && (45..60).contains(&times[4]), "{times:?}");
}

#[test]
fn dead_trackers_in_front_do_not_keep_the_others_from_being_asked() {
    let urls: Vec<String> = (0..40).map(|n| format!("http://t{n:02}/")).collect();
    let tiers: Vec<[&str; 1]> = urls.iter().map(|url| [url.as_str()]).collect();
    let tiers: Vec<&[&str]> = tiers.iter().map(<[&str; 1]>::as_slice).collect();
    let mut scene = Scene::new(&[], &tiers);
    let mut under_way = scene.start();
    assert_eq!(under_way.len(), ANNOUNCES_MAX);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for _ in 0..3 {
        seen.extend(under_way.iter().map(|asked| asked.host.clone()));
        scene.now += Duration::from_secs(105);
        for dead in core::mem::take(&mut under_way) {
            scene.fail(&dead);
        }
        under_way = scene.next();
        assert!(under_way.len() <= ANNOUNCES_MAX);
    }
    assert_eq!(seen.len(), 40, "in three rounds all of them");
}

#[test]
fn asking_for_more_peers_waits_for_the_minimum_interval() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    scene.now += Duration::from_secs(10);
    assert_eq!(asked(&scene.call(|t, cx| t.ask_now(&NUMBERS, cx))), []);
    let again = scene.next();
    assert_eq!((scene.seconds(), again[0].event), (600, AnnounceEvent::Regular));
    assert_eq!(asked(&scene.call(|t, cx| t.ask_now(&NUMBERS, cx))), [], "one is under way");
}

#[test]
fn completed_is_told_at_once_to_those_who_know_us_and_to_nobody_else() {
    let mut scene = Scene::new(&[], &[&["http://known/"], &["http://dead/"], &["http://slow/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    scene.fail(&first[1]);
    scene.now += Duration::from_secs(5);
    let told = asked(&scene.call(|t, cx| t.completed(&NUMBERS, cx)));
    assert_eq!((hosts(&told), told[0].event), (vec!["known"], AnnounceEvent::Completed));
    scene.answer(&told[0], OK);

    scene.answer(&first[2], OK);
    let told = scene.next();
    assert_eq!((hosts(&told), told[0].event), (vec!["slow"], AnnounceEvent::Completed));
    scene.answer(&told[0], OK);

    let retried = scene.next();
    assert_eq!((hosts(&retried), retried[0].event), (vec!["dead"], AnnounceEvent::Started));
    scene.answer(&retried[0], OK);
    let regular = scene.next();
    assert_eq!((scene.seconds(), regular[0].event), (1805, AnnounceEvent::Regular), "told once");
}

#[test]
fn stopping_tells_everyone_who_knows_us_and_then_says_so() {
    let mut scene = Scene::new(&[], &[&["http://a/"], &["udp://b:1"], &["http://dead/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    scene.call(|t, cx| t.udp_answered(first[1].tag, Ok((Answer::default(), IpAddr::from([9; 4]))), cx));
    scene.fail(&first[2]);
    let actions = scene.call(|t, cx| t.stop(&NUMBERS, cx));
    let told = asked(&actions);
    assert_eq!(hosts(&told), ["a", "b"]);
    assert!(told.iter().all(|asked| asked.event == AnnounceEvent::Stopped));
    assert!(matches!(&actions[1], Action::Udp { announce, .. } if announce.announce.numbers.numwant == 0));
    assert_eq!(scene.answer(&told[0], OK), [], "one is still to be told");
    let end = scene.call(|t, cx| t.udp_answered(told[1].tag, Err(TrackerError::TimedOut), cx));
    assert!(matches!(&end[..], [Action::Failed { .. }, Action::Told]));
    assert_eq!(scene.trackers.deadline(), None);
}

#[test]
fn stopping_gives_up_after_five_seconds() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    let told = asked(&scene.call(|t, cx| t.stop(&NUMBERS, cx)));
    assert_eq!(scene.trackers.deadline(), Some(Instant::from_micros(5_000_000)));
    scene.now += Duration::from_secs(5);
    let end = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert_eq!(end, [Action::Cancel { tag: told[0].tag }, Action::Told]);
    assert_eq!(scene.fail(&told[0]), [], "too late");
}

/// A tracker that is just being told of the last piece when we leave.
fn leaving_while_completed_is_told() -> (Scene, Asked) {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    let completed = asked(&scene.call(|t, cx| t.completed(&NUMBERS, cx)));
    assert_eq!(completed[0].event, AnnounceEvent::Completed);
    assert_eq!(scene.call(|t, cx| t.stop(&NUMBERS, cx)), [], "it would take us in again, if this came first");
    (scene, completed[0].clone())
}

#[test]
fn stopped_does_not_overtake_what_a_tracker_is_told_before() {
    let (mut scene, completed) = leaving_while_completed_is_told();
    scene.now += Duration::from_millis(1500);
    assert!(matches!(scene.answer(&completed, OK)[..], [Action::Answered { .. }]));
    let told = scene.next();
    assert_eq!((scene.now, told[0].event), (Instant::from_micros(1_500_000), AnnounceEvent::Stopped));
    assert_eq!(scene.answer(&told[0], OK), [Action::Told]);
    assert_eq!(scene.trackers.deadline(), None);
}

#[test]
fn a_tracker_that_is_slow_to_answer_is_told_all_the_same_that_we_leave() {
    let (mut scene, completed) = leaving_while_completed_is_told();
    scene.now = scene.trackers.deadline().unwrap();
    assert_eq!(scene.now, Instant::from_micros(2_000_000));
    let actions = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert_eq!(actions[0], Action::Cancel { tag: completed.tag });
    assert_eq!(asked(&actions)[0].event, AnnounceEvent::Stopped);
    assert_eq!(scene.trackers.deadline(), Some(Instant::from_micros(5_000_000)));
    scene.now += Duration::from_secs(3);
    let end = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert!(matches!(end[..], [Action::Cancel { .. }, Action::Told]), "{end:?}");
}

#[test]
fn who_was_only_just_asked_for_the_first_time_may_answer_before_it_is_told_that_we_leave() {
    let mut scene = Scene::new(&[], &[&["http://quick/"], &["http://no/"]]);
    let first = scene.start();
    scene.now += Duration::from_millis(5);
    assert_eq!(scene.call(|t, cx| t.stop(&NUMBERS, cx)), [], "`stopped` could overtake `started`");
    scene.now += Duration::from_millis(100);
    scene.answer(&first[0], OK);
    let told = scene.next();
    assert_eq!((hosts(&told), told[0].event), (vec!["quick"], AnnounceEvent::Stopped));
    scene.answer(&first[1], "d14:failure reason2:noe");
    assert_eq!(scene.answer(&told[0], OK), [Action::Told], "who refused us has nothing to forget");
    assert_eq!(scene.now, Instant::from_micros(105_000));
}

#[test]
fn a_tracker_that_never_answers_is_told_all_the_same_and_holds_nobody_up() {
    let mut scene = Scene::new(&[], &[&["http://silent/"]]);
    let first = scene.start();
    scene.now += Duration::from_millis(300);
    scene.call(|t, cx| t.stop(&NUMBERS, cx));
    scene.now = scene.trackers.deadline().unwrap();
    assert_eq!(scene.now, Instant::from_micros(1_000_000), "a second since it was asked");
    let actions = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert_eq!(actions[0], Action::Cancel { tag: first[0].tag });
    assert_eq!(asked(&actions)[0].event, AnnounceEvent::Stopped);
    assert_eq!(scene.answer(&first[0], OK), [], "a stale tag means nothing");
    scene.now = scene.trackers.deadline().unwrap();
    assert_eq!(scene.now, Instant::from_micros(2_000_000), "and one to take the goodbye");
    assert_eq!(scene.call(|t, cx| t.tick(&NUMBERS, cx)), [Action::Told]);
    assert_eq!(scene.trackers.deadline(), None);
}

#[test]
fn a_silent_tracker_does_not_shorten_the_time_of_one_that_knows_us() {
    let mut scene = Scene::new(&[], &[&["http://known/"], &["http://silent/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    scene.now += Duration::from_secs(60);
    let told = asked(&scene.call(|t, cx| t.stop(&NUMBERS, cx)));
    assert_eq!(hosts(&told), ["known", "silent"], "the second had its time to answer");
    assert_eq!(scene.next(), []);
    assert_eq!(scene.now, Instant::from_micros(61_000_000), "the silent one is given up");
    assert_eq!(scene.trackers.deadline(), Some(Instant::from_micros(65_000_000)));
    assert_eq!(scene.answer(&told[0], OK), [Action::Told]);
}

#[test]
fn a_download_shorter_than_the_first_announce_is_counted_by_the_tracker() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    assert_eq!(asked(&scene.call(|t, cx| t.completed(&NUMBERS, cx))), []);
    scene.call(|t, cx| t.stop(&NUMBERS, cx));
    scene.answer(&first[0], OK);
    let completed = scene.next();
    assert_eq!(completed[0].event, AnnounceEvent::Completed);
    scene.answer(&completed[0], OK);
    let stopped = scene.next();
    assert_eq!((scene.now, stopped[0].event), (Instant::ZERO, AnnounceEvent::Stopped));
    assert_eq!(scene.answer(&stopped[0], OK), [Action::Told]);
}

#[test]
fn a_tracker_that_fails_at_the_last_completed_is_told_once_that_we_leave() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.call(|t, cx| t.completed(&NUMBERS, cx));
    scene.call(|t, cx| t.stop(&NUMBERS, cx));
    scene.answer(&first[0], OK);
    let completed = scene.next();
    scene.fail(&completed[0]);
    let stopped = scene.next();
    assert_eq!(stopped[0].event, AnnounceEvent::Stopped);
    assert!(matches!(scene.fail(&stopped[0])[..], [Action::Failed { .. }, Action::Told]));
}

#[test]
fn what_is_started_again_is_announced_as_started() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    let told = asked(&scene.call(|t, cx| t.stop(&NUMBERS, cx)));
    scene.answer(&told[0], OK);
    let again = scene.start();
    assert_eq!((hosts(&again), again[0].event), (vec!["a"], AnnounceEvent::Started));
    assert_eq!(scene.call(|t, cx| t.start(&NUMBERS, cx)), [], "it is running already");
}

#[test]
fn without_trackers_there_is_nobody_to_tell() {
    let mut scene = Scene::new(&[], &[]);
    assert_eq!(scene.start(), []);
    assert_eq!(scene.trackers.deadline(), None);
    assert_eq!(scene.call(|t, cx| t.stop(&NUMBERS, cx)), [Action::Told]);
    assert_eq!(scene.call(|t, cx| t.stop(&NUMBERS, cx)), [Action::Told], "asked twice, told twice");
}

#[test]
fn an_answer_is_shown_without_passkey_and_without_peers_it_may_not_name() {
    let mut scene = Scene::new(&[], &[&["http://a/k3y-k3y/announce?pass=w0rdw0rd"]]);
    let first = scene.start();
    let body = "d5:peers12:\x7f\0\0\x01\0\x50\x01\x02\x03\x04\0\x5015:warning message16:w0rdw0rd expirese";
    let actions = scene.answer(&first[0], body);
    let [Action::Answered { url, answer, from }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(url, "http://a/***/announce?pass=***");
    assert_eq!(answer.peers, ["1.2.3.4:80".parse().unwrap()]);
    assert_eq!(answer.warning.as_deref(), Some("*** expires"));
    assert_eq!(*from, NamedBy::Host(scope::Scope::Global));
}

#[test]
fn an_error_of_the_http_library_is_shown_without_passkey_and_control_characters() {
    let mut scene = Scene::new(&[], &[&["http://a/k3y-k3y/announce"]]);
    let first = scene.start();
    let error = TrackerError::Fetch("http://a/k3y-k3y/announce: \x1b[1mrefused".to_string());
    let actions = scene.call(|t, cx| t.fetched(first[0].tag, Err(error), cx));
    let shown = TrackerError::Fetch("http://a/***/announce: [1mrefused".to_string());
    assert_eq!(actions, [Action::Failed { url: "http://a/***/announce".to_string(), error: shown }]);
}

#[test]
fn a_tracker_on_loopback_may_name_loopback_peers() {
    let mut scene = Scene::new(&["http://127.0.0.1/"], &[]);
    let first = scene.start();
    let body = b"d5:peers6:\x7f\0\0\x01\0\x50e";
    let actions =
        scene.call(|t, cx| t.fetched(first[0].tag, Ok((200, body, IpAddr::from([127, 0, 0, 1]))), cx));
    assert!(matches!(&actions[..], [Action::Answered { answer, .. }] if answer.peers.len() == 1));
}

#[test]
fn a_tracker_id_is_sent_back() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], "d10:tracker id2:x&e");
    scene.now = scene.trackers.deadline().unwrap();
    let actions = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert!(matches!(&actions[..], [Action::Fetch { url, .. }] if url.ends_with("&trackerid=x%26")));
    scene.answer(&asked(&actions)[0], "de");
    scene.now = scene.trackers.deadline().unwrap();
    let actions = scene.call(|t, cx| t.tick(&NUMBERS, cx));
    assert!(
        matches!(&actions[..], [Action::Fetch { url, .. }] if url.ends_with("&trackerid=x%26")),
        "it stays"
    );
}

#[test]
fn a_tracker_that_says_never_is_left_alone_until_the_torrent_starts_again() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    let actions = scene.answer(&first[0], "d14:failure reason2:no8:retry in5:nevere");
    assert!(matches!(
        &actions[..],
        [Action::Failed { error: TrackerError::Failure { retry: Retry::Never, .. }, .. }]
    ));
    assert_eq!(scene.trackers.deadline(), None);
    scene.call(|t, cx| t.stop(&NUMBERS, cx));
    assert_eq!(hosts(&scene.start()), ["a"]);
}

#[test]
fn a_scrape_goes_to_http_trackers_and_comes_back_as_numbers() {
    let mut scene = Scene::new(&[], &[&["http://a/announce"], &["http://none/"], &["udp://b:1/announce"]]);
    let actions = scene.call(super::Trackers::scrape);
    let [Action::Fetch { tag, url, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert!(url.starts_with("http://a/scrape?info_hash=%01"));
    assert_eq!(scene.call(super::Trackers::scrape), [], "one is under way");
    let body = [b"d5:filesd20:".as_slice(), &[1; 20], b"d8:completei5eeee"].concat();
    let actions = scene.call(|t, cx| t.fetched(*tag, Ok((200, &body, IpAddr::from([9; 4]))), cx));
    assert!(matches!(&actions[..], [Action::Scraped { scrape, .. }] if scrape.seeders == 5));
    let actions = scene.call(super::Trackers::scrape);
    let [Action::Fetch { tag, .. }] = &actions[..] else { panic!("{actions:?}") };
    let actions = scene.call(|t, cx| t.fetched(*tag, Ok((200, b"de", IpAddr::from([9; 4]))), cx));
    let other = TrackerError::Body(BodyError::OtherTorrent);
    assert!(matches!(&actions[..], [Action::Failed { error, .. }] if *error == other));
}

#[test]
fn a_clock_that_jumps_a_year_causes_one_announce() {
    let mut scene = Scene::new(&[], &[&["http://a/"]]);
    let first = scene.start();
    scene.answer(&first[0], OK);
    scene.now += Duration::from_secs(365 * 24 * 60 * 60);
    assert_eq!(asked(&scene.call(|t, cx| t.tick(&NUMBERS, cx))).len(), 1);
    assert_eq!(scene.call(|t, cx| t.tick(&NUMBERS, cx)), []);
}
