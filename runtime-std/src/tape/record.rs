//! Writing a tape while an engine runs.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pieceful_core::disk::DiskDone;
use pieceful_core::engine::{
    AddError, AddTorrent, Call, Config, Engine, Input, Output, PeerStatus, Returned,
};
use pieceful_core::id::{ConnId, TorrentId};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;

use crate::entropy;

use super::payload::Follower;
use super::said::Said;
use super::scrub::Scrubber;
use super::{Head, MAGIC, Record};

/// How long what is written may stay in memory: a program that dies loses that much of its tape.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// What to record, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// The file, which is replaced if it is there.
    pub file: PathBuf,
    /// Keep the payload of blocks as well: the tape is as large as what was transferred.
    pub payload: bool,
    /// Keep addresses off it: the engine is told others in place of those that are known beyond the local network.
    pub scrub: bool,
}

/// An engine, and whoever listens in on it.
///
/// It has the engine's calls, so that a driver need not know whether it is recorded; looks go to the engine
/// itself.
#[derive(Debug)]
pub struct Recorded {
    engine: Engine,
    recorder: Option<Box<Recorder>>,
    scrubber: Option<Scrubber>,
}

impl Recorded {
    /// A new engine; with `recorder`, from its first moment on tape.
    pub fn new(config: Config, seed: Seed, now: Instant, recorder: Option<Recorder>) -> Self {
        let mut recorder = recorder.map(Box::new);
        if let Some(recorder) = &mut recorder {
            recorder.begin(&config, seed, now);
        }
        let scrubber = recorder.as_mut().and_then(|recorder| recorder.scrubber.take());
        Self { engine: Engine::new(config, seed, now), recorder, scrubber }
    }

    /// [`Engine::call`]
    pub fn call(&mut self, now: Instant, mut call: Call) -> Returned {
        if let Some(scrubber) = &mut self.scrubber {
            call = scrubber.call(call);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.call(now, &call);
        }
        self.engine.call(now, call)
    }

    /// [`Engine::handle`]
    pub fn handle(&mut self, now: Instant, input: Input) {
        match &self.recorder {
            None => self.engine.handle(now, input),
            Some(_) => drop(self.call(now, Call::Handle(input))),
        }
    }

    /// [`Engine::handle_timeout`]
    pub fn handle_timeout(&mut self, now: Instant) {
        self.call(now, Call::Timeout);
    }

    /// [`Engine::accept`]
    pub fn accept(&mut self, now: Instant, from: SocketAddr) -> Option<ConnId> {
        match self.call(now, Call::Accept(from)) {
            Returned::Accepted(conn) => conn,
            Returned::Nothing | Returned::Added(_) => None,
        }
    }

    /// [`Engine::add_torrent`]
    pub fn add_torrent(&mut self, now: Instant, spec: Box<AddTorrent>) -> Result<TorrentId, AddError> {
        match self.call(now, Call::Add(spec)) {
            Returned::Added(added) => added,
            Returned::Nothing | Returned::Accepted(_) => Err(AddError::Stopping),
        }
    }

    /// [`Engine::poll`]
    pub fn poll(&mut self) -> Output {
        let output = self.engine.poll();
        if let Some(recorder) = &mut self.recorder {
            recorder.hear(&output, self.engine.now());
        }
        match &mut self.scrubber {
            Some(scrubber) => scrubber.output(output),
            None => output,
        }
    }

    /// [`Engine::peers`], with the addresses as the driver knows them.
    pub fn peers(&self, id: TorrentId) -> impl Iterator<Item = PeerStatus> + '_ {
        self.engine.peers(id).map(|peer| match &self.scrubber {
            Some(scrubber) => scrubber.peer(peer),
            None => peer,
        })
    }
}

impl Deref for Recorded {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

/// Writes one tape.
pub struct Recorder {
    /// `None` after a failure.
    file: Option<BufWriter<File>>,
    path: PathBuf,
    payload: bool,
    said: Said,
    /// Outputs when they were last noted.
    noted: u64,
    streams: HashMap<ConnId, Follower>,
    flushed: Instant,
    /// For the engine that is recorded.
    scrubber: Option<Scrubber>,
}

impl Recorder {
    /// Makes the file.
    ///
    /// # Errors
    /// When the system will not have it.
    pub fn create(options: &RecordOptions) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(256 << 10, File::create(&options.file)?);
        file.write_all(MAGIC)?;
        file.flush()?;
        Ok(Self {
            file: Some(file),
            path: options.file.clone(),
            payload: options.payload,
            said: Said::new(options.payload),
            noted: 0,
            streams: HashMap::new(),
            flushed: Instant::ZERO,
            scrubber: options.scrub.then(entropy::seed).transpose()?.map(Scrubber::new),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn begin(&mut self, config: &Config, seed: Seed, begins: Instant) {
        self.write(&Head { config: config.clone(), seed, begins, payload: self.payload });
    }

    fn call(&mut self, now: Instant, call: &Call) {
        let record = match call {
            Call::Handle(Input::Received { conn, data }) if !self.payload => {
                let parts = self.streams.entry(*conn).or_default().cut(data);
                Record::Received(now, *conn, parts)
            }
            Call::Handle(Input::Disk { op, result: Ok(DiskDone::Read(data)) }) if !self.payload => {
                Record::Read(now, *op, data.len() as u32)
            }
            call => {
                if let Call::Handle(Input::Closed { conn, .. }) = call {
                    self.streams.remove(conn);
                }
                Record::Call(now, call.clone())
            }
        };
        self.write(&record);
    }

    fn hear(&mut self, output: &Output, now: Instant) {
        let drained = matches!(output, Output::Idle { .. });
        if !drained || self.said.outputs() > self.noted {
            self.said.hear(output);
        }
        if !drained {
            return;
        }
        if self.said.outputs() > self.noted {
            let (outputs, digest) = self.said.so_far();
            self.noted = outputs;
            self.write(&Record::Said(outputs, digest));
        }
        if now.since(self.flushed) >= FLUSH_EVERY {
            self.flushed = now;
            let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
            self.check(flushed);
        }
    }

    fn write(&mut self, record: &impl serde::Serialize) {
        let Some(file) = &mut self.file else { return };
        let written = match postcard::to_stdvec(record) {
            Ok(bytes) => {
                file.write_all(&(bytes.len() as u32).to_le_bytes()).and_then(|()| file.write_all(&bytes))
            }
            Err(error) => Err(io::Error::other(error)),
        };
        self.check(written);
    }

    /// A tape that cannot be written on ends; what was recorded goes on.
    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(path = %self.path.display(), %error, "the tape ends here");
            self.file = None;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        self.check(flushed);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({})", self.path.display())
    }
}
