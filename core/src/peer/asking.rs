//! Our requests at one peer: how many may be outstanding, which are, and what became of them.

use alloc::boxed::Box;
use alloc::collections::{VecDeque, vec_deque};
use core::time::Duration;

use super::pace::Stopwatch;
use crate::id::{BLOCK_LEN, Block, PieceIndex};
use crate::rate::{Meter, Pace};
use crate::time::Instant;

/// Requests outstanding are worth this much of the measured rate: enough to cover the way there and back and
/// the peer's own pauses, little enough that a choke loses little.
const PIPELINE_TIME: Duration = Duration::from_secs(2);
/// Requests before anything is known of a peer's rate.
const DEPTH_FIRST: u32 = 16;
/// A peer that owes us blocks and sends no payload for this long is snubbed.
const SNUB_TIME: Duration = Duration::from_secs(20);
/// Blocks given up that may still arrive, remembered so that they are not wasted.
const LATE_MAX: usize = 500;
/// Refusals in a row before we stop asking for a while, and before we give up on the peer.
const REJECTS_PAUSE: u32 = 8;
const REJECTS_MAX: u32 = 200;
/// Chokes in a row that took requests back of which none was answered, before we wait after each: a peer that
/// unchokes and chokes in turn has us say far more than it says itself.
const FRUITLESS_MAX: u32 = 3;

/// What our requests at a peer look like.
#[derive(Debug)]
pub(super) struct Asking {
    /// Most the peer says it queues (`reqq`, BEP 10), and most we ask at all.
    max: u32,
    /// What became of them. A peer that only takes is never asked, and a message of its has no need of all this.
    made: Option<Box<Made>>,
}

/// The requests made so far.
#[derive(Debug)]
struct Made {
    /// In the order asked; peers answer in order, so the front is nearly always the one that arrives.
    asked: VecDeque<Block>,
    /// When payload last arrived, or the first of the outstanding requests was made.
    progress: Instant,
    /// Not before this: after refusals.
    pause_until: Instant,
    rejects: u32,
    fruitless: u32,
    /// How often in a row it sent nothing for too long although it could.
    snubs: u32,
    /// How many may be outstanding while the rate is still unknown; grows with every block (slow start).
    start_depth: Option<u32>,
    watch: Stopwatch,
    /// Given up (timed out, cancelled) and not answered yet, oldest first.
    late: VecDeque<Block>,
}

/// How a block that arrived stands to our requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was outstanding.
    Asked,
    /// It was given up before.
    Late,
    /// It never was.
    NotAsked,
}

impl Asking {
    pub(super) fn new(max: u32) -> Self {
        Self { max: max.max(1), made: None }
    }

    /// The peer queues no more than `reqq` requests.
    pub(super) fn limit(&mut self, reqq: u32) {
        self.max = self.max.min(reqq.max(1));
    }

