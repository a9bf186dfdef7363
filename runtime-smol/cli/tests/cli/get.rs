//! `get` end to end, from a seeder in this process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pieceful_core::engine::{AddTorrent, Event};
use pieceful_core::metainfo::Metainfo;
use pieceful_std::{Options, Session, SessionEvent};
use rustix::process::Signal;
use serde_json::Value;

use super::share::{BYTES, Running, Share};
use super::{Ran, run, text};

/// A torrent, and a session that seeds it.
pub(crate) struct Seeded {
    pub(crate) share: Share,
    session: Session,
}

impl Seeded {
    fn new() -> Self {
        Self::named("share")
    }

    pub(crate) fn named(name: &str) -> Self {
        let share = Share::named(name);
        let session = seed(fs::read(&share.torrent).unwrap(), &share.data());
        Self { share, session }
    }

    pub(crate) fn address(&self) -> String {
        self.session.listening()[0].to_string()
    }

    pub(crate) fn torrent(&self) -> &str {
        text(&self.share.torrent)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.share.out()
    }

    /// Runs `get` with this torrent, its seeder and these options.
    fn get(&self, options: &[&str]) -> Ran {
        let (out, address) = (self.out(), self.address());
        let usual = ["get", self.torrent(), "-o", text(&out), "--peer", &address];
        run(usual.iter().chain(options))
    }

    #[track_caller]
    pub(crate) fn assert_downloaded(&self) {
        self.share.assert_in(&self.out());
    }
}

fn seed(torrent: Vec<u8>, folder: &Path) -> Session {
    let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let session = Session::start(Options { listen, ..Options::default() }).unwrap();
    let mut events = session.events();
    let metainfo = Arc::new(Metainfo::parse(torrent).unwrap());
    session.add(AddTorrent::new(metainfo), folder).unwrap();
    while let Some(event) = events.next_timeout(Duration::from_secs(30)) {
        match event {
            SessionEvent::Event(Event::Finished { .. }) => return session,
            SessionEvent::Event(Event::Failed { error, .. }) => panic!("the seeder failed: {error}"),
            _ => {}
        }
    }
    panic!("the seeder is not ready");
}

/// The JSON events of a run, by name.
pub(crate) fn events(ran: &Ran) -> Vec<(String, Value)> {
    let event = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (String::from(value["event"].as_str().unwrap()), value)
    };
    ran.stdout.lines().map(event).collect()
}

