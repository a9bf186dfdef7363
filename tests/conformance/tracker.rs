//! The simulator's tracker behind a real socket: as much HTTP as a tracker's answer needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Tracker;
use pieceful_core::time::Instant;

/// Starts a tracker that serves until the process ends; answers its announce URL.
pub(crate) fn start(hangs: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let tracker = Arc::new(Mutex::new(Tracker::new("")));
    std::thread::spawn(move || {
        let mut hanging = Vec::new();
        for stream in listener.incoming().flatten() {
            if hangs {
                hanging.push(stream);
                continue;
            }
            let tracker = Arc::clone(&tracker);
            std::thread::spawn(move || answer(&tracker, &stream));
        }
    });
    format!("http://{address}/announce")
}

/// Answers one request; a client that goes away meanwhile is no matter.
fn answer(tracker: &Mutex<Tracker>, mut stream: &TcpStream) -> Option<()> {
    let from = stream.peer_addr().ok()?.ip();
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next()?.ok()?;
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    let url = request.split(' ').nth(1)?;
    let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
    let body = tracker.announce(Instant::ZERO, from, url);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).ok()?;
    stream.write_all(&body).ok()
}
