//! Connections: two byte pipes each, with a rate, a delay and a buffer, cut anew wherever chance likes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::StreamEnd;
use pieceful_core::id::ConnId;
use pieceful_core::rng::Rng;
use pieceful_core::time::Instant;

use crate::link::{LinkState, Lossy};
use crate::paths::Stall;
use crate::queue::{Queue, Step};
use crate::script::Script;
use crate::words::{Listener, Said};

/// Bytes that the system takes of a connection before the receiver has read them, unless a test says otherwise: its
/// send buffer, what is under way, and the other's receive buffer.
const BUFFER: u32 = 256 << 10;
/// Room in the buffer that is used at once.
const ROOM_MIN: u32 = 8 << 10;
/// Bytes that travel together.
const CHUNK: u32 = 32 << 10;

/// How the bytes of a stream are cut into reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Segmentation {
    /// As they were handed over.
    Natural,
    /// Anywhere, and sometimes joined.
    #[default]
    Random,
    /// A byte at a time.
    Bytewise,
}

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    pub(crate) conn: u32,
    /// 0 dialled, 1 was dialled.
    pub(crate) side: u8,
}

impl EndId {
    pub(crate) fn other(self) -> Self {
        Self { conn: self.conn, side: 1 - self.side }
    }
}

/// Who has an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// An engine; the life tells it from the same node's earlier ones.
    Engine {
        life: u32,
        conn: ConnId,
    },
    Script,
    /// It is closed on this side.
    Nobody,
}

/// What every step of a connection needs: with ten thousand of them each is out of all caches when its turn comes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct End {
    node: u32,
    pub(crate) holder: Holder,
    /// Its holder, if that is a scripted peer and the connection stands.
    pub(crate) script: Option<Box<dyn Script>>,
    pub(crate) reading: bool,
    /// What it sends. Neither this nor what it received keeps room for more while there is nothing in it: that would
    /// be a part of memory more that is in no cache.
    pending: VecDeque<Bytes>,
    pending_len: u32,
    /// Bytes taken from `pending` that the other side has not read.
    in_flight: u32,
    last_arrival: Instant,
    ending: Ending,
    pub(crate) fin_sent: bool,
    /// What it has received and not read.
    arrived: VecDeque<Bytes>,
    pub(crate) fin_arrived: bool,
    /// Chunks for it that have reached its link and are not in.
    pub(crate) at_door: u32,
    /// It waits for something, since packets vanish.
    pub(crate) stalled: bool,
    /// Nothing that it sends ever arrives any more.
    pub(crate) severed: bool,
    /// It is closed, and the other side was never told.
    pub(crate) left_unheard: bool,
    /// Nobody is left to send again what was lost, so nothing later than that may arrive either.
    pub(crate) gone: bool,
}

/// Two lines of a cache.
const _: () = assert!(size_of::<End>() == 128);

/// Whether more will be handed over to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    No,
    /// No: the other side is told once all is sent.
    Finish,
    /// And after that the end itself is closed.
    Close,
}

/// What is rarely needed of a side of a connection.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) address: SocketAddr,
    /// How often it has asked for the connection in vain.
    pub(crate) syns: u32,
    /// What it waits for, if packets vanish.
    pub(crate) stall: Option<Stall>,
    tap: Listener,
}

impl Detail {
    const fn new(address: SocketAddr) -> Self {
        Self { address, syns: 0, stall: None, tap: Listener::new(false) }
    }
}

impl End {
    fn new(node: usize, holder: Holder) -> Self {
        Self {
            node: node as u32,
            holder,
            script: None,
            reading: true,
            pending: VecDeque::new(),
            pending_len: 0,
            in_flight: 0,
            last_arrival: Instant::ZERO,
            ending: Ending::No,
            fin_sent: false,
            arrived: VecDeque::new(),
            fin_arrived: false,
            at_door: 0,
            stalled: false,
            severed: false,
            left_unheard: false,
            gone: false,
        }
    }

    /// Where it is.
    pub(crate) const fn node(&self) -> usize {
        self.node as usize
    }

    /// Bytes handed over that the other side has not read.
    pub(crate) fn on_the_way(&self) -> u64 {
        self.unsent() + u64::from(self.in_flight)
    }

    /// Bytes handed over that the system has not taken.
    pub(crate) const fn unsent(&self) -> u64 {
        self.pending_len as u64
    }
}

/// What a pipe needs of the world.
pub(crate) struct Net<'a> {
    pub(crate) queue: &'a mut Queue,
    pub(crate) links: &'a mut [LinkState],
    pub(crate) rng: &'a mut Rng,
}