#[test]
fn a_download_tells_what_it_does_and_leaves_every_file_right() {
    let seeded = Seeded::new();
    let ran = seeded.get(&["--json"]).done();
    seeded.assert_downloaded();
    let events = events(&ran);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let listening = names.iter().take_while(|name| **name == "listening").count();
    assert!(listening >= 1, "{names:?}");
    assert_eq!(names[listening], "progress", "{names:?}");
    assert_eq!(names[names.len() - 2..], ["progress", "finished"]);
    let (_, first) = &events[listening];
    assert_eq!((&first["bytes_done"], &first["bytes_total"]), (&Value::from(0), &Value::from(BYTES)));
    let (_, last) = &events[events.len() - 2];
    assert_eq!(last["bytes_done"], BYTES);
    for field in
        ["torrent", "bytes_done", "bytes_total", "down_rate", "up_rate", "peers", "peers_from", "known_from"]
    {
        assert!(!last[field].is_null(), "{field}");
    }
    assert_eq!(first["known_from"]["user"], 1, "the one given with --peer");
    assert_eq!(last["torrent"].as_str().unwrap().len(), 40);
    assert_eq!(events.last().unwrap().1["torrent"], last["torrent"]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_same_command_again_finds_everything_there() {
    let seeded = Seeded::new();
    seeded.get(&["--quiet"]).done();
    let again = run(["get", seeded.torrent(), "-o", text(&seeded.out()), "--json"]).done();
    let events = events(&again);
    let (_, first) = events.iter().find(|(name, _)| name == "progress").unwrap();
    assert_eq!(first["bytes_done"], BYTES);
    assert_eq!(events.last().unwrap().0, "finished");
}

#[test]
fn a_half_finished_download_goes_on_where_it_was() {
    let seeded = Seeded::new();
    let there = seeded.out().join("share");
    fs::create_dir_all(&there).unwrap();
    fs::copy(seeded.share.file("one.bin"), there.join("one.bin")).unwrap();
    let ran = seeded.get(&["--json"]).done();
    let events = events(&ran);
    let (_, first) = events.iter().find(|(name, _)| name == "progress").unwrap();
    assert!(first["bytes_done"].as_u64().unwrap() > 250_000, "{first}");
    seeded.assert_downloaded();
}

#[test]
fn quiet_prints_nothing_and_plain_output_is_for_people() {
    let seeded = Seeded::new();
    let quiet = seeded.get(&["--quiet"]).done();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    fs::remove_dir_all(seeded.out()).unwrap();
    let plain = seeded.get(&["--sequential", "--allocation", "full", "--max-peers", "3"]).done();
    assert!(plain.stderr.contains("share: 381 KiB in "), "{plain:?}");
    assert!(!plain.stderr.contains('\u{1b}'), "{plain:?}");
    seeded.assert_downloaded();
}

#[test]
fn a_file_with_other_data_is_left_alone_unless_told_otherwise() {
    let seeded = Seeded::new();
    let theirs = seeded.out().join("share/one.bin");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, "something else entirely").unwrap();
    let refused = seeded.get(&[]);
    assert!(refused.failed().contains("use --overwrite to replace it"), "{refused:?}");
    assert!(refused.failed().contains("share/one.bin"), "{refused:?}");
    assert_eq!(fs::read(&theirs).unwrap(), b"something else entirely");
    seeded.get(&["--overwrite", "--quiet"]).done();
    seeded.assert_downloaded();
}

#[test]
fn one_torrent_that_fails_does_not_stop_the_others() {
    let (good, bad) = (Seeded::named("good"), Seeded::named("bad"));
    let out = good.out();
    fs::create_dir_all(out.join("bad")).unwrap();
    fs::write(out.join("bad/one.bin"), "other").unwrap();
    let (one, two) = (good.address(), bad.address());
    let (good_torrent, bad_torrent) = (good.torrent(), bad.torrent());
    let ran = run([
        "get",
        bad_torrent,
        good_torrent,
        good_torrent,
        "-o",
        text(&out),
        "--peer",
        &one,
        "--peer",
        &two,
        "--json",
    ]);
    assert!(ran.failed().contains("1 of 2 torrents failed"), "{ran:?}");
    good.assert_downloaded();
    let errors: Vec<_> = events(&ran).into_iter().filter(|(name, _)| name == "error").collect();
    assert!(errors[0].1["message"].as_str().unwrap().contains("bad"), "{errors:?}");
}

#[test]
fn what_one_process_downloads_another_leaves_alone() {
    let seeded = Seeded::new();
    let (out, address) = (seeded.out(), seeded.address());
    let first = ["get", seeded.torrent(), "-o", text(&out), "--peer", &address, "--max-download", "100K"];
    let mut first = Running::start(first);
    while first.until("progress")["bytes_done"] == 0 {}
    for options in [&[][..], &["--overwrite"]] {
        let second = seeded.get(options);
        assert!(second.failed().contains("another process is downloading to it"), "{second:?}");
    }
    assert_eq!(first.end().status, 0);
    seeded.assert_downloaded();
}

#[test]
fn one_torrent_does_not_overwrite_another_of_the_same_name() {
    let (mine, other) = (Seeded::named("share"), Share::named("share"));
    fs::write(other.file("one.bin"), vec![7; 300_000]).unwrap();
    fs::remove_file(&other.torrent).unwrap();
    run(["create", text(&other.data().join("share")), "-o", text(&other.torrent)]).done();
    mine.get(&["--quiet"]).done();
    let second = seed(fs::read(&other.torrent).unwrap(), &other.data());
    let address = second.listening()[0].to_string();
    let ran = mine.get(&[text(&other.torrent), "--overwrite", "--peer", &address]);
    assert!(ran.failed().contains("1 of 2 torrents failed"), "{ran:?}");
    assert!(ran.stderr.contains("another torrent uses it"), "{ran:?}");
    mine.assert_downloaded();
}

#[test]
fn a_place_that_cannot_be_downloaded_into_is_named_before_anybody_waits() {
    let share = Share::named("share");
    let place = share.place.path();
    std::os::unix::fs::symlink(place.join("nowhere"), place.join("link")).unwrap();
    fs::write(place.join("file"), "a file").unwrap();
    for (out, says) in [
        (place.join("link"), "is a link to something that is not there"),
        (place.join("file"), "is not a folder"),
        (place.join("file/in"), "a file is in the way"),
        (PathBuf::from("/proc/nope"), "cannot make the folder"),
    ] {
        let ran = run(["get", text(&share.torrent), "-o", text(&out)]);
        assert!(ran.failed().contains(says) && ran.failed().contains("-o"), "{ran:?}");
    }
    for (out, says) in
        [(place.to_path_buf(), "is a folder"), (place.join("none/x.torrent"), "there is no folder")]
    {
        let ran = run(["create", text(&share.data()), "-o", text(&out)]);
        assert!(ran.failed().contains(says) && ran.failed().contains("-o"), "{ran:?}");
    }
}

#[test]
fn an_address_in_use_is_named_with_a_way_out() {
    let seeded = Seeded::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = seeded.get(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(ran.failed().contains("--listen"), "{ran:?}");
}

/// A `get` that has nobody to download from, after its first progress event.
fn waiting(seeded: &Seeded, tracker: &TcpListener, options: &[&str]) -> Running {
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    let out = seeded.out();
    let usual = ["get", seeded.torrent(), "-o", text(&out), "--tracker", &url];
    let mut running = Running::start(usual.into_iter().chain(options.iter().copied()));
    running.until("progress");
    running
}

#[test]
fn ctrl_c_stops_in_good_order_even_when_a_tracker_does_not_answer() {
    let seeded = Seeded::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (way, options) in [(Signal::INT, &[][..]), (Signal::TERM, &["--seed"])] {
        let mut running = waiting(&seeded, &silent, options);
        let started = Instant::now();
        running.signal(way);
        assert_eq!(running.end().status, 130);
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let seeded = Seeded::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = waiting(&seeded, &silent, &[]);
    running.signal(Signal::INT);
    // Two signals that arrive together are one, so the second is sent until it counts.
    let started = Instant::now();
    while !running.has_ended() {
        running.signal(Signal::INT);
        std::thread::yield_now();
    }
    assert_eq!(running.end().status, 130);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn several_torrents_are_each_told_of_until_all_are_there() {
    let (one, two) = (Seeded::named("one"), Seeded::named("two"));
    let (out, peers) = (one.out(), [one.address(), two.address()]);
    let usual = ["get", one.torrent(), two.torrent(), "-o", text(&out)];
    let ran = run(usual.into_iter().chain(["--peer", &peers[0], "--peer", &peers[1], "--json"])).done();
    one.assert_downloaded();
    two.share.assert_in(&out);
    let finished: std::collections::BTreeSet<String> = events(&ran)
        .iter()
        .filter(|(name, _)| name == "finished")
        .map(|(_, event)| event["torrent"].to_string())
        .collect();
    assert_eq!(finished.len(), 2, "{ran:?}");
}

#[test]
fn what_is_downloaded_is_served_on_when_asked_for_until_ctrl_c() {
    let seeded = Seeded::new();
    let (out, address) = (seeded.out(), seeded.address());
    let mut first = Running::start([
        "get",
        seeded.torrent(),
        "-o",
        text(&out),
        "--peer",
        &address,
        "--listen",
        "127.0.0.1:0",
        "--seed",
    ]);
    let listens = first.address();
    first.until("finished");
    seeded.session.stop().unwrap();

    let second = seeded.share.place.path().join("second");
    run(["get", seeded.torrent(), "-o", text(&second), "--peer", &listens, "--quiet"]).done();
    seeded.share.assert_in(&second);
    let progress = first.until("progress");
    assert_eq!(progress["bytes_done"], BYTES);
    first.signal(Signal::INT);
    let ran = first.end();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
}
