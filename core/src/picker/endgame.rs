//! The last blocks: asked of another peer where one is late, so that no slow one holds up the end.
//!
//! Once every missing block has been asked of somebody, a peer with nothing to do could ask for all that is still
//! under way elsewhere. Among peers about equally fast nearly all of that would come twice, because a block that
//! is on its way cannot be cancelled any more. So a peer helps only with blocks that it would send in less than
//! half the time in which they are expected from elsewhere, those expected last first. A peer that stalls looks
//! slower the longer it is waited for, and so is helped in the end.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use slotmap::Key as _;

use super::{Has, OWNERS_MAX, Picker};
use crate::id::{Block, PeerKey};
use crate::rate::Pace;
use crate::rng::Rng;

/// Blocks looked at in one call. The search begins at a random peer, so what is left out once is found another
/// time; and each of these blocks is asked of somebody in any case.
const LOOKS_MAX: u32 = 1024;

/// What is expected within this is never late, however fast others are: reads come in bursts, and a busy computer
/// looks away for a while.
const NEVER_LATE: Duration = Duration::from_millis(100);

/// A block expected to take so long or longer is late in the eyes of a peer that would send it after `could_send`.
#[must_use]
pub fn late_from(could_send: Duration) -> Duration {
    could_send.saturating_mul(2).max(NEVER_LATE)
}

struct Late {
    number: u32,
    slot: u32,
    /// Its place among what its first owner owes.
    ahead: u32,
    expected: Duration,
}

impl Picker {
    /// In the endgame, pushes up to `want` blocks to ask `peer` for that others have been asked for and are late
    /// with, and counts them as asked of it. No block is asked of more than [`OWNERS_MAX`] peers.
    ///
    /// `pace` tells how fast others send what they owe, and how fast `peer` would send more; one without a pace
    /// neither helps nor is helped now. Returns after what time there may be more to help with, should nothing
    /// come until then.
    ///
    /// Takes a step for each peer at work and each block that is late.
    pub fn pick_again(
        &mut self,
        peer: PeerKey,
        has: Has<'_>,
        want: u32,
        pace: impl Fn(PeerKey) -> Option<Pace>,
        rng: &mut Rng,
        out: &mut Vec<Block>,
    ) -> Option<Duration> {
        if peer.is_null() || want == 0 || !self.in_endgame() {
            return None;
        }
        if let Some(stranger) = self.asked.displaced_by(peer) {
            self.give_back_all(stranger);
            return None; // there are open blocks now
        }
        let own = pace(peer)?;
        let ahead = self.asked.len_of(peer);
        let limit = |given: usize| late_from(own.expects(ahead + given as u32));
        let start = rng.below(self.asked.rows().len() as u32);
        let (mut late, soonest) = self.late_blocks(peer, has, limit(0), &pace, start);
        late.sort_by_key(|late| Reverse(late.expected));
        let some = late.iter().take(want as usize).enumerate();
        let taken = some.take_while(|&(given, late)| late.expected >= limit(given)).count();
        for late in &late[..taken] {
            let partial = self.partials.get_mut(late.number);
            partial.slots[late.slot as usize].add_owner(peer);
            self.asked.push(peer, partial.piece, late.slot);
            out.push(self.grid.block(partial.piece, late.slot));
        }
        let rest = late[taken..].iter().filter_map(|late| {
            let (_, wait) = self.outlook(late.number, late.slot, late.ahead, limit(taken), &pace)?;
            Some(wait)
        });
        rest.chain(soonest).min()
    }

    /// What `peer` may be asked for and is expected to take `limit` or longer; and how soon there may be more.
    fn late_blocks(
        &self,
        peer: PeerKey,
        has: Has<'_>,
        limit: Duration,
        pace: &impl Fn(PeerKey) -> Option<Pace>,
        start: u32,
    ) -> (Vec<Late>, Option<Duration>) {
        let (mut late, mut soonest) = (Vec::new(), None::<Duration>);
        let mut looks = LOOKS_MAX;
        let (before, after) = self.asked.rows().split_at(start as usize);
        for row in after.iter().chain(before).filter(|row| !row.blocks.is_empty()) {
            let Some(its) = pace(row.peer) else { continue };
            // Peers answer in the order they were asked in: what comes last is late first.
            for (ahead, &(piece, slot)) in (0..row.blocks.len() as u32).zip(&row.blocks).rev() {
                if looks == 0 {
                    return (late, soonest);
                }
                looks -= 1;
                let number =
                    self.partials.find(piece).expect("picker: a piece with an asked block is partial");
                if !self.may_help(peer, has, number, slot, row.peer) {
                    continue;
                }
                let Some((expected, wait)) = self.outlook(number, slot, ahead, limit, pace) else { continue };
                if wait.is_zero() {
                    late.push(Late { number, slot, ahead, expected });
                    continue;
                }
                soonest = Some(soonest.map_or(wait, |other| other.min(wait)));
                // What its owner owes before it is not late before this is.
                if wait == its.reaches(limit, ahead) {
                    break;
                }
            }
        }
        (late, soonest)
    }

    /// Whether `peer` may be asked for a block. Of its owners only the first is to ask, so it is found once.
    fn may_help(&self, peer: PeerKey, has: Has<'_>, number: u32, slot: u32, owner: PeerKey) -> bool {
        let partial = self.partials.get(number);
        let owners = partial.slots[slot as usize].owners();
        !partial.alone
            && owners.len() < OWNERS_MAX
            && owners.first() == Some(&owner)
            && !owners.contains(&peer)
            && self.needed.get(partial.piece)
            && has.contains(partial.piece)
    }

    /// How long a block is expected to take from the soonest of its owners, the first of which has `ahead` others
    /// to send before it; and how long until that becomes `limit`. `None` if nothing can be told of one of them.
    fn outlook(
        &self,
        number: u32,
        slot: u32,
        ahead: u32,
        limit: Duration,
        pace: &impl Fn(PeerKey) -> Option<Pace>,
    ) -> Option<(Duration, Duration)> {
        let partial = self.partials.get(number);
        let (&first, others) = partial.slots[slot as usize].owners().split_first()?;
        let others = others.iter().map(|&other| {
            let place = self.asked.of(other).position(|asked| asked == (partial.piece, slot));
            (other, place.expect("picker: a block is on the list of each of its owners") as u32)
        });
        let (mut expected, mut wait) = (Duration::MAX, Duration::ZERO);
        for (owner, ahead) in core::iter::once((first, ahead)).chain(others) {
            let its = pace(owner)?;
            expected = expected.min(its.expects(ahead));
            wait = wait.max(its.reaches(limit, ahead));
        }
        Some((expected, wait))
    }
}
