//! What an engine costs in memory: allocations on the way of a block, bytes while nothing happens.
//!
//! Requests, lists and books are reused, so one read of sixteen blocks costs about one allocation.

#![allow(unsafe_code)] // an allocator that counts is one by its nature

mod idle;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::{DiskAction, DiskDone, Existing};
use pieceful_core::engine::{AddTorrent, Config, Engine, Event, Input, Output, Segment};
use pieceful_core::id::{ConnId, Digest, PieceIndex};
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::peer::CloseReason;
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;

const BLOCK_LEN: u32 = 16 * 1024;
const PIECE_LEN: u32 = 1 << 20;
const PIECES: u32 = 256;

/// A read of the drivers' size: it cuts a block in two at either end.
const READ_LEN: usize = 256 * 1024;

/// Whatever the pieces hash to; nothing here hashes.
const HASH: [u8; 20] = [0xaa; 20];

/// Blocks after which everything that grows with use has grown.
const WARM: usize = 2_000;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes this thread has taken and not given back, as glibc counts them: with a header, in steps of 16.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + gross(layout.size()));
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - gross(layout.size()));
        // SAFETY: it came from `alloc` or `realloc`, so from the system.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() - gross(layout.size()) + gross(len));
        // SAFETY: as for `dealloc`; the length is the caller's promise.
        unsafe { System.realloc(at, layout, len) }
    }
}

/// What an allocation of so many bytes takes.
fn gross(bytes: usize) -> isize {
    (bytes + 8).next_multiple_of(16).max(32).cast_signed()
}

/// A seed and a disk around an engine, and what the engine's own calls allocate.
struct World {
    engine: Engine,
    now: Instant,
    conn: ConnId,
    /// Requests that came and bytes for them that did not leave yet.
    asked: VecDeque<[u8; 12]>,
    to_read: Vec<u8>,
    inputs: VecDeque<Input>,
    blocks: usize,
    done: bool,
    allocated: usize,
}

impl World {
    fn new() -> Self {
        let torrent = NewTorrent {
            name: "data".into(),
            content: Content::File { length: u64::from(PIECE_LEN) * u64::from(PIECES), executable: false },
            piece_length: PIECE_LEN,
            pieces: HASH.repeat(PIECES as usize).into(),
            ..NewTorrent::default()
        };
        let metainfo = Metainfo::parse(torrent.to_bytes().expect("it is valid")).expect("it is valid");
        let info_hash = metainfo.info.info_hash.on_the_wire();
        let now = Instant::ZERO;
        let mut engine = Engine::new(Config::default(), Seed([1; 32]), now);
        let peer = "192.0.2.1:6881".parse().expect("an address");
        let spec = AddTorrent { peers: vec![peer], ..AddTorrent::new(Arc::new(metainfo)) };
        engine.add_torrent(now, spec).expect("there is room");

        let mut hello = [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..], &info_hash, &[b'-'; 20]].concat();
        hello.extend((1 + PIECES / 8).to_be_bytes());
        hello.push(5); // bitfield: it has everything
        hello.extend(vec![0xff; PIECES as usize / 8]);
        hello.extend([0, 0, 0, 1, 1]); // unchoke
        Self {
            engine,
            now,
            conn: ConnId::default(),
            asked: VecDeque::new(),
            to_read: hello,
            inputs: VecDeque::new(),
            blocks: 0,
            done: false,
            allocated: 0,
        }
    }

    /// Goes on until the engine has `blocks` more, or everything. Returns how many it has got.
    fn run(&mut self, blocks: usize) -> usize {
        let before = self.blocks;
        let mut turns = 0;
        while !self.done && self.blocks < before + blocks {
            turns += 1;
            assert!(turns < 100_000, "nothing happens any more");
            while let Some(output) = self.poll() {
                self.perform(output);
            }
            self.now += Duration::from_micros(200);
            while let Some(input) = self.inputs.pop_front() {
                self.count(|engine, now| engine.handle(now, input));
            }
            self.send();
            self.count(Engine::handle_timeout);
        }
        self.blocks - before
    }

    fn poll(&mut self) -> Option<Output> {
        match self.count(|engine, _| engine.poll()) {
            Output::Idle { .. } => None,
            output => Some(output),
        }
    }

    fn count<R>(&mut self, call: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        let before = ALLOCATIONS.get();
        let result = call(&mut self.engine, self.now);
        self.allocated += ALLOCATIONS.get() - before;
        result
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { conn, .. } => {
                self.conn = conn;
                self.inputs.push_back(Input::Connected { conn });
            }
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                self.inputs.push_back(Input::Sent { conn, bytes: bytes.len() as u32 });
                // Nothing else that is sent has as many bytes as a request.
                let mut rest = &bytes[..];
                while let Some((request, after)) = rest.split_first_chunk::<17>() {
                    match request {
                        [0, 0, 0, 13, 6, request @ ..] => {
                            self.asked.push_back(*request);
                            rest = after;
                        }
                        _ => rest = &rest[1..],
                    }
                }
            }
            Output::Disk { op, action, .. } => {
                let done = match action {
                    DiskAction::Open { layout } => {
                        DiskDone::Opened(vec![Existing::Absent; layout.files().len()])
                    }
                    DiskAction::Prepare { .. } => DiskDone::Prepared,
                    DiskAction::Write { .. } => {
                        self.blocks += 1;
                        DiskDone::Written
                    }
                    DiskAction::Hash { piece: PieceIndex(_) } => DiskDone::Hashed(Digest::Sha1(HASH)),
                    DiskAction::Sync => DiskDone::Synced(Vec::new()),
                    other => panic!("a download has no need of {other:?}"),
                };
                self.inputs.push_back(Input::Disk { op, result: Ok(done) });
            }
            Output::Event(Event::Finished { .. }) => self.done = true,
            Output::Event(Event::PeerClosed { reason, .. }) => {
                assert_eq!(reason, CloseReason::NothingToExchange, "it ends when all is there");
            }
            _ => {}
        }
    }

    /// The seed answers what it was asked, in reads as they come from a fast peer.
    fn send(&mut self) {
        let conn = self.conn;
        for request in self.asked.drain(..) {
            let [piece @ .., _, _, _, _] = request;
            self.to_read.extend((9 + BLOCK_LEN).to_be_bytes());
            self.to_read.push(7);
            self.to_read.extend(piece);
            self.to_read.resize(self.to_read.len() + BLOCK_LEN as usize, 0);
        }
        if self.conn == ConnId::default() {
            return;
        }
        let data = Bytes::from(std::mem::take(&mut self.to_read));
        let _shared = data.clone(); // as from a pool of buffers: taking slices allocates nothing more
        for start in (0..data.len()).step_by(READ_LEN) {
            let data = data.slice(start..data.len().min(start + READ_LEN));
            self.count(|engine, now| engine.handle(now, Input::Received { conn, data }));
        }
    }
}

#[test]
fn blocks_allocate_next_to_nothing_on_their_way_through_the_engine() {
    let mut world = World::new();
    world.run(WARM);
    world.allocated = 0;
    let blocks = world.run(WARM);
    let per_block = world.allocated as f64 / blocks as f64;
    println!("{} allocations for {blocks} blocks: {per_block:.2} each", world.allocated);
    assert!(blocks >= WARM, "the download goes on");
    assert!(per_block < 0.25, "{per_block:.2} allocations a block");
    world.run(usize::MAX / 2);
    assert!(world.done);
}
