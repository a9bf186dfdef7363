//! What waits for the engine on its own thread: one queue, one waker, no locks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use async_channel::Sender;
use futures_lite::future::yield_now;
use pieceful_core::engine::{AddTorrent, Call, Engine, Input};
use pieceful_core::id::{ConnId, TorrentId};
use pieceful_core::time::Instant;
use pieceful_std::AddError;

/// Above this many items those who bring what a stranger can send at will (connections, datagrams) let the
/// engine go first. Streams need no such bound: each has at most one read waiting.
const ITEMS_MAX: usize = 256;

/// Something for the engine.
pub(crate) enum Item {
    Input(Input),
    /// With the time it was received at.
    Datagram(Instant, Input),
    Accepted(TcpStream, SocketAddr),
    /// The socket takes more.
    Writable(ConnId),
    Command(Command),
}

impl Item {
    /// The connection that it is about.
    pub(crate) const fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Input(input) => input.conn(),
            Self::Writable(conn) => Some(*conn),
            Self::Datagram(..) | Self::Accepted(..) | Self::Command(_) => None,
        }
    }
}

/// Something to read from the engine, on its thread.
pub(crate) type Look = Box<dyn FnOnce(&Engine) + Send>;

/// What a handle may ask for.
pub(crate) enum Command {
    Add { spec: Box<AddTorrent>, folder: PathBuf, reply: Sender<Result<TorrentId, AddError>> },
    Call(Call),
    Look(Look),
    Stop,
}

/// The queue in front of the engine.
#[derive(Default)]
pub(crate) struct Inbox {
    items: RefCell<VecDeque<Item>>,
    engine: Notifier,
}

impl Inbox {
    pub(crate) fn push(&self, item: Item) {
        self.items.borrow_mut().push_back(item);
        self.engine.wake();
    }

    /// Moves up to `most` items to `into`.
    pub(crate) fn take(&self, most: usize, into: &mut Vec<Item>) {
        let mut items = self.items.borrow_mut();
        let most = most.min(items.len());
        into.extend(items.drain(..most));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    /// Registers the engine for a wake-up at the next item.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.engine.register(cx);
    }

    /// Lets the engine catch up. It is awake when it has items, so this gives way to it rather than spinning.
    pub(crate) async fn room(&self) {
        while self.items.borrow().len() >= ITEMS_MAX {
            yield_now().await;
        }
    }
}

/// Wakes one task on the same thread.
#[derive(Default)]
pub(crate) struct Notifier(Cell<Option<Waker>>);

impl Notifier {
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    pub(crate) fn register(&self, cx: &Context<'_>) {
        let waker = self.0.take().filter(|waker| waker.will_wake(cx.waker()));
        self.0.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
    }

    /// Waits until `ready`, looking again after each [`wake`](Self::wake).
    pub(crate) async fn wait_until(&self, ready: impl Fn() -> bool) {
        poll_fn(|cx| {
            if ready() {
                return Poll::Ready(());
            }
            self.register(cx);
            Poll::Pending
        })
        .await;
    }
}

/// Rung by the disk's workers when there are answers; heard by the engine. One ring serves any number of them.
#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    pub(crate) fn ring(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return; // not heard yet
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it was rung since this was last asked; if not, whoever asks is woken when it is.
    pub(crate) fn poll_rung(&self, cx: &Context<'_>) -> bool {
        if self.hear() {
            return true;
        }
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        self.hear() // it may have been rung just before the waker was there
    }

    /// Whether it was rung since this was last asked.
    pub(crate) fn hear(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }
}
