//! When somebody next wants to be woken: one ordered set, armed lazily.
//!
//! Most deadlines move away before they are reached (a peer that was heard of is silent later). So moving one
//! further away does nothing here: it fires early, its owner finds nothing due, and is armed anew. Packets then
//! never touch the set.

use alloc::collections::BTreeSet;

use slotmap::SecondaryMap;

use super::limits::DEADLINE_GRAIN;
use super::output::Wake;
use crate::id::{ConnId, TorrentId};
use crate::time::Instant;

/// Who wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// A connection: silence, keep-alive, snubbing, the greeting's end.
    Conn(ConnId),
    /// A torrent: trackers, choker.
    Torrent(TorrentId),
    /// A torrent's next peer to dial.
    Dial(TorrentId),
    /// UDP trackers: retries.
    Udp,
    /// The DHT node.
    Dht,
    /// Local discovery: announcements.
    Lsd,
    /// Connections that wait for the download limit.
    Throttle,
    /// Torrents that wait for the upload limit.
    Uplink,
}

impl Owner {
    const fn reason(self) -> &'static str {
        match self {
            Self::Conn(_) => "connection",
            Self::Torrent(_) => "torrent",
            Self::Dial(_) => "dial",
            Self::Udp => "udp tracker",
            Self::Dht => "dht",
            Self::Lsd => "local discovery",
            Self::Throttle => "download limit",
            Self::Uplink => "upload limit",
        }
    }
}

/// At most one deadline for each owner.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, Owner)>,
    armed: Armed,
    ended: bool,
}

/// For when each owner is armed; a connection knows that itself. Looked at with every packet, so what a look costs
/// must not grow with the number of torrents.
#[derive(Debug, Default)]
struct Armed {
    torrents: SecondaryMap<TorrentId, Instant>,
    dials: SecondaryMap<TorrentId, Instant>,
    udp: Option<Instant>,
    dht: Option<Instant>,
    lsd: Option<Instant>,
    throttle: Option<Instant>,
    uplink: Option<Instant>,
}

/// What goes wrong when a connection is armed like the others.
const CONN_KEEPS: &str = "a connection keeps for when it is armed";

impl Armed {
    fn get(&self, owner: Owner) -> Option<Instant> {
        match owner {
            Owner::Conn(_) => unreachable!("{CONN_KEEPS}"),
            Owner::Torrent(id) => self.torrents.get(id).copied(),
            Owner::Dial(id) => self.dials.get(id).copied(),
            Owner::Udp => self.udp,
            Owner::Dht => self.dht,
            Owner::Lsd => self.lsd,
            Owner::Throttle => self.throttle,
            Owner::Uplink => self.uplink,
        }
    }

    fn insert(&mut self, owner: Owner, at: Instant) {
        match owner {
            Owner::Conn(_) => unreachable!("{CONN_KEEPS}"),
            Owner::Torrent(id) => drop(self.torrents.insert(id, at)),
            Owner::Dial(id) => drop(self.dials.insert(id, at)),
            Owner::Udp => self.udp = Some(at),
            Owner::Dht => self.dht = Some(at),
            Owner::Lsd => self.lsd = Some(at),
            Owner::Throttle => self.throttle = Some(at),
            Owner::Uplink => self.uplink = Some(at),
        }
    }

    fn remove(&mut self, owner: Owner) -> Option<Instant> {
        match owner {
            Owner::Conn(_) => unreachable!("{CONN_KEEPS}"),
            Owner::Torrent(id) => self.torrents.remove(id),
            Owner::Dial(id) => self.dials.remove(id),
            Owner::Udp => self.udp.take(),
            Owner::Dht => self.dht.take(),
            Owner::Lsd => self.lsd.take(),
            Owner::Throttle => self.throttle.take(),
            Owner::Uplink => self.uplink.take(),
        }
    }
}

impl Deadlines {
    /// Wakes `owner` at `at`, or earlier if it is armed for earlier already.
    pub(super) fn arm(&mut self, owner: Owner, at: Option<Instant>) {
        if let Some(at) = at {
            self.arm_exactly(owner, at.round_up(DEADLINE_GRAIN));
        }
    }

