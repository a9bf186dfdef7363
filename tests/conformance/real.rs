//! Drivers with real sockets, files and time. Nothing here waits for time to pass: every wait ends with what it
//! waits for, or after a limit that only a broken driver reaches.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Data;
use crate::words::{Listener, Said};
use bytes::Bytes;
use pieceful_core::dht;
use pieceful_core::engine::{AddTorrent, Config, Event, TorrentStatus};
use pieceful_core::id::{PieceIndex, TorrentId};
use pieceful_std::session;
use pieceful_std::tape::{RecordOptions, Tape};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::host::{Host, Wire, begins_at, in_words};
use super::tracker;

const SOON: Duration = Duration::from_secs(60);
/// How often it is looked at what nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A client of a driver that has sockets, files and time. Nothing is asked of it that an application would not.
pub trait Driver: Sized {
    /// Starts a client that listens on `listen`, whose port is 0, with these settings beside those it makes by itself.
    /// One that can put itself on a tape does; it is played when the client has stopped, and the engine has to say the
    /// same.
    ///
    /// # Errors
    /// What fails the test.
    fn start(listen: SocketAddr, config: Config, tape: RecordOptions) -> io::Result<Self>;

    /// Where it listens.
    fn listening(&self) -> SocketAddr;

    /// Its next event; `None` if there is none within the time.
    fn next(&mut self, limit: Duration) -> Option<Event>;

    /// Takes part in a torrent whose files lie in `folder`, or will.
    fn add(&self, spec: AddTorrent, folder: &Path) -> TorrentId;

    /// Removes a torrent; its files stay.
    fn remove(&self, torrent: TorrentId);

    /// Pauses a torrent, or lets it go on.
    fn pause(&self, torrent: TorrentId, paused: bool);

    /// How a torrent stands.
    fn status(&self, torrent: TorrentId) -> TorrentStatus;

    /// How its node of the DHT stands, if it has one.
    fn dht(&self) -> Option<dht::Status>;

    /// Stops in good order; false when it did not.
    fn stop(self) -> bool;
}

/// Clients of one driver on loopback. All of them are recorded, and in the end every tape is played to an engine
/// that has no driver: it has to say the same.
pub struct Real<D: Driver> {
    folder: TempDir,
    clients: BTreeMap<String, Client<D>>,
    tapes: Vec<PathBuf>,
    wires: Vec<Spoken>,
    began: Instant,
}

/// A connection the test speaks on.
#[derive(Debug)]
struct Spoken {
    stream: TcpStream,
    listener: Listener,
    said: Vec<Said>,
}

struct Client<D> {
    driver: D,
    seen: Vec<Event>,
}

impl<D: Driver> fmt::Debug for Real<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Real({})", self.clients.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

impl<D: Driver> Real<D> {
    fn folder_of(&self, client: &str) -> PathBuf {
        self.folder.path().join(client)
    }

    fn client(&self, client: &str) -> &Client<D> {
        self.clients.get(client).expect("a client that was started")
    }

    /// Starts one; with `payload` its tape has that, and nobody's address.
    fn begin(&mut self, client: &str, listen: SocketAddr, config: Config, payload: bool) {
        fs::create_dir_all(self.folder_of(client)).expect("a folder for the client");
        let file = self.folder.path().join(format!("{}.tape", self.tapes.len()));
        self.tapes.push(file.clone());
        let tape = RecordOptions { file, payload, scrub: payload };
        let driver = D::start(listen, config, tape).expect("a client that starts");
        self.clients.insert(client.to_owned(), Client { driver, seen: Vec::new() });
    }
}

impl<D: Driver> Drop for Real<D> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        while let Some((_, client)) = self.clients.pop_first() {
            client.driver.stop();
        }
        for tape in self.tapes.iter().filter(|tape| tape.exists()) {
            let played = Tape::open(tape).expect("a tape that reads").play(|_, _| {});
            let played = played.unwrap_or_else(|error| panic!("{}: {error:#?}", tape.display()));
            assert!(played.calls > 0 && !played.cut_short, "{played:?}");
        }
    }
}

