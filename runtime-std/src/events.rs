//! Which events an application has yet to see: a bounded queue that says how many it had to drop.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pieceful_core::engine::Event;

/// Events kept for an application that does not look. Events are transitions, not numbers, so this many is far
/// more than a person's worth; what is dropped can be read from the status calls.
pub const EVENTS_MAX: usize = 4096;

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// Something happened.
    Event(Event),
    /// So many events were dropped here because nobody took them in time. Status calls tell the present state.
    Lagged(u64),
}

/// Events from the moment of subscribing, as an iterator that waits. Ends after [`Event::Stopped`].
#[derive(Debug)]
pub struct Events(Arc<Queue>);

impl Events {
    /// The next event, waiting no longer than `limit`. `None` when there was none in time, or the session is
    /// over ([`is_over`](Self::is_over) tells which).
    pub fn next_timeout(&mut self, limit: Duration) -> Option<SessionEvent> {
        let until = Instant::now() + limit;
        let mut state = self.0.lock();
        loop {
            if let Poll::Ready(event) = state.take() {
                return event;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self.0.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next event if there is one now; registers for a wake-up if there is none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let mut state = self.0.lock();
        let taken = state.take();
        if taken.is_pending() {
            state.waker = Some(cx.waker().clone());
        }
        taken
    }

    /// Whether the session is over and every event was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.over && state.events.is_empty()
    }
}

impl Iterator for Events {
    type Item = SessionEvent;

    /// The next event, waiting for it as long as it takes; `None` when the session is over.
    fn next(&mut self) -> Option<SessionEvent> {
        let mut state = self.0.lock();
        loop {
            match state.take() {
                Poll::Ready(event) => return event,
                Poll::Pending => {
                    state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// Hands every event to every subscriber.
#[derive(Debug, Default)]
pub struct Hub(Mutex<Subscribers>);

#[derive(Debug, Default)]
struct Subscribers {
    queues: Vec<Weak<Queue>>,
    over: bool,
}

impl Hub {
    /// A new subscriber, which sees what happens from now on.
    pub fn subscribe(&self) -> Events {
        let queue = Arc::new(Queue::default());
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.lock().over = subscribers.over;
        subscribers.queues.push(Arc::downgrade(&queue));
        Events(queue)
    }

    /// Tells every subscriber.
    pub fn tell(&self, event: &Event) {
        self.each(|queue| queue.push(event.clone()));
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.each(Queue::close);
    }

    fn each(&self, tell: impl Fn(&Queue)) {
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.queues.retain(|queue| queue.upgrade().inspect(|queue| tell(queue)).is_some());
    }
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    dropped: u64,
    over: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.events.len() == EVENTS_MAX {
            state.events.pop_front();
            state.dropped += 1;
        }
        state.events.push_back(event);
        self.wake(state);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.over = true;
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.arrived.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn take(&mut self) -> Poll<Option<SessionEvent>> {
        if self.dropped > 0 {
            return Poll::Ready(Some(SessionEvent::Lagged(std::mem::take(&mut self.dropped))));
        }
        match self.events.pop_front() {
            Some(event) => Poll::Ready(Some(SessionEvent::Event(event))),
            None if self.over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_does_not_look_is_told_how_much_it_missed_and_sees_the_latest() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        for _ in 0..EVENTS_MAX + 3 {
            hub.tell(&Event::Stopped);
        }
        hub.close();
        assert_eq!(events.next(), Some(SessionEvent::Lagged(3)));
        assert_eq!(events.by_ref().count(), EVENTS_MAX);
        assert!(events.is_over());
    }

    #[test]
    fn every_subscriber_sees_every_event_and_late_ones_see_the_end() {
        let hub = Hub::default();
        let (mut one, mut two) = (hub.subscribe(), hub.subscribe());
        hub.tell(&Event::Stopped);
        assert_eq!(one.next(), two.next());
        assert_eq!(one.next_timeout(Duration::from_millis(1)), None);
        hub.close();
        assert_eq!(hub.subscribe().next(), None);
    }
}
