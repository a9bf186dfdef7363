//! What one worker does, and in which order.
//!
//! It takes its whole queue at once and sorts it by piece. That keeps the order within each piece, brings
//! blocks together that arrived interleaved from several peers, and so turns many small writes into few large
//! ones, each hashed just before it is written.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskAction, DiskDone, DiskError, PieceHasher};
use pieceful_core::id::{BLOCK_LEN, Block, DiskOp, PieceIndex, TorrentId};

use super::files::TorrentFiles;
use super::handles::Hand;
use super::write::{Answer, Run};
use super::{Completion, Gathering, Job, Queue, Shared, Task, error, hash, lock, look, read};

/// Bytes written before answers are made known in the middle of a batch: a long batch must not hold back the
/// room in the engine's write budget that it has already freed.
const ANSWER_EVERY: u32 = 512 * 1024;

/// Pieces that wait to be hashed from the files together.
const TOGETHER_MAX: usize = 4;

/// Executes the queue number `index` until the pool is stopped.
pub(super) fn run(shared: &Shared, index: usize) {
    let mut worker = Worker::new(shared);
    let mut tasks = Vec::new();
    while take(&shared.queues[index], &mut tasks) {
        worker.work(&mut tasks);
    }
}

/// Waits for tasks and takes all of them; `false` when there will be none.
fn take(queue: &Queue, tasks: &mut Vec<Task>) -> bool {
    let mut waiting = lock(&queue.waiting);
    loop {
        if !waiting.tasks.is_empty() {
            std::mem::swap(&mut waiting.tasks, tasks);
            return true;
        }
        if waiting.stopping {
            waiting.ended = true;
            return false;
        }
        waiting.asleep = true;
        waiting = queue.more.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    hand: Hand<'a>,
    /// The torrent of the job before.
    files: Option<Arc<TorrentFiles>>,
    jobs: VecDeque<Job>,
    run: Run,
    live: hash::Live,
    /// Pieces to be hashed from the files.
    hashing: Vec<Hashing>,
    chunk: Vec<u8>,
    answers: Vec<Completion>,
    /// Bytes written since answers were last made known.
    unannounced: u32,
    /// The job being executed, until it is answered or waits in `run` or `hashing`; for the case of a panic.
    current: Option<DiskOp>,
    /// The same for the hash being completed, which may belong to an earlier job.
    completing: Option<DiskOp>,
}

struct Hashing {
    op: DiskOp,
    piece: PieceIndex,
    hasher: PieceHasher,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            hand: Hand::new(&shared.files.handles),
            files: None,
            jobs: VecDeque::new(),
            run: Run::default(),
            live: hash::Live::default(),
            hashing: Vec::new(),
            chunk: vec![0; hash::CHUNK_LEN],
            answers: Vec::new(),
            unannounced: 0,
            current: None,
            completing: None,
        }
    }

    fn work(&mut self, tasks: &mut Vec<Task>) {
        for task in tasks.drain(..) {
            match task {
                Task::Piece(job) => self.jobs.push_back(job),
                Task::Torrent(gathering) => {
                    self.work_off();
                    self.gather(&gathering);
                }
            }
        }
        self.work_off();
        // An idle worker holds no file open that the others have closed.
        self.hand.release();
        self.announce();
    }

    /// Executes the jobs gathered, whatever happens.
    fn work_off(&mut self) {
        sort(self.jobs.make_contiguous());
        while !self.jobs.is_empty() || !self.run.is_empty() || !self.hashing.is_empty() {
            let done = catch_unwind(AssertUnwindSafe(|| {
                while let Some(job) = self.jobs.pop_front() {
                    self.current = Some(job.op);
                    self.execute(job);
                }
                self.settle();
            }));
            if done.is_err() {
                self.recover();
            }
        }
    }

    /// After a panic: everything that was in hand has failed, and nothing remembered can be relied on.
    fn recover(&mut self) {
        let in_run = self.run.answers.drain(..).map(|answer| match answer {
            Answer::Written { op, .. } | Answer::Hashed { op, .. } => op,
        });
        let hashing = self.hashing.drain(..).map(|hashing| hashing.op);
        let failed: Vec<DiskOp> =
            in_run.chain(hashing).chain(self.current.take()).chain(self.completing.take()).collect();
        self.answers.extend(failed.into_iter().map(|op| (op, Err(error::panicked()))));
        self.run.clear();
        self.live.clear();
        self.hand.release();
        self.files = None;
    }

    fn execute(&mut self, job: Job) {
        let Job { op, torrent, action } = job;
        if let Err(error) = self.turn_to(torrent) {
            return self.answer(op, Err(error));
        }
        let Some(files) = self.files.clone() else { return };
        match action {
            DiskAction::Write { block, data } => self.write(&files, op, block, data),
            DiskAction::Hash { piece } => self.hash(&files, op, piece),
            DiskAction::Read { block } => {
                self.settle();
                let result = read::read(&files, &mut self.hand, block).map(DiskDone::Read);
                self.answer(op, result);
            }
            DiskAction::HashBlocks { piece } => {
                self.settle();
                let result = hash::blocks(&files, &mut self.hand, piece, &mut self.chunk);
                self.answer(op, result.map(DiskDone::BlocksHashed));
            }
            DiskAction::Open { .. } | DiskAction::Prepare { .. } | DiskAction::Sync | DiskAction::Close => {
                unreachable!("disk: actions on a whole torrent are gathered, not queued as a piece's")
            }
        }
    }

    /// Makes `torrent` the one at hand, after finishing what is under way for another.
    fn turn_to(&mut self, torrent: TorrentId) -> Result<(), DiskError> {
        if self.files.as_ref().is_some_and(|files| files.id == torrent) {
            return Ok(());
        }
        self.settle();
        self.files = None;
        self.files = Some(self.shared.files.of(torrent)?);
        Ok(())
    }

    fn write(&mut self, files: &TorrentFiles, op: DiskOp, block: Block, data: Chain) {
        if !files.layout.contains(block) || data.len() != block.len as usize {
            return self.answer(op, Err(error::no_such_block()));
        }
        if self.hashing.iter().any(|hashing| hashing.piece == block.piece) {
            self.settle();
        }
        if !self.run.takes(files, block) {
            self.flush();
        }
        self.live.absorb(files.id, block, &data);
        self.run.push(op, block, data);
        self.current = None;
        if self.run.is_due(files) {
            self.flush();
        }
    }

    fn hash(&mut self, files: &TorrentFiles, op: DiskOp, piece: PieceIndex) {
        let hasher = self.live.take(files.id, piece);
        let len = files.layout.piece_len(piece);
        if len > 0 && hasher.position() == len {
            if let Some(digest) = hasher.finish(len) {
                if self.run.is_empty() {
                    return self.answer(op, Ok(DiskDone::Hashed(digest)));
                }
                // It counts only once the bytes are in the file.
                self.run.answers.push(Answer::Hashed { op, piece, digest });
                self.current = None;
            }
            return;
        }
        self.flush();
        self.hashing.push(Hashing { op, piece, hasher });
        self.current = None;
        if self.hashing.len() >= TOGETHER_MAX {
            self.hash_together();
        }
    }

    /// Finishes everything under way.
    fn settle(&mut self) {
        self.flush();
        self.hash_together();
    }

    /// Writes the run and answers for it.
    fn flush(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let Some(files) = self.files.clone() else { return };
        let (written, error) = self.run.write(&files, &mut self.hand);
        self.unannounced += written;
        let mut answers = std::mem::take(&mut self.run.answers);
        if let Some(error) = error {
            self.answer_failed(&files, &mut answers, written, &error);
        } else {
            self.answers.extend(answers.drain(..).map(|answer| match answer {
                Answer::Written { op, .. } => (op, Ok(DiskDone::Written)),
                Answer::Hashed { op, digest, .. } => (op, Ok(DiskDone::Hashed(digest))),
            }));
        }
        self.run.answers = answers;
        if self.unannounced >= ANSWER_EVERY {
            self.announce();
        }
    }

    /// Answers for a run of which only the first `written` bytes are in the files.
    fn answer_failed(
        &mut self,
        files: &TorrentFiles,
        answers: &mut Vec<Answer>,
        written: u32,
        error: &DiskError,
    ) {
        let mut failed: Option<PieceIndex> = None;
        for answer in answers.drain(..) {
            match answer {
                Answer::Written { op, end, .. } if end <= written => {
                    self.answers.push((op, Ok(DiskDone::Written)));
                }
                Answer::Written { op, piece, .. } => {
                    // What was hashed is not what the file holds.
                    self.live.forget(files.id, piece);
                    failed = Some(piece);
                    self.answers.push((op, Err(error.clone())));
                }
                Answer::Hashed { op, piece, .. } if failed == Some(piece) => {
                    self.hashing.push(Hashing { op, piece, hasher: PieceHasher::new() });
                }
                Answer::Hashed { op, digest, .. } => self.answers.push((op, Ok(DiskDone::Hashed(digest)))),
            }
        }
    }

    /// Completes the hashes of all pieces that wait for it from the files.
    ///
    /// One after the other for now. They are independent streams, so this is where several of them can be
    /// hashed at once in interleaved lanes.
    fn hash_together(&mut self) {
        let Some(files) = self.files.clone() else { return };
        while let Some(Hashing { op, piece, hasher }) = self.hashing.pop() {
            self.completing = Some(op);
            let digest = hash::complete(&files, &mut self.hand, piece, hasher, &mut self.chunk);
            self.completing = None;
            self.answer(op, digest.map(DiskDone::Hashed));
        }
    }

    fn gather(&mut self, gathering: &Gathering) {
        if gathering.closes {
            self.live.forget_torrent(gathering.torrent);
            self.files = None;
            self.hand.release();
        }
        if gathering.opens {
            self.files = None; // they are looked at anew
        }
        self.hand.release(); // what it holds may be removed
        let Some(job) = gathering.arrive() else { return };
        let op = job.op;
        if job.action == DiskAction::Sync {
            if !self.shared.syncing.submit(job) {
                self.answer(op, Err(error::stopped()));
            }
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.execute_whole(job)));
        self.answer(op, result.unwrap_or_else(|_| Err(error::panicked())));
    }

    fn execute_whole(&self, job: Job) -> Result<DiskDone, DiskError> {
        let files = self.shared.files.of(job.torrent);
        match job.action {
            DiskAction::Open { .. } => Ok(DiskDone::Opened(look::existing(&*files?)?)),
            DiskAction::Prepare { writes, files: which, aside, allocation } => {
                let files = files?;
                files.settle(writes)?;
                files.settle_aside(&aside)?;
                if files.has_no_parts() {
                    self.shared.files.handles.forget_file(job.torrent, files.parts());
                }
                look::prepare(&files, &which, allocation)?;
                Ok(DiskDone::Prepared)
            }
            DiskAction::Close => {
                self.shared.files.forget(job.torrent);
                Ok(DiskDone::Closed)
            }
            DiskAction::Write { .. }
            | DiskAction::Read { .. }
            | DiskAction::Hash { .. }
            | DiskAction::HashBlocks { .. }
            | DiskAction::Sync => {
                unreachable!("disk: an action on a piece, or a sync, is executed elsewhere")
            }
        }
    }

    fn answer(&mut self, op: DiskOp, result: Result<DiskDone, DiskError>) {
        if self.current == Some(op) {
            self.current = None;
        }
        self.answers.push((op, result));
    }

    fn announce(&mut self) {
        self.unannounced = 0;
        self.shared.answer(&mut self.answers);
    }
}

