//! Which addresses a tracker's name stands for: looked up once for all who ask, remembered for a while.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::time::Instant;

/// One name look-up of a [`UdpTrackers`](super::UdpTrackers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryTag(u64);

/// What is known of host names.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<String, Name>,
    /// The names being looked up.
    queries: BTreeMap<QueryTag, String>,
    /// Known names, the oldest first.
    ages: BTreeSet<(Instant, String)>,
    queries_made: u64,
}

#[derive(Debug)]
enum Name {
    /// These requests wait for it.
    Asked {
        query: QueryTag,
        waiting: BTreeSet<u64>,
    },
    Known {
        addresses: Vec<IpAddr>,
        until: Instant,
    },
}

/// How a name stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Its addresses.
    Known(Vec<IpAddr>),
    /// Somebody has asked already.
    UnderWay(QueryTag),
    /// To be asked for.
    Ask(QueryTag),
    /// Too many look-ups are under way.
    Busy,
}

impl Names {
    /// Looks up `host` for `token`.
    pub(super) fn look_up(&mut self, host: &str, token: u64, now: Instant) -> Lookup {
        match self.names.get_mut(host) {
            Some(Name::Known { addresses, until }) if *until > now => {
                return Lookup::Known(addresses.clone());
            }
            Some(Name::Asked { query, waiting }) => {
                waiting.insert(token);
                return Lookup::UnderWay(*query);
            }
            Some(Name::Known { .. }) => self.forget(host),
            None => {}
        }
        if self.queries.len() >= NAMES_MAX {
            return Lookup::Busy;
        }
        self.queries_made += 1;
        let query = QueryTag(self.queries_made);
        self.queries.insert(query, String::from(host));
        self.names.insert(String::from(host), Name::Asked { query, waiting: BTreeSet::from([token]) });
        Lookup::Ask(query)
    }

    /// A look-up ended; no addresses when it failed. Returns who waited for it.
    pub(super) fn resolved(&mut self, query: QueryTag, addresses: &[IpAddr], now: Instant) -> BTreeSet<u64> {
        let Some(host) = self.queries.remove(&query) else { return BTreeSet::new() };
        let Some(Name::Asked { waiting, .. }) = self.names.remove(&host) else { return BTreeSet::new() };
        if !addresses.is_empty() {
            if self.ages.len() >= NAMES_MAX
                && let Some((_, oldest)) = self.ages.first().cloned()
            {
                self.forget(&oldest);
            }
            let until = now + KNOWN_TIME;
            self.ages.insert((until, host.clone()));
            let addresses = addresses.iter().copied().take(ADDRESSES_MAX).collect();
            self.names.insert(host, Name::Known { addresses, until });
        }
        waiting
    }

    /// `token` no longer waits for `query`. The look-up goes on: others may want to know.
    pub(super) fn leave(&mut self, query: QueryTag, token: u64) {
        let Some(host) = self.queries.get(&query) else { return };
        if let Some(Name::Asked { waiting, .. }) = self.names.get_mut(host) {
            waiting.remove(&token);
        }
    }

    fn forget(&mut self, host: &str) {
        if let Some(Name::Known { until, .. }) = self.names.remove(host) {
            self.ages.remove(&(until, String::from(host)));
        }
    }
}

/// How long a name's addresses are used. The system's resolver does not say how long they hold; trackers that
/// move keep the old address for longer than this.
const KNOWN_TIME: Duration = Duration::from_secs(300);
/// Names remembered, and look-ups at once; beyond this the oldest name goes. A name and its addresses take some 500 bytes.
const NAMES_MAX: usize = 1_024;
/// Addresses remembered of one name.
const ADDRESSES_MAX: usize = 16;