impl<D: Driver> Host for Real<D> {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        Self { folder, clients: BTreeMap::new(), tapes: Vec::new(), wires: Vec::new(), began: Instant::now() }
    }

    fn start(&mut self, client: &str, ipv6: bool) -> bool {
        if self.clients.contains_key(client) {
            return true;
        }
        let any: SocketAddr =
            if ipv6 { ([0, 0, 0, 0, 0, 0, 0, 1], 0).into() } else { ([127, 0, 0, 1], 0).into() };
        if TcpListener::bind(any).is_err() && ipv6 {
            return false;
        }
        // Every second one with payload, which must make no difference.
        self.begin(client, any, Config::default(), self.tapes.len() % 2 == 1);
        true
    }

    fn start_in_dht(&mut self, client: &str, first: Option<SocketAddr>) {
        let config = Config { dht: Some(begins_at(first)), ..Config::default() };
        // On a tape that is to have nobody's address there is no DHT.
        self.begin(client, ([127, 0, 0, 1], 0).into(), config, false);
    }

    fn wait_dht(&mut self, client: &str, like: &dyn Fn(dht::Status) -> bool) {
        let until = Instant::now() + SOON;
        let client = self.clients.get_mut(client).expect("a client that was started");
        while !client.driver.dht().is_some_and(like) {
            assert!(Instant::now() < until, "it stands otherwise: {:?}", client.driver.dht());
            client.seen.extend(client.driver.next(LOOK_AGAIN));
        }
    }

    fn stop(&mut self, client: &str) {
        let client = self.clients.remove(client).expect("a client that was started");
        let began = Instant::now();
        assert!(client.driver.stop(), "it did not stop in good order");
        assert!(
            began.elapsed() < session::STOP_TIME + Duration::from_secs(2),
            "it took {:?}",
            began.elapsed()
        );
    }

    fn address(&self, client: &str) -> SocketAddr {
        self.client(client).driver.listening()
    }

    fn nobody(&mut self) -> SocketAddr {
        // A port that was free a moment ago.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound socket has an address")
    }

    fn tracker(&mut self, hangs: bool) -> String {
        tracker::start(hangs)
    }

    fn put(&mut self, client: &str, data: &Data, pieces: &[u32]) {
        for (index, file) in data.layout.files().iter().enumerate() {
            let Some(path) = &file.path else { continue };
            let path = self.folder_of(client).join(path.to_string());
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders can be made");
            let mut contents = data.file(index).to_vec();
            for piece in (0..data.pieces()).filter(|piece| !pieces.contains(piece)) {
                for span in data.layout.spans(data.layout.whole(PieceIndex(piece))) {
                    if span.file as usize == index {
                        contents[span.offset as usize..][..span.len as usize].fill(0);
                    }
                }
            }
            fs::write(path, contents).expect("files can be written");
        }
    }

    fn put_file(&mut self, client: &str, path: &str, contents: &[u8]) {
        fs::write(self.folder_of(client).join(path), contents).expect("files can be written");
    }

    fn file(&self, client: &str, path: &str) -> Option<Vec<u8>> {
        fs::read(self.folder_of(client).join(path)).ok()
    }

    fn add(&mut self, client: &str, _data: &Arc<Data>, spec: AddTorrent) -> TorrentId {
        self.client(client).driver.add(spec, &self.folder_of(client))
    }

    fn remove(&mut self, client: &str, torrent: TorrentId) {
        self.client(client).driver.remove(torrent);
    }

    fn wait(&mut self, client: &str, like: &dyn Fn(&Event) -> bool) {
        let name = client;
        let client = self.clients.get_mut(client).expect("a client that was started");
        let until = Instant::now() + SOON;
        while !client.seen.iter().any(like) {
            match client.driver.next(until.saturating_duration_since(Instant::now())) {
                Some(event) => client.seen.push(event),
                None => panic!("{name} has told nothing of the kind, only {:#?}", client.seen),
            }
        }
    }

    fn pause(&mut self, client: &str, torrent: TorrentId, paused: bool) {
        self.client(client).driver.pause(torrent, paused);
    }

    fn status(&mut self, client: &str, torrent: TorrentId) -> TorrentStatus {
        self.client(client).driver.status(torrent)
    }

    fn clock(&self) -> Duration {
        self.began.elapsed()
    }

    fn connect(&mut self, client: &str) -> Wire {
        // Little room, so that what is not read here stays with the client: a system may take 32 MiB by itself.
        let (address, room) = (self.address(client), 64 << 10);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(room).expect("a socket has buffers");
        socket.connect(&address.into()).expect("a client that listens");
        let stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(SOON)).expect("a socket has timeouts");
        self.wires.push(Spoken { stream, listener: Listener::new(true), said: Vec::new() });
        Wire(self.wires.len() - 1)
    }

    fn say(&mut self, wire: Wire, bytes: Bytes) {
        self.wires[wire.0].stream.write_all(&bytes).expect("a client that listens to what is said");
    }

    fn hear(&mut self, wire: Wire, like: &dyn Fn(&[Said]) -> bool) -> Vec<Said> {
        let Spoken { stream, listener, said } = &mut self.wires[wire.0];
        let until = Instant::now() + SOON;
        let mut buffer = vec![0; 1 << 16];
        while !like(said) {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            stream.set_read_timeout(Some(left)).expect("a socket has timeouts");
            match stream.read(&mut buffer) {
                Ok(0) => panic!("it hung up after saying {}", in_words(said)),
                Ok(read) => listener.hear(&buffer[..read], said),
                Err(error) => panic!("{error} after it said {}", in_words(said)),
            }
        }
        said.clone()
    }
}
