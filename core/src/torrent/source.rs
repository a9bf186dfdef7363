//! Where addresses of peers come from.

use alloc::vec::Vec;

use super::{Slot, Torrent, Turn};
use crate::id::PeerKey;
use crate::peer::CloseReason;

/// Where an address came from. The order is that of trust: whoever is named again by a better source counts as
/// named by that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An earlier run knew it.
    Saved,
    /// A peer named it (BEP 11).
    Pex,
    /// A node of the DHT named it (BEP 5).
    Dht,
    /// It announced itself on the local network (BEP 14).
    Lsd,
    /// It connected to us.
    Incoming,
    /// A tracker named it.
    Tracker,
    /// The user named it.
    User,
}

impl Source {
    /// Every one, least trusted first.
    pub const ALL: [Self; 7] =
        [Self::Saved, Self::Pex, Self::Dht, Self::Lsd, Self::Incoming, Self::Tracker, Self::User];

    /// Whether a private torrent may have peers from here (BEP 27): only its trackers and the user decide who takes
    /// part. What connects to us has been told of us by them.
    #[must_use]
    pub const fn suits_private(self) -> bool {
        match self {
            Self::Pex | Self::Dht | Self::Lsd => false,
            // Of such a torrent no others are saved.
            Self::Saved | Self::Incoming | Self::Tracker | Self::User => true,
        }
    }
}

/// How many came from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources([u32; Source::ALL.len()]);

impl Sources {
    /// How many came from `source`.
    #[must_use]
    pub const fn of(&self, source: Source) -> u32 {
        self.0[source as usize]
    }

    pub(super) const fn add(&mut self, source: Source) {
        self.0[source as usize] += 1;
    }

    pub(super) const fn take(&mut self, source: Source) {
        self.0[source as usize] -= 1;
    }
}

impl FromIterator<Source> for Sources {
    fn from_iter<I: IntoIterator<Item = Source>>(sources: I) -> Self {
        let mut counts = Self::default();
        sources.into_iter().for_each(|source| counts.add(source));
        counts
    }
}

impl Torrent {
    /// Who told us of a peer; itself, if it connected to us and nobody else has named it.
    pub(super) fn source_of(&self, slot: &Slot) -> Source {
        slot.listens.and_then(|listens| self.known.source(listens)).unwrap_or(Source::Incoming)
    }

    /// It turns out to be private (BEP 27): peers found in a way that does not suit such a torrent are forgotten, and
    /// left where they are connected.
    pub fn turned_private(&mut self, turn: &mut Turn<'_>) {
        let suits = |slot: &Slot| self.source_of(slot).suits_private();
        let all = self.peers.iter();
        let unsuited: Vec<PeerKey> = all.filter(|(_, slot)| !suits(slot)).map(|(key, _)| key).collect();
        self.known.set_private();
        self.exchange = None;
        for key in unsuited {
            self.close(key, CloseReason::Private, turn);
        }
    }
}
