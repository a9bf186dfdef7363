//! A peer's requests: which are queued, which are being read, and when it asked for too much.

use alloc::collections::VecDeque;

use crate::id::Block;

/// Longest block served: larger ones are refused by name, their peer is kept.
pub const SERVED_LEN_MAX: u32 = 128 * 1024;
/// Requests that cannot be served, before the peer is closed (libtorrent: 300).
const INVALID_MAX: u32 = 100;
/// Requests beyond the announced queue length, before the peer is closed.
const OVER_MAX: u32 = 500;
/// Requests after a choke, before the peer is closed. It may have had a whole queue of them under way when the
/// choke left us, so this is far above one.
const WHILE_CHOKED_MAX: u32 = 2_000;

/// What a peer wants from us and has not yet got.
#[derive(Debug, Default)]
pub(super) struct Serving {
    queued: VecDeque<Block>,
    /// Taken out of the queue, its bytes being read from disk.
    reading: VecDeque<Reading>,
    invalid: u32,
    over: u32,
    while_choked: u32,
}

/// How a request stands to what the peer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Valid,
    /// We have it, but refuse this peer's requests: ours may have crossed its own on the way.
    WhileChoked,
    /// No such bytes, or we do not have them.
    Invalid,
}

#[derive(Debug)]
struct Reading {
    block: Block,
    cancelled: bool,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Queued,
    /// Not served; the peer is told so if it speaks the fast extension (BEP 6).
    Refused,
    /// Too many that cannot be served.
    TooManyInvalid,
    /// Too many at once.
    Flood,
}

impl Serving {
    /// The peer asks for `block`.
    pub(super) fn request(&mut self, block: Block, request: Request, max: u32) -> Verdict {
        match request {
            Request::Valid if block.len > SERVED_LEN_MAX => return Verdict::Refused,
            Request::Valid => {}
            Request::WhileChoked => {
                self.while_choked += 1;
                let flood = self.while_choked > WHILE_CHOKED_MAX;
                return if flood { Verdict::Flood } else { Verdict::Refused };
            }
            Request::Invalid => {
                self.invalid += 1;
                return if self.invalid > INVALID_MAX { Verdict::TooManyInvalid } else { Verdict::Refused };
            }
        }
        if self.len() as u32 >= max {
            self.over += 1;
            return if self.over > OVER_MAX { Verdict::Flood } else { Verdict::Refused };
        }
        if self.queued.contains(&block) {
            return Verdict::Queued; // asked twice, served once
        }
        self.queued.push_back(block);
        Verdict::Queued
    }

    /// The peer is served again.
    pub(super) fn unchoked(&mut self) {
        self.while_choked = 0;
    }

    /// The peer no longer wants `block`; says whether it was still to be served.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        if let Some(place) = self.queued.iter().position(|queued| *queued == block) {
            self.queued.remove(place);
            self.let_go();
            return true;
        }
        match self.reading.iter_mut().find(|reading| reading.block == block && !reading.cancelled) {
            Some(reading) => {
                reading.cancelled = true;
                true
            }
            None => false,
        }
    }

    pub(super) fn front(&self) -> Option<Block> {
        self.queued.front().copied()
    }

    /// Takes the next request out to send it at once.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let block = self.queued.pop_front();
        self.let_go();
        block
    }

    /// The next request is being read.
    pub(super) fn begin_read(&mut self) -> Option<Block> {
        let block = self.pop()?;
        self.reading.push_back(Reading { block, cancelled: false });
        Some(block)
    }

    /// A read ended; says whether its bytes are still wanted.
    pub(super) fn end_read(&mut self, block: Block) -> bool {
        let place = self.reading.iter().position(|reading| reading.block == block);
        let read = place.and_then(|place| self.reading.remove(place));
        self.let_go();
        read.is_some_and(|reading| !reading.cancelled)
    }

    /// A peer that waits for nothing keeps no room for requests.
    fn let_go(&mut self) {
        if self.queued.is_empty() {
            self.queued = VecDeque::new();
        }
        if self.reading.is_empty() {
            self.reading = VecDeque::new();
        }
    }

    /// Nothing that is being read is wanted any more.
    pub(super) fn cancel_reads(&mut self) {
        self.reading.iter_mut().for_each(|reading| reading.cancelled = true);
    }

    /// Bytes being read for this peer.
    pub(super) fn reading_bytes(&self) -> u64 {
        self.reading.iter().map(|reading| u64::from(reading.block.len)).sum()
    }

    /// Requests queued and being read.
    pub(super) fn len(&self) -> usize {
        self.queued.len() + self.reading.len()
    }

    /// Drops every request but those `keep` says to serve all the same; returns the dropped ones.
    pub(super) fn drop_queued(&mut self, keep: impl Fn(&Block) -> bool) -> VecDeque<Block> {
        let (kept, dropped): (VecDeque<_>, VecDeque<_>) = self.queued.drain(..).partition(keep);
        self.queued = kept;
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PieceIndex;

    fn block(number: u32) -> Block {
        Block { piece: PieceIndex(number), offset: 0, len: 16 }
    }

    #[test]
    fn a_cancelled_request_is_not_served_even_while_it_is_being_read() {
        let mut serving = Serving::default();
        for number in 0..3 {
            assert_eq!(serving.request(block(number), Request::Valid, 10), Verdict::Queued);
        }
        assert_eq!(serving.begin_read(), Some(block(0)));
        assert!(serving.cancel(block(0)));
        assert!(serving.cancel(block(1)));
        assert!(!serving.cancel(block(7)));
        assert!(!serving.end_read(block(0)));
        assert_eq!(serving.begin_read(), Some(block(2)));
        assert!(serving.end_read(block(2)));
        assert_eq!(serving.len(), 0);
    }

    #[test]
    fn floods_and_nonsense_end_in_a_verdict() {
        let mut serving = Serving::default();
        let mut verdicts =
            (0..OVER_MAX + 11).map(|number| serving.request(block(number), Request::Valid, 10));
        assert!(verdicts.by_ref().take(10).all(|verdict| verdict == Verdict::Queued));
        assert_eq!(verdicts.last(), Some(Verdict::Flood));
        let mut verdicts =
            (0..=INVALID_MAX).map(|number| serving.request(block(number), Request::Invalid, 10));
        assert_eq!(verdicts.next(), Some(Verdict::Refused));
        assert_eq!(verdicts.last(), Some(Verdict::TooManyInvalid));
    }

    #[test]
    fn blocks_beyond_128_kib_are_refused_however_many_are_asked_for() {
        let mut serving = Serving::default();
        let large = Block { len: SERVED_LEN_MAX + 1, ..block(0) };
        assert!((0..1_000).all(|_| serving.request(large, Request::Valid, 10) == Verdict::Refused));
    }

    #[test]
    fn one_that_goes_on_asking_long_after_a_choke_is_a_flood() {
        let mut serving = Serving::default();
        let mut ask = |count| (0..count).map(|n| serving.request(block(n), Request::WhileChoked, 10)).last();
        assert_eq!(ask(WHILE_CHOKED_MAX), Some(Verdict::Refused));
        assert_eq!(ask(1), Some(Verdict::Flood));
    }
}
