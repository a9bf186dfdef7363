//! A run in 20 bytes: two runs are the same exactly when their transcripts are.

use std::fmt;

use pieceful_core::disk::DiskAction;
use pieceful_core::engine::{Output, Segment};
use pieceful_core::time::Instant;
use sha1::{Digest as _, Sha1};

/// SHA-1 over the time, the node and the whole of every output.
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    hash: Sha1,
    outputs: u64,
    /// Only counted, not hashed.
    pub(crate) off: bool,
}

impl Transcript {
    pub(crate) fn write(&mut self, now: Instant, node: usize, output: &Output) {
        self.outputs += 1;
        if self.off {
            return;
        }
        self.hash.update(now.as_micros().to_be_bytes());
        self.hash.update((node as u64).to_be_bytes());
        match output {
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                self.text(format_args!("send {conn:?} {}", bytes.len()));
                self.hash.update(bytes);
            }
            Output::Disk { op, torrent, action: DiskAction::Write { block, data } } => {
                self.text(format_args!("write {op:?} {torrent:?} {block}"));
                data.parts().for_each(|part| self.hash.update(part));
            }
            other => self.text(format_args!("{other:?}")),
        }
    }

    pub(crate) const fn outputs(&self) -> u64 {
        self.outputs
    }

    pub(crate) fn hash(&self) -> [u8; 20] {
        self.hash.clone().finalize().into()
    }

    fn text(&mut self, text: fmt::Arguments<'_>) {
        self.hash.update(text.to_string());
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({} outputs)", self.outputs)
    }
}
