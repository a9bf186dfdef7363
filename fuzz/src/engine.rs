//! A whole engine with one torrent, told anything in any order by a driver that keeps the contract.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pieceful_core::dht::{self, Body, Contact, NodeId, Reply};
use pieceful_core::disk::{DiskAction, DiskDone, DiskError, DiskErrorKind, Existing, Layout, PieceHasher};
use pieceful_core::engine::{
    AddTorrent, CloseHow, Config, DhtConfig, Engine, Event, FetchError, Input, Output, Priority,
    ResolveError, Response, Selection, StreamEnd,
};
use pieceful_core::id::{Block, ConnId, Digest, DiskOp, FetchId, PieceIndex, ResolveId, TorrentId};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;

const PIECE_LENGTH: u32 = 32 << 10;
const TOTAL: usize = 5 * PIECE_LENGTH as usize + 777;
/// Outputs of a call beside those that its bytes pay for: a torrent that begins hashes every piece, a torrent
/// that ends closes every peer.
const OUTPUTS_FREE: usize = 2_000;

/// A datagram that begins so stands for an answer of the DHT.
const ANSWER: u8 = b'r';

/// One thing that happens.
#[derive(Arbitrary, Debug)]
enum Op {
    Accept { host: u8 },
    Handshake { conn: u8, reserved: [u8; 2], fresh: bool },
    Message { conn: u8, message: Message },
    Bytes { conn: u8, bytes: Vec<u8> },
    Connected { conn: u8 },
    Sent { conn: u8, bytes: u16 },
    Closed { conn: u8, reset: bool },
    Disk { op: u8, fails: bool },
    AllDisk,
    Fetched { fetch: u8, status: u16, body: Vec<u8> },
    FetchFailed { fetch: u8 },
    Resolved { query: u8, host: Option<u8> },
    Datagram { host: u8, data: Vec<u8> },
    Wait { millis: u16, times: u8 },
    Pause,
    Resume,
    AddPeer { host: u8 },
    Want { priority: u8 },
    Remove,
    Shutdown,
}

/// A message that means something, so that the fuzzer does not have to guess lengths.
#[derive(Arbitrary, Debug)]
enum Message {
    Plain(u8),
    Have(u8),
    Bitfield(u8),
    Request {
        piece: u8,
        offset: u16,
        len: u16,
    },
    /// The right bytes of a block, or one wrong one.
    Piece {
        piece: u8,
        block: u8,
        wrong: bool,
    },
    Any {
        id: u8,
        body: Vec<u8>,
    },
}

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(kind) = u8::arbitrary(&mut input) else { return };
    let mut host = Host::new(kind);
    while !input.is_empty() {
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        host.take(op);
    }
}

struct Torrent {
    metainfo: Arc<Metainfo>,
    contents: Vec<u8>,
}

fn torrent() -> &'static Torrent {
    static TORRENT: OnceLock<Torrent> = OnceLock::new();
    TORRENT.get_or_init(|| {
        let mut contents = vec![0; TOTAL];
        Rng::new(Seed([5; 32])).fill(&mut contents);
        let pieces: Vec<u8> = contents.chunks(PIECE_LENGTH as usize).flat_map(sha1).collect();
        let new = NewTorrent {
            name: "fuzz".into(),
            content: Content::File { length: TOTAL as u64, executable: false },
            piece_length: PIECE_LENGTH,
            pieces: pieces.into(),
            trackers: vec![vec!["http://t.example/announce".into()], vec!["udp://u.example:80".into()]],
            ..NewTorrent::default()
        };
        let bytes = new.to_bytes().expect("a valid torrent");
        Torrent { metainfo: Arc::new(Metainfo::parse(bytes).expect("a valid torrent")), contents }
    })
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hasher = PieceHasher::new();
    hasher.absorb_slice(0, bytes);
    match hasher.finish(bytes.len() as u32) {
        Some(Digest::Sha1(hash)) => hash,
        other => panic!("not a SHA-1: {other:?}"),
    }
}

/// A driver in memory. It keeps the contract; everybody else may do as they like.
struct Host {
    engine: Engine,
    id: TorrentId,
    now: Instant,
    layout: Layout,
    disk: Vec<u8>,
    written: bool,
    /// All of it is wanted.
    wants: bool,
    conns: BTreeMap<ConnId, Conn>,
    ops: Vec<(DiskOp, DiskAction)>,
    fetches: Vec<FetchId>,
    resolves: Vec<ResolveId>,
    /// The latest question to a node of the DHT.
    asked: Option<(SocketAddr, dht::Message)>,
    stopped: bool,
}