    pub(super) fn asked(&self) -> vec_deque::Iter<'_, Block> {
        self.made.as_ref().map(|made| made.asked.iter()).unwrap_or_default()
    }

    pub(super) fn is_snubbed(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.snubs > 0)
    }

    /// Whether it had more than one chance to send what it owes.
    pub(super) fn is_hopeless(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.snubs > 1)
    }

    /// How many more requests the peer should be given now. Zero until a good part of the pipeline is free, so
    /// that requests leave many at a time.
    pub(super) fn room(&self, now: Instant, rate: &Meter) -> u32 {
        let Some(made) = &self.made else { return DEPTH_FIRST.min(self.max) };
        // One that is due to be snubbed would have what it is asked for now taken back in a moment.
        if now < made.pause_until || made.owes_too_long(now) {
            return 0;
        }
        let depth = made.depth(now, rate, self.max);
        let free = depth.saturating_sub(made.asked.len() as u32);
        if free >= depth.div_ceil(8) { free } else { 0 }
    }

    pub(super) fn ask(&mut self, now: Instant, block: Block) {
        let made = self.made.get_or_insert_with(|| Box::new(Made::new(now)));
        if made.asked.is_empty() {
            made.progress = now;
            made.watch.begin(now);
        }
        made.late.retain(|late| *late != block);
        made.asked.push_back(block);
    }

    /// Part of a block arrived.
    pub(super) fn progressed(&mut self, now: Instant) {
        if let Some(made) = &mut self.made {
            made.progress = now;
        }
    }

    /// Nothing could arrive until now.
    pub(super) fn read_on(&mut self, now: Instant) {
        if let Some(made) = &mut self.made {
            made.progress = now;
            made.watch.restart(now);
        }
    }

    /// How fast it sends what it owes.
    pub(super) fn pace(&self, now: Instant) -> Pace {
        self.made.as_ref().map(|made| made.watch.of_busy(now)).unwrap_or_default()
    }

    /// How fast it would send more.
    pub(super) fn helping_pace(&self, now: Instant) -> Pace {
        let Some(made) = &self.made else { return Stopwatch::new(now).of_helper(now, false) };
        let pace = made.watch.of_helper(now, !made.asked.is_empty());
        if self.is_snubbed() { Pace { first: SNUB_TIME, ..pace } } else { pace }
    }

    /// A whole block arrived.
    pub(super) fn answered(&mut self, now: Instant, block: Block, rate: &Meter) -> Answer {
        let Some(made) = &mut self.made else { return Answer::NotAsked };
        if remove(&mut made.asked, block) {
            made.arrived(now);
            made.snubs = 0;
            made.rejects = 0;
            made.fruitless = 0;
            if let Some(depth) = &mut made.start_depth {
                *depth = (*depth + 1).min(self.max);
                // Twice what the rate calls for: the pipeline is long enough, the rate alone says how long.
                let enough =
                    rate.rate(now).saturating_mul(2 * PIPELINE_TIME.as_secs()) / u64::from(BLOCK_LEN);
                if enough > 0 && u64::from(*depth) > enough.max(u64::from(DEPTH_FIRST)) {
                    made.start_depth = None;
                }
            }
            Answer::Asked
        } else if remove(&mut made.late, block) {
            made.arrived(now);
            Answer::Late
        } else {
            Answer::NotAsked
        }
    }

    /// The peer refused `block`. `None`: it was not outstanding; `Some(false)`: it refuses everything.
    pub(super) fn rejected(&mut self, now: Instant, block: Block, choking: bool) -> Option<bool> {
        let made = self.made.as_mut()?;
        if !remove(&mut made.asked, block) {
            remove(&mut made.late, block);
            return None;
        }
        if !choking {
            made.rejects += 1;
            if made.rejects.is_multiple_of(REJECTS_PAUSE) {
                made.pause_until = now + Duration::from_secs(1);
            }
        }
        Some(made.rejects < REJECTS_MAX)
    }

    /// We no longer want `block`; says whether it was outstanding.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        let Some(made) = &mut self.made else { return false };
        let was = remove(&mut made.asked, block);
        if was {
            made.remember(block);
        }
        was
    }

    /// The peer choked us, which takes back every request.
    pub(super) fn choked(&mut self, now: Instant) -> VecDeque<Block> {
        if let Some(made) = &mut self.made {
            made.fruitless += u32::from(!made.asked.is_empty());
            if made.fruitless > FRUITLESS_MAX {
                made.pause_until = now + Duration::from_secs(1);
            }
        }
        self.withdraw()
    }

    /// Takes back every request the peer will not answer now; all of them are remembered as late.
    pub(super) fn withdraw(&mut self) -> VecDeque<Block> {
        let Some(made) = &mut self.made else { return VecDeque::new() };
        let all = core::mem::take(&mut made.asked);
        for &block in &all {
            made.remember(block);
        }
        all
    }

    /// Takes back the requests for blocks of `piece`.
    pub(super) fn withdraw_piece(&mut self, piece: PieceIndex) -> VecDeque<Block> {
        let Some(made) = &mut self.made else { return VecDeque::new() };
        let of_it = |block: &Block| block.piece == piece;
        let (gone, still) = core::mem::take(&mut made.asked).into_iter().partition(of_it);
        made.asked = still;
        let gone: VecDeque<Block> = gone;
        for &block in &gone {
            made.remember(block);
        }
        gone
    }

    /// An idle peer keeps no room for requests. What it has not sent by now it never will.
    pub(super) fn settle(&mut self) {
        if let Some(made) = &mut self.made
            && made.asked.is_empty()
        {
            made.asked = VecDeque::new();
            made.late = VecDeque::new();
        }
    }

    /// When the peer will count as snubbed, or may be asked again.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let made = self.made.as_ref()?;
        if made.pause_until > now {
            Some(made.pause_until)
        } else if made.asked.is_empty() {
            None
        } else {
            Some(made.progress + SNUB_TIME)
        }
    }

    /// Whether the peer has owed us blocks for too long; it is snubbed from then on.
    pub(super) fn snub(&mut self, now: Instant) -> bool {
        let Some(made) = &mut self.made else { return false };
        let due = made.owes_too_long(now);
        if due {
            made.snubs = made.snubs.saturating_add(1);
            made.start_depth = None;
            made.progress = now;
        }
        due
    }
}

