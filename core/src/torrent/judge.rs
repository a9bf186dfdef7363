//! Who sent wrong data: block by block, from evidence, never by suspicion.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::id::{PeerId, PieceIndex};
use crate::scope::{self, Scope};

/// Pieces under suspicion at once. Each keeps one hash a block: 20 KiB for a piece of 16 MiB.
const PIECES_MAX: usize = 64;
/// Banned hosts and names remembered.
const BANNED_MAX: usize = 1_000;

/// Evidence about pieces that failed, and those found guilty.
#[derive(Debug, Default)]
pub(super) struct Judge {
    evidence: BTreeMap<PieceIndex, Evidence>,
    hosts: BTreeSet<IpAddr>,
    names: BTreeSet<PeerId>,
}

/// What a wrong piece consisted of.
#[derive(Debug)]
struct Evidence {
    /// Number of the block in its piece, and who sent it.
    suspects: Vec<(u32, SocketAddr)>,
    /// SHA-1 of each block as it was; empty until the disk has told.
    blocks: Vec<[u8; 20]>,
}

impl Judge {
    /// A piece made by several was wrong. Says whether its blocks' hashes are wanted as evidence.
    pub(super) fn suspect(&mut self, piece: PieceIndex, suspects: Vec<(u32, SocketAddr)>) -> bool {
        if self.evidence.len() >= PIECES_MAX && !self.evidence.contains_key(&piece) {
            return false;
        }
        self.evidence.insert(piece, Evidence { suspects, blocks: Vec::new() });
        true
    }

    /// What the blocks of the wrong piece hash to.
    pub(super) fn blocks(&mut self, piece: PieceIndex, blocks: Vec<[u8; 20]>) {
        if let Some(evidence) = self.evidence.get_mut(&piece) {
            evidence.blocks = blocks;
        }
    }

    pub(super) fn has_evidence(&self, piece: PieceIndex) -> bool {
        self.evidence.contains_key(&piece)
    }

    /// The piece is right now, and its blocks hash to `right`: who sent others?
    pub(super) fn compare(&mut self, piece: PieceIndex, right: &[[u8; 20]]) -> BTreeSet<SocketAddr> {
        let Some(Evidence { suspects, blocks }) = self.evidence.remove(&piece) else {
            return BTreeSet::new();
        };
        suspects
            .into_iter()
            .filter(|(block, _)| {
                let was = blocks.get(*block as usize);
                was.is_some() && was != right.get(*block as usize)
            })
            .map(|(_, liar)| liar)
            .collect()
    }

    /// Remembers a liar that had connected to us. Loopback, or a host that others `share`, is not banned as a
    /// whole.
    pub(super) fn ban(&mut self, host: IpAddr, shared: bool, name: Option<PeerId>) {
        if !shared && scope::scope(host) != Some(Scope::Loopback) && self.hosts.len() < BANNED_MAX {
            self.hosts.insert(network(host));
        }
        if let Some(name) = name
            && self.names.len() < BANNED_MAX
        {
            self.names.insert(name);
        }
    }

    pub(super) fn is_banned(&self, host: IpAddr, name: PeerId) -> bool {
        self.hosts.contains(&network(host)) || self.names.contains(&name)
    }
}

/// An IPv6 host has a whole /64 to move about in.
fn network(host: IpAddr) -> IpAddr {
    match scope::plain(host) {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 6881))
    }

    #[test]
    fn only_the_peer_whose_block_was_different_is_guilty() {
        let mut judge = Judge::default();
        assert!(judge.suspect(PieceIndex(3), [(0, peer(1)), (1, peer(2)), (2, peer(1))].to_vec()));
        judge.blocks(PieceIndex(3), [[1; 20], [9; 20], [3; 20]].to_vec());
        assert_eq!(judge.compare(PieceIndex(3), &[[1; 20], [2; 20], [3; 20]]), [peer(2)].into());
        assert!(judge.compare(PieceIndex(3), &[[7; 20]]).is_empty(), "evidence is used once");
    }

    #[test]
    fn without_the_blocks_nobody_is_guilty() {
        let mut judge = Judge::default();
        judge.suspect(PieceIndex(3), [(0, peer(1))].to_vec());
        assert!(judge.compare(PieceIndex(3), &[[1; 20]]).is_empty());
    }

    #[test]
    fn a_banned_host_is_banned_in_its_whole_network_but_never_loopback() {
        let mut judge = Judge::default();
        let (one, other) = (PeerId([1; 20]), PeerId([2; 20]));
        judge.ban("2001:db8::1".parse().unwrap(), false, Some(one));
        assert!(judge.is_banned("2001:db8::9".parse().unwrap(), other));
        assert!(!judge.is_banned("2001:db8:0:1::1".parse().unwrap(), other));
        assert!(judge.is_banned("192.0.2.1".parse().unwrap(), one));
        judge.ban("127.0.0.1".parse().unwrap(), false, None);
        judge.ban("192.0.2.7".parse().unwrap(), true, None);
        assert!(!judge.is_banned("127.0.0.1".parse().unwrap(), other));
        assert!(!judge.is_banned("192.0.2.7".parse().unwrap(), other));
    }
}
