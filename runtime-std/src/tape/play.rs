//! Playing a tape to a new engine.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pieceful_core::disk::DiskDone;
use pieceful_core::engine::{Call, Config, Engine, Input, Output};
use pieceful_core::time::Instant;
use serde::de::DeserializeOwned;

use super::said::Said;
use super::{Head, MAGIC, Part, PlayError, RECORD_LEN_MAX, Record, TapeError};

/// More than any driver reads at once.
const READ_LEN_MAX: u32 = 4 << 20;

/// Outputs remembered to show where a run took another course.
const SAID_MAX: usize = 200;

/// A tape that is being read.
#[derive(Debug)]
pub struct Tape<R = BufReader<File>> {
    source: R,
    head: Head,
    records: u64,
}

/// What was on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// Calls of the engine.
    pub calls: u64,
    /// What it had to say, in outputs.
    pub outputs: u64,
    /// The engine's time from the first to the last call.
    pub span: Duration,
    /// Whether the tape ends in the middle of a record: what made it was killed.
    pub cut_short: bool,
}

impl Tape {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is no tape.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        Self::read(BufReader::new(File::open(path)?))
    }
}

impl<R: Read> Tape<R> {
    /// Reads a tape from anywhere.
    ///
    /// # Errors
    /// When it is no tape.
    pub fn read(mut source: R) -> Result<Self, TapeError> {
        let mut magic = [0; MAGIC.len()];
        source.read_exact(&mut magic).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => TapeError::NotATape,
            _ => error.into(),
        })?;
        if magic != MAGIC {
            return Err(TapeError::NotATape);
        }
        let head = read_record(&mut source, 0)?.ok_or(TapeError::NotATape)?;
        Ok(Self { source, head, records: 1 })
    }

    /// The settings of the engine that was recorded.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.head.config
    }

    /// Plays all of it to a new engine, which has to say what it said then; `hear` is told of each output.
    ///
    /// # Errors
    /// When the tape is damaged, or the engine says something else.
    pub fn play(&mut self, mut hear: impl FnMut(Instant, &Output)) -> Result<Played, PlayError> {
        let mut engine = Engine::new(self.head.config.clone(), self.head.seed, self.head.begins);
        let mut said = Said::new(self.head.payload);
        let mut recent = Vec::new();
        let mut last = self.head.begins;
        let mut calls = 0;
        let mut cut_short = false;
        loop {
            let record = match read_record(&mut self.source, self.records) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(TapeError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    cut_short = true;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            self.records += 1;
            let (now, call) = match record {
                Record::Call(now, call) => (now, call),
                Record::Received(now, conn, parts) => {
                    (now, Call::Handle(Input::Received { conn, data: self.join(&parts)? }))
                }
                Record::Read(now, op, len) => {
                    let data = self.join(&[Part::Payload(len)])?;
                    (now, Call::Handle(Input::Disk { op, result: Ok(DiskDone::Read(data)) }))
                }
                Record::Said(outputs, digest) => {
                    drain(&mut engine, |output| {
                        said.hear(output);
                        hear(last, output);
                        if recent.len() < SAID_MAX {
                            recent.push(format!("{output:?}"));
                        }
                    });
                    if said.so_far() != (outputs, digest) {
                        let at_micros = last.as_micros();
                        return Err(PlayError::Differs { at_micros, calls, said: recent });
                    }
                    recent.clear();
                    continue;
                }
            };
            last = now;
            calls += 1;
            engine.call(now, call);
        }
        drain(&mut engine, |output| {
            said.hear(output);
            hear(last, output);
        });
        let span = last.since(self.head.begins);
        Ok(Played { calls, outputs: said.so_far().0, span, cut_short })
    }

    /// The bytes that came, zeros for what was left out.
    fn join(&self, parts: &[Part]) -> Result<Bytes, TapeError> {
        if let [Part::Bytes(bytes)] = parts {
            return Ok(bytes.clone());
        }
        let mut all = BytesMut::new();
        for part in parts {
            match part {
                Part::Bytes(bytes) => all.extend_from_slice(bytes),
                Part::Payload(len) if *len > READ_LEN_MAX.saturating_sub(all.len() as u32) => {
                    return Err(damaged(self.records - 1, "more payload than any read brings"));
                }
                Part::Payload(len) => all.resize(all.len() + *len as usize, 0),
            }
        }
        Ok(all.freeze())
    }
}

fn drain(engine: &mut Engine, mut with: impl FnMut(&Output)) {
    loop {
        let output = engine.poll();
        with(&output);
        if matches!(output, Output::Idle { .. }) {
            return;
        }
    }
}

/// The next record; `None` at the end.
fn read_record<T: DeserializeOwned>(source: &mut impl Read, record: u64) -> Result<Option<T>, TapeError> {
    let mut len = [0; 4];
    match source.read(&mut len)? {
        0 => return Ok(None),
        n => source.read_exact(&mut len[n..])?,
    }
    let len = u32::from_le_bytes(len);
    if len > RECORD_LEN_MAX {
        return Err(damaged(record, format!("{len} bytes are too many")));
    }
    // What a damaged tape announces is not believed before it is there.
    let mut bytes = Vec::new();
    if source.take(len.into()).read_to_end(&mut bytes)? < len as usize {
        return Err(TapeError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    postcard::from_bytes(&bytes).map(Some).map_err(|error| damaged(record, error.to_string()))
}

fn damaged(record: u64, reason: impl Into<String>) -> TapeError {
    TapeError::Damaged { record, reason: reason.into() }
}
