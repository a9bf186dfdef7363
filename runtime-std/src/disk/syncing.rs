//! Making files durable, on a thread of its own: it waits for the device, and the workers have blocks to write meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pieceful_core::disk::DiskDone;

use super::{Job, Shared, error, lock, look};

/// The way to the thread, as long as the workers run.
#[derive(Default)]
pub(super) struct Syncing {
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Syncing {
    /// Starts the thread.
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
        let (sender, jobs) = mpsc::channel();
        *lock(&shared.syncing.jobs) = Some(sender);
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name("disk-sync".into()).spawn(move || run(&shared, &jobs))
    }

    /// Hands over a sync; says whether it will be answered.
    pub(super) fn submit(&self, job: Job) -> bool {
        lock(&self.jobs).as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        *lock(&self.jobs) = None;
    }
}

fn run(shared: &Shared, jobs: &Receiver<Job>) {
    for job in jobs {
        let sync = || look::sync(&*shared.files.of(job.torrent)?).map(DiskDone::Synced);
        let result = catch_unwind(AssertUnwindSafe(sync)).unwrap_or_else(|_| Err(error::panicked()));
        shared.answer(&mut vec![(job.op, result)]);
    }
}
