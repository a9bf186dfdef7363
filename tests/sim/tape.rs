//! Everything that was told to one engine, to be told again to another.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pieceful_core::chain::Chain;
use pieceful_core::disk::DiskAction;
use pieceful_core::engine::{Call, Config, Engine, Output, Segment};
use pieceful_core::id::ConnId;
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use pieceful_std::tape::{RecordOptions, Recorded, Recorder};
use sha1::{Digest as _, Sha1};

/// The life of one engine.
#[derive(Clone, Debug)]
pub struct Tape {
    /// Its settings.
    pub config: Config,
    /// What its choices follow from.
    pub seed: Seed,
    /// When it was made.
    pub begins: Instant,
    /// Every call, in order.
    pub calls: Vec<(Instant, Call)>,
}

impl Tape {
    /// An engine as it was at the beginning.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::new(self.config.clone(), self.seed, self.begins)
    }

    /// Plays the tape to a new engine and takes out what it has to say after every so many calls.
    #[must_use]
    pub fn play(&self, calls_between: usize) -> Vec<String> {
        let mut engine = self.engine();
        let mut said = Vec::new();
        for (number, (now, call)) in self.calls.iter().enumerate() {
            engine.call(*now, call.clone());
            if number % calls_between == 0 {
                drain(&mut engine, |output| said.push(summary(output)));
            }
        }
        drain(&mut engine, |output| said.push(summary(output)));
        said
    }

    /// Writes it as a file that `sim --tape` plays. An engine that panics ends its tape there.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let recorder =
            Recorder::create(&RecordOptions { file: file.to_owned(), payload: true, scrub: false })?;
        let mut engine = Recorded::new(self.config.clone(), self.seed, self.begins, Some(recorder));
        // The recorder keeps what it was told before the panic; there is nothing else to learn from it here.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            for (now, call) in &self.calls {
                engine.call(*now, call.clone());
                while !matches!(engine.poll(), Output::Idle { .. }) {}
            }
        }));
        Ok(())
    }

    /// Plays the tape with every call changed into others at the same time, and tells what the world would
    /// notice of it.
    #[must_use]
    pub fn effects(&self, mut change: impl FnMut(Call) -> Vec<Call>) -> Effects {
        let mut engine = self.engine();
        let mut effects = Effects::default();
        for (now, call) in &self.calls {
            for call in change(call.clone()) {
                engine.call(*now, call);
                drain(&mut engine, |output| effects.note(output));
            }
        }
        effects
    }
}

/// What the world notices of an engine, wherever it cuts its segments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// All bytes sent on each connection.
    pub sent: BTreeMap<ConnId, Vec<u8>>,
    /// What was written where.
    pub written: BTreeMap<(u32, u32), Vec<u8>>,
    /// Everything else but flow control, in order.
    pub others: Vec<String>,
}

impl Effects {
    fn note(&mut self, output: &Output) {
        match output {
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                self.sent.entry(*conn).or_default().extend_from_slice(bytes);
            }
            Output::Disk { action: DiskAction::Write { block, data }, .. } => {
                self.written.insert((block.piece.0, block.offset), data.to_vec());
            }
            Output::Disk { action, .. } => self.others.push(format!("{action:?}")),
            Output::Reading { .. } => {}
            other => self.others.push(format!("{other:?}")),
        }
    }
}

fn drain(engine: &mut Engine, mut with: impl FnMut(&Output)) {
    loop {
        match engine.poll() {
            Output::Idle { .. } => return,
            output => with(&output),
        }
    }
}

/// An output in a line, payload as its hash.
fn summary(output: &Output) -> String {
    match output {
        Output::Send { conn, segment: Segment::Bytes(bytes) } => {
            format!("send {conn:?} {} bytes, {}", bytes.len(), hash(&Chain::from(bytes.clone())))
        }
        Output::Disk { op, action: DiskAction::Write { block, data }, .. } => {
            format!("write {op:?} {block}, {}", hash(data))
        }
        other => format!("{other:?}"),
    }
}

fn hash(data: &Chain) -> String {
    let mut hash = Sha1::new();
    data.parts().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
