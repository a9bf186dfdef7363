//! Answers of trackers and name servers.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Asker, Engine, FetchError, Fetching, ResolveError, Response};
use crate::id::{FetchId, ResolveId};
use crate::tracker::TrackerError;

impl Engine {
    pub(super) fn on_fetched(&mut self, fetch: FetchId, result: Result<Response, FetchError>) {
        let Some(Fetching { owner, .. }) = self.fetches.remove(fetch) else { return };
        let result = match &result {
            Ok(response) => Ok((response.status, &response.body[..], response.from)),
            Err(FetchError::TimedOut) => Err(TrackerError::TimedOut),
            Err(FetchError::Scope(address)) => Err(TrackerError::Scope(*address)),
            Err(error) => Err(TrackerError::Fetch(error.to_string())),
        };
        if let Some((id, tag)) = owner {
            self.with_torrent(id, |torrent, turn| torrent.fetched(tag, result, turn));
        }
        self.fetch_on();
    }

    pub(super) fn on_resolved(&mut self, query: ResolveId, result: Result<Vec<IpAddr>, ResolveError>) {
        let Some(asker) = self.resolves.remove(query) else { return };
        let tag = match asker {
            Asker::Tracker(tag) => tag,
            Asker::Dht { named_by, port } => {
                self.dht_resolved(named_by, port, result);
                return self.resolve_on();
            }
            Asker::Link { torrent: id, place } => {
                let addresses = result.unwrap_or_default();
                self.with_torrent(id, |torrent, turn| torrent.link_host_resolved(place, &addresses, turn));
                return self.resolve_on();
            }
        };
        let result = result.map_err(|error| match error {
            ResolveError::NotFound => TrackerError::NoSuchHost,
            ResolveError::Failed => TrackerError::LookUp,
        });
        self.with_udp(|udp, cx| udp.resolved(tag, result, cx));
        self.resolve_on();
    }
}
