//! Routers that translate addresses: who gets in from outside, and from where it looks as if somebody calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use pieceful_core::time::Instant;

/// What stands between a node and the others. Nobody can open a connection to a node behind a router; datagrams
/// get in as answers do (the names are those of RFC 3489). No router forgets sooner than after ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Nat {
    /// Nothing.
    #[default]
    Open,
    /// Whoever knows the port that the router uses gets in.
    FullCone {
        /// How long it remembers a port that the node does not use.
        timeout: Duration,
    },
    /// Hosts that the node has sent something to get in.
    AddressRestricted {
        /// How long it remembers.
        timeout: Duration,
    },
    /// The very ports that the node has sent something to get in.
    PortRestricted {
        /// How long it remembers.
        timeout: Duration,
    },
    /// As port-restricted, and everybody sees the node at another port.
    Symmetric {
        /// How long it remembers.
        timeout: Duration,
    },
}

/// With less than the time to an answer nothing would ever get in.
const TIMEOUT_MIN: Duration = Duration::from_secs(10);

impl Nat {
    const fn timeout(self) -> Duration {
        let timeout = match self {
            Self::Open => Duration::MAX,
            Self::FullCone { timeout }
            | Self::AddressRestricted { timeout }
            | Self::PortRestricted { timeout }
            | Self::Symmetric { timeout } => timeout,
        };
        if timeout.as_secs() < TIMEOUT_MIN.as_secs() { TIMEOUT_MIN } else { timeout }
    }
}

/// What one router remembers.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    /// By destination where each has its own; by nothing otherwise.
    ports: BTreeMap<Option<SocketAddr>, Mapping>,
    used: u16,
}

#[derive(Debug)]
struct Mapping {
    port: u16,
    since: Instant,
    sent_to: BTreeSet<SocketAddr>,
}

/// The first port that a router uses for others.
const PORTS: u16 = 50_000;

impl Mappings {
    /// From where a datagram to `to` seems to come.
    pub(crate) fn outward(&mut self, nat: Nat, own: SocketAddr, to: SocketAddr, now: Instant) -> SocketAddr {
        if nat == Nat::Open {
            return own;
        }
        self.ports.retain(|_, mapping| now.since(mapping.since) <= nat.timeout());
        let of = matches!(nat, Nat::Symmetric { .. }).then_some(to);
        let used = &mut self.used;
        let mapping = self.ports.entry(of).or_insert_with(|| {
            *used = (*used + 1) % 10_000;
            Mapping { port: PORTS + *used, since: now, sent_to: BTreeSet::new() }
        });
        mapping.since = now;
        mapping.sent_to.insert(to);
        SocketAddr::new(own.ip(), mapping.port)
    }

    /// Whether a datagram from `from` to `to` gets to a node that listens at `own`.
    pub(crate) fn lets_in(
        &self,
        nat: Nat,
        own: SocketAddr,
        from: SocketAddr,
        to: SocketAddr,
        now: Instant,
    ) -> bool {
        let mut mappings = self.ports.values();
        let mapping = mappings.find(|mapping| mapping.port == to.port());
        let Some(mapping) = mapping.filter(|mapping| now.since(mapping.since) <= nat.timeout()) else {
            return nat == Nat::Open && to == own;
        };
        match nat {
            Nat::Open => false,
            Nat::FullCone { .. } => true,
            Nat::AddressRestricted { .. } => mapping.sent_to.iter().any(|sent| sent.ip() == from.ip()),
            Nat::PortRestricted { .. } | Nat::Symmetric { .. } => mapping.sent_to.contains(&from),
        }
    }

    /// The router was switched off and on.
    pub(crate) fn forget(&mut self) {
        self.ports.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Which of three senders get in after the node has written to the first: itself, its host's other port, and
    /// somebody else; and whether two destinations see the node at the same port.
    fn who(kind: impl Fn(Duration) -> Nat) -> ([bool; 3], bool) {
        let (nat, now) = (kind(Duration::from_secs(60)), Instant::from_micros(1));
        let mut router = Mappings::default();
        let own = address("11.0.1.1:6881");
        let met = address("11.0.2.1:6881");
        let seen = router.outward(nat, own, met, now);
        let let_in = [met, address("11.0.2.1:7000"), address("11.0.3.1:6881")]
            .map(|from| router.lets_in(nat, own, from, seen, now));
        let later = now + Duration::from_secs(61);
        assert!(nat == Nat::Open || !router.lets_in(nat, own, met, seen, later), "it forgets");
        (let_in, router.outward(nat, own, address("11.0.3.1:6881"), now) == seen)
    }

    #[test]
    fn each_kind_of_router_lets_in_whom_it_is_named_for() {
        assert_eq!(who(|_| Nat::Open), ([true, true, true], true));
        assert_eq!(who(|timeout| Nat::FullCone { timeout }), ([true, true, true], true));
        assert_eq!(who(|timeout| Nat::AddressRestricted { timeout }), ([true, true, false], true));
        assert_eq!(who(|timeout| Nat::PortRestricted { timeout }), ([true, false, false], true));
        assert_eq!(who(|timeout| Nat::Symmetric { timeout }), ([true, false, false], false));
    }
}
