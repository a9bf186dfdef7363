//! What leaves: control messages gathered into one segment per call, and how much the driver still holds.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Action, Segment};
use crate::cx::Cx;
use crate::time::Instant;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Encoded messages of this call, not yet handed over.
    control: Vec<u8>,
    /// Handed over and not yet taken by the system.
    unsent: u64,
    /// When bytes were last handed over: a keep-alive is due some time after.
    pub(super) last: Instant,
    /// Everything but payload.
    pub(super) protocol_bytes: u64,
}

impl Outgoing {
    /// Where messages are encoded to; they leave with the next [`flush`](Self::flush).
    pub(super) fn control(&mut self) -> &mut Vec<u8> {
        &mut self.control
    }

    /// Hands over what has gathered.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_, Action>) {
        if self.control.is_empty() {
            return;
        }
        self.protocol_bytes += self.control.len() as u64;
        // An exact copy, so that the buffer we gather in is kept and never grows with a slow peer.
        let bytes = Bytes::copy_from_slice(&self.control);
        self.control.clear();
        if self.control.capacity() > CONTROL_KEPT {
            self.control.shrink_to(CONTROL_KEPT);
        }
        self.hand_over(Segment::Bytes(bytes), cx);
    }

    /// Hands over a block's header and its payload behind everything gathered so far.
    pub(super) fn payload(&mut self, payload: Segment, cx: &mut Cx<'_, Action>) {
        self.flush(cx);
        self.hand_over(payload, cx);
    }

    fn hand_over(&mut self, segment: Segment, cx: &mut Cx<'_, Action>) {
        self.unsent += u64::from(segment.len());
        self.last = cx.now;
        cx.out.push(Action::Send(segment));
    }

    /// The system took `bytes` of what the driver held; says whether it held that many.
    pub(super) fn sent(&mut self, bytes: u32) -> bool {
        let held = self.unsent >= u64::from(bytes);
        self.unsent = self.unsent.saturating_sub(u64::from(bytes));
        held
    }

    /// Bytes the driver holds.
    pub(super) const fn unsent(&self) -> u64 {
        self.unsent
    }
}

/// Capacity an idle connection keeps for gathering.
const CONTROL_KEPT: usize = 512;
