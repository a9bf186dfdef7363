//! The driver's part: takes steps, feeds engines, and does what they say.

use std::net::IpAddr;
use std::time::Duration;

use pieceful_core::disk::DiskError;
use pieceful_core::engine::{Call, Event, FetchError, Input, Output, ResolveError, Segment, StreamEnd};

use crate::nth::{LATE, Operation};
use crate::queue::Step;
use crate::tcp::Holder;
use crate::{Data, World};

/// Wake-ups at one instant that lead to nothing, before it is called spinning.
const IDLE_WAKES_MAX: u32 = 3;
impl World {
    pub(crate) fn take(&mut self, step: Step) {
        let step = if self.asleep > 0 { self.put_off(step) } else { Some(step) };
        let Some(step) = step else { return };
        match step {
            Step::Start(node) => self.start(node),
            Step::SwitchedOn(node) if self.is_on(node) => {}
            Step::SwitchedOn(node) => self.start(node),
            Step::FaultEnds { number } => self.end_fault(number),
            Step::Wake { node, life } => self.wake(node, life),
            Step::Answer { node, life, input } => {
                if self.lives(node, life) {
                    self.input(node, *input);
                }
            }
            Step::Disk { node, life, op, torrent, action } => {
                if !self.lives(node, life) {
                    return;
                }
                let Some(engine) = self.nodes[node].engine_mut() else { return };
                if engine.disk.profile.hangs {
                    return engine.disk.hung.push(Step::Disk { node, life, op, torrent, action });
                }
                let result = engine.disk.execute(torrent, *action, &mut self.rng);
                self.input(node, Input::Disk { op, result });
            }
            Step::Datagram(datagram) => self.datagram_arrives(*datagram),
            Step::Syn { conn } => self.syn(conn),
            Step::Established { conn } => self.established(conn),
            Step::ConnectFailed { conn, end } => self.connect_failed(conn, end),
            Step::Taken { end, bytes } => self.taken(end, bytes),
            Step::AtDoor { end, parts } => self.at_door(end, parts),
            Step::Arrived { end, parts } => self.let_in(end, parts),
            Step::Readable { end } => self.arrived(end, Vec::new()),
            Step::Retransmit { end } => self.retransmit(end),
            Step::Fin { end, reset } => self.fin(end, reset),
            Step::Closed { end, how } => self.told_closed(end, how),
            Step::Lingered { end } => self.lingered(end),
            Step::ScriptTimer { end } => self.script_woken(end),
            Step::Dial { node, to } => self.dial(node, to, Holder::Script),
        }
    }

    pub(crate) fn is_on(&self, node: usize) -> bool {
        self.nodes[node].engine().is_some_and(|engine| engine.engine.is_some())
    }

    pub(crate) fn lives(&self, node: usize, life: u32) -> bool {
        self.is_on(node) && self.nodes[node].engine().is_some_and(|engine| engine.life == life)
    }

