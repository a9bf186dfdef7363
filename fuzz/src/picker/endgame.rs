//! The model of the endgame: whose blocks are late, by the definition, one by one.

use core::time::Duration;

use pieceful_core::id::{BLOCK_LEN, Block, PieceIndex};
use pieceful_core::picker::{Has, OWNERS_MAX, late_from};
use pieceful_core::rate::Pace;

use super::{Both, Cell, PEERS};

/// How fast a byte says that a peer is, if it says anything.
pub(super) fn pace(byte: u8) -> Option<Pace> {
    let (first, each, waited) = (u64::from(byte % 4), u64::from(byte / 4 % 4), u64::from(byte / 16));
    (byte % 32 != 31).then(|| Pace {
        first: Duration::from_millis(40 * first),
        each: Duration::from_millis(30 * each),
        waited: Duration::from_millis(35 * waited),
    })
}

impl Both {
    pub(super) fn pick_again(&mut self, at: usize, want: u32, paces: [Option<Pace>; PEERS]) {
        let Some(peer) = &self.peers[at] else { return };
        let (key, seed, pieces_of) = (peer.key, peer.seed, peer.has.clone());
        let has = if seed { Has::All } else { Has::Some(&pieces_of) };
        let keys = self.peers.each_ref().map(|peer| peer.as_ref().map(|peer| peer.key));
        let pace =
            |key| paces[keys.iter().position(|&other| other == Some(key)).expect("a peer asked is here")];
        let mut picked = Vec::new();
        let wait = self.picker.pick_again(key, has, want, pace, &mut self.rng, &mut picked);
        let Some(own) = paces[at].filter(|_| want > 0 && !self.any_open()) else {
            assert_eq!((picked, wait), (Vec::new(), None));
            return;
        };
        assert!(picked.len() <= want as usize);
        let limit = |both: &Self| late_from(own.expects(both.asked_of(at).len() as u32));
        for &block in &picked {
            let (piece, slot) = (block.piece.0 as usize, (block.offset / BLOCK_LEN) as usize);
            assert_eq!(block, self.block(piece, slot), "a whole block");
            let outlooks = self.outlooks(at, has, &paces);
            let (_, expected) =
                outlooks.iter().find(|(found, _)| *found == block).expect("a block that may be asked");
            assert!(*expected >= limit(self), "{block:?} is not late");
            assert!(
                outlooks.iter().all(|(_, other)| other <= expected),
                "{block:?} before one expected later"
            );
            let Cell::Asked(owners) = &mut self.pieces[piece].cells[slot] else { unreachable!() };
            owners.push(at);
            self.log.push((at, piece, slot));
        }
        let left = self.outlooks(at, has, &paces);
        assert_eq!(wait.is_some(), !left.is_empty(), "it is to look again while there is anything");
        if let Some(wait) = wait
            && picked.len() < want as usize
        {
            let just_before = wait.saturating_sub(Duration::from_nanos(1));
            let then = paces.map(|pace| Some(Pace { waited: pace?.waited + just_before, ..pace? }));
            let late = self.outlooks(at, has, &then).iter().any(|&(_, expected)| expected >= limit(self));
            assert!(!late, "something is late before it is to look again");
        }
    }

    /// Blocks that others were asked for and that may be asked of a peer as well, and how long each is expected to
    /// take.
    fn outlooks(&self, at: usize, has: Has<'_>, paces: &[Option<Pace>; PEERS]) -> Vec<(Block, Duration)> {
        let outlook = |(piece, slot): (usize, usize)| {
            let (it, index) = (&self.pieces[piece], PieceIndex(piece as u32));
            let owners = it.cells[slot].owners();
            if it.alone
                || !it.needed()
                || !has.contains(index)
                || owners.len() == OWNERS_MAX
                || owners.contains(&at)
            {
                return None;
            }
            let expects = |&owner: &usize| {
                let ahead = self.asked_of(owner).iter().position(|&asked| asked == (piece, slot));
                Some(paces[owner]?.expects(ahead.expect("an owner was asked") as u32))
            };
            let expected: Option<Vec<_>> = owners.iter().map(expects).collect();
            Some((self.block(piece, slot), expected?.into_iter().min()?))
        };
        self.blocks().filter_map(outlook).collect()
    }
}
