//! A peer's requests: which are queued, which are being read, and when it asked for too much.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

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
    /// In the order asked. The first `reading` of them are being read from disk.
    requests: VecDeque<Wanted>,
    reading: u32,
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

#[derive(Clone, Copy, Debug)]
struct Wanted {
    block: Block,
    /// Of those being read: not wanted any more.
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
        if self.queued().any(|queued| queued == block) {
            return Verdict::Queued; // asked twice, served once
        }
        self.requests.push_back(Wanted { block, cancelled: false });
        Verdict::Queued
    }

    /// The peer is served again.
    pub(super) fn unchoked(&mut self) {
        self.while_choked = 0;
    }

    /// The peer no longer wants `block`; says whether it was still to be served.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        let first = self.reading as usize;
        let same = |wanted: &Wanted| wanted.block == block && !wanted.cancelled;
        if let Some(place) = self.requests.iter().skip(first).position(same) {
            self.requests.remove(first + place);
            self.let_go();
            return true;
        }
        let read = self.requests.iter_mut().find(|wanted| same(wanted));
        read.is_some_and(|wanted| !core::mem::replace(&mut wanted.cancelled, true))
    }

    pub(super) fn front(&self) -> Option<Block> {
        self.queued().next()
    }

    fn queued(&self) -> impl Iterator<Item = Block> {
        self.requests.iter().skip(self.reading as usize).map(|wanted| wanted.block)
    }

    /// Takes the next request out to send it at once.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let wanted = self.requests.remove(self.reading as usize);
        self.let_go();
        wanted.map(|wanted| wanted.block)
    }

    /// The next request is being read.
    pub(super) fn begin_read(&mut self) -> Option<Block> {
        let block = self.front()?;
        self.reading += 1;
        Some(block)
    }

    /// A read ended; says whether its bytes are still wanted.
    pub(super) fn end_read(&mut self, block: Block) -> bool {
        let place = self.read_now().position(|wanted| wanted.block == block);
        let Some(wanted) = place.and_then(|place| self.requests.remove(place)) else { return false };
        self.reading -= 1;
        self.let_go();
        !wanted.cancelled
    }

    fn read_now(&self) -> impl Iterator<Item = &Wanted> {
        self.requests.iter().take(self.reading as usize)
    }

    /// A peer that waits for nothing keeps no room for requests.
    fn let_go(&mut self) {
        if self.requests.is_empty() {
            self.requests = VecDeque::new();
        }
    }

    /// Nothing that is being read is wanted any more.
    pub(super) fn cancel_reads(&mut self) {
        self.requests.iter_mut().take(self.reading as usize).for_each(|wanted| wanted.cancelled = true);
    }

    /// Bytes being read for this peer.
    pub(super) fn reading_bytes(&self) -> u64 {
        self.read_now().map(|wanted| u64::from(wanted.block.len)).sum()
    }

    /// Requests queued and being read.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Drops every request but those `keep` says to serve all the same; returns the dropped ones.
    pub(super) fn drop_queued(&mut self, keep: impl Fn(&Block) -> bool) -> Vec<Block> {
        let dropped = self.queued().filter(|block| !keep(block)).collect();
        let mut place = 0;
        self.requests.retain(|wanted| {
            place += 1;
            place <= self.reading || keep(&wanted.block)
        });
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
