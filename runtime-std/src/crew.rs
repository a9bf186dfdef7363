//! The session's helper threads: each owes the engine one last word, and all can be waited for.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pieceful_core::engine::Input;

use crate::engine_loop::Message;

/// Helper threads only move bytes; a connection has two of them.
const STACK_LEN: usize = 256 * 1024;

/// The threads that are running.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crew(Arc<(Mutex<usize>, Condvar)>);

impl Crew {
    /// Starts a thread. If there is none to be had, `work` is dropped unused.
    pub(crate) fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> bool {
        let member = Member::join(self.clone());
        let thread = thread::Builder::new().name(name.into()).stack_size(STACK_LEN);
        let spawned = thread.spawn(move || {
            let _member = member;
            work();
        });
        spawned.inspect_err(|error| tracing::warn!(%error, name, "no thread to be had")).is_ok()
    }

    /// Starts a thread that settles a debt. If there is no thread to be had, the debt's last word comes back.
    pub(crate) fn spawn_owing(
        &self,
        name: &str,
        debt: Debt,
        work: impl FnOnce(Debt) + Send + 'static,
    ) -> Result<(), Input> {
        // Kept where it can be had back: a closure that finds no thread is dropped, and what it holds with it,
        // here on the engine's thread, which must not wait for its own inbox.
        let debt = Arc::new(Mutex::new(Some(debt)));
        let handed = Arc::clone(&debt);
        let spawned = self.spawn(name, move || {
            if let Some(debt) = handed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                work(debt);
            }
        });
        if spawned {
            return Ok(());
        }
        let debt = debt.lock().unwrap_or_else(PoisonError::into_inner).take();
        debt.and_then(Debt::cancel).map_or(Ok(()), Err)
    }

    /// Waits until all have ended, or `limit` is over. Returns how many are left.
    pub(crate) fn wait(&self, limit: Duration) -> usize {
        let (running, ended) = &*self.0;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let (running, _) = ended
            .wait_timeout_while(running, limit, |running| *running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *running
    }
}

struct Member(Crew);

impl Member {
    fn join(crew: Crew) -> Self {
        *crew.0.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(crew)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let (running, ended) = &*self.0.0;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_all();
    }
}

/// A last word owed to the engine, told when this is dropped: also when its thread panics.
#[derive(Debug)]
pub(crate) struct Debt {
    engine: SyncSender<Message>,
    last: Option<Input>,
}

impl Debt {
    /// `fallback` is told unless something better comes up.
    pub(crate) fn new(engine: &SyncSender<Message>, fallback: Input) -> Self {
        Self { engine: engine.clone(), last: Some(fallback) }
    }

    /// Tells `last` instead of the fallback.
    pub(crate) fn settle(mut self, last: Input) {
        self.last = Some(last);
    }

    fn cancel(mut self) -> Option<Input> {
        self.last.take()
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if let Some(last) = self.last.take() {
            let _ = self.engine.send(Message::Input(last)); // an engine that has ended is owed nothing
        }
    }
}
