//! The disk workers, `verify` and `create` on real folders.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod aside;
mod create;
mod disk;
mod failing;
mod in_use;
mod order;
mod safety;
mod verify;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskAction, DiskDone, DiskError, Layout, LayoutFile};
use pieceful_core::id::{Block, Digest, DiskOp, PieceIndex, TorrentId};
use pieceful_core::metainfo::SafePath;
use pieceful_std::disk::{DiskPool, Job};
use sha1::{Digest as _, Sha1};
use slotmap::SlotMap;
use tempfile::TempDir;

/// A pool with one open torrent in a temporary folder.
struct Rig {
    folder: Arc<TempDir>,
    pool: DiskPool,
    woken: Arc<(Mutex<bool>, Condvar)>,
    ops: SlotMap<DiskOp, ()>,
    torrents: SlotMap<TorrentId, ()>,
    torrent: TorrentId,
    layout: Arc<Layout>,
}

impl Rig {
    fn new(workers: usize, layout: Layout) -> Self {
        Self::with_files(workers, layout, |_| {})
    }

    /// `before` may put things into the folder before the torrent is opened.
    fn with_files(workers: usize, layout: Layout, before: impl FnOnce(&Path)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        before(folder.path());
        Self::beside(workers, layout, folder)
    }

    /// A pool of its own, as another process would have, on a folder that others may use as well.
    fn beside(workers: usize, layout: Layout, folder: Arc<TempDir>) -> Self {
        let woken = Arc::new((Mutex::new(false), Condvar::new()));
        let wake = Arc::clone(&woken);
        let pool = DiskPool::start(workers, move || {
            *wake.0.lock().unwrap() = true;
            wake.1.notify_one();
        });
        let mut torrents = SlotMap::with_key();
        let torrent = torrents.insert(());
        pool.add_torrent(torrent, folder.path().to_path_buf());
        let layout = Arc::new(layout);
        Self { folder, pool, woken, ops: SlotMap::with_key(), torrents, torrent, layout }
    }

    /// A pool whose torrent is open.
    fn opened(workers: usize, layout: Layout) -> Self {
        let mut rig = Self::new(workers, layout);
        rig.open().unwrap();
        rig
    }

    fn open(&mut self) -> Result<DiskDone, DiskError> {
        let layout = Arc::clone(&self.layout);
        self.act(DiskAction::Open { layout })
    }

    fn act(&mut self, action: DiskAction) -> Result<DiskDone, DiskError> {
        self.act_all([action]).pop().unwrap()
    }

    /// The answers to a batch of actions, in the order of the actions. Panics when one is answered twice.
    fn act_all(&mut self, actions: impl IntoIterator<Item = DiskAction>) -> Vec<Result<DiskDone, DiskError>> {
        let torrent = self.torrent;
        self.act_on(actions.into_iter().map(|action| (torrent, action)))
    }

    fn act_on(
        &mut self,
        actions: impl IntoIterator<Item = (TorrentId, DiskAction)>,
    ) -> Vec<Result<DiskDone, DiskError>> {
        let mut order = Vec::new();
        let mut jobs = Vec::new();
        for (torrent, action) in actions {
            let op = self.ops.insert(());
            order.push(op);
            jobs.push(Job { op, torrent, action });
        }
        self.pool.submit(&mut jobs);
        assert!(jobs.is_empty());
        let mut answers = slotmap::SecondaryMap::new();
        let mut done = Vec::new();
        while answers.len() < order.len() {
            let mut woken = self.woken.0.lock().unwrap();
            while !*woken {
                woken = self.woken.1.wait(woken).unwrap();
            }
            *woken = false;
            drop(woken);
            self.pool.completions(&mut done);
            for (op, result) in done.drain(..) {
                assert!(self.ops.remove(op).is_some(), "answered twice, or never asked");
                answers.insert(op, result);
            }
        }
        order.into_iter().map(|op| answers.remove(op).unwrap()).collect()
    }

    fn write(&mut self, block: Block, data: &[u8]) -> Result<DiskDone, DiskError> {
        self.act(write(block, data))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn on_disk(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.path().join(path)).unwrap()
    }
}

fn file(path: &str, len: u64) -> LayoutFile {
    LayoutFile { path: SafePath::new(path.split('/')), ..LayoutFile::unnamed(len) }
}

fn padding(len: u64) -> LayoutFile {
    LayoutFile::unnamed(len)
}

fn layout(piece_length: u32, files: impl IntoIterator<Item = LayoutFile>) -> Layout {
    Layout::new(piece_length, files).unwrap()
}

fn block(piece: u32, offset: u32, len: u32) -> Block {
    Block { piece: PieceIndex(piece), offset, len }
}

fn write(block: Block, data: &[u8]) -> DiskAction {
    DiskAction::Write { block, data: Chain::from(Bytes::copy_from_slice(data)) }
}

fn hash(piece: u32) -> DiskAction {
    DiskAction::Hash { piece: PieceIndex(piece) }
}

fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}

fn hashed(data: &[u8]) -> Result<DiskDone, DiskError> {
    Ok(DiskDone::Hashed(Digest::Sha1(sha1(data))))
}

/// Bytes that repeat at no usual length.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..len).map(|_| next() as u8).collect()
}

/// `items` in an order that follows from `seed`.
fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let order = noise(seed, items.len() * 4);
    for at in (1..items.len()).rev() {
        let draw = u32::from_le_bytes(order[at * 4..at * 4 + 4].try_into().unwrap());
        items.swap(at, draw as usize % (at + 1));
    }
    items
}
