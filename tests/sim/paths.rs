//! Which packets get through, and what TCP makes of those that do not: it tries again, ever more rarely, and gives
//! a connection up in the end.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::StreamEnd;
use pieceful_core::time::Instant;

use crate::link::Lossy;
use crate::queue::Step;
use crate::tcp::{EndId, Tcp};
use crate::{Fault, Nat, World};

/// The first retransmission comes this long after what was lost; each later one takes twice as long as the last.
const RETRANSMIT_MIN: Duration = Duration::from_millis(300);
/// No two retransmissions are further apart.
const RETRANSMIT_MAX: Duration = Duration::from_secs(60);
/// The least and the most that a system waits for an acknowledgement before it gives the connection up. Linux
/// waits for a quarter of an hour if nobody says otherwise, others for these.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(120));
/// How often a system asks for a connection, each time waiting twice as long as before.
const SYNS: u32 = 5;
/// How long it waits for the first answer.
const SYN_WAIT: Duration = Duration::from_millis(700);

/// Packets that vanish.
#[derive(Debug)]
pub(crate) enum Cut {
    /// Those to a node, or from it, or both.
    Node { node: usize, to: bool, from: bool },
    /// Those between these nodes and all others.
    Between(BTreeSet<usize>),
}

/// A sender that waits for acknowledgements.
#[derive(Debug)]
pub(crate) struct Stall {
    gives_up: Instant,
    wait: Duration,
    /// What vanished on the way, in order.
    lost: VecDeque<Lost>,
    /// Bytes the other side has read, of which this side has not heard.
    unheard: u32,
}

#[derive(Debug)]
enum Lost {
    Bytes(Vec<Bytes>),
    Fin,
}

impl World {
    /// Whether a packet gets from one node to another now.
    pub(crate) fn passes(&self, from: usize, to: usize) -> bool {
        self.cuts.iter().all(|(_, cut)| match cut {
            Cut::Node { node, to: inward, from: outward } => {
                !(*outward && *node == from || *inward && *node == to)
            }
            Cut::Between(some) => some.contains(&from) == some.contains(&to),
        })
    }

    /// Whether a node reaches, and is reached by, what is nobody of this world: trackers, name servers.
    pub(crate) fn is_online(&self, node: usize) -> bool {
        self.cuts.iter().all(|(_, cut)| match cut {
            Cut::Node { node: other, .. } => *other != node,
            Cut::Between(some) => !some.contains(&node),
        })
    }

    /// The packets that a fault makes vanish.
    pub(crate) fn cut_of(&self, node: usize, fault: &Fault) -> Option<Cut> {
        match fault {
            Fault::BlackHole { .. } | Fault::Asleep { .. } | Fault::PowerLoss { .. } => {
                Some(Cut::Node { node, to: true, from: true })
            }
            Fault::Deaf { .. } => Some(Cut::Node { node, to: true, from: false }),
            Fault::Mute { .. } => Some(Cut::Node { node, to: false, from: true }),
            Fault::Partition { with, .. } => {
                let with = with.iter().filter_map(|name| self.names.get(name).copied());
                Some(Cut::Between(with.chain([node]).collect()))
            }
            _ => None,
        }
    }

    /// The ends at `node` of its connections, of those with one other if one is named.
    pub(crate) fn ends_between(&self, node: usize, with: Option<&String>) -> Vec<EndId> {
        let with = with.map(|name| self.names.get(name).copied());
        let wanted = |end: &EndId| with.is_none_or(|with| with == Some(self.tcp.end(end.other()).node()));
        self.tcp.ends_of(node).into_iter().filter(wanted).collect()
    }

    /// Both sides of a connection are told that it is over, at once.
    pub(crate) fn reset(&mut self, end: EndId) {
        for end in [end, end.other()] {
            if self.sleeps(self.tcp.end(end).node()) {
                self.tcp.end_mut(end.other()).left_unheard = true;
            } else {
                self.told_closed(end, StreamEnd::Reset);
            }
        }
    }

    /// Nothing gets through on a connection any more.
    pub(crate) fn sever(&mut self, end: EndId) {
        self.tcp.end_mut(end).severed = true;
        self.tcp.end_mut(end.other()).severed = true;
    }

    /// Whether what the holder of this end sends reaches the other side now.
    pub(crate) fn carries(&self, from: EndId) -> bool {
        let (end, other) = (self.tcp.end(from), self.tcp.end(from.other()));
        !end.severed && (self.cuts.is_empty() || self.passes(end.node(), other.node()))
    }

    /// A packet of a connection attempt is due: whether it, and its answer, get through. Otherwise it is sent again
    /// or given up.
    pub(crate) fn syn_passes(&mut self, conn: u32) -> bool {
        let end = EndId { conn, side: 0 };
        let open = self.nodes[self.tcp.end(end.other()).node()].spec.nat == Nat::Open;
        if open && self.carries(end) && self.carries(end.other()) && !self.loses(end) {
            return true;
        }
        let dialler = self.tcp.detail_mut(end);
        dialler.syns += 1;
        let (syns, given_up) = (dialler.syns, self.tcp.end(end).fin_sent);
        let wait = SYN_WAIT * 2_u32.pow(syns - 1);
        if given_up {
            // Nobody wants it any more.
        } else if syns < SYNS {
            self.queue.after(wait, Step::Syn { conn });
        } else {
            self.queue.after(wait, Step::ConnectFailed { conn, end: StreamEnd::TimedOut });
        }
        false
    }

