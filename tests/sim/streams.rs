//! Connections as the world sees them: who dialled whom, what arrives, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::{Call, CloseHow, Input, StreamEnd};
use pieceful_std::session::LINGER_TIME;

use crate::World;
use crate::node::Kind;
use crate::nth::Operation;
use crate::odd::Calls;
use crate::queue::Step;
use crate::script::{Act, Script, Talk};
use crate::tcp::{EndId, Holder, Net};

/// How long a system tries to connect to where nothing answers.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

macro_rules! net {
    ($world:ident) => {
        Net { queue: &mut $world.queue, links: &mut $world.links, rng: &mut $world.rng }
    };
}

impl World {
    pub(crate) fn dial(&mut self, node: usize, to: SocketAddr, holder: Holder) {
        let from = self.nodes[node].ephemeral(self.tcp.len());
        let target = self.node_of(to.ip()).filter(|&node| self.nodes[node].address == to);
        let conn = self.tcp.open((node, from, holder), (target.unwrap_or(node), to));
        let end = EndId { conn, side: 0 };
        self.note(node, format_args!("dials {} ({holder:?})", self.called(to.ip())));
        if let (Holder::Engine { conn, .. }, Some(engine)) = (holder, self.nodes[node].engine_mut()) {
            engine.conns.insert(conn, end);
        }
        if self.fails(Operation::Connect) {
            self.queue.at(self.queue.now, Step::ConnectFailed { conn, end: StreamEnd::Refused });
        } else if target.is_some() {
            let delay = self.tcp.delay(end, &net!(self));
            self.queue.after(delay, Step::Syn { conn });
        } else {
            self.queue.after(CONNECT_PATIENCE, Step::ConnectFailed { conn, end: StreamEnd::TimedOut });
        }
    }

    pub(crate) fn syn(&mut self, conn: u32) {
        if !self.syn_passes(conn) {
            return;
        }
        let [dialler, target] = [0, 1].map(|side| EndId { conn, side });
        let delay = self.tcp.delay(target, &net!(self));
        let (node, from) = (self.tcp.end(target).node(), self.tcp.detail_mut(dialler).address);
        let scripted = matches!(self.nodes[node].kind, Kind::Script(_));
        if !self.nodes[node].spec.listens || !(scripted || self.is_on(node)) {
            return self.queue.after(delay, Step::ConnectFailed { conn, end: StreamEnd::Refused });
        }
        self.queue.after(delay, Step::Established { conn });
        if scripted {
            return self.script_open(target);
        }
        let now = self.clock(node);
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        let life = owner.life;
        owner.record(now, || Call::Accept(from));
        let accepted = owner.engine.as_mut().and_then(|engine| engine.accept(now, from));
        if let Some(conn) = accepted {
            owner.conns.insert(conn, target);
            let checked = owner.checker.accepted(now, conn, from);
            self.tcp.end_mut(target).holder = Holder::Engine { life, conn };
            self.note(node, format_args!("accepts {} as {conn:?}", self.called(from.ip())));
            if let Err(why) = checked {
                self.fail(&why);
            }
        } else {
            self.note(node, format_args!("refuses {}", self.called(from.ip())));
            self.tcp.cut(target, true, &mut net!(self));
        }
        self.drain(node);
    }

    pub(crate) fn established(&mut self, conn: u32) {
        let end = EndId { conn, side: 0 };
        match self.tcp.end(end).holder {
            Holder::Engine { life, conn } => {
                let node = self.tcp.end(end).node();
                if self.lives(node, life) {
                    self.input(node, Input::Connected { conn });
                }
            }
            Holder::Script => self.script_open(end),
            Holder::Nobody => {}
        }
    }

    pub(crate) fn connect_failed(&mut self, conn: u32, how: StreamEnd) {
        self.told_closed(EndId { conn, side: 0 }, how);
    }