    /// Tells an engine that something happened, and does what comes of it.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let now = self.clock(node);
        match &input {
            Input::Received { .. } | Input::Sent { .. } => {}
            Input::Disk { op, result: Ok(_) } => self.note(node, format_args!("disk: {op:?} done")),
            other => self.note(node, format_args!("hears: {other:?}")),
        }
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        owner.checker.input(now, &input);
        owner.record(now, || Call::Handle(input.clone()));
        if let Some(engine) = &mut owner.engine {
            engine.handle(now, input);
            assert!(engine.breaches().is_none(), "the simulator broke the contract: {:?}", engine.breaches());
        }
        self.wake_in_vain(node);
        self.drain(node);
    }

    fn wake(&mut self, node: usize, life: u32) {
        let now = self.queue.now;
        if !self.lives(node, life) {
            return;
        }
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        if owner.armed != Some(now) {
            return;
        }
        owner.armed = None;
        if owner.wake.is_none_or(|(at, _)| at > now) {
            return self.arm(node);
        }
        if self.nth.due(|operation| operation == Operation::Timer).is_some() {
            owner.clock.not_before = now + LATE;
            return self.arm(node);
        }
        let shown = owner.clock.shows(now);
        owner.checker.called(shown, &Call::Timeout);
        owner.record(shown, || Call::Timeout);
        if let Some(engine) = &mut owner.engine {
            engine.handle_timeout(shown);
        }
        self.wake_in_vain(node);
        let before = self.outputs();
        self.drain(node);
        let useless = self.outputs() == before + 1; // nothing but Idle
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        let again = owner.wake.is_some_and(|(at, _)| at <= now);
        owner.idle_wakes = if useless && again { owner.idle_wakes + 1 } else { 0 };
        if owner.idle_wakes >= IDLE_WAKES_MAX {
            let reason = owner.wake.map_or("", |(_, reason)| reason);
            self.fail(&format!("{} asks again and again to be woken now: {reason}", self.nodes[node].name));
        }
    }

    /// Sees to it that the engine is woken when it wants to be, or earlier.
    pub(crate) fn arm(&mut self, node: usize) {
        let now = self.queue.now;
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        let Some((at, _)) = owner.wake else { return };
        let late = owner.clock.late.as_micros() as u32;
        let late = if late > 0 { self.rng.below(late) } else { 0 };
        let at = at.max(now).max(owner.clock.not_before) + Duration::from_micros(late.into());
        if owner.armed.is_none_or(|armed| armed > at) {
            owner.armed = Some(at);
            let life = owner.life;
            self.queue.at(at, Step::Wake { node, life });
        }
    }

    /// Does all that an engine says, until it has nothing more to say.
    pub(crate) fn drain(&mut self, node: usize) {
        loop {
            let now = self.queue.now;
            let Some(owner) = self.nodes[node].engine_mut() else { return };
            let Some(engine) = &mut owner.engine else { return };
            let output = engine.poll();
            assert!(engine.breaches().is_none(), "the simulator broke the contract: {:?}", engine.breaches());
            let disk = &owner.disk;
            let holds = |data: &Data, piece| disk.meddled_with || disk.holds(data, piece);
            let mut checked = owner.checker.output(&output, &holds);
            if matches!((&output, &checked), (Output::Idle { .. }, Ok(_))) {
                checked = owner.checker.drained(engine).map(|()| None);
            }
            self.transcript.write(now, node, &output);
            match checked {
                Ok(None) => {}
                Ok(Some(blamed)) => self.check_blame(node, blamed.ip()),
                Err(why) => {
                    self.note(node, format_args!("says: {output:?}"));
                    let name = self.nodes[node].name.clone();
                    self.fail(&format!("{name} does what it must not: {why}"));
                }
            }
            if let Output::Idle { wake } = output {
                owner_wake(self, node, wake.map(|wake| (wake.at, wake.reason)));
                return self.arm(node);
            }
            self.perform(node, output);
        }
    }

    fn perform(&mut self, node: usize, output: Output) {
        let now = self.queue.now;
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        let life = owner.life;
        match output {
            Output::Connect { conn, to } => self.dial(node, to, Holder::Engine { life, conn }),
            Output::Send { conn, segment } => {
                let bytes = match segment {
                    Segment::Bytes(bytes) => Ok(bytes),
                    Segment::Block { torrent, block } => {
                        let read = owner.disk.read_for_sending(torrent, block, &mut self.rng);
                        read.map_err(|_| StreamEnd::Unreadable(block.piece))
                    }
                };
                let end = owner.conns.get(conn).copied();
                match (end, bytes) {
                    // Its owner has more to say: it hears of it a moment later.
                    (Some(end), _) if self.fails(Operation::Send) => {
                        for end in [end, end.other()] {
                            self.queue.at(now, Step::Fin { end, reset: true });
                        }
                    }
                    (Some(end), Ok(bytes)) => self.send(end, bytes),
                    (Some(end), Err(how)) => self.close_now(end, how),
                    (None, _) => {}
                }
            }
            Output::Reading { conn, on } => {
                let end = owner.conns.get(conn).copied();
                self.note(node, format_args!("reading {conn:?}: {on}"));
                if let Some(end) = end {
                    self.tcp.end_mut(end).reading = on;
                    // Not at once: the engine has more to say.
                    self.queue.at(now, Step::Readable { end });
                }
            }
            Output::Close { conn, how } => {
                let end = owner.conns.get(conn).copied();
                self.note(node, format_args!("close {conn:?} {how:?}"));
                if let Some(end) = end {
                    self.close(end, how);
                }
            }
            Output::Datagram { .. } if self.nth.due(|kind| kind == Operation::Datagram).is_some() => {}
            Output::Datagram { to, data } => self.datagram(node, to, &data),
            Output::Disk { op, torrent, action } => {
                let at = owner.disk.schedule(now, torrent, &action, &mut self.rng);
                self.note(node, format_args!("disk: {op:?} {action:?}"));
                let fails = self.nth.due(|operation| matches!(operation, Operation::Disk(_)));
                let step = match fails {
                    Some(Operation::Disk(kind)) => {
                        let message = "the n-th of its kind".to_owned();
                        let input = Input::Disk { op, result: Err(DiskError { kind, file: None, message }) };
                        Step::Answer { node, life, input: Box::new(input) }
                    }
                    _ => Step::Disk { node, life, op, torrent, action: Box::new(action) },
                };
                self.queue.at(at, step);
            }
            Output::Resolve { query, host } => {
                let (time, result) = match self.fails(Operation::Resolve) {
                    true => (Duration::ZERO, Err(ResolveError::Failed)),
                    false => self.look_up(node, &host),
                };
                self.note(node, format_args!("resolve {host}"));
                let input = Box::new(Input::Resolved { query, result });
                self.queue.after(time, Step::Answer { node, life, input });
            }
            Output::Fetch { fetch, request } => {
                self.note(node, format_args!("fetch {}", request.url));
                let (time, result) = match self.fails(Operation::Fetch) {
                    true => (Duration::ZERO, Err(FetchError::Connect("connection refused".into()))),
                    false => self.fetch(node, &request),
                };
                let way = 2 * self.links[node].link.delay + Duration::from_millis(20);
                let input = Box::new(Input::Fetched { fetch, result });
                self.queue.after(way + time, Step::Answer { node, life, input });
            }
            Output::Save { key, data } => {
                if data.is_empty() {
                    owner.saved.remove(&key);
                } else {
                    owner.saved.insert(key, data);
                }
            }
            Output::Event(event) => self.event(node, event),
            Output::Idle { .. } => unreachable!("the caller has seen to it"),
        }
    }

    fn event(&mut self, node: usize, event: Event) {
        self.note(node, format_args!("event: {event:?}"));
        let now = self.queue.now;
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        let data = match &event {
            Event::Finished { torrent } | Event::Checked { torrent, .. } => {
                owner.torrents.iter().find(|(id, _)| id == torrent).map(|(_, data)| data.clone())
            }
            _ => None,
        };
        let all = match (&event, &data) {
            (Event::Finished { .. }, _) => true,
            (Event::Checked { pieces, .. }, Some(data)) => *pieces == data.pieces(),
            _ => false,
        };
        // A torrent added by the test while it runs is the test's own to follow.
        let first = data.is_some_and(|data| std::sync::Arc::ptr_eq(&data, &owner.torrents[0].1));
        owner.complete |= all && first;
        owner.events.push((now, event));
    }

    /// Nobody honest is ever said to have done wrong, but by one whose own disk deceives it.
    fn check_blame(&mut self, node: usize, ip: IpAddr) {
        let is_deceived = !self.nodes[node].is_honest();
        if !is_deceived && self.node_of(ip).is_some_and(|node| self.nodes[node].is_honest()) {
            let (name, blamed) = (self.nodes[node].name.clone(), self.called(ip));
            self.fail(&format!("{name} blames {blamed}, which is honest"));
        }
    }

    pub(crate) fn note(&mut self, node: usize, text: std::fmt::Arguments<'_>) {
        self.trace.write(self.queue.now, &self.nodes[node].name, text);
    }

    /// What to call an address.
    pub(crate) fn called(&self, ip: IpAddr) -> String {
        self.node_of(ip).map_or_else(|| ip.to_string(), |node| self.nodes[node].name.clone())
    }
}

fn owner_wake(world: &mut World, node: usize, wake: Option<(pieceful_core::time::Instant, &'static str)>) {
    if let Some(owner) = world.nodes[node].engine_mut() {
        owner.wake = wake.map(|(at, reason)| (owner.clock.world(at), reason));
    }
}
