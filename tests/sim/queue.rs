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

/// One thing that is going to happen.
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
    Answer { node: usize, life: u32, input: Input },
    /// A disk worker gets to an action.
    Disk { node: usize, life: u32, op: DiskOp, torrent: TorrentId, action: DiskAction },
    /// A connection attempt reaches its target.
    Syn { conn: usize },
    /// A connection attempt got its answer.
    Established { conn: usize },
    /// A connection attempt failed.
    ConnectFailed { conn: usize, end: StreamEnd },
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
    Datagram { from: SocketAddr, to: SocketAddr, data: Bytes },
}

/// Steps by time; those of the same time in the order they were thought of.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) now: Instant,
    next: u64,
    /// Steps taken.
    pub(crate) taken: u64,
    /// Boxed, since each that comes moves its neighbours.
    steps: BTreeMap<(Instant, u64), Box<Step>>,
}

impl Queue {
    pub(crate) fn at(&mut self, at: Instant, step: Step) {
        self.next += 1;
        self.steps.insert((at.max(self.now), self.next), Box::new(step));
    }

    pub(crate) fn after(&mut self, span: Duration, step: Step) {
        self.at(self.now + span, step);
    }

    /// Moves on to the next step that is due by `until`; to `until` itself when there is none.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<Step> {
        let due = self.steps.first_key_value().is_some_and(|((at, _), _)| *at <= until);
        if !due {
            self.now = self.now.max(until);
            return None;
        }
        let ((at, _), step) = self.steps.pop_first()?;
        self.now = at;
        self.taken += 1;
        Some(*step)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
