//! `seed` end to end, from one process to another.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::share::{BYTES, Running, Share};
use super::{run, text};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn seed(share: &Share, options: &[&str]) -> Running {
    let data = share.data();
    let usual = ["seed", text(&share.torrent), text(&data), "--listen", "127.0.0.1:0"];
    Running::start(usual.into_iter().chain(options.iter().copied()))
}

/// Downloads from the seed at `address`.
fn get(share: &Share, address: &str) {
    let out = share.out();
    run(["get", text(&share.torrent), "-o", text(&out), "--peer", address, "--quiet"]).done();
    share.assert_in(&out);
}

#[test]
fn one_process_downloads_what_another_seeds() {
    let share = Share::named("share");
    let mut seeding = seed(&share, &[]);
    let first: Value = serde_json::from_str(&seeding.line().unwrap()).unwrap();
    let address = String::from(first["address"].as_str().unwrap());
    assert_eq!(first, json!({ "event": "listening", "address": address }));
    let second: Value = serde_json::from_str(&seeding.line().unwrap()).unwrap();
    assert_eq!((&second["event"], &second["bytes_done"]), (&json!("progress"), &json!(BYTES)));
    for field in ["torrent", "bytes_total", "down_rate", "up_rate", "peers"] {
        assert!(!second[field].is_null(), "{field}");
    }
    get(&share, &address);
    let started = Instant::now();
    while seeding.until("progress")["up_rate"] == 0 {
        assert!(started.elapsed() < PATIENCE, "it was never said that anything was sent");
    }
    seeding.signal(Signal::TERM);
    let ran = seeding.end();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(!ran.stdout.contains("finished"), "nothing was downloaded: {ran:?}");
}

#[test]
fn a_seed_that_calls_the_leecher_serves_it_too() {
    let share = Share::named("share");
    let out = share.out();
    let mut leeching =
        Running::start(["get", text(&share.torrent), "-o", text(&out), "--listen", "127.0.0.1:0"]);
    let address = leeching.address();
    let mut seeding = seed(&share, &["--peer", &address]);
    leeching.until("finished");
    assert_eq!(leeching.end().status, 0);
    share.assert_in(&out);
    seeding.signal(Signal::INT);
    assert_eq!(seeding.end().status, 0);
}

#[test]
fn a_seed_that_has_reached_its_ratio_ends_by_itself() {
    let share = Share::named("share");
    let mut seeding = seed(&share, &["--ratio", "1"]);
    get(&share, &seeding.address());
    let ran = seeding.end();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let last: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = last.iter().rev().take(2).map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["seeding_done", "progress"]);
}

#[test]
fn a_seed_whose_time_is_over_ends_by_itself_and_programs_hear_of_a_tracker_that_is_down() {
    let share = Share::named("share");
    let mut seeding = seed(&share, &["--seed-time", "1s", "--tracker", "http://127.0.0.1:1/announce"]);
    let warning = seeding.until("warning");
    assert!(warning["message"].as_str().unwrap().contains("127.0.0.1:1"), "{warning}");
    assert_eq!(warning["torrent"].as_str().unwrap().len(), 40, "{warning}");
    seeding.until("seeding_done");
    assert_eq!(seeding.end().status, 0);
}

/// A tracker that knows of a peer at `peer`; gives the request of each announce.
fn tracker(peer: SocketAddr) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let mut body = b"d8:intervali1800e5:peers6:\x7f\0\0\x01".to_vec();
            body.extend_from_slice(&peer.port().to_be_bytes());
            body.push(b'e');
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close", body.len());
            stream.write_all(&[head.as_bytes(), b"\r\n\r\n", &body].concat()).unwrap();
            if tell.send(request).is_err() {
                return;
            }
        }
    });
    (url, told)
}

#[test]
fn the_tracker_hears_of_a_seed_and_that_it_leaves() {
    for way in [Signal::INT, Signal::TERM] {
        let share = Share::named("share");
        let peer = TcpListener::bind("127.0.0.1:0").unwrap();
        let (url, told) = tracker(peer.local_addr().unwrap());
        let mut seeding = seed(&share, &["--tracker", &url]);
        let started = told.recv_timeout(PATIENCE).unwrap();
        assert!(started.contains("event=started") && started.contains("left=0&"), "{started}");
        let address = seeding.address();
        assert!(started.contains(&format!("port={}&", address.rsplit(':').next().unwrap())), "{started}");
        peer.accept().unwrap(); // so it has the tracker's answer
        seeding.signal(way);
        assert_eq!(seeding.end().status, 0);
        let stopped = told.recv_timeout(PATIENCE).unwrap();
        assert!(stopped.contains("event=stopped"), "{stopped}");
    }
}

#[test]
fn data_that_is_not_whole_is_not_seeded_and_not_touched() {
    let share = Share::named("share");
    let (one, none) = (share.file("one.bin"), share.file("deeper/none"));
    let mut data = fs::read(&one).unwrap();
    data[100_000] ^= 1;
    fs::write(&one, &data).unwrap();
    fs::remove_file(&none).unwrap();
    let folder = share.data();
    let usual = ["seed", text(&share.torrent), text(&folder)];
    let ran = run(usual);
    let why = ran.failed();
    assert!(why.starts_with("1 of 12 pieces are missing or wrong; `pieceful get "), "{ran:?}");
    assert!(why.contains(" --seed` fetches"), "{ran:?}");
    assert!(fs::read(&one).unwrap() == data);
    assert!(!none.exists());

    let ran = run(usual.into_iter().chain(["--json"]));
    ran.failed();
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 1, "{ran:?}");
    assert_eq!(events[0]["event"], "error");
}

#[test]
fn whoever_names_the_torrents_own_folder_is_told_which_one_to_name() {
    let share = Share::named("share");
    let own = share.data().join("share");
    let ran = run(["seed", text(&share.torrent), text(&own)]);
    assert!(ran.failed().contains(&format!("lies in, {},", share.data().display())), "{ran:?}");
    let ran = run(["seed", text(&share.torrent), text(&share.torrent)]);
    assert!(ran.failed().contains("the last argument is the folder"), "{ran:?}");
}

#[test]
fn one_torrent_that_is_not_whole_does_not_keep_the_others_from_being_served() {
    let (whole, broken) = (Share::named("whole"), Share::named("broken"));
    let data = whole.data();
    let torrents = [text(&broken.torrent), text(&whole.torrent)];
    let usual = ["seed", torrents[0], torrents[1], text(&data), "--listen", "127.0.0.1:0"];
    let mut seeding = Running::start(usual);
    let message = seeding.until("error")["message"].to_string();
    assert!(message.contains("broken: nothing of broken is in"), "{message}");
    get(&whole, &seeding.address());
    seeding.signal(Signal::TERM);
    let ran = seeding.end();
    assert!(ran.failed().contains("1 of 2 torrents failed"), "{ran:?}");
}
