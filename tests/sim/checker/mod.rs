//! What must hold of an engine's outputs at every step, whatever its peers and its disk do.

mod budgets;
mod claims;
mod closes;
mod contract;
mod private;
mod shares;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use pieceful_core::disk::{DiskAction, DiskDone};
use pieceful_core::engine::{Call, Engine, Event, Input, Limits, Output, Segment, Selection};
use pieceful_core::id::{ConnId, FetchId, ResolveId, TorrentId};
use pieceful_core::time::Instant;
use slotmap::SecondaryMap;

use crate::Data;
use crate::words::Said;
use budgets::{Actions, SLACK, within};
use claims::Known;
pub use claims::Truth;
use closes::Cause;
use contract::Stream;
use talk::Talk;

/// Every so many times an engine has no more to say, everything is looked at that is too much for every time.
const THOROUGH_EVERY: u64 = 64;
/// One that has more connections and torrents than that is looked at so many times more rarely for each of the others:
/// what is looked at grows with them, and what a step costs is not to.
const MORE_RARELY: u64 = 32;

/// Once an engine is told to stop it says good-bye with so many times the usual requests: there is no time to wait for
/// trackers that are dead.
const FAREWELLS: u32 = 8;

/// Follows one engine's outputs and inputs.
#[derive(Debug, Default)]
pub struct Checker {
    now: Instant,
    limits: Limits,
    cause: Cause,
    conns: SecondaryMap<ConnId, Conn>,
    torrents: Vec<Known>,
    actions: Actions,
    fetches: BTreeSet<FetchId>,
    resolves: BTreeSet<ResolveId>,
    /// Whether it has been told to stop.
    stopping: bool,
    /// Connections to us whose handshake is not whole.
    greeting: u32,
    connecting: u32,
    stopped: bool,
    drained: u64,
    /// Everything is looked at once it has had no more to say so many times.
    thorough_at: u64,
    /// The places of torrents of which something was said since it last had no more to say.
    spoken: Vec<usize>,
    /// Reused list of what was said.
    said: Vec<Said>,
}

#[derive(Debug)]
#[repr(C)] // as with [`Talk`]
struct Conn {
    address: SocketAddr,
    stream: Stream,
    incoming: bool,
    talk: Talk,
    /// Bytes that came before the engine had introduced itself.
    before: u64,
}

impl Checker {
    /// Follows an engine with these limits, from its beginning.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The engine has a torrent, or a link to one, with a limit of its own for connections if it is given one.
    pub fn added(&mut self, torrent: TorrentId, data: Arc<Data>, is_link: bool, peers_max: Option<u32>) {
        let most = peers_max.unwrap_or(self.limits.torrent_connections_max);
        self.torrents.push(Known::new(torrent, data, is_link, most));
    }

    /// The engine took an incoming connection.
    pub fn accepted(&mut self, now: Instant, conn: ConnId, from: SocketAddr) -> Result<(), String> {
        self.now = now;
        self.cause = Cause::Conn(conn, from);
        self.greeting += 1;
        self.insert(conn, from, true)
    }

    fn insert(&mut self, conn: ConnId, address: SocketAddr, incoming: bool) -> Result<(), String> {
        let new =
            Conn { address, incoming, stream: Stream::new(!incoming), talk: Talk::new(self.now), before: 0 };
        ensure(self.conns.insert(conn, new).is_none(), || format!("{conn:?} is in use already"))?;
        let most = u64::from(self.limits.connections_max) + u64::from(self.limits.greeting_max);
        within("connections", self.conns.len() as u64, most)
    }

    /// The engine is going to be called for another reason than an input: time, or its user.
    pub fn called(&mut self, now: Instant, call: &Call) {
        self.now = now;
        self.cause = Cause::Other;
        self.stopping |= matches!(call, Call::Shutdown);
        if let Call::SetFiles(torrent, files) = call {
            self.wants(*torrent, files);
        }
        if let Call::SetTorrentConnections(torrent, max) = call
            && let Some(known) = self.torrents.iter_mut().find(|known| known.id == *torrent)
        {
            known.peers_max = max.unwrap_or(self.limits.torrent_connections_max);
        }
    }