impl Made {
    fn new(now: Instant) -> Self {
        Self {
            asked: VecDeque::new(),
            late: VecDeque::new(),
            start_depth: Some(DEPTH_FIRST),
            snubs: 0,
            progress: now,
            watch: Stopwatch::new(now),
            pause_until: now,
            rejects: 0,
            fruitless: 0,
        }
    }

    fn depth(&self, now: Instant, rate: &Meter, max: u32) -> u32 {
        if self.snubs > 0 {
            return 1;
        }
        let by_rate = rate.rate(now).saturating_mul(PIPELINE_TIME.as_secs()) / u64::from(BLOCK_LEN);
        let by_rate = u32::try_from(by_rate).unwrap_or(u32::MAX);
        by_rate.max(self.start_depth.unwrap_or(2)).clamp(1, max)
    }

    fn owes_too_long(&self, now: Instant) -> bool {
        !self.asked.is_empty() && now >= self.progress + SNUB_TIME
    }

    fn arrived(&mut self, now: Instant) {
        self.progress = now;
        self.watch.lap(now);
    }

    fn remember(&mut self, block: Block) {
        if self.late.len() == LATE_MAX {
            self.late.pop_front();
        }
        self.late.push_back(block);
    }
}

/// Removes the first `block`, looking at the front first: answers come in the order of the requests.
fn remove(blocks: &mut VecDeque<Block>, block: Block) -> bool {
    if blocks.front() == Some(&block) {
        blocks.pop_front();
        return true;
    }
    match blocks.iter().position(|other| *other == block) {
        Some(place) => blocks.remove(place).is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u32) -> Block {
        Block { piece: PieceIndex(number / 64), offset: number % 64 * BLOCK_LEN, len: BLOCK_LEN }
    }

    #[test]
    fn the_pipeline_of_a_fast_peer_grows_to_the_limit_and_respects_reqq() {
        let mut now = Instant::from_micros(1_000_000);
        let mut rate = Meter::default();
        let mut asking = Asking::new(500);
        asking.limit(250);
        let mut next = 0;
        for _ in 0..100 {
            for _ in 0..asking.room(now, &rate) {
                asking.ask(now, block(next));
                next += 1;
            }
            let outstanding: VecDeque<Block> = asking.asked().copied().collect();
            for block in outstanding {
                rate.add(now, u64::from(block.len));
                assert_eq!(asking.answered(now, block, &rate), Answer::Asked);
            }
            now += Duration::from_millis(10);
        }
        for _ in 0..asking.room(now, &rate) {
            asking.ask(now, block(next));
            next += 1;
        }
        assert_eq!(asking.asked().len(), 250);
    }

    #[test]
    fn a_peer_that_owes_blocks_is_snubbed_and_then_asked_for_one_at_a_time() {
        let now = Instant::from_micros(1_000_000);
        let rate = Meter::default();
        let mut asking = Asking::new(500);
        for number in 0..asking.room(now, &rate) {
            asking.ask(now, block(number));
        }
        let due = asking.deadline(now).unwrap();
        let before = due - Duration::from_millis(1);
        assert_eq!(asking.answered(before, block(9_999), &rate), Answer::NotAsked, "no way to win time");
        assert!(!asking.snub(before));
        assert_eq!(asking.room(due, &rate), 0, "what it would be asked for now would be taken back at once");
        assert!(asking.snub(due));
        assert_eq!(asking.withdraw().len(), DEPTH_FIRST as usize);
        assert_eq!(asking.room(due, &rate), 1);
        assert_eq!(asking.answered(due, block(3), &rate), Answer::Late, "not wasted when it comes after all");
        assert_eq!(asking.answered(due, block(3), &rate), Answer::NotAsked);
    }

    #[test]
    fn a_peer_that_refuses_everything_is_asked_ever_less_and_then_given_up() {
        let mut now = Instant::from_micros(1_000_000);
        let rate = Meter::default();
        let mut asking = Asking::new(500);
        let mut refusals = 0;
        loop {
            let room = asking.room(now, &rate);
            if room == 0 {
                now = asking.deadline(now).unwrap();
                continue;
            }
            asking.ask(now, block(refusals));
            refusals += 1;
            if asking.rejected(now, block(refusals - 1), false) == Some(false) {
                break;
            }
        }
        assert_eq!(refusals, REJECTS_MAX);
        assert!(now.as_micros() > 20_000_000, "it took a while: {now:?}");
    }
}
