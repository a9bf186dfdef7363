//! Which torrents to look for and to announce, and when: not all of them at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::error::TooMany;
use crate::rng::Rng;
use crate::time::Instant;

/// Torrents looked for or announced; each takes some 200 bytes.
pub const SEARCHES_MAX: usize = 20_000;
/// Torrents looked for at once. A lookup takes seconds, and some ten kilobytes.
const RUNNING_MAX: usize = 8;
/// An announce is repeated after so long: others forget it after half an hour.
const REPEAT_TIME: Duration = Duration::from_secs(14 * 60);
/// Or up to so much later, so that announces that began together do not stay together.
const JITTER: Duration = Duration::from_secs(2 * 60);
/// When no peer was found, the next search comes after this; doubles with each further one.
const LONELY_TIME: Duration = Duration::from_secs(60);
/// When nobody could be asked, the next try comes after this; doubles with each further one.
const RETRY_TIME: Duration = Duration::from_secs(5);
/// The longest time until another try.
const RETRY_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The TCP port that peers reach us at.
    pub port: u16,
    /// The port that our datagrams are seen to come from is the right one: we are behind a NAT that keeps both
    /// together.
    pub implied_port: bool,
    /// We have everything (BEP 33).
    pub seed: bool,
}

/// What has come of looking for a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Peers that were found.
    pub peers: usize,
    /// Nodes that were asked.
    pub asked: u32,
    /// Nodes that answered.
    pub answered: u32,
    /// Nodes that the torrent was announced to.
    pub announced: usize,
}

/// The torrents to look for.
#[derive(Debug, Default)]
pub(super) struct Searches {
    wanted: BTreeMap<[u8; 20], Wanted>,
    due: BTreeSet<(Instant, [u8; 20])>,
    running: usize,
}

#[derive(Debug)]
struct Wanted {
    announce: Option<Announce>,
    stage: Stage,
    /// Times in a row that nobody answered.
    failures: u32,
    /// Times in a row that no peer was found.
    lonely: u32,
}

#[derive(Debug)]
enum Stage {
    Due(Instant),
    /// So many lookups are under way, with what the others have brought.
    Running(Vec<u64>, Outcome),
}

impl Searches {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.due.first().map(|(at, _)| *at);
        first.filter(|_| self.running < RUNNING_MAX)
    }

    /// Torrents that are looked for now.
    pub(super) const fn running(&self) -> usize {
        self.running
    }

    /// Torrents that are announced.
    pub(super) fn announced(&self) -> usize {
        self.wanted.values().filter(|wanted| wanted.announce.is_some()).count()
    }

    pub(super) fn is_wanted(&self, info_hash: &[u8; 20]) -> bool {
        self.wanted.contains_key(info_hash)
    }

    pub(super) fn announce_of(&self, info_hash: &[u8; 20]) -> Option<Announce> {
        self.wanted.get(info_hash)?.announce
    }

    /// Looks for a torrent as soon as may be: once, or again and again when there is something to announce.
    pub(super) fn want(
        &mut self,
        info_hash: [u8; 20],
        announce: Option<Announce>,
        now: Instant,
    ) -> Result<(), TooMany> {
        if let Some(wanted) = self.wanted.get_mut(&info_hash) {
            let news = announce.is_none() || wanted.announce != announce;
            wanted.announce = announce.or(wanted.announce);
            if news && let Stage::Due(at) = &mut wanted.stage {
                self.due.remove(&(*at, info_hash));
                *at = (*at).min(now);
                self.due.insert((*at, info_hash));
            }
            return Ok(());
        }
        if self.wanted.len() >= SEARCHES_MAX {
            return Err(TooMany);
        }
        self.due.insert((now, info_hash));
        self.wanted.insert(info_hash, Wanted { announce, stage: Stage::Due(now), failures: 0, lonely: 0 });
        Ok(())
    }

    /// Forgets a torrent; gives the lookups under way for it.
    pub(super) fn stop(&mut self, info_hash: &[u8; 20]) -> Vec<u64> {
        match self.wanted.remove(info_hash).map(|wanted| wanted.stage) {
            Some(Stage::Due(at)) => {
                self.due.remove(&(at, *info_hash));
                Vec::new()
            }
            Some(Stage::Running(lookups, _)) => {
                self.running -= 1;
                lookups
            }
            None => Vec::new(),
        }
    }

    /// A torrent to look for now. The caller says next how: [`started`](Self::started).
    pub(super) fn next(&mut self, now: Instant) -> Option<[u8; 20]> {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due { self.due.pop_first().map(|(_, info_hash)| info_hash) } else { None }
    }

    /// These lookups were begun for a torrent that was [`next`](Self::next).
    pub(super) fn started(&mut self, info_hash: &[u8; 20], lookups: Vec<u64>) {
        if let Some(wanted) = self.wanted.get_mut(info_hash) {
            wanted.stage = Stage::Running(lookups, Outcome::default());
            self.running += 1;
        }
    }

    /// A lookup for a torrent has ended; gives what all of them have brought, when it was the last.
    pub(super) fn ended(
        &mut self,
        info_hash: &[u8; 20],
        lookup: Option<u64>,
        brought: Outcome,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Outcome> {
        let wanted = self.wanted.get_mut(info_hash)?;
        let Stage::Running(lookups, all) = &mut wanted.stage else { return None };
        lookups.retain(|it| Some(*it) != lookup);
        all.peers += brought.peers;
        all.asked += brought.asked;
        all.answered += brought.answered;
        all.announced += brought.announced;
        if !lookups.is_empty() {
            return None;
        }
        let outcome = *all;
        self.running -= 1;
        if wanted.announce.is_none() {
            self.wanted.remove(info_hash);
            return Some(outcome);
        }
        let seeds = wanted.announce.is_some_and(|announce| announce.seed);
        let wait = if outcome.answered == 0 {
            wanted.lonely = 0;
            wanted.failures += 1;
            doubled(RETRY_TIME, wanted.failures).min(RETRY_TIME_MAX)
        } else {
            wanted.failures = 0;
            wanted.lonely = if outcome.peers > 0 || seeds { 0 } else { wanted.lonely + 1 };
            let soon = doubled(LONELY_TIME, wanted.lonely);
            if wanted.lonely > 0 && soon < REPEAT_TIME { soon } else { REPEAT_TIME + jitter(rng) }
        };
        wanted.stage = Stage::Due(now + wait);
        self.due.insert((now + wait, *info_hash));
        Some(outcome)
    }

    /// There is somebody to ask at last: what found nobody is tried again.
    pub(super) fn hasten(&mut self, now: Instant) {
        for (info_hash, wanted) in &mut self.wanted {
            if wanted.failures > 0
                && let Stage::Due(at) = &mut wanted.stage
            {
                self.due.remove(&(*at, *info_hash));
                *at = now;
                self.due.insert((now, *info_hash));
            }
        }
    }
}

