//! What leaves: control messages gathered into one segment per call, and how much the driver holds and may hold.
//!
//! What was handed over cannot be taken back: a choke, a cancel and a piece of news for the peer all wait behind
//! it. So the driver is given about as much as the connection carries in half a second. With a fixed amount, a
//! slow uplink shared by a hundred connections was found to carry minutes of blocks for peers that had been
//! choked long ago, and hardly anything for those that had earned a slot.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Action, Segment};
use crate::cx::Cx;
use crate::id::BLOCK_LEN;
use crate::time::Instant;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Encoded messages of this call, not yet handed over. No room is kept between calls: it would be a part of
    /// memory that no cache holds any more when there are many connections.
    control: Vec<u8>,
    /// Handed over and not yet taken by the system.
    unsent: u64,
    /// How much of it there may be before no further block is added.
    window: u32,
    /// What the system took since `window_since`.
    taken: u32,
    window_since: Instant,
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
        // Exactly as long as it is, since it waits for a slow peer to take it.
        let bytes = core::mem::take(&mut self.control).into_boxed_slice().into();
        self.hand_over(Segment::Bytes(bytes), cx);
    }

    /// Hands over a block's header and its payload behind everything gathered so far.
    pub(super) fn payload(&mut self, payload: Segment, cx: &mut Cx<'_, Action>) {
        self.flush(cx);
        self.hand_over(payload, cx);
    }

    fn hand_over(&mut self, segment: Segment, cx: &mut Cx<'_, Action>) {
        if self.unsent == 0 {
            (self.taken, self.window_since) = (0, cx.now);
        }
        self.unsent += u64::from(segment.len());
        self.last = cx.now;
        cx.out.push(Action::Send(segment));
    }

    /// The system took `bytes` of what the driver held; says whether it held that many.
    pub(super) fn sent(&mut self, bytes: u32, now: Instant) -> bool {
        let held = self.unsent >= u64::from(bytes);
        self.unsent = self.unsent.saturating_sub(u64::from(bytes));
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= self.window() {
            let took = now.since(self.window_since);
            if took <= WINDOW_TIME / 2 {
                self.window = self.window().saturating_mul(2);
            } else if took > WINDOW_TIME {
                self.window = (self.window() / 2).max(WINDOW_MIN);
            }
            (self.taken, self.window_since) = (0, now);
        }
        held
    }

    /// Whether a block should follow those that the driver holds and `coming` bytes of others, which are being
    /// read; `most` is the limit for the fastest connection.
    pub(super) fn has_room(&mut self, coming: u64, most: u32) -> bool {
        self.window = self.window().min(most);
        self.unsent + coming < u64::from(self.window)
    }

    fn window(&self) -> u32 {
        self.window.max(WINDOW_MIN)
    }
}

/// Time in which the system should have taken all that the driver holds.
const WINDOW_TIME: Duration = Duration::from_millis(500);

/// A block at a time, however slow the connection is.
const WINDOW_MIN: u32 = BLOCK_LEN;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::rng::{Rng, Seed};

    /// Keeps a driver as full as it may be for a while, over a connection that carries `rate` bytes a second.
    fn most_held(rate: u64) -> u64 {
        let (mut outgoing, mut out) = (Outgoing::default(), Vec::new());
        let (mut rng, mut held) = (Rng::new(Seed([1; 32])), 0);
        for milli in 1..20_000_u64 {
            let now = Instant::from_micros(milli * 1_000);
            while outgoing.has_room(0, 256 << 10) {
                let block = Segment::Bytes(Bytes::from(alloc::vec![0; 16 << 10]));
                outgoing.payload(block, &mut Cx { now, rng: &mut rng, out: &mut out });
            }
            held = if milli > 15_000 { outgoing.unsent.max(held) } else { 0 };
            let bytes = u32::try_from(outgoing.unsent.min(rate / 1_000)).unwrap();
            assert!(outgoing.sent(bytes, now));
        }
        held
    }

    #[test]
    fn a_driver_holds_about_half_a_second_of_what_a_connection_carries() {
        assert!(most_held(4_000) <= 32 << 10, "{}", most_held(4_000));
        let middling = most_held(200_000);
        assert!((50_000..=150_000).contains(&middling), "{middling}");
        assert!(most_held(50_000_000) >= 256 << 10);
    }
}