    /// Whether chance takes a packet between two nodes.
    fn loses(&mut self, end: EndId) -> bool {
        let [one, other] = [end, end.other()].map(|end| self.links[self.tcp.end(end).node()].link);
        Lossy::between(one, other).is_some_and(|lossy| lossy.loses(&mut self.rng))
    }

    /// Bytes for `end` reach its link: whether they get that far. Otherwise they are sent again later.
    pub(crate) fn bytes_pass(&mut self, end: EndId, parts: &mut Vec<Bytes>) -> bool {
        let from = end.other();
        if self.tcp.end(from).gone {
            return false;
        }
        if self.carries(from) && !self.tcp.has_lost(from) {
            return true;
        }
        self.stall(from).lost.push_back(Lost::Bytes(std::mem::take(parts)));
        false
    }

    /// The end of the stream for `end` arrives: whether it gets that far. A reset that is lost is not sent again.
    pub(crate) fn fin_passes(&mut self, end: EndId, reset: bool) -> bool {
        let from = end.other();
        if self.tcp.end(from).gone && !reset {
            return false;
        }
        match self.carries(from) {
            true if reset || !self.tcp.has_lost(from) => true,
            _ if reset => {
                self.tcp.end_mut(from).left_unheard = true;
                false
            }
            _ => {
                self.stall(from).lost.push_back(Lost::Fin);
                false
            }
        }
    }

    /// Bytes arrived at an end that nobody holds. If the other side has not heard of that, it hears of it now.
    pub(crate) fn nobody_there(&mut self, end: EndId) {
        if self.tcp.end(end).left_unheard {
            let delay = self.delay_between(end);
            self.queue.after(delay, Step::Fin { end: end.other(), reset: true });
        }
    }

    /// The holder of `end` has read; whether the sender hears of it. Otherwise it has to wait.
    pub(crate) fn ack_passes(&mut self, end: EndId, read: u32) -> bool {
        if self.carries(end) {
            return true;
        }
        self.stall(end.other()).unheard += read;
        false
    }

    /// A sender tries again what was lost.
    pub(crate) fn retransmit(&mut self, from: EndId) {
        let end = from.other();
        let (forth, back, now) = (self.carries(from), self.carries(end), self.queue.now);
        let Some(stall) = &mut self.tcp.detail_mut(from).stall else { return };
        let gives_up = now >= stall.gives_up;
        stall.wait = (2 * stall.wait).min(RETRANSMIT_MAX);
        let next = (now + stall.wait).min(stall.gives_up);
        let lost = if forth { std::mem::take(&mut stall.lost) } else { VecDeque::new() };
        if forth && back {
            let unheard = stall.unheard;
            self.tcp.end_stall(from);
            self.acknowledged(from, unheard);
        }
        for lost in lost {
            match lost {
                Lost::Bytes(parts) => self.at_door(end, parts),
                Lost::Fin => self.fin(end, false),
            }
        }
        let stalled = self.tcp.end(from).stalled;
        if stalled && gives_up {
            self.give_up(from);
        } else if stalled {
            self.queue.at(next, Step::Retransmit { end: from });
        }
    }

    /// The system has tried long enough.
    fn give_up(&mut self, from: EndId) {
        let holder = self.tcp.end(from).holder;
        self.cut(from, true);
        let end = self.tcp.end_mut(from);
        end.holder = holder;
        end.left_unheard = true;
        end.gone = true;
        self.tcp.end_stall(from);
        self.told_closed(from, StreamEnd::TimedOut);
    }

    fn stall(&mut self, from: EndId) -> &mut Stall {
        if !self.tcp.end(from).stalled {
            let (least, most) = PATIENCE;
            let spread = self.rng.below((most - least).as_millis() as u32);
            let gives_up = self.queue.now + least + Duration::from_millis(spread.into());
            let stall = Stall { gives_up, wait: RETRANSMIT_MIN, lost: VecDeque::new(), unheard: 0 };
            self.tcp.end_mut(from).stalled = true;
            self.tcp.detail_mut(from).stall = Some(stall);
            self.queue.after(RETRANSMIT_MIN, Step::Retransmit { end: from });
        }
        self.tcp.detail_mut(from).stall.as_mut().expect("it was put there above")
    }
}

impl Stall {
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }
}

impl Tcp {
    /// Whether something that this end sent waits to be sent again; what comes later waits behind it.
    fn has_lost(&self, id: EndId) -> bool {
        self.end(id).stalled && self.detail(id).stall.as_ref().is_some_and(Stall::has_lost)
    }

    /// Nothing is waited for any more.
    pub(crate) fn end_stall(&mut self, id: EndId) {
        self.end_mut(id).stalled = false;
        self.detail_mut(id).stall = None;
    }
}