    /// These files of a torrent are wanted.
    pub fn wants(&mut self, torrent: TorrentId, files: &Selection) {
        if let Some(known) = self.torrents.iter_mut().find(|known| known.id == torrent) {
            known.files = files.clone();
        }
    }

    /// Whether `output` is one that the engine may give now. The address of a peer that it says has done wrong, if
    /// it does: that peer must not be an honest one.
    pub fn output(&mut self, output: &Output, disk: &dyn Truth) -> Result<Option<SocketAddr>, String> {
        ensure(!self.stopped || matches!(output, Output::Idle { wake: None }), || {
            format!("an output after Stopped: {output:?}")
        })?;
        match output {
            Output::Connect { conn, to } => {
                self.connecting += 1;
                self.insert(*conn, *to, false)?;
                within(
                    "connections being opened",
                    self.connecting.into(),
                    self.limits.connecting_max.into(),
                )?;
            }
            Output::Send { conn, segment } => {
                self.sends(*conn, segment, disk).map_err(|why| format!("{conn:?}: {why}"))?;
            }
            Output::Reading { conn, on } => {
                self.conn(*conn)?.stream.read(*on).map_err(|why| format!("{conn:?}: {why}"))?;
            }
            Output::Close { conn, how } => {
                let state = self.conn(*conn)?;
                let was_open = !state.stream.is_closing();
                state.stream.close(*how).map_err(|why| format!("{conn:?}: {why}"))?;
                if was_open {
                    self.leaves(*conn);
                }
            }
            Output::Disk { op, torrent, action } => {
                let known = self.torrents.iter_mut().find(|known| known.id == *torrent);
                let checking = known.as_ref().is_some_and(|known| known.checking);
                if let (Some(known), DiskAction::Open { .. }) = (known, action) {
                    known.opens();
                }
                self.actions.begin(*op, *torrent, action, checking, &self.limits)?;
            }
            Output::Resolve { query, .. } => {
                ensure(self.resolves.insert(*query), || format!("{query:?} is in use already"))?;
                within("look-ups", self.resolves.len() as u64, self.limits.resolves_max.into())?;
            }
            Output::Fetch { fetch, .. } => {
                ensure(self.fetches.insert(*fetch), || format!("{fetch:?} is in use already"))?;
                let times = if self.stopping { FAREWELLS } else { 1 };
                within("fetches", self.fetches.len() as u64, u64::from(self.limits.fetches_max * times))?;
            }
            Output::Event(event) => return self.event(event, disk),
            Output::Datagram { data, .. } => {
                let mut private = self.torrents.iter().filter(|known| known.is_private);
                private.try_for_each(|known| private::datagram(known, data))?;
            }
            Output::Save { .. } | Output::Idle { .. } => {}
        }
        Ok(None)
    }

    fn sends(&mut self, conn: ConnId, segment: &Segment, disk: &dyn Truth) -> Result<(), String> {
        let mut all = std::mem::take(&mut self.said);
        let state = self.conn(conn)?;
        state.stream.send(segment)?;
        let unsent = state.stream.unsent;
        match segment {
            Segment::Bytes(bytes) => state.talk.says(bytes, &mut all),
            Segment::Block { block, .. } => state.talk.says_block(block.len, &mut all),
        }
        within("bytes not sent", unsent, u64::from(self.limits.send_bytes_max) + SLACK)?;
        for said in all.drain(..) {
            self.says(conn, &said, disk)?;
        }
        self.said = all;
        if let Some(torrent) = self.conns[conn].talk.torrent {
            self.torrents[torrent].sent += u64::from(segment.len());
        }
        Ok(())
    }