    /// Hands bytes to a connection for whoever holds this end.
    pub(crate) fn send(&mut self, end: EndId, bytes: Bytes) {
        let node = self.tcp.end(end).node();
        let to = self.tcp.end(end.other()).node();
        let said = self.tcp.send(end, bytes, self.trace.is_kept(), &mut net!(self));
        for said in &said {
            let to = &self.nodes[to].name;
            self.trace.write(self.queue.now, &self.nodes[node].name, format_args!("-> {to:<8} {said}"));
        }
    }

    pub(crate) fn close(&mut self, end: EndId, how: CloseHow) {
        match how {
            CloseHow::AfterSend => {
                self.tcp.finish(end, true, &mut net!(self));
                self.queue.after(LINGER_TIME, Step::Lingered { end });
            }
            CloseHow::Now => self.close_now(end, StreamEnd::Finished),
        }
    }

    /// The other side has not taken the last bytes in all that time: as a driver does, nobody waits for it any longer.
    pub(crate) fn lingered(&mut self, end: EndId) {
        if self.tcp.end(end).holder != Holder::Nobody {
            self.close_now(end, StreamEnd::Finished);
        }
    }

    /// Ends the connection from this side; its owner hears of it a moment later, as a driver's would.
    pub(crate) fn close_now(&mut self, end: EndId, how: StreamEnd) {
        let holder = self.tcp.end(end).holder;
        let reset = self.rng.below(2) == 0;
        self.tcp.cut(end, reset, &mut net!(self));
        self.tcp.end_mut(end).holder = holder;
        self.tcp.end_mut(end).reading = false;
        let late = Duration::from_micros(self.rng.below(500).into());
        self.queue.after(late, Step::Closed { end, how });
    }

    /// Cuts a connection whose owner is not there any more.
    pub(crate) fn cut(&mut self, end: EndId, reset: bool) {
        self.tcp.cut(end, reset, &mut net!(self));
    }

    pub(crate) fn taken(&mut self, end: EndId, bytes: u32) {
        if let Holder::Engine { life, conn } = self.tcp.end(end).holder {
            let node = self.tcp.end(end).node();
            if self.lives(node, life) {
                self.input(node, Input::Sent { conn, bytes });
            }
        }
    }

    pub(crate) fn at_door(&mut self, end: EndId, mut parts: Vec<Bytes>) {
        if !self.bytes_pass(end, &mut parts) {
            return;
        }
        if self.tcp.end(end).holder == Holder::Nobody {
            self.nobody_there(end);
        }
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let at = self.links[self.tcp.end(end).node()].arrives(self.queue.now, len);
        // Two chunks may be in at the same microsecond: the second must not overtake the first.
        if at <= self.queue.now && self.tcp.end(end).at_door == 0 {
            self.arrived(end, parts);
        } else {
            self.tcp.end_mut(end).at_door += 1;
            self.queue.at(at, Step::Arrived { end, parts });
        }
    }

    /// Bytes that stood at the door are in.
    pub(crate) fn let_in(&mut self, end: EndId, parts: Vec<Bytes>) {
        self.tcp.end_mut(end).at_door -= 1;
        self.arrived(end, parts);
    }

    pub(crate) fn arrived(&mut self, end: EndId, parts: Vec<Bytes>) {
        self.tcp.arrived(end, parts);
        // Each read is handed over by itself: any of them may be the last one wanted.
        while let Some(bytes) = self.tcp.read(end, &mut net!(self)) {
            let read = bytes.len() as u32;
            if self.ack_passes(end, read) {
                self.acknowledged(end.other(), read);
            }
            let node = self.tcp.end(end).node();
            match self.tcp.end(end).holder {
                Holder::Engine { life, conn } if self.lives(node, life) => {
                    self.input(node, Input::Received { conn, data: bytes });
                }
                Holder::Script => self.with_script(end, |script, talk| script.heard(talk, &bytes)),
                Holder::Engine { .. } | Holder::Nobody => return,
            }
        }
        if self.tcp.at_end(end) {
            self.told_closed(end, StreamEnd::Finished);
        }
    }

    /// A sender hears that the other side has read.
    pub(crate) fn acknowledged(&mut self, end: EndId, read: u32) {
        self.tcp.acknowledged(end, read, &mut net!(self));
    }

