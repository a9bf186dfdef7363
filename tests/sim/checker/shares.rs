//! What an engine says it has sent and received is what went over the wire.

use pieceful_core::engine::{Engine, Limits, PeerStatus};

use super::budgets::within;
use super::claims::Known;
use super::ensure;
use super::talk::Talk;

/// Compares a torrent's numbers with what was seen of it.
pub(super) fn compare(known: &Known, engine: &Engine, limits: &Limits) -> Result<(), String> {
    let Some(status) = engine.torrent(known.id) else { return Ok(()) };
    let traffic = status.traffic;
    let sent = traffic.payload_up + traffic.protocol_up;
    ensure(sent == known.sent, || format!("says it has sent {sent} bytes, but has {}", known.sent))?;
    ensure(traffic.payload_up == known.payload_sent, || {
        format!("says it has sent {} bytes of blocks, but has {}", traffic.payload_up, known.payload_sent)
    })?;
    let received = traffic.payload_down + traffic.protocol_down;
    let most = known.received + known.perhaps_received;
    ensure((known.received..=most).contains(&received), || {
        format!("says it has received {received} bytes, but has {} or up to {most}", known.received)
    })?;
    ensure(traffic.wasted <= received, || format!("{} wasted of {received}", traffic.wasted))?;
    within("known peers", status.known_peers.into(), limits.known_peers_max.into())
}

/// Compares a peer's numbers with what was seen of it.
pub(super) fn compare_with(peer: &PeerStatus, talk: &Talk) -> Result<(), String> {
    let (says, seen) = ((peer.uploaded, peer.downloaded), (talk.given, talk.got));
    ensure(says == seen, || {
        let address = peer.address;
        format!(
            "says it has sent to {address} and received from it {says:?} bytes of blocks, but has {seen:?}"
        )
    })
}