    fn says(&mut self, conn: ConnId, said: &Said, disk: &dyn Truth) -> Result<(), String> {
        let now = self.now;
        let asked_max = self.limits.asked_max as usize;
        let state = self.conns.get_mut(conn).expect("the caller has seen to it");
        let talk = &mut state.talk;
        if let Said::Handshake { info_hash, .. } = said {
            let named = |known: &Known| known.data.info_hash().on_the_wire() == *info_hash;
            let place = self.torrents.iter().rposition(named);
            let place = place.ok_or("a handshake for a torrent that it does not have")?;
            talk.is_about(place, &self.torrents[place].data);
            let known = &mut self.torrents[place];
            known.received += state.before;
            known.perhaps_received -= if state.incoming { state.before } else { 0 };
        }
        let place = talk.torrent.ok_or("something is said before the handshake")?;
        let known = &mut self.torrents[place];
        let was_choking = talk.choking;
        talk.say(now, said, &known.data, &known.had, asked_max)?;
        if known.is_private {
            private::word(talk, said)?;
        }
        if self.spoken.last() != Some(&place) {
            self.spoken.push(place);
        }
        known.unchoked += u32::from(was_choking && !talk.choking);
        known.unchoked -= u32::from(!was_choking && talk.choking);
        if let Said::Piece(_, _, len, _) = said {
            known.payload_sent += u64::from(*len);
        }
        known.claims(said, disk)
    }

    fn event(&mut self, event: &Event, disk: &dyn Truth) -> Result<Option<SocketAddr>, String> {
        match event {
            Event::Stopped => {
                self.stopped = true;
                // A tracker or a name server that hangs is not waited for.
                let (conns, actions) = (self.conns.len(), self.actions.len());
                ensure(conns + actions == 0, || {
                    format!("Stopped with {conns} connections and {actions} disk actions outstanding")
                })?;
            }
            Event::Checked { torrent, .. }
            | Event::Finished { torrent }
            | Event::MetadataReceived { torrent } => {
                if let Some(known) = self.torrents.iter_mut().find(|known| known.id == *torrent) {
                    known.event(event, disk)?;
                }
            }
            _ => {}
        }
        closes::event(event, self.cause)
    }

    /// Notes what the engine is told. A wrong one is the simulator's own fault.
    pub fn input(&mut self, now: Instant, input: &Input) {
        self.now = now;
        self.cause = Cause::Other;
        match input {
            Input::Connected { conn } => {
                let state = self.conns.get_mut(*conn).expect("Connected once, after Connect");
                assert!(std::mem::take(&mut state.stream.connecting), "Connected once");
                self.cause = Cause::Conn(*conn, state.address);
                self.connecting -= 1;
            }
            Input::Received { conn, data } => {
                assert!(!data.is_empty(), "at least one byte");
                self.receives(*conn, data);
            }
            Input::Sent { conn, bytes } => {
                let state = self.conns.get_mut(*conn).expect("Sent before Closed");
                state.stream.sent(*bytes);
                self.cause = Cause::Conn(*conn, state.address);
            }
            Input::Closed { conn, .. } => {
                let state = &self.conns[*conn];
                self.cause = Cause::Conn(*conn, state.address);
                self.connecting -= u32::from(state.stream.connecting);
                if !state.stream.is_closing() {
                    self.leaves(*conn);
                }
                self.conns.remove(*conn);
            }
            Input::Datagram { .. } => {}
            Input::Disk { op, result } => {
                let action = self.actions.end(*op).expect("each disk action is answered once");
                self.cause = Cause::Disk(action.torrent);
                let known = self.torrents.iter_mut().find(|known| known.id == action.torrent);
                if let (Some(known), Some(piece), Ok(DiskDone::Hashed(digest))) = (known, action.hash, result)
                {
                    known.hashed(piece, *digest);
                }
            }
            Input::Resolved { query, .. } => {
                assert!(self.resolves.remove(query), "each look-up is answered once");
            }
            Input::Fetched { fetch, .. } => {
                assert!(self.fetches.remove(fetch), "each fetch is answered once");
            }
        }
    }

