//! What happens next: virtual time, and everything that is going to happen in it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::DiskAction;
use pieceful_core::engine::{Input, StreamEnd};
use pieceful_core::id::{DiskOp, TorrentId};
use pieceful_core::time::Instant;
use std::net::SocketAddr;

use crate::tcp::EndId;

/// One thing that is going to happen. What is large lies elsewhere: steps are moved about while they wait.
#[derive(Debug)]
pub(crate) enum Step {
    /// A node begins to exist.
    Start(usize),
    /// A machine that is off is not any more.
    SwitchedOn(usize),
    /// A fault has lasted as long as it was to.
    FaultEnds { number: u64 },
    /// A node's engine asked to be woken.
    Wake { node: usize, life: u32 },
    /// The world answers an engine.
    Answer { node: usize, life: u32, input: Box<Input> },
    /// A disk worker gets to an action.
    Disk { node: usize, life: u32, op: DiskOp, torrent: TorrentId, action: Box<DiskAction> },
    /// A connection attempt reaches its target.
    Syn { conn: u32 },
    /// A connection attempt got its answer.
    Established { conn: u32 },
    /// A connection attempt failed.
    ConnectFailed { conn: u32, end: StreamEnd },
    /// The system took bytes that this end had queued.
    Taken { end: EndId, bytes: u32 },
    /// Bytes for this end reach its link.
    AtDoor { end: EndId, parts: Vec<Bytes> },
    /// Bytes for this end are in.
    Arrived { end: EndId, parts: Vec<Bytes> },
    /// This end reads again.
    Readable { end: EndId },
    /// What this end sent and got lost is sent again.
    Retransmit { end: EndId },
    /// The other side closed.
    Fin { end: EndId, reset: bool },
    /// This end has closed as its owner asked.
    Closed { end: EndId, how: StreamEnd },
    /// This end was to be closed once all is sent, and has had time for it.
    Lingered { end: EndId },
    /// A scripted peer asked to be woken.
    ScriptTimer { end: EndId },
    /// A scripted peer dials.
    Dial { node: usize, to: SocketAddr },
    /// A datagram arrives.
    Datagram(Box<Datagram>),
}

impl Step {
    pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, data: Bytes) -> Self {
        Self::Datagram(Box::new(Datagram { from, to, data }))
    }
}

/// A datagram on its way.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: Bytes,
}

/// When a step is due, and its number among all that were ever thought of.
type Place = (Instant, u64);

/// Microseconds that make a span: those of the steps due in them are in order that are soon due.
const SPAN: u64 = 1024;

/// Steps by time; those of the same time in the order they were thought of.
///
/// With ten thousand connections tens of thousands of steps wait. Only those of the present span of time lie in order,
/// so that taking one and adding one cost no more than with a few.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) now: Instant,
    next: u64,
    /// Steps taken.
    pub(crate) taken: u64,
    /// All steps up to the end of the present span.
    near: BTreeMap<Place, Step>,
    /// The present span, counted from the beginning.
    span: u64,
    /// Later ones by their span.
    far: BTreeMap<u64, Vec<(Place, Step)>>,
}

impl Queue {
    pub(crate) fn at(&mut self, at: Instant, step: Step) {
        self.next += 1;
        let key = (at.max(self.now), self.next);
        let span = key.0.as_micros() / SPAN;
        if span <= self.span {
            self.near.insert(key, step);
        } else {
            self.far.entry(span).or_default().push((key, step));
        }
    }

    pub(crate) fn after(&mut self, span: Duration, step: Step) {
        self.at(self.now + span, step);
    }

    /// Moves on to the next step that is due by `until`; to `until` itself when there is none.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<Step> {
        if self.near.is_empty()
            && let Some((span, steps)) = self.far.pop_first()
        {
            self.span = span;
            self.near.extend(steps);
        }
        let due = self.near.first_key_value().is_some_and(|((at, _), _)| *at <= until);
        if !due {
            self.now = self.now.max(until);
            return None;
        }
        let ((at, _), step) = self.near.pop_first()?;
        self.now = at;
        self.taken += 1;
        Some(step)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.far.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_by_time_and_then_in_the_order_they_were_thought_of() {
        let mut queue = Queue::default();
        let mut rng = crate::seeded(1, "queue");
        let mut thought: Vec<(Instant, usize)> = Vec::new();
        let mut taken = Vec::new();
        for round in 1..=200 {
            for _ in 0..rng.below(20) {
                let at = queue.now
                    + Duration::from_micros(rng.below([1, 900, 5_000, 3_000_000][round % 4]).into());
                queue.at(at, Step::Start(thought.len()));
                thought.push((at, thought.len()));
            }
            let until = queue.now + Duration::from_micros(rng.below(4_000).into());
            while let Some(Step::Start(number)) = queue.pop(until) {
                assert!(queue.now <= until);
                taken.push((queue.now, number));
            }
            assert_eq!(queue.now, until, "nothing that is due is left behind");
        }
        while let Some(Step::Start(number)) = queue.pop(Instant::NEVER) {
            taken.push((queue.now, number));
        }
        thought.sort_unstable();
        assert_eq!(taken, thought);
        assert!(queue.is_empty());
    }
}
