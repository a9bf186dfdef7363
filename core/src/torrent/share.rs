//! What torrents share beside bytes: who hashes next while files are checked, and who may serve how many peers.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::id::TorrentId;
use crate::time::Instant;

/// Pieces hashed at once while files are checked, all torrents together, and whose turn is next.
///
/// Torrents that wait take turns piece by piece, so a small one is ready soon however large the others are.
#[derive(Debug)]
pub struct Checks {
    under_way: u32,
    max: u32,
    waiting: VecDeque<TorrentId>,
}

impl Checks {
    /// Room for so many pieces at once.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self { under_way: 0, max, waiting: VecDeque::new() }
    }

    /// Takes a place, if there is one and nobody waits for it.
    pub(super) fn begin(&mut self) -> bool {
        let may = self.waiting.is_empty() && self.under_way < self.max;
        self.under_way += u32::from(may);
        may
    }

    /// Takes the place of a torrent whose turn it is.
    pub(super) const fn begin_in_turn(&mut self) {
        self.under_way += 1;
    }

    /// Stands in line for a place; once, until it is its turn.
    pub(super) fn wait(&mut self, id: TorrentId) {
        self.waiting.push_back(id);
    }

    pub(super) const fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The torrent whose turn it is, if there is a place.
    pub fn next_in_line(&mut self) -> Option<TorrentId> {
        if self.under_way < self.max { self.waiting.pop_front() } else { None }
    }
}

/// How many peers are served at once, all torrents together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UploadSlots {
    /// As many as the upload limit feeds, 8 KiB/s each; 40 where there is none.
    #[default]
    Automatic,
    /// So many; torrents that have anybody to serve get one each in any case.
    Fixed(u32),
}

/// Upload slots, shared by demand: no torrent has more than another that would like more, and each has one for
/// whoever wants something of it. How much a slot is worth is for each torrent's choker to judge: what it gets
/// for it comes as pieces of that torrent, which are no use to the others.
#[derive(Debug)]
pub struct Slots {
    max: u32,
    /// How many peers of each torrent want something; never 0.
    claims: BTreeMap<TorrentId, u32>,
    /// Nobody gets more than so many.
    level: u32,
    level_until: Instant,
}

/// Claims change with every peer that comes and goes; the shares follow so much later.
const LEVEL_TIME: Duration = Duration::from_secs(1);

/// Automatic slots without an upload limit, and the fewest with one.
const SLOTS_MOST: u32 = 40;
const SLOTS_LEAST: u32 = 4;
/// What one of them needs to be worth having, in bytes per second.
const SLOT_RATE: u64 = 8 << 10;

impl Slots {
    /// So many, under this upload limit.
    #[must_use]
    pub fn new(slots: UploadSlots, upload: Option<u64>) -> Self {
        let mut shared =
            Self { max: 0, claims: BTreeMap::new(), level: u32::MAX, level_until: Instant::ZERO };
        shared.set(slots, upload);
        shared
    }

    /// So many from now on.
    pub fn set(&mut self, slots: UploadSlots, upload: Option<u64>) {
        let fed = |rate: u64| u32::try_from(rate / SLOT_RATE).unwrap_or(u32::MAX);
        self.max = match slots {
            UploadSlots::Fixed(slots) => slots,
            UploadSlots::Automatic => {
                upload.map_or(SLOTS_MOST, |rate| fed(rate).clamp(SLOTS_LEAST, SLOTS_MOST))
            }
        };
        self.level_until = Instant::ZERO;
    }

    /// So many peers of a torrent want something of it: how many it may serve.
    pub(super) fn claim(&mut self, now: Instant, id: TorrentId, wanted: u32) -> u32 {
        let before = if wanted == 0 { self.claims.remove(&id) } else { self.claims.insert(id, wanted) };
        // One that comes lowers the level for all; what others leave is shared out when it is time.
        if now >= self.level_until || before.is_none() && wanted > 0 {
            self.level_until = now + LEVEL_TIME;
            self.level = self.find_level();
        }
        self.level.max(1)
    }

    /// A torrent serves nobody any more.
    pub(super) fn leave(&mut self, id: TorrentId) {
        self.claims.remove(&id);
    }

    /// Those who want less than an equal share leave the rest to the others.
    fn find_level(&self) -> u32 {
        let mut wanted: alloc::vec::Vec<u32> = self.claims.values().copied().collect();
        wanted.sort_unstable();
        let (mut left, mut sharers) = (self.max, wanted.len() as u32);
        for wanted in wanted {
            if wanted > left / sharers {
                return left / sharers;
            }
            left -= wanted;
            sharers -= 1;
        }
        u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    fn ids(count: usize) -> alloc::vec::Vec<TorrentId> {
        let mut torrents: SlotMap<TorrentId, ()> = SlotMap::with_key();
        (0..count).map(|_| torrents.insert(())).collect()
    }

    #[test]
    fn slots_go_round_by_demand_and_nobody_who_wants_one_has_none() {
        let (ids, now) = (ids(4), Instant::from_micros(5_000_000));
        let mut slots = Slots::new(UploadSlots::Fixed(12), None);
        assert!(slots.claim(now, ids[0], 20) >= 12, "alone it has all");
        assert_eq!(slots.claim(now, ids[1], 2), 10);
        assert_eq!(slots.claim(now, ids[2], 20), 5);
        assert_eq!(slots.claim(now, ids[0], 20), 5);
        slots.leave(ids[2]);
        assert_eq!(slots.claim(now + LEVEL_TIME, ids[0], 20), 10);
        slots.set(UploadSlots::Fixed(1), None);
        for id in &ids {
            assert_eq!(slots.claim(now + LEVEL_TIME, *id, 9), 1);
        }
    }

    #[test]
    fn a_small_uplink_feeds_few_slots() {
        let number = |upload| Slots::new(UploadSlots::Automatic, upload).max;
        assert_eq!((number(None), number(Some(64 << 10)), number(Some(1))), (40, 8, 4));
        assert_eq!(number(Some(u64::MAX)), 40);
    }

    #[test]
    fn who_waits_to_check_takes_turns() {
        let ids = ids(2);
        let mut checks = Checks::new(2);
        assert!(checks.begin() && checks.begin() && !checks.begin());
        checks.wait(ids[0]);
        checks.wait(ids[1]);
        assert_eq!(checks.next_in_line(), None);
        checks.end();
        assert!(!checks.begin(), "others were first");
        assert_eq!(checks.next_in_line(), Some(ids[0]));
        checks.begin_in_turn();
        assert_eq!(checks.next_in_line(), None);
    }
}
