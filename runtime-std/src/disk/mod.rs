//! The disk, for any driver: a pool of plain threads that executes the engine's disk actions.
//!
//! There is no runtime in here. A driver hands over all actions it has drained at once, is woken when answers
//! are there, and takes all of them at once; so many blocks cost one lock and at most one wake-up a worker.
//!
//! A piece belongs to one worker, which is what keeps its actions in order and lets it be hashed while its
//! blocks are still in that processor's cache. Everything happens beneath the torrent's download folder and
//! never through a symbolic link.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use pieceful_core::disk::{DiskAction, DiskDone, Layout, LayoutFile};
//! use pieceful_core::id::{DiskOp, TorrentId};
//! use pieceful_std::disk::{DiskPool, Job};
//!
//! let (wake, woken) = mpsc::channel();
//! let pool = DiskPool::start(1, move || wake.send(()).unwrap());
//! let (torrent, op) = (TorrentId::default(), DiskOp::default());
//! pool.add_torrent(torrent, std::env::temp_dir());
//! let layout = Arc::new(Layout::new(4, [LayoutFile::unnamed(8)]).unwrap());
//! pool.submit(&mut vec![Job { op, torrent, action: DiskAction::Open { layout } }]);
//! woken.recv().unwrap();
//! let mut done = Vec::new();
//! pool.completions(&mut done);
//! assert!(matches!(done[..], [(_, Ok(DiskDone::Opened(_)))]));
//! pool.stop();
//! ```

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use pieceful_core::disk::{DiskAction, DiskDone, DiskError, Layout};
use pieceful_core::id::{Block, DiskOp, PieceIndex, TorrentId};

mod aside;
mod claims;
mod error;
mod files;
mod folder;
mod handles;
mod hash;
mod locked;
mod look;
mod read;
pub(crate) mod sweep;
mod syncing;
mod worker;
mod write;

use claims::Claims;
pub use error::Unreadable;
use files::TorrentFiles;
use folder::Folder;
use handles::{Hand, Handles};
use syncing::Syncing;

/// Files held open at once, over all torrents. Well below the usual limit of 1,024 descriptors, which sockets
/// need too.
const OPEN_FILES_MAX: usize = 128;

/// Pieces shorter than this share a worker with their neighbours, so that writes to them can be joined.
const SHARD_LEN: u32 = 256 * 1024;

/// One action for the workers.
#[derive(Debug)]
pub struct Job {
    /// The name it is answered with.
    pub op: DiskOp,
    /// Whose files.
    pub torrent: TorrentId,
    /// What to do.
    pub action: DiskAction,
}

/// What came of a [`Job`].
pub type Completion = (DiskOp, Result<DiskDone, DiskError>);

/// A run of bytes in an open file, for a driver that sends or reads it itself.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file; `None` for padding, which is `len` zeros.
    pub file: Option<Arc<OwnedFd>>,
    /// Bytes from its start.
    pub offset: u64,
    /// Length in bytes.
    pub len: u32,
}