    /// The same for what is due now, and is not to wait until others are due as well.
    pub(super) fn arm_exactly(&mut self, owner: Owner, at: Instant) {
        if self.ended {
            return;
        }
        if let Some(armed) = self.armed.get(owner) {
            if armed <= at {
                return;
            }
            self.set.remove(&(armed, owner));
        }
        self.armed.insert(owner, at);
        self.set.insert((at, owner));
    }

    /// As [`arm`](Self::arm) for a connection, which keeps for when it is armed: [`Instant::NEVER`] if it is not.
    pub(super) fn arm_conn(&mut self, id: ConnId, armed: &mut Instant, at: Option<Instant>) {
        let Some(at) = at.filter(|_| !self.ended) else { return };
        let at = at.round_up(DEADLINE_GRAIN);
        if at < *armed {
            self.disarm_conn(id, armed);
            *armed = at;
            self.set.insert((at, Owner::Conn(id)));
        }
    }

    /// As [`disarm`](Self::disarm) for a connection.
    pub(super) fn disarm_conn(&mut self, id: ConnId, armed: &mut Instant) {
        let at = core::mem::replace(armed, Instant::NEVER);
        if at < Instant::NEVER {
            self.set.remove(&(at, Owner::Conn(id)));
        }
    }

    /// Forgets them all, and any that would be armed from now on: the engine has stopped.
    pub(super) fn end(&mut self) {
        *self = Self { ended: true, ..Self::default() };
    }

    /// Forgets an owner that is gone.
    pub(super) fn disarm(&mut self, owner: Owner) {
        if let Some(at) = self.armed.remove(owner) {
            self.set.remove(&(at, owner));
        }
    }

    /// Takes out one owner that is due; it has to be armed anew.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Owner> {
        let (at, owner) = *self.set.first()?;
        if at > now {
            return None;
        }
        self.set.pop_first();
        if !matches!(owner, Owner::Conn(_)) {
            self.armed.remove(owner);
        }
        Some(owner)
    }

    /// The first deadline.
    pub(super) fn wake(&self) -> Option<Wake> {
        self.set.first().map(|(at, owner)| Wake { at: *at, reason: owner.reason() })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn an_earlier_deadline_replaces_a_later_one_and_a_later_one_changes_nothing() {
        let second = |n: u64| Instant::from_micros(n * 1_000_000);
        let mut deadlines = Deadlines::default();
        deadlines.arm(Owner::Udp, Some(second(5)));
        deadlines.arm(Owner::Udp, Some(second(9)));
        assert_eq!(deadlines.wake().unwrap().at, second(5));
        deadlines.arm(Owner::Udp, Some(second(2)));
        deadlines.arm(Owner::Throttle, Some(second(3)));
        assert_eq!(deadlines.take_due(second(2)), Some(Owner::Udp));
        assert_eq!(deadlines.take_due(second(2)), None);
        assert_eq!(deadlines.wake().unwrap().reason, "download limit");
        deadlines.disarm(Owner::Throttle);
        assert_eq!(deadlines.wake(), None);
    }

    #[test]
    fn after_the_end_nothing_is_armed_any_more() {
        let mut deadlines = Deadlines::default();
        let now = Instant::from_micros(1_000_001);
        deadlines.arm(Owner::Udp, Some(now));
        deadlines.end();
        deadlines.arm(Owner::Uplink, Some(now));
        assert_eq!(deadlines.wake(), None);
    }

    #[test]
    fn deadlines_close_together_share_one_wake_up() {
        let mut deadlines = Deadlines::default();
        let now = Instant::from_micros(1_000_001);
        deadlines.arm(Owner::Udp, Some(now));
        deadlines.arm(Owner::Throttle, Some(now + Duration::from_millis(20)));
        let at = deadlines.wake().unwrap().at;
        assert!(deadlines.take_due(at).is_some() && deadlines.take_due(at).is_some());
    }
}
