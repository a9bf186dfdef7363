//! What time a machine thinks it is, when it wakes its engine, and what it misses while it sleeps.

use std::time::Duration;

use pieceful_core::engine::Call;
use pieceful_core::time::Instant;

use crate::World;
use crate::queue::Step;
use crate::tcp::EndId;

/// The clock of one machine.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// How far it is ahead of the world's.
    pub(crate) ahead: Duration,
    /// Wake-ups come late by up to so much.
    pub(crate) late: Duration,
    /// No wake-up comes before.
    pub(crate) not_before: Instant,
    /// After everything that happens its engine is told so many times that time has passed, which it has not.
    pub(crate) again: u32,
    /// It is suspended: nothing happens in it.
    pub(crate) asleep: bool,
    /// What was to happen meanwhile.
    missed: Vec<Step>,
}

impl Clock {
    /// What it shows when the world's shows `now`.
    pub(crate) fn shows(&self, now: Instant) -> Instant {
        now + self.ahead
    }

    /// The world's time when it shows `at`.
    pub(crate) fn world(&self, at: Instant) -> Instant {
        Instant::ZERO + at.since(Instant::ZERO + self.ahead)
    }

    /// The machine is switched off: what it missed it will never know.
    pub(crate) fn reset(&mut self) {
        self.missed.clear();
    }
}

impl World {
    /// What the clock of a machine shows.
    pub(crate) fn clock(&self, node: usize) -> Instant {
        self.nodes[node].engine().map_or(self.queue.now, |owner| owner.clock.shows(self.queue.now))
    }

    pub(crate) fn sleeps(&self, node: usize) -> bool {
        self.nodes[node].engine().is_some_and(|owner| owner.clock.asleep)
    }

    /// Keeps what would happen in a machine that sleeps until it wakes; gives back what may happen now.
    pub(crate) fn put_off(&mut self, step: Step) -> Option<Step> {
        let Some(node) = self.machine_of(&step).filter(|&node| self.sleeps(node)) else { return Some(step) };
        if let Some(owner) = self.nodes[node].engine_mut() {
            owner.clock.missed.push(step);
        }
        None
    }

    /// In which machine a step happens, if it is not on the way between some.
    fn machine_of(&self, step: &Step) -> Option<usize> {
        let of = |end: EndId| Some(self.tcp.end(end).node());
        match *step {
            Step::Start(node)
            | Step::SwitchedOn(node)
            | Step::Wake { node, .. }
            | Step::Answer { node, .. }
            | Step::Disk { node, .. }
            | Step::Dial { node, .. } => Some(node),
            Step::Established { conn } | Step::ConnectFailed { conn, .. } => of(EndId { conn, side: 0 }),
            Step::Taken { end, .. }
            | Step::Arrived { end, .. }
            | Step::Readable { end }
            | Step::Retransmit { end }
            | Step::Closed { end, .. }
            | Step::Lingered { end }
            | Step::ScriptTimer { end } => of(end),
            Step::FaultEnds { .. }
            | Step::Syn { .. }
            | Step::AtDoor { .. }
            | Step::Fin { .. }
            | Step::Datagram(_) => None,
        }
    }

    /// Suspends a machine, or wakes it: then all that it missed happens at once, in order.
    pub(crate) fn set_asleep(&mut self, node: usize, asleep: bool) {
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        if owner.clock.asleep == asleep {
            return;
        }
        owner.clock.asleep = asleep;
        let missed = std::mem::take(&mut owner.clock.missed);
        owner.armed = None;
        if asleep {
            self.asleep += 1;
            return;
        }
        self.asleep -= 1;
        let now = self.queue.now;
        missed.into_iter().for_each(|step| self.queue.at(now, step));
        self.arm(node);
    }

    /// A machine's clock is ahead by so much more from now on.
    pub(crate) fn leap(&mut self, node: usize, by: Duration) {
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        owner.clock.ahead += by;
        if let Some((at, _)) = &mut owner.wake {
            *at = *at - by;
        }
        self.arm(node);
    }

    /// Tells an engine that time has passed when it has not.
    pub(crate) fn wake_in_vain(&mut self, node: usize) {
        let now = self.clock(node);
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        for _ in 0..owner.clock.again {
            owner.record(now, || Call::Timeout);
            if let Some(engine) = &mut owner.engine {
                engine.handle_timeout(now);
            }
        }
    }
}
