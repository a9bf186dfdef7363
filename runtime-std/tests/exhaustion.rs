//! Out of file descriptors. A test binary of its own, because the limit is the whole process's.

#![allow(clippy::unwrap_used)] // in a test's helpers too

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pieceful_std::{Options, Session};

#[test]
fn a_listener_without_descriptors_rests_and_accepts_later() {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let session = Session::start(Options { listen, ..Options::default() }).unwrap();

    let mut hogs = Vec::new();
    while let Ok(hog) = File::open("/dev/null") {
        hogs.push(hog);
    }
    hogs.pop(); // the one for our own end
    let mut peer = TcpStream::connect(session.listening()[0]).unwrap();

    let before = cpu_time();
    std::thread::sleep(Duration::from_millis(500));
    let spent = cpu_time() - before;
    assert!(spent < Duration::from_millis(100), "{spent:?} of processor time over half a second of waiting");

    hogs.clear();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    peer.write_all(&[b'x'; 68]).unwrap(); // no handshake: whoever accepts this closes it
    match peer.read(&mut [0]) {
        Ok(0) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        Ok(_) => panic!("an answer to nonsense"),
    }
    let _ = session.stop();
}

fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap()
}
