//! What an engine said, in a number.

use std::fmt::Write as _;

use pieceful_core::disk::DiskAction;
use pieceful_core::engine::{Output, Segment};
use sha1::{Digest as _, Sha1};

/// Two engines said the same exactly when their digests are equal.
#[derive(Clone, Default)]
pub(super) struct Said {
    hash: Sha1,
    outputs: u64,
    /// Whether blocks are compared byte for byte, not only by place and length.
    payload: bool,
    line: String,
}

impl Said {
    pub(super) fn new(payload: bool) -> Self {
        Self { payload, ..Self::default() }
    }

    pub(super) fn hear(&mut self, output: &Output) {
        self.outputs += u64::from(!matches!(output, Output::Idle { .. }));
        self.line.clear();
        let _ = match output {
            Output::Send { conn, segment: Segment::Bytes(bytes) } => {
                write!(self.line, "{conn:?} {}", bytes.len())
            }
            output => write!(self.line, "{output:?}"),
        }; // writing to a String does not fail
        self.hash.update(&self.line);
        match output {
            // Served blocks are in here unless the driver reads them, and they are not told apart.
            Output::Send { segment: Segment::Bytes(bytes), .. } if self.payload => self.hash.update(bytes),
            Output::Disk { action: DiskAction::Write { data, .. }, .. } if self.payload => {
                data.parts().for_each(|part| self.hash.update(part));
            }
            _ => {}
        }
    }

    pub(super) const fn outputs(&self) -> u64 {
        self.outputs
    }

    /// Outputs so far, and the digest of them.
    pub(super) fn so_far(&self) -> (u64, u64) {
        let hash = self.hash.clone().finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        (self.outputs, u64::from_be_bytes(first))
    }
}