/// The workers. A clone is another handle to the same ones; they end with [`stop`](Self::stop) or with the last
/// handle.
#[derive(Clone)]
pub struct DiskPool {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

impl DiskPool {
    /// Starts `workers` threads (at least one).
    ///
    /// `wake` is called on a worker's thread whenever there are answers after there were none, so once between
    /// two calls of [`completions`](Self::completions). It must not block.
    ///
    /// # Panics
    /// When the system refuses a thread.
    pub fn start(workers: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let workers = workers.max(1);
        let shared = Arc::new(Shared {
            queues: (0..workers).map(|_| Queue::default()).collect(),
            staging: Mutex::new((0..workers).map(|_| Vec::new()).collect()),
            files: Files {
                torrents: RwLock::default(),
                handles: Handles::new(OPEN_FILES_MAX),
                claims: Arc::default(),
            },
            syncing: Syncing::default(),
            done: Mutex::default(),
            wake: Box::new(wake),
        });
        let threads = (0..workers)
            .map(|index| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("disk-{index}"))
                    .spawn(move || worker::run(&shared, index))
                    .expect("disk: the system gives a thread at start")
            })
            .collect();
        let syncs = Syncing::start(&shared).expect("disk: the system gives a thread at start");
        let threads = Arc::new(Threads {
            shared: Arc::clone(&shared),
            running: Mutex::new(threads),
            syncs: Mutex::new(Some(syncs)),
        });
        Self { shared, threads }
    }

    /// Makes a torrent's download folder known; before its `Open`. The folder need not exist.
    pub fn add_torrent(&self, torrent: TorrentId, folder: PathBuf) {
        let known = Known { folder: Arc::new(Folder::new(folder)), files: None };
        write_lock(&self.shared.files.torrents).insert(torrent, known);
    }

    /// Hands over all of `jobs`, in their order, and leaves the vector empty. Each is answered exactly once.
    pub fn submit(&self, jobs: &mut Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut staging = lock(&self.shared.staging);
        let mut router = Router { shared: &self.shared, last: None };
        for job in jobs.drain(..) {
            router.route(job, &mut staging);
        }
        for (queue, tasks) in self.shared.queues.iter().zip(staging.iter_mut()) {
            if !tasks.is_empty() {
                self.shared.hand_over(queue, tasks);
            }
        }
    }

    /// Adds all answers there are to `into`.
    pub fn completions(&self, into: &mut Vec<Completion>) {
        let mut done = lock(&self.shared.done);
        if into.is_empty() {
            std::mem::swap(&mut *done, into);
        } else {
            into.append(&mut done);
        }
    }

    /// Reads `block` on the calling thread. `into` has to be `block.len` bytes.
    ///
    /// # Errors
    /// What a `Read` of the block would be answered with.
    pub fn read_now(&self, torrent: TorrentId, block: Block, into: &mut [u8]) -> Result<(), DiskError> {
        let files = self.shared.files.of(torrent)?;
        read::read_into(&files, &mut Hand::new(&self.shared.files.handles), block, into)
    }

    /// The open files and places `block` lies in, in order, for `sendfile` and the like.
    ///
    /// # Errors
    /// As for [`read_now`](Self::read_now); but a file that is too short shows only when it is read.
    pub fn file_range(&self, torrent: TorrentId, block: Block) -> Result<Vec<FileRange>, DiskError> {
        let files = self.shared.files.of(torrent)?;
        read::ranges(&files, &mut Hand::new(&self.shared.files.handles), block)
    }

    /// Executes everything handed over so far, then ends the threads. Answers can still be taken; what is
    /// handed over from now on fails.
    pub fn stop(&self) {
        self.threads.stop();
    }
}

impl fmt::Debug for DiskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskPool({} workers)", self.shared.queues.len())
    }
}

/// Ends the workers with the last [`DiskPool`].
struct Threads {
    shared: Arc<Shared>,
    running: Mutex<Vec<JoinHandle<()>>>,
    syncs: Mutex<Option<JoinHandle<()>>>,
}