#[derive(Default)]
struct Conn {
    connecting: bool,
    unsent: u32,
    closing: bool,
}

impl Host {
    /// The lowest bits of `kind` say whether it has the torrent's data, a node of the DHT, and neighbours.
    fn new(kind: u8) -> Self {
        let torrent = torrent();
        let [has_data, dht, lsd] = [1, 2, 4].map(|bit| kind & bit != 0);
        let bootstrap = vec![(address(202).ip().to_string(), 80)];
        let config = Config {
            listen_port: (dht || lsd).then_some(6881),
            dht: dht.then(|| DhtConfig { bootstrap, ..DhtConfig::default() }),
            lsd,
            ..Config::default()
        };
        let mut engine = Engine::new(config, Seed([7; 32]), Instant::ZERO);
        let spec = AddTorrent {
            peers: vec![address(200), address(201)],
            ..AddTorrent::new(Arc::clone(&torrent.metainfo))
        };
        let id = engine.add_torrent(Instant::ZERO, spec).expect("the first torrent");
        let disk = if has_data { torrent.contents.clone() } else { vec![0; TOTAL] };
        let mut host = Self {
            engine,
            id,
            now: Instant::ZERO,
            layout: Layout::of(&torrent.metainfo.info).expect("a layout"),
            disk,
            written: has_data,
            wants: true,
            conns: BTreeMap::new(),
            ops: Vec::new(),
            fetches: Vec::new(),
            resolves: Vec::new(),
            asked: None,
            stopped: false,
        };
        host.drain(0);
        host.take(Op::AllDisk);
        host
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Accept { host } => {
                if let Some(conn) = self.engine.accept(self.now, address(host)) {
                    self.conns.insert(conn, Conn::default());
                }
                self.drain(0);
            }
            Op::Handshake { conn, reserved, fresh } => {
                let mut bytes = Vec::from(*b"\x13BitTorrent protocol");
                bytes.extend_from_slice(&[0, 0, 0, 0, 0, reserved[0] | 0x10, 0, reserved[1] | 4]);
                bytes.extend_from_slice(&torrent().metainfo.info.info_hash.on_the_wire());
                bytes.extend_from_slice(&[if fresh { conn } else { 0 }; 20]);
                self.receive(conn, bytes);
            }
            Op::Message { conn, message } => self.receive(conn, encode(&message)),
            Op::Bytes { conn, bytes } => self.receive(conn, bytes),
            Op::Connected { conn } => {
                if let Some(conn) = self.pick(conn, |conn| conn.connecting) {
                    self.conns.entry(conn).or_default().connecting = false;
                    self.tell(Input::Connected { conn });
                }
            }
            Op::Sent { conn, bytes } => {
                if let Some(conn) = self.pick(conn, |conn| conn.unsent > 0) {
                    let state = self.conns.entry(conn).or_default();
                    let bytes = u32::from(bytes).clamp(1, state.unsent);
                    state.unsent -= bytes;
                    self.tell(Input::Sent { conn, bytes });
                }
            }
            Op::Closed { conn, reset } => {
                if let Some(conn) = self.pick(conn, |_| true) {
                    let end = if reset { StreamEnd::Reset } else { StreamEnd::Finished };
                    self.conns.remove(&conn);
                    self.tell(Input::Closed { conn, end });
                }
            }
            Op::Disk { op, fails } => self.answer(op, fails),
            Op::AllDisk => {
                while !self.ops.is_empty() {
                    self.answer(0, false);
                }
            }
            Op::Fetched { fetch, status, body } => {
                if let Some(fetch) = take_one(&mut self.fetches, fetch) {
                    let response = Response { status, body: body.into(), from: address(9).ip() };
                    self.tell(Input::Fetched { fetch, result: Ok(response) });
                }
            }
            Op::FetchFailed { fetch } => {
                if let Some(fetch) = take_one(&mut self.fetches, fetch) {
                    self.tell(Input::Fetched { fetch, result: Err(FetchError::TimedOut) });
                }
            }
            Op::Resolved { query, host } => {
                if let Some(query) = take_one(&mut self.resolves, query) {
                    let result = host.map(|host| vec![address(host).ip()]).ok_or(ResolveError::NotFound);
                    self.tell(Input::Resolved { query, result });
                }
            }
            Op::Datagram { host, data } if data.first() == Some(&ANSWER) && self.asked.is_some() => {
                self.answer_dht(host, &data);
            }
            Op::Datagram { host, data } => {
                let from = SocketAddr::new(address(host).ip(), 80);
                self.tell(Input::Datagram { from, data: data.into() });
            }
            Op::Wait { millis, times } => {
                for _ in 0..times % 16 {
                    self.now += Duration::from_millis(millis.into());
                    self.engine.handle_timeout(self.now);
                    self.drain(0);
                }
            }
            Op::Pause => self.command(Engine::pause),
            Op::Resume => self.command(Engine::resume),
            Op::AddPeer { host } => self.command(|engine, now, id| engine.add_peer(now, id, address(host))),
            Op::Want { priority } => {
                let priorities = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
                let mut files = Selection::all();
                files.set(0..=0, priorities[usize::from(priority) % priorities.len()]);
                self.wants = files.wants(0);
                self.command(|engine, now, id| engine.set_files(now, id, files));
            }
            Op::Remove => self.command(Engine::remove_torrent),
            Op::Shutdown => self.command(|engine, now, _| engine.shutdown(now)),
        }
    }

    /// The node that was asked last answers: it is called `host`, and names a node or a peer with each byte.
    fn answer_dht(&mut self, host: u8, data: &[u8]) {
        let Some((from, asked)) = self.asked.take() else { return };
        let (nodes, peers): (Vec<u8>, Vec<u8>) = data[1..].iter().partition(|byte| *byte % 2 == 0);
        let node = |byte: u8| Contact { id: NodeId([byte; 20]), address: address(byte) };
        let reply = Reply {
            nodes: Some(nodes.into_iter().take(8).map(node).collect()),
            values: peers.into_iter().take(8).map(address).collect(),
            token: Some(vec![host; 4]),
            ..Reply::new(NodeId([host; 20]))
        };
        let reply = dht::Message { body: Body::Reply(reply), ip: Some(address(host)), ..asked };
        self.tell(Input::Datagram { from, data: reply.encode().into() });
    }

    fn command(&mut self, command: impl FnOnce(&mut Engine, Instant, TorrentId)) {
        command(&mut self.engine, self.now, self.id);
        self.drain(0);
    }

    fn receive(&mut self, conn: u8, bytes: Vec<u8>) {
        if let Some(conn) = self.pick(conn, |conn| !conn.connecting)
            && !bytes.is_empty()
        {
            self.tell(Input::Received { conn, data: bytes.into() });
        }
    }

    fn tell(&mut self, input: Input) {
        let bytes = match &input {
            Input::Received { data, .. } | Input::Datagram { data, .. } => data.len(),
            Input::Fetched { result: Ok(response), .. } => response.body.len(),
            _ => 0,
        };
        self.engine.handle(self.now, input);
        assert!(
            self.engine.breaches().is_none(),
            "this driver broke the contract: {:?}",
            self.engine.breaches()
        );
        self.drain(bytes);
    }

    /// Takes out everything there is to do, after a call that brought so many bytes.
    fn drain(&mut self, bytes: usize) {
        for count in 0.. {
            assert!(count <= OUTPUTS_FREE + bytes, "{count} outputs for {bytes} bytes");
            let output = self.engine.poll();
            assert!(
                !self.stopped || matches!(output, Output::Idle { wake: None }),
                "after Stopped: {output:?}"
            );
            match output {
                Output::Idle { .. } => return,
                Output::Connect { conn, .. } => {
                    let state = Conn { connecting: true, ..Conn::default() };
                    assert!(self.conns.insert(conn, state).is_none(), "{conn:?} is in use");
                }
                Output::Send { conn, segment } => {
                    let state = self.conns.get_mut(&conn).expect("a Send for a connection there is");
                    assert!(!state.closing && !state.connecting, "a Send at the wrong time");
                    state.unsent += segment.len();
                }
                Output::Reading { conn, .. } => {
                    assert!(self.conns.contains_key(&conn), "of a connection there is");
                }
                Output::Close { conn, how } => {
                    let state = self.conns.get_mut(&conn).expect("a Close for a connection there is");
                    assert!(!state.closing || how == CloseHow::Now, "closed twice");
                    state.closing = true;
                }
                Output::Datagram { to, data } => {
                    if let Ok(asked) = dht::Message::decode(&data)
                        && let Body::Query(_) = asked.body
                    {
                        self.asked = Some((to, asked));
                    }
                }
                Output::Save { .. } => {}
                Output::Disk { op, action, .. } => self.ops.push((op, action)),
                Output::Resolve { query, .. } => self.resolves.push(query),
                Output::Fetch { fetch, .. } => self.fetches.push(fetch),
                Output::Event(Event::Finished { .. }) => {
                    assert!(
                        !self.wants || self.disk == torrent().contents,
                        "finished with wrong bytes on disk"
                    );
                }
                Output::Event(Event::Stopped) => {
                    assert!(self.conns.is_empty() && self.ops.is_empty(), "stopped with answers outstanding");
                    self.stopped = true;
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Answers one disk action: the first of its piece among those that are under way.
    fn answer(&mut self, which: u8, fails: bool) {
        if self.ops.is_empty() {
            return;
        }
        let chosen = piece_of(&self.ops[usize::from(which) % self.ops.len()].1);
        let place = self.ops.iter().position(|(_, action)| piece_of(action) == chosen).unwrap_or(0);
        let (op, action) = self.ops.remove(place);
        let result = if fails && !matches!(action, DiskAction::Close) {
            Err(DiskError { kind: DiskErrorKind::Io, file: Some(0), message: String::new() })
        } else {
            Ok(self.execute(action))
        };
        self.tell(Input::Disk { op, result });
    }

    fn execute(&mut self, action: DiskAction) -> DiskDone {
        match action {
            DiskAction::Open { .. } => {
                let present = Existing::Present { len: TOTAL as u64, has_data: true, stamp: 1 };
                DiskDone::Opened(vec![if self.written { present } else { Existing::Absent }])
            }
            DiskAction::Prepare { .. } => DiskDone::Prepared,
            DiskAction::Write { block, data } => {
                self.written = true;
                let range = self.range(block);
                self.disk[range].copy_from_slice(&data.to_vec());
                DiskDone::Written
            }
            DiskAction::Read { block } => {
                DiskDone::Read(Bytes::copy_from_slice(&self.disk[self.range(block)]))
            }
            DiskAction::Hash { piece } => {
                DiskDone::Hashed(Digest::Sha1(sha1(&self.disk[self.range(self.layout.whole(piece))])))
            }
            DiskAction::HashBlocks { piece } => {
                let blocks = self.layout.blocks(piece).map(|block| sha1(&self.disk[self.range(block)]));
                DiskDone::BlocksHashed(blocks.collect())
            }
            DiskAction::Sync => DiskDone::Synced(Vec::new()),
            DiskAction::Close => DiskDone::Closed,
        }
    }

    fn range(&self, block: Block) -> std::ops::Range<usize> {
        assert!(self.layout.contains(block), "a disk action for {block}");
        let start = block.piece.0 as usize * PIECE_LENGTH as usize + block.offset as usize;
        start..start + block.len as usize
    }

    fn pick(&self, which: u8, like: impl Fn(&Conn) -> bool) -> Option<ConnId> {
        let fitting: Vec<ConnId> =
            self.conns.iter().filter(|(_, conn)| like(conn)).map(|(id, _)| *id).collect();
        (!fitting.is_empty()).then(|| fitting[usize::from(which) % fitting.len()])
    }
}

fn piece_of(action: &DiskAction) -> Option<PieceIndex> {
    match action {
        DiskAction::Write { block, .. } | DiskAction::Read { block } => Some(block.piece),
        DiskAction::Hash { piece } | DiskAction::HashBlocks { piece } => Some(*piece),
        _ => None,
    }
}

fn take_one<T>(from: &mut Vec<T>, which: u8) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(usize::from(which) % from.len()))
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([11, 0, host, 1], 6881))
}

fn encode(message: &Message) -> Vec<u8> {
    let (id, body) = match message {
        Message::Plain(id) => (id % 4, Vec::new()),
        Message::Have(piece) => (4, u32::from(piece % 8).to_be_bytes().to_vec()),
        Message::Bitfield(bits) => (5, vec![*bits]),
        Message::Request { piece, offset, len } => {
            (6, [u32::from(piece % 8), (*offset).into(), (*len).into()].map(u32::to_be_bytes).concat())
        }
        Message::Piece { piece, block, wrong } => {
            let (piece, offset) = (u32::from(piece % 6), u32::from(block % 2) * 16_384);
            let start = piece as usize * PIECE_LENGTH as usize + offset as usize;
            let end = TOTAL.min(start + 16_384);
            let mut body = [piece, offset].map(u32::to_be_bytes).concat();
            body.extend_from_slice(torrent().contents.get(start..end).unwrap_or_default());
            if *wrong && let Some(last) = body.last_mut() {
                *last ^= 1;
            }
            (7, body)
        }
        Message::Any { id, body } => (*id, body.clone()),
    };
    let mut bytes = (1 + body.len() as u32).to_be_bytes().to_vec();
    bytes.push(id);
    bytes.extend_from_slice(&body);
    bytes
}
