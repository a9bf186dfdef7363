//! What must hold of an engine's outputs at every step, whatever its peers and its disk do.

use std::collections::{BTreeMap, BTreeSet};

use pieceful_core::disk::DiskAction;
use pieceful_core::engine::{Call, CloseHow, Event, Input, Limits, Output};
use pieceful_core::id::{ConnId, DiskOp, FetchId, ResolveId};

/// How far a budget may be passed: the engine learns that it is full while it takes a read's blocks.
const SLACK: u64 = 1 << 20;

/// Once an engine gives up requests or says good-bye there may be so many times the usual of them under way: it does
/// not wait for a tracker that is dead.
const FAREWELLS: u32 = 8;

/// Follows one engine's outputs and inputs.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    limits: Limits,
    conns: BTreeMap<ConnId, Stream>,
    disk: BTreeMap<DiskOp, (u64, u64)>,
    written: u64,
    read: u64,
    fetches: BTreeSet<FetchId>,
    resolves: BTreeSet<ResolveId>,
    /// Whether its user has had it stop something.
    hurried: bool,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Stream {
    connecting: bool,
    unsent: u64,
    closing: Option<CloseHow>,
}

impl Checker {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The engine took an incoming connection.
    pub(crate) fn accepted(&mut self, conn: ConnId) -> Result<(), String> {
        ensure(self.conns.insert(conn, Stream::default()).is_none(), || format!("{conn:?} is in use already"))
    }

    /// The engine's user says something.
    pub(crate) fn command(&mut self, call: &Call) {
        let stops = matches!(call, Call::Pause(_) | Call::Remove(_) | Call::Shutdown);
        self.hurried |= stops;
    }

    /// Whether `output` is one that the engine may give now.
    pub(crate) fn output(&mut self, output: &Output) -> Result<(), String> {
        ensure(!self.stopped || matches!(output, Output::Idle { wake: None }), || {
            format!("an output after Stopped: {output:?}")
        })?;
        match output {
            Output::Connect { conn, .. } => {
                let stream = Stream { connecting: true, ..Stream::default() };
                ensure(self.conns.insert(*conn, stream).is_none(), || format!("{conn:?} is in use already"))?;
                let connecting = self.conns.values().filter(|stream| stream.connecting).count();
                within("connections being opened", connecting as u64, self.limits.connecting_max.into())?;
                within("connections", self.conns.len() as u64, self.limits.connections_max.into())
            }
            Output::Send { conn, segment } => {
                let stream = self.stream(*conn)?;
                ensure(!segment.is_empty(), || format!("an empty segment for {conn:?}"))?;
                ensure(stream.closing.is_none(), || format!("a Send for {conn:?} after its Close"))?;
                ensure(!stream.connecting, || format!("a Send for {conn:?} before it is connected"))?;
                stream.unsent += u64::from(segment.len());
                let unsent = stream.unsent;
                within("bytes given to a connection", unsent, u64::from(self.limits.send_bytes_max) + SLACK)
            }
            Output::Reading { conn, .. } => {
                let stream = self.stream(*conn)?;
                ensure(stream.closing.is_none(), || format!("a Reading for {conn:?} after its Close"))
            }
            Output::Close { conn, how } => {
                let stream = self.stream(*conn)?;
                let again = stream.closing == Some(CloseHow::AfterSend) && *how == CloseHow::Now;
                ensure(stream.closing.is_none() || again, || format!("a second Close for {conn:?}"))?;
                stream.closing = Some(*how);
                Ok(())
            }
            Output::Disk { op, action, .. } => {
                let (write, read) = match action {
                    DiskAction::Write { block, data } => {
                        ensure(data.len() == block.len as usize, || {
                            format!("{} bytes to write as {block}", data.len())
                        })?;
                        (u64::from(block.len), 0)
                    }
                    DiskAction::Read { block } => (0, u64::from(block.len)),
                    _ => (0, 0),
                };
                ensure(self.disk.insert(*op, (write, read)).is_none(), || {
                    format!("{op:?} is in use already")
                })?;
                self.written += write;
                self.read += read;
                within("bytes being written", self.written, u64::from(self.limits.write_bytes_max) + SLACK)?;
                within("bytes being read", self.read, u64::from(self.limits.read_bytes_max) + SLACK)
            }
            Output::Resolve { query, .. } => {
                ensure(self.resolves.insert(*query), || format!("{query:?} is in use already"))?;
                within("look-ups", self.resolves.len() as u64, self.limits.resolves_max.into())
            }
            Output::Fetch { fetch, .. } => {
                ensure(self.fetches.insert(*fetch), || format!("{fetch:?} is in use already"))?;
                let times = if self.hurried { FAREWELLS } else { 1 };
                within("fetches", self.fetches.len() as u64, u64::from(self.limits.fetches_max * times))
            }
            Output::Event(Event::Stopped) => {
                self.stopped = true;
                // A tracker or a name server that hangs is not waited for.
                let (conns, actions) = (self.conns.len(), self.disk.len());
                ensure(conns + actions == 0, || {
                    format!("Stopped with {conns} connections and {actions} disk actions outstanding")
                })
            }
            _ => Ok(()),
        }
    }

    /// Notes what the engine is told. A wrong one is the simulator's own fault.
    pub(crate) fn input(&mut self, input: &Input) {
        match input {
            Input::Connected { conn } => {
                self.conns.get_mut(conn).expect("Connected once, after Connect").connecting = false;
            }
            Input::Received { data, .. } => assert!(!data.is_empty(), "at least one byte"),
            Input::Sent { conn, bytes } => {
                let stream = self.conns.get_mut(conn).expect("Sent before Closed");
                stream.unsent = stream.unsent.checked_sub(u64::from(*bytes)).expect("no more Sent than Send");
            }
            Input::Closed { conn, .. } => {
                self.conns.remove(conn).expect("Closed once");
            }
            Input::Datagram { .. } => {}
            Input::Disk { op, .. } => {
                let (write, read) = self.disk.remove(op).expect("each disk action is answered once");
                self.written -= write;
                self.read -= read;
            }
            Input::Resolved { query, .. } => {
                assert!(self.resolves.remove(query), "each look-up is answered once");
            }
            Input::Fetched { fetch, .. } => {
                assert!(self.fetches.remove(fetch), "each fetch is answered once");
            }
        }
    }

    /// Answers the engine still waits for.
    pub(crate) fn outstanding(&self) -> usize {
        self.conns.len() + self.disk.len() + self.fetches.len() + self.resolves.len()
    }

    fn stream(&mut self, conn: ConnId) -> Result<&mut Stream, String> {
        self.conns.get_mut(&conn).ok_or_else(|| format!("{conn:?} is not a connection now"))
    }
}

fn within(what: &str, got: u64, max: u64) -> Result<(), String> {
    ensure(got <= max, || format!("{got} {what}, allowed are {max}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