/// Every connection there ever was.
#[derive(Debug)]
pub(crate) struct Tcp {
    conns: Vec<[End; 2]>,
    details: Vec<[Detail; 2]>,
    pub(crate) segmentation: Segmentation,
    pub(crate) buffer: u32,
}

impl Default for Tcp {
    fn default() -> Self {
        Self { conns: Vec::new(), details: Vec::new(), segmentation: Segmentation::default(), buffer: BUFFER }
    }
}

impl Tcp {
    pub(crate) fn open(&mut self, from: (usize, SocketAddr, Holder), to: (usize, SocketAddr)) -> u32 {
        self.conns.push([End::new(from.0, from.2), End::new(to.0, Holder::Nobody)]);
        self.details.push([Detail::new(from.1), Detail::new(to.1)]);
        self.conns.len() as u32 - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    pub(crate) fn end(&self, id: EndId) -> &End {
        &self.conns[id.conn as usize][usize::from(id.side)]
    }

    pub(crate) fn end_mut(&mut self, id: EndId) -> &mut End {
        &mut self.conns[id.conn as usize][usize::from(id.side)]
    }

    pub(crate) fn detail(&self, id: EndId) -> &Detail {
        &self.details[id.conn as usize][usize::from(id.side)]
    }

    pub(crate) fn detail_mut(&mut self, id: EndId) -> &mut Detail {
        &mut self.details[id.conn as usize][usize::from(id.side)]
    }

    /// Every end that somebody at `node` holds.
    pub(crate) fn ends_of(&self, node: usize) -> Vec<EndId> {
        let ids = (0..self.conns.len() as u32).flat_map(|conn| [0, 1].map(|side| EndId { conn, side }));
        ids.filter(|&id| self.end(id).node() == node && self.end(id).holder != Holder::Nobody).collect()
    }

    /// Hands over bytes to send; answers what they mean, if anybody wants to know. Nothing goes out behind the end
    /// of the data: an engine may have more to say before it hears that its driver ended the connection.
    pub(crate) fn send(&mut self, id: EndId, bytes: Bytes, tapped: bool, net: &mut Net<'_>) -> Vec<Said> {
        let mut said = Vec::new();
        let end = self.end_mut(id);
        if end.fin_sent {
            return said;
        }
        if tapped {
            self.detail_mut(id).tap.hear(&bytes, &mut said);
        }
        let end = self.end_mut(id);
        end.pending_len += u32::try_from(bytes.len()).expect("nobody says gigabytes at once");
        end.pending.push_back(bytes);
        self.pump(id, net);
        said
    }

    /// No more bytes will be handed over. `close`: nor read, once they are sent.
    pub(crate) fn finish(&mut self, id: EndId, close: bool, net: &mut Net<'_>) {
        let end = self.end_mut(id);
        end.ending = end.ending.max(if close { Ending::Close } else { Ending::Finish });
        self.pump(id, net);
    }

    /// Cuts the connection off from this side: what is not taken is dropped, the other side is told.
    pub(crate) fn cut(&mut self, id: EndId, reset: bool, net: &mut Net<'_>) {
        let delay = self.delay(id, net);
        let end = self.end_mut(id);
        end.pending.clear();
        end.pending_len = 0;
        end.arrived.clear();
        end.holder = Holder::Nobody;
        if !end.fin_sent {
            end.fin_sent = true;
            let at = end.last_arrival.max(net.queue.now + delay);
            net.queue.at(at, Step::Fin { end: id.other(), reset });
        }
    }

    /// Lets the system take what fits into the buffer.
    fn pump(&mut self, id: EndId, net: &mut Net<'_>) {
        let delay = self.delay(id, net);
        let (now, buffer) = (net.queue.now, self.buffer);
        let [one, other] = &self.conns[id.conn as usize];
        let lossy = Lossy::between(net.links[one.node()].link, net.links[other.node()].link);
        let end = &mut self.conns[id.conn as usize][usize::from(id.side)];
        // A few bytes of room are not worth a packet (RFC 813), or ever smaller ones would follow.
        while end.pending_len.min(ROOM_MIN) <= buffer - end.in_flight && end.pending_len > 0 {
            let most = (buffer - end.in_flight).min(net.rng.below(CHUNK) + 1);
            let (parts, taken) = take(&mut end.pending, most);
            end.pending_len -= taken;
            end.in_flight += taken;
            net.queue.at(now, Step::Taken { end: id, bytes: taken });
            let jitter = Duration::from_micros(net.rng.below(200).into());
            let departs = net.links[end.node()].departs(now, taken.into());
            let (span, late) = lossy.map_or((Duration::ZERO, Duration::ZERO), |lossy| {
                (lossy.span(taken), lossy.late(taken, net.rng))
            });
            end.last_arrival = (end.last_arrival + span).max(departs + delay + jitter) + late;
            net.queue.at(end.last_arrival, Step::AtDoor { end: id.other(), parts });
        }
        if end.pending_len == 0 {
            end.pending = VecDeque::new();
        }
        if end.ending > Ending::No && end.pending_len == 0 {
            if !end.fin_sent {
                end.fin_sent = true;
                net.queue.at(end.last_arrival.max(now + delay), Step::Fin { end: id.other(), reset: false });
            }
            if end.ending == Ending::Close {
                end.ending = Ending::Finish;
                net.queue.at(now, Step::Closed { end: id, how: StreamEnd::Finished });
            }
        }
    }

    /// Bytes are in; they wait until they are read.
    pub(crate) fn arrived(&mut self, id: EndId, parts: Vec<Bytes>) {
        let end = self.end_mut(id);
        if end.holder != Holder::Nobody {
            end.arrived.extend(parts);
        }
    }

    /// The next bytes for whoever has this end, if it reads.
    pub(crate) fn read(&mut self, id: EndId, net: &mut Net<'_>) -> Option<Bytes> {
        let how = self.segmentation;
        let end = self.end_mut(id);
        if !end.reading || end.holder == Holder::Nobody {
            return None;
        }
        let mut bytes = end.arrived.pop_front()?;
        if how == Segmentation::Random && net.rng.below(8) == 0 {
            // The system joins what arrives close together.
            let mut joined = bytes.to_vec();
            end.arrived.drain(..).for_each(|part| joined.extend_from_slice(&part));
            bytes = joined.into();
        }
        let keep = match how {
            Segmentation::Natural => bytes.len(),
            Segmentation::Random if net.rng.below(3) > 0 => bytes.len(),
            Segmentation::Random => 1 + net.rng.below(bytes.len() as u32) as usize,
            Segmentation::Bytewise => 1,
        };
        if keep < bytes.len() {
            end.arrived.push_front(bytes.split_off(keep));
        } else if end.arrived.is_empty() {
            end.arrived = VecDeque::new();
        }
        Some(bytes)
    }

    /// The sender of this end learns that the other side has read some of it.
    pub(crate) fn acknowledged(&mut self, id: EndId, read: u32, net: &mut Net<'_>) {
        let sender = self.end_mut(id);
        sender.in_flight = sender.in_flight.saturating_sub(read);
        if sender.holder != Holder::Nobody {
            self.pump(id, net);
        }
    }

    /// One side is gone from one moment to the next, and nobody is told.
    pub(crate) fn vanish(&mut self, id: EndId) {
        let end = self.end_mut(id);
        end.pending.clear();
        end.pending_len = 0;
        end.arrived.clear();
        end.holder = Holder::Nobody;
        end.fin_sent = true;
        end.left_unheard = true;
        end.gone = true;
        self.end_stall(id);
    }

    /// Whether everything that arrived has been read, and nothing more will come.
    pub(crate) fn at_end(&self, id: EndId) -> bool {
        let end = self.end(id);
        end.fin_arrived && end.reading && end.arrived.is_empty()
    }

    /// One way between the two ends.
    pub(crate) fn delay(&self, id: EndId, net: &Net<'_>) -> Duration {
        let [one, other] = &self.conns[id.conn as usize];
        net.links[one.node()].link.delay + net.links[other.node()].link.delay
    }
}

/// At most `most` bytes from the front, small ones joined.
fn take(pending: &mut VecDeque<Bytes>, most: u32) -> (Vec<Bytes>, u32) {
    const SMALL: usize = 512;
    let (mut parts, mut small, mut left): (Vec<Bytes>, Vec<u8>, usize) =
        (Vec::new(), Vec::new(), most as usize);
    while left > 0
        && let Some(front) = pending.front_mut()
    {
        let part = front.split_to(front.len().min(left));
        if front.is_empty() {
            pending.pop_front();
        }
        left -= part.len();
        if part.len() < SMALL {
            small.extend_from_slice(&part);
            continue;
        }
        if !small.is_empty() {
            parts.push(std::mem::take(&mut small).into());
        }
        parts.push(part);
    }
    if !small.is_empty() {
        parts.push(small.into());
    }
    (parts, most - left as u32)
}