/// Brings each piece's jobs together, in their order, and puts neighbouring writes side by side.
fn sort(jobs: &mut [Job]) {
    // Both sorts are stable, and cost one pass when there is nothing to do.
    jobs.sort_by_key(|job| (job.torrent, piece_of(&job.action)));
    let writes = |one: &Job, next: &Job| match (&one.action, &next.action) {
        (DiskAction::Write { block: one, .. }, DiskAction::Write { block: next, .. }) => {
            one.piece == next.piece
        }
        _ => false,
    };
    for run in jobs.chunk_by_mut(|one, next| one.torrent == next.torrent && writes(one, next)) {
        // Blocks of the usual shape are the same or apart, so only equal ones have an order to keep.
        let usual = |job: &Job| match &job.action {
            DiskAction::Write { block, .. } => block.offset % BLOCK_LEN == 0 && block.len <= BLOCK_LEN,
            _ => false,
        };
        if run.iter().all(usual) {
            run.sort_by_key(|job| offset_of(&job.action));
        }
    }
}

fn piece_of(action: &DiskAction) -> PieceIndex {
    match action {
        DiskAction::Write { block, .. } | DiskAction::Read { block } => block.piece,
        DiskAction::Hash { piece } | DiskAction::HashBlocks { piece } => *piece,
        DiskAction::Open { .. } | DiskAction::Prepare { .. } | DiskAction::Sync | DiskAction::Close => {
            PieceIndex(0)
        }
    }
}

fn offset_of(action: &DiskAction) -> u32 {
    match action {
        DiskAction::Write { block, .. } => block.offset,
        _ => 0,
    }
}