    pub(crate) fn delay_between(&mut self, end: EndId) -> Duration {
        self.tcp.delay(end, &net!(self))
    }

    pub(crate) fn fin(&mut self, end: EndId, reset: bool) {
        if !self.fin_passes(end, reset) {
            return;
        }
        if reset {
            return self.told_closed(end, StreamEnd::Reset);
        }
        // The end of the data waits behind the data, which may still stand at the door.
        let at = self.links[self.tcp.end(end).node()].arrives(self.queue.now, 0);
        if at > self.queue.now || self.tcp.end(end).at_door > 0 {
            return self.queue.at(at, Step::Fin { end, reset });
        }
        self.tcp.end_mut(end).fin_arrived = true;
        self.arrived(end, Vec::new());
    }

    /// Tells whoever holds this end that it is over, once.
    pub(crate) fn told_closed(&mut self, end: EndId, how: StreamEnd) {
        let holder = self.tcp.end(end).holder;
        let node = self.tcp.end(end).node();
        self.tcp.cut(end, false, &mut net!(self));
        match holder {
            Holder::Engine { life, conn } if self.lives(node, life) => {
                if let Some(owner) = self.nodes[node].engine_mut() {
                    owner.conns.remove(conn);
                }
                self.input(node, Input::Closed { conn, end: how });
            }
            Holder::Script => {
                if let Some(mut script) = self.tcp.end_mut(end).script.take() {
                    script.closed(how);
                }
                self.call_again(end);
            }
            Holder::Engine { .. } | Holder::Nobody => {}
        }
    }

    /// A scripted peer's own call is over: perhaps it calls again.
    fn call_again(&mut self, end: EndId) {
        let node = self.tcp.end(end).node();
        let Kind::Script(peer) = &self.nodes[node].kind else { return };
        if let Some((to, Calls { again: Some(pause), .. })) = peer.calls
            && end.side == 0
        {
            self.queue.after(pause, Step::Dial { node, to });
        }
    }

    fn script_open(&mut self, end: EndId) {
        let node = self.tcp.end(end).node();
        let Kind::Script(peer) = &mut self.nodes[node].kind else { return };
        let script = (peer.make)();
        peer.met += 1;
        let end_of_it = self.tcp.end_mut(end);
        (end_of_it.holder, end_of_it.script) = (Holder::Script, Some(script));
        self.with_script(end, |script, talk| script.open(talk));
    }

    /// Has a scripted peer do something on all connections it has now.
    pub fn talk(&mut self, name: &str, say: impl Fn(&mut Talk<'_>)) {
        for end in self.tcp.ends_of(self.index(name)) {
            self.with_script(end, |_, talk| say(talk));
        }
    }

    pub(crate) fn script_woken(&mut self, end: EndId) {
        self.with_script(end, |script, talk| script.woken(talk));
    }

    fn with_script(&mut self, end: EndId, call: impl FnOnce(&mut dyn Script, &mut Talk<'_>)) {
        let Some(mut script) = self.tcp.end_mut(end).script.take() else { return };
        let mut talk = Talk {
            now: self.queue.now,
            rng: &mut self.rng,
            data: &self.data,
            unsent: self.tcp.end(end).unsent(),
            acts: Vec::new(),
        };
        call(script.as_mut(), &mut talk);
        let acts = talk.acts;
        self.tcp.end_mut(end).script = Some(script);
        for act in acts {
            match act {
                Act::Send(bytes) => self.send(end, bytes),
                Act::Wake(span) => self.queue.after(span, Step::ScriptTimer { end }),
                Act::Reading(on) => {
                    self.tcp.end_mut(end).reading = on;
                    self.queue.at(self.queue.now, Step::Readable { end });
                }
                Act::HalfClose => self.tcp.finish(end, false, &mut net!(self)),
                Act::Close => self.tcp.finish(end, true, &mut net!(self)),
                Act::Reset => {
                    self.tcp.cut(end, true, &mut net!(self));
                    self.tcp.end_mut(end).script = None;
                    self.call_again(end);
                }
            }
        }
    }
}