impl Threads {
    fn stop(&self) {
        for queue in &self.shared.queues {
            lock(&queue.waiting).stopping = true;
            queue.more.notify_one();
        }
        for thread in std::mem::take(&mut *lock(&self.running)) {
            let _ = thread.join(); // a worker answers for its own panics
        }
        self.shared.syncing.end();
        if let Some(thread) = lock(&self.syncs).take() {
            let _ = thread.join(); // the same
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Shared {
    queues: Box<[Queue]>,
    /// Tasks on their way to the queues; held while handing over, so that all queues see one order.
    staging: Mutex<Vec<Vec<Task>>>,
    files: Files,
    syncing: Syncing,
    done: Mutex<Vec<Completion>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The torrents known, and what is open of them.
struct Files {
    torrents: RwLock<HashMap<TorrentId, Known>>,
    handles: Handles,
    claims: Arc<Claims>,
}

struct Known {
    folder: Arc<Folder>,
    /// From the torrent's `Open` on.
    files: Option<Arc<TorrentFiles>>,
}

impl Files {
    fn of(&self, torrent: TorrentId) -> Result<Arc<TorrentFiles>, DiskError> {
        let torrents = self.torrents.read().unwrap_or_else(PoisonError::into_inner);
        torrents.get(&torrent).and_then(|known| known.files.clone()).ok_or_else(error::not_open)
    }

    fn open(&self, torrent: TorrentId, layout: &Arc<Layout>) {
        if let Some(known) = write_lock(&self.torrents).get_mut(&torrent) {
            // It begins anew.
            self.handles.forget(torrent);
            self.claims.release(torrent);
            let (folder, claims) = (Arc::clone(&known.folder), Arc::clone(&self.claims));
            known.files = Some(Arc::new(TorrentFiles::new(torrent, folder, Arc::clone(layout), claims)));
        }
    }

    fn forget(&self, torrent: TorrentId) {
        write_lock(&self.torrents).remove(&torrent);
        self.handles.forget(torrent);
        self.claims.release(torrent);
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: Vec<Task>,
    asleep: bool,
    stopping: bool,
    ended: bool,
}

/// One entry of a worker's queue.
enum Task {
    /// An action on one piece.
    Piece(Job),
    /// An action on the whole torrent. Every worker has it in its queue, and the last one to get there executes
    /// it: everything handed over before it is done by then, and nobody waits.
    Torrent(Arc<Gathering>),
}

struct Gathering {
    torrent: TorrentId,
    opens: bool,
    closes: bool,
    missing: AtomicUsize,
    job: Mutex<Option<Job>>,
}

impl Gathering {
    /// The job, for the last worker to arrive.
    fn arrive(&self) -> Option<Job> {
        if self.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        lock(&self.job).take()
    }
}

/// Decides which worker has a job.
struct Router<'a> {
    shared: &'a Shared,
    /// The torrent of the job before, and how many of its pieces stay together.
    last: Option<(TorrentId, u32)>,
}

impl Router<'_> {
    fn route(&mut self, job: Job, staging: &mut [Vec<Task>]) {
        let piece = match &job.action {
            DiskAction::Write { block, .. } | DiskAction::Read { block } => block.piece,
            DiskAction::Hash { piece } | DiskAction::HashBlocks { piece } => *piece,
            DiskAction::Open { layout } => {
                // Known from here on, so that actions right behind it find it on whichever worker.
                self.shared.files.open(job.torrent, layout);
                self.last = None;
                return to_all(job, staging);
            }
            DiskAction::Prepare { aside, .. } => {
                if let Ok(files) = self.shared.files.of(job.torrent) {
                    files.aside.announce(aside);
                }
                return to_all(job, staging);
            }
            DiskAction::Sync | DiskAction::Close => return to_all(job, staging),
        };
        let worker = self.worker_of(job.torrent, piece, staging.len());
        staging[worker].push(Task::Piece(job));
    }

    fn worker_of(&mut self, torrent: TorrentId, piece: PieceIndex, workers: usize) -> usize {
        let together = match self.last {
            Some((last, together)) if last == torrent => together,
            _ => self.shared.files.of(torrent).map_or(1, |files| files.pieces_together(SHARD_LEN)),
        };
        self.last = Some((torrent, together));
        // Neighbours go round the workers; where a torrent begins depends on the torrent.
        ((piece.0 / together) as usize).wrapping_add(torrent.slot()) % workers
    }
}

fn to_all(job: Job, staging: &mut [Vec<Task>]) {
    let gathering = Arc::new(Gathering {
        torrent: job.torrent,
        opens: matches!(job.action, DiskAction::Open { .. }),
        closes: matches!(job.action, DiskAction::Close),
        missing: AtomicUsize::new(staging.len()),
        job: Mutex::new(Some(job)),
    });
    for tasks in staging {
        tasks.push(Task::Torrent(Arc::clone(&gathering)));
    }
}

impl Shared {
    fn hand_over(&self, queue: &Queue, tasks: &mut Vec<Task>) {
        let mut waiting = lock(&queue.waiting);
        if waiting.ended {
            drop(waiting);
            let failed = tasks.drain(..).filter_map(|task| match task {
                Task::Piece(job) => Some(job.op),
                Task::Torrent(gathering) => gathering.arrive().map(|job| job.op),
            });
            self.answer(&mut failed.map(|op| (op, Err(error::stopped()))).collect());
            return;
        }
        waiting.tasks.append(tasks);
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            queue.more.notify_one();
        }
    }

    /// Makes `answers` known and leaves the vector empty.
    fn answer(&self, answers: &mut Vec<Completion>) {
        if answers.is_empty() {
            return;
        }
        let mut done = lock(&self.done);
        let first = done.is_empty();
        done.append(answers);
        drop(done);
        if first {
            (self.wake)();
        }
    }
}

/// Nothing here is left half-changed by a panic, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
