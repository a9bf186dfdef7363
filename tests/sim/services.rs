//! What the network offers beside peers: names that are looked up, and trackers, and how they fail for one node.

use std::net::IpAddr;
use std::time::Duration;

use pieceful_core::engine::{FetchError, FetchRequest, ResolveError, Response};

use crate::{Manner, UdpProfile, World};

/// How long a driver waits for the answer to a fetch.
pub(crate) const FETCH_PATIENCE: Duration = Duration::from_secs(30);
/// How long a system waits for its name servers.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a name server takes.
const RESOLVE_TIME: Duration = Duration::from_millis(30);

/// How a node's name servers behave when they do not as they should.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Names {
    /// They know no name at all.
    Unknown,
    /// They do not answer.
    Silent,
    /// They answer after this long, or not at all when a system would not wait.
    Slow(Duration),
    /// They have these addresses for every name.
    Changed(Vec<IpAddr>),
}

/// What a node suffers of others' services; nothing, mostly.
#[derive(Debug, Default)]
pub(crate) struct Services {
    pub(crate) manner: Option<Manner>,
    pub(crate) names: Option<Names>,
    pub(crate) datagrams: Option<UdpProfile>,
}

impl World {
    /// What a name server says, and how long that takes.
    pub(crate) fn look_up(&self, node: usize, host: &str) -> (Duration, Result<Vec<IpAddr>, ResolveError>) {
        let names = self.nodes[node].engine().and_then(|owner| owner.services.names.clone());
        let known = || self.hosts.get(host).cloned().filter(|found| !found.is_empty());
        let known = || known().ok_or(ResolveError::NotFound);
        match names {
            _ if !self.is_online(node) => (RESOLVE_PATIENCE, Err(ResolveError::Failed)),
            Some(Names::Silent) => (RESOLVE_PATIENCE, Err(ResolveError::Failed)),
            Some(Names::Slow(time)) if time > RESOLVE_PATIENCE => {
                (RESOLVE_PATIENCE, Err(ResolveError::Failed))
            }
            Some(Names::Slow(time)) => (time, known()),
            Some(Names::Unknown) => (RESOLVE_TIME, Err(ResolveError::NotFound)),
            Some(Names::Changed(addresses)) => (RESOLVE_TIME, Ok(addresses)),
            None => (RESOLVE_TIME, known()),
        }
    }

    /// How a tracker behaves towards a node.
    pub(crate) fn manner(&self, node: usize, tracker: usize) -> Manner {
        let for_it = self.nodes[node].engine().and_then(|owner| owner.services.manner.clone());
        for_it.unwrap_or_else(|| self.trackers[tracker].manner.clone())
    }

    /// What a driver gets that fetches for a node, and how long that takes.
    pub(crate) fn fetch(
        &mut self,
        node: usize,
        request: &FetchRequest,
    ) -> (Duration, Result<Response, FetchError>) {
        if !self.is_online(node) {
            return (FETCH_PATIENCE, Err(FetchError::TimedOut));
        }
        let found = self.trackers.iter().position(|tracker| request.url.starts_with(&tracker.url));
        let Some(place) = found else {
            return (Duration::ZERO, Err(FetchError::Connect("no such host".into())));
        };
        let (manner, from, now) = (self.manner(node, place), self.nodes[node].address.ip(), self.queue.now);
        self.trackers[place].fetch(now, from, request, &manner)
    }
}
