//! When saved state reaches the disk: soon, on a thread of its own, the latest of each key only.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use pieceful_core::engine::SaveKey;
use pieceful_core::id::{InfoHash, TorrentId};

use crate::store::Store;

/// Writes what the engine wants kept, so that the engine's thread never waits for a disk to be in sync.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    folders: HashMap<InfoHash, (TorrentId, PathBuf)>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Latest wins, so there is at most one for each key.
    saves: BTreeMap<SaveKey, (PathBuf, Bytes)>,
    stopping: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saver {
    /// Starts the thread; without a store there is none, and everything is forgotten.
    pub fn start(store: Option<Store>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = store.map(|store| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("pieceful-save".into()).spawn(move || run(&shared, &store))
        });
        Ok(Self { shared, thread: thread.transpose()?, folders: HashMap::new() })
    }

    /// State of this torrent belongs to this folder.
    pub fn knows(&mut self, info_hash: InfoHash, torrent: TorrentId, folder: PathBuf) {
        self.folders.insert(info_hash, (torrent, folder));
    }

    /// The torrent is gone.
    pub fn forgets(&mut self, torrent: TorrentId) {
        self.folders.retain(|_, (id, _)| *id != torrent);
    }

    /// Keeps `data` for the next run, in place of what was kept before.
    pub fn save(&self, key: SaveKey, data: Bytes) {
        if self.thread.is_none() {
            return;
        }
        let folder = match key {
            SaveKey::Torrent(info_hash) | SaveKey::Metadata(info_hash) => {
                self.folders.get(&info_hash).map(|(_, folder)| folder.clone())
            }
            SaveKey::Dht => Some(PathBuf::new()), // it lies in no folder of a torrent
        };
        let Some(folder) = folder else { return };
        self.shared.lock().saves.insert(key, (folder, data));
        self.shared.more.notify_one();
    }

    /// Waits until everything is written.
    pub fn stop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // what it could not write it has said in the log
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, store: &Store) {
    loop {
        let mut waiting = shared.lock();
        while waiting.saves.is_empty() {
            if waiting.stopping {
                return;
            }
            waiting = shared.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let saves = std::mem::take(&mut waiting.saves);
        drop(waiting);
        for (key, (folder, data)) in saves {
            if let Err(error) = store.save(key, &folder, &data) {
                tracing::warn!(%error, ?key, "state was not saved");
            }
        }
    }
}
