//! A small HTTP tracker that remembers what it was told.

use std::io::{BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pieceful_core::metainfo::Metainfo;

use crate::processes::{Place, own_address};
use crate::{Failure, Result, http};

/// One announce.
#[derive(Clone, Debug)]
pub(crate) struct Announce {
    pub(crate) info_hash: Vec<u8>,
    pub(crate) peer_id: Vec<u8>,
    pub(crate) from: SocketAddr,
    pub(crate) event: String,
    pub(crate) left: u64,
}

/// A tracker on a thread of its own, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Tracker {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    announces: Mutex<Vec<Announce>>,
    named: Mutex<Vec<SocketAddr>>,
    over: AtomicBool,
}

impl Tracker {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(own_address()?)?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let served = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                if served.over.load(Ordering::Acquire) {
                    break;
                }
                if let Err(error) = served.serve(stream) {
                    eprintln!("the tracker of the tests: {error}");
                }
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// Has it name this peer to everybody from now on.
    pub(crate) fn name(&self, peer: SocketAddr) {
        self.shared.named.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
    }

    /// Everything it was told so far.
    pub(crate) fn announces(&self) -> Vec<Announce> {
        self.shared.announces().clone()
    }

    /// What it was told, for a failure.
    pub(crate) fn story(&self) -> String {
        let announces = self.announces();
        let lines = announces.iter().map(|told| {
            let id = String::from_utf8_lossy(&told.peer_id[..8]).into_owned();
            format!("    {id} at {}: {:?}, {} left\n", told.from, told.event, told.left)
        });
        format!("the tracker was told:\n{}", lines.collect::<String>())
    }

    /// Waits until it knows a seeder.
    pub(crate) fn wait_seeder(&self, metainfo: &Metainfo, place: &Place) -> Result<()> {
        let hash = metainfo.info.info_hash.on_the_wire();
        place.wait_until("waiting for the seeder to announce itself", || {
            let announces = self.shared.announces();
            Ok(announces.iter().any(|told| told.info_hash == hash && told.left == 0).then_some(()))
        })
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address); // wakes it up; ended already, then
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn announces(&self) -> MutexGuard<'_, Vec<Announce>> {
        self.announces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let peer = stream.peer_addr()?;
        let mut reader = BufReader::new(stream);
        let request = http::line(&mut reader)?;
        while !http::line(&mut reader)?.is_empty() {}
        let (status, body) = match parse(&request, peer.ip()) {
            Ok(announce) => ("200 OK", self.answer(announce)),
            Err(error) => ("400 Bad Request", error.to_string().into_bytes()),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let stream = reader.get_mut();
        stream.write_all(&[head.into_bytes(), body].concat())?;
        Ok(())
    }

    /// Every other peer that is still there, in compact form (BEP 23 and 7).
    fn answer(&self, announce: Announce) -> Vec<u8> {
        let mut announces = self.announces();
        announces.push(announce.clone());
        let mut peers: Vec<SocketAddr> = Vec::new();
        for told in announces.iter().filter(|told| told.info_hash == announce.info_hash) {
            peers.retain(|peer| *peer != told.from);
            if told.event != "stopped" && told.from != announce.from {
                peers.push(told.from);
            }
        }
        peers.extend(self.named.lock().unwrap_or_else(PoisonError::into_inner).iter());
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for peer in peers {
            match peer.ip() {
                IpAddr::V4(ip) => v4.extend([&ip.octets()[..], &peer.port().to_be_bytes()].concat()),
                IpAddr::V6(ip) => v6.extend([&ip.octets()[..], &peer.port().to_be_bytes()].concat()),
            }
        }
        let head = format!("d8:intervali1800e12:min intervali5e5:peers{}:", v4.len());
        let head_v6 = format!("6:peers6{}:", v6.len());
        [head.as_bytes(), &v4, head_v6.as_bytes(), &v6, b"e"].concat()
    }
}

fn parse(request: &str, ip: IpAddr) -> Result<Announce> {
    let wrong = |what: &str| Failure::new(format!("{what} in {request:?}"));
    let target = request.split(' ').nth(1).ok_or_else(|| wrong("no target"))?;
    let (path, query) = target.split_once('?').ok_or_else(|| wrong("no query"))?;
    if path != "/announce" {
        return Err(wrong("another path"));
    }
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let needed = |name: &str| field(name).ok_or_else(|| wrong(&format!("no {name}")));
    let number = |name: &str| needed(name)?.parse::<u64>().map_err(|_| wrong(&format!("a strange {name}")));
    let port = u16::try_from(number("port")?).map_err(|_| wrong("a strange port"))?;
    let announce = Announce {
        info_hash: unescape(needed("info_hash")?),
        peer_id: unescape(needed("peer_id")?),
        from: SocketAddr::new(ip, port),
        event: field("event").unwrap_or_default().to_owned(),
        left: number("left")?,
    };
    number("uploaded")?;
    number("downloaded")?;
    let exact = announce.info_hash.len() == 20 && announce.peer_id.len() == 20;
    if exact { Ok(announce) } else { Err(wrong("a hash or id that is not 20 bytes long")) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'%' => plain.extend(digit().zip(digit()).map(|(high, low)| (high * 16 + low) as u8)),
            _ => plain.push(byte),
        }
    }
    plain
}