/// `first`, doubled each further `time`.
fn doubled(first: Duration, time: u32) -> Duration {
    first.saturating_mul(1 << time.saturating_sub(1).min(10))
}

fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.below(JITTER.as_millis() as u32).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    const ANNOUNCE: Announce = Announce { port: 6881, implied_port: false, seed: false };

    fn at(seconds: u64) -> Instant {
        Instant::from_micros((1_000 + seconds) * 1_000_000)
    }

    fn end(searches: &mut Searches, hash: [u8; 20], answered: u32, now: Instant) -> Option<Outcome> {
        let mut rng = Rng::new(Seed([1; 32]));
        searches.started(&hash, Vec::from([1]));
        let brought = Outcome { answered, peers: answered as usize / 8, ..Outcome::default() };
        searches.ended(&hash, Some(1), brought, now, &mut rng)
    }

    #[test]
    fn an_announce_is_repeated_after_about_a_quarter_of_an_hour_and_a_search_is_not() {
        let mut searches = Searches::default();
        searches.want([1; 20], Some(ANNOUNCE), at(0)).unwrap();
        searches.want([2; 20], None, at(0)).unwrap();
        for hash in [[1; 20], [2; 20]] {
            assert_eq!(searches.next(at(0)), Some(hash));
            assert!(end(&mut searches, hash, 8, at(5)).is_some());
        }
        assert_eq!(searches.next(at(14 * 60)), None);
        assert_eq!(searches.next(at(17 * 60)), Some([1; 20]));
        assert_eq!(searches.next(at(90 * 60)), None);
    }

    #[test]
    fn while_no_peer_is_found_it_is_looked_again_soon_and_ever_more_rarely_unless_we_have_it_all() {
        let mut searches = Searches::default();
        searches.want([1; 20], Some(ANNOUNCE), at(0)).unwrap();
        searches.want([2; 20], Some(Announce { seed: true, ..ANNOUNCE }), at(0)).unwrap();
        let mut times = [0, 0];
        for second in 0..3_600 {
            while let Some(hash) = searches.next(at(second)) {
                times[usize::from(hash[0]) - 1] += 1;
                end(&mut searches, hash, 7, at(second));
            }
        }
        assert!((7..=8).contains(&times[0]) && (4..=5).contains(&times[1]), "{times:?}");
    }

    #[test]
    fn few_are_looked_for_at_once_and_the_others_wait() {
        let mut searches = Searches::default();
        for number in 0..20 {
            searches.want([number; 20], Some(ANNOUNCE), at(0)).unwrap();
        }
        let mut begun = Vec::new();
        while let Some(hash) = searches.next(at(1)) {
            searches.started(&hash, Vec::from([1]));
            begun.push(hash);
        }
        assert_eq!((begun.len(), searches.deadline()), (RUNNING_MAX, None));
        assert_eq!(searches.stop(&begun[0]), [1]);
        assert!(searches.next(at(1)).is_some());
    }

    #[test]
    fn when_nobody_answers_it_is_tried_again_soon_and_at_once_when_somebody_is_there() {
        let mut searches = Searches::default();
        searches.want([1; 20], Some(ANNOUNCE), at(0)).unwrap();
        assert!(searches.next(at(0)).is_some());
        end(&mut searches, [1; 20], 0, at(0));
        assert_eq!(searches.deadline(), Some(at(5)));
        searches.hasten(at(2));
        assert_eq!(searches.next(at(2)), Some([1; 20]));
        end(&mut searches, [1; 20], 0, at(2));
        assert_eq!(searches.deadline(), Some(at(12)));
    }

    #[test]
    fn there_is_room_for_so_many_torrents() {
        let mut searches = Searches::default();
        for number in 0..SEARCHES_MAX as u32 {
            let mut hash = [0; 20];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            searches.want(hash, Some(ANNOUNCE), at(0)).unwrap();
        }
        assert_eq!(searches.want([0xff; 20], None, at(0)), Err(TooMany));
        assert_eq!(searches.want([0; 20], None, at(0)), Ok(()), "it is there already");
    }
}