    fn receives(&mut self, conn: ConnId, bytes: &[u8]) {
        let state = self.conns.get_mut(conn).expect("Received before Closed");
        self.cause = Cause::Conn(conn, state.address);
        if state.stream.is_closing() {
            return;
        }
        let was_greeted = state.talk.is_greeted();
        state.talk.hears(bytes, &mut self.said);
        for said in self.said.drain(..) {
            if let Said::Handshake { info_hash, .. } = &said {
                let named = |known: &Known| known.data.info_hash().on_the_wire() == *info_hash;
                if let Some(place) = self.torrents.iter().rposition(named) {
                    state.talk.is_about(place, &self.torrents[place].data);
                    self.torrents[place].perhaps_received += state.before;
                }
            }
            state.talk.hear(self.now, &said);
        }
        self.greeting -= u32::from(state.incoming && !was_greeted && state.talk.is_greeted());
        let len = bytes.len() as u64;
        match state.talk.torrent {
            Some(torrent) if state.talk.is_answered() => self.torrents[torrent].received += len,
            // The torrent counts them once it has taken the peer in, which it may not.
            torrent => {
                state.before += len;
                if let Some(torrent) = torrent {
                    self.torrents[torrent].perhaps_received += len;
                }
            }
        }
    }

    /// A connection is no longer the engine's.
    fn leaves(&mut self, conn: ConnId) {
        let Some(state) = self.conns.get(conn) else { return };
        self.greeting -= u32::from(state.incoming && !state.talk.is_greeted());
        if let (Some(torrent), false) = (state.talk.torrent, state.talk.choking) {
            self.torrents[torrent].unchoked -= 1;
        }
    }

    /// The engine has no more to say: what holds only then.
    pub fn drained(&mut self, engine: &Engine) -> Result<(), String> {
        within("connections without a handshake", self.greeting.into(), self.limits.greeting_max.into())?;
        let slots = u64::from(self.limits.unchoked_max);
        for place in self.spoken.drain(..) {
            let known = &mut self.torrents[place];
            known.forget_claim();
            within("peers served", known.unchoked.into(), slots)?;
        }
        self.drained += 1;
        if self.drained >= self.thorough_at || self.drained.is_power_of_two() {
            let much = (self.conns.len() + self.torrents.len()) as u64;
            let rarer = MORE_RARELY * much.saturating_sub(THOROUGH_EVERY);
            self.thorough_at = self.drained + THOROUGH_EVERY + rarer;
            self.look_thoroughly(engine)?;
        }
        Ok(())
    }

    /// What takes longer to look at.
    pub fn look_thoroughly(&self, engine: &Engine) -> Result<(), String> {
        engine.check();
        within("torrents", engine.torrents().count() as u64, self.limits.torrents_max.into())?;
        let mut conns: Vec<BTreeMap<SocketAddr, &Talk>> = vec![BTreeMap::new(); self.torrents.len()];
        let mut counts = vec![0; self.torrents.len()];
        for state in self.conns.values().filter(|state| !state.stream.is_closing()) {
            if let Some(place) = state.talk.torrent {
                conns[place].insert(state.address, &state.talk);
                counts[place] += 1;
            }
        }
        for ((known, own), count) in self.torrents.iter().zip(conns).zip(counts) {
            shares::compare(known, engine, &self.limits)?;
            if known.is_private {
                private::peers(known, engine)?;
            }
            within("connections of a torrent", count, known.peers_max.into())?;
            for peer in engine.peers(known.id) {
                within("requests at a peer", peer.asked.into(), self.limits.asked_max.into())?;
                if let Some(talk) = own.get(&peer.address) {
                    shares::compare_with(&peer, talk)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of whole blocks that the engine has sent on a connection, and that it has been sent.
    pub(crate) fn exchanged(&self, conn: ConnId) -> Option<(u64, u64)> {
        self.conns.get(conn).map(|state| (state.talk.given, state.talk.got))
    }

    /// Answers the engine still waits for.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.conns.len() + self.actions.len() + self.fetches.len() + self.resolves.len()
    }

    fn conn(&mut self, conn: ConnId) -> Result<&mut Conn, String> {
        self.conns.get_mut(conn).ok_or_else(|| format!("{conn:?} is not a connection now"))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
