//! A small HTTP tracker (BEP 3, BEP 23) for the demo: every peer is told of every other.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longest request line and headers.
const REQUEST_BYTES_MAX: u64 = 16 << 10;
/// A client that says nothing holds a thread no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tracker on a free port of this machine; ends when dropped.
#[derive(Debug)]
pub(super) struct Tracker {
    address: SocketAddr,
    swarms: Arc<Swarms>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The peers of each torrent, by the `info_hash` as it came in the URL.
type Swarms = Mutex<BTreeMap<String, Vec<SocketAddr>>>;

impl Tracker {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let swarms = Arc::new(Swarms::default());
        let ending = Arc::new(AtomicBool::new(false));
        let thread = {
            let (swarms, ending) = (Arc::clone(&swarms), Arc::clone(&ending));
            thread::Builder::new().name(String::from("tracker")).spawn(move || {
                for stream in listener.incoming() {
                    if ending.load(Ordering::Acquire) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let swarms = Arc::clone(&swarms);
                    // A client that goes away in the middle of its request needs no answer.
                    thread::spawn(move || drop(serve(stream, &swarms)));
                }
            })?
        };
        Ok(Self { address, swarms, ending, thread: Some(thread) })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// How many peers have announced themselves.
    pub(super) fn peers(&self) -> usize {
        self.swarms.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes `incoming`, which has no other way to be told.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, swarms: &Swarms) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let from = stream.peer_addr()?.ip();
    let mut lines = BufReader::new(&stream).take(REQUEST_BYTES_MAX).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
    let (status, body) = match announce(&request, from, swarms) {
        Some(body) => ("200 OK", body),
        None => ("400 Bad Request", b"d14:failure reason15:not an announcee".to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

/// Notes the peer and answers with the others; `None` when this is no announce.
fn announce(request: &str, from: IpAddr, swarms: &Swarms) -> Option<Vec<u8>> {
    let query = request.strip_prefix("GET /announce?")?.split(' ').next()?;
    let value = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, v)| (key == name).then_some(v))
    };
    let torrent = value("info_hash")?;
    let peer = SocketAddr::new(from, value("port")?.parse().ok()?);
    let mut swarms = swarms.lock().unwrap_or_else(PoisonError::into_inner);
    let swarm = swarms.entry(String::from(torrent)).or_default();
    swarm.retain(|&known| known != peer);
    let others = compact(swarm);
    if value("event") != Some("stopped") {
        swarm.push(peer);
    }
    Some(others)
}

/// The answer that names `peers`.
fn compact(peers: &[SocketAddr]) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(peers.len() * 6);
    for peer in peers {
        if let IpAddr::V4(ip) = peer.ip() {
            addresses.extend_from_slice(&ip.octets());
            addresses.extend_from_slice(&peer.port().to_be_bytes());
        }
    }
    let mut body = format!("d8:intervali1800e5:peers{}:", addresses.len()).into_bytes();
    body.extend_from_slice(&addresses);
    body.push(b'e');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(tracker: &Tracker, query: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(tracker.address).unwrap();
        write!(stream, "GET /announce?{query} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_peer_is_told_of_the_others_until_they_stop() {
        let tracker = Tracker::start().unwrap();
        assert!(ask(&tracker, "info_hash=%01a&port=256&event=started").ends_with(b"5:peers0:e"));
        let second = ask(&tracker, "info_hash=%01a&port=257");
        assert!(second.ends_with(b"d8:intervali1800e5:peers6:\x7f\x00\x00\x01\x01\x00e"), "{second:?}");
        assert!(ask(&tracker, "info_hash=other&port=258").ends_with(b"5:peers0:e"));
        assert_eq!(tracker.peers(), 3);
        ask(&tracker, "info_hash=%01a&port=256&event=stopped");
        assert!(ask(&tracker, "info_hash=%01a&port=257").ends_with(b"5:peers0:e"));
        assert!(ask(&tracker, "nothing").starts_with(b"HTTP/1.1 400"));
    }
}
