//! The upload limit of all torrents together, and whose turn it is under it.
//!
//! Bytes come free little by little. Whoever happens to ask first takes them: a torrent whose peers have just
//! taken something asks all the time, and one that has to be woken for it would find nothing left, ever. So those
//! that wait stand in line, and each has its turn of a few blocks.

use alloc::collections::VecDeque;

use crate::id::{BLOCK_LEN, TorrentId};
use crate::rate::Bucket;
use crate::time::Instant;

/// What a turn is worth in bytes while others wait.
const TURN: u64 = 4 * BLOCK_LEN as u64;

/// The upload limit of all torrents together, and who waits for it: each has its turn of a few blocks.
#[derive(Debug)]
pub struct Uplink {
    limit: Bucket,
    line: VecDeque<TorrentId>,
    /// What the first in line has had of its turn.
    had: u64,
}

impl Uplink {
    /// A limit in bytes per second, or none.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        Self { limit: Bucket::new(rate), line: VecDeque::new(), had: 0 }
    }

    /// Another limit from now on.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        self.limit.set_rate(now, rate);
        if rate.is_none() {
            self.line.clear();
        }
    }

    /// Whether a torrent may send so many bytes now. If not it stands in line for them.
    pub(super) fn may_send(&mut self, now: Instant, id: TorrentId, bytes: u64) -> bool {
        let others_first = self.line.front().is_some_and(|first| *first != id);
        let there = self.limit.available_at(now, bytes) <= now;
        if there && !others_first {
            if self.line.len() < 2 || self.had < TURN {
                return true;
            }
            self.end_turn();
        } else if !there || others_first {
            self.stand(id);
        }
        false
    }

    /// A torrent that [may](Self::may_send) sends so many bytes.
    pub(super) fn spend(&mut self, now: Instant, bytes: u64) {
        self.limit.spend(now, bytes);
        self.had += bytes;
    }

    fn stand(&mut self, id: TorrentId) {
        if !self.line.contains(&id) {
            self.line.push_back(id);
        }
        if self.line.len() == 1 {
            self.had = 0;
        }
    }

    fn end_turn(&mut self) {
        self.line.rotate_left(1);
        self.had = 0;
    }

    /// Whose turn it is, if there is something to be had.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<TorrentId> {
        let first = self.line.front().copied();
        first.filter(|_| self.limit.available_at(now, u64::from(BLOCK_LEN)) <= now)
    }

    /// The torrent whose turn it is makes no use of it.
    pub fn pass(&mut self, id: TorrentId) {
        if self.line.front() == Some(&id) {
            self.line.pop_front();
            self.had = 0;
        }
    }

    /// What the first in line has had of its turn.
    #[must_use]
    pub const fn had(&self) -> u64 {
        self.had
    }

    /// When [`next`](Self::next) is of use.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let waits = !self.line.is_empty();
        waits.then(|| self.limit.available_at(now, u64::from(BLOCK_LEN))).filter(|at| *at < Instant::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn who_waits_has_a_turn_before_whoever_asks_more_often() {
        let mut torrents: SlotMap<TorrentId, ()> = SlotMap::with_key();
        let (eager, patient) = (torrents.insert(()), torrents.insert(()));
        let mut uplink = Uplink::new(Some(1 << 20));
        let block = u64::from(BLOCK_LEN);
        let (mut now, mut got) = (Instant::from_micros(1_000_000), [0, 0]);
        for _ in 0..10_000 {
            now += core::time::Duration::from_millis(1);
            while uplink.may_send(now, eager, block) {
                uplink.spend(now, block);
                got[0] += block;
            }
            if now.as_micros() % 50_000 == 0 {
                while let Some(id) = uplink.next(now) {
                    while uplink.may_send(now, id, block) {
                        uplink.spend(now, block);
                        got[usize::from(id == patient)] += block;
                    }
                }
                uplink.may_send(now, patient, block);
            }
        }
        assert!(got[1] * 10 > got[0] * 9, "{got:?}");
        let (all, due) = (got[0] + got[1], 10 << 20);
        assert!(all * 100 > due * 95, "nothing of the limit is lost: {all} of {due}");
    }
}
