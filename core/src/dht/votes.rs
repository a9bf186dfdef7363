//! What our own address is, as those say who see it from outside (BEP 42).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::contact::network;
use crate::scope::{self, Scope};

/// So many have to agree: a few liars do not make us move.
const QUORUM: usize = 10;
/// Votes that are looked at; older ones go.
const VOTES_MAX: usize = 60;

/// A vote for everyone who has told us our address.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// Whose network says which address, oldest first. A network has one vote.
    cast: Vec<(Voter, IpAddr)>,
    elected: Option<IpAddr>,
}

/// A network on the internet, or else a single node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voter {
    Network(u64),
    Node(SocketAddr),
}

impl Votes {
    /// Our address, once enough have agreed.
    pub(super) const fn elected(&self) -> Option<IpAddr> {
        self.elected
    }

    /// `voter` says that we are at `address`. Gives our address when it is another than before.
    pub(super) fn cast(&mut self, voter: SocketAddr, address: IpAddr) -> Option<IpAddr> {
        if scope::scope(address) != Some(Scope::Global) || address.is_ipv4() != voter.is_ipv4() {
            return None;
        }
        let voter = network(voter.ip()).map_or(Voter::Node(voter), Voter::Network);
        self.cast.retain(|(other, _)| *other != voter);
        if self.cast.len() >= VOTES_MAX {
            self.cast.remove(0);
        }
        self.cast.push((voter, address));
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, address) in &self.cast {
            *counts.entry(*address).or_default() += 1;
        }
        let (first, votes) = counts.into_iter().max_by_key(|(_, votes)| *votes)?;
        if votes < QUORUM || votes * 2 <= self.cast.len() || self.elected == Some(first) {
            return None;
        }
        self.elected = Some(first);
        self.elected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(8, 8, 8, 8));

    fn voter(network: u8, last: u8) -> SocketAddr {
        SocketAddr::from(([9, 9, network, last], 6881))
    }

    #[test]
    fn ten_networks_that_agree_tell_us_our_address() {
        let mut votes = Votes::default();
        for network in 0..9 {
            assert_eq!(votes.cast(voter(network, 1), OURS), None);
        }
        assert_eq!(votes.cast(voter(9, 1), OURS), Some(OURS));
        assert_eq!(votes.cast(voter(10, 1), OURS), None, "that is no news");
        assert_eq!(votes.elected(), Some(OURS));
    }

    #[test]
    fn a_network_has_one_vote_however_many_nodes_are_in_it() {
        let mut votes = Votes::default();
        for last in 0..200 {
            assert_eq!(votes.cast(voter(1, last), OURS), None);
        }
    }

    #[test]
    fn a_minority_does_not_move_us() {
        let mut votes = Votes::default();
        for network in 0..20 {
            votes.cast(voter(network, 1), OURS);
        }
        for network in 20..39 {
            assert_eq!(votes.cast(voter(network, 1), IpAddr::from([7, 7, 7, 7])), None);
        }
    }

    #[test]
    fn an_address_that_nobody_outside_can_see_is_not_ours() {
        let mut votes = Votes::default();
        for network in 0..50 {
            assert_eq!(votes.cast(voter(network, 1), IpAddr::from([192, 168, 1, 1])), None);
        }
    }
}
