//! A private torrent is nobody's business but its trackers' and its users' (BEP 27).

use pieceful_core::engine::{Engine, Source};

use super::claims::Known;
use super::ensure;
use super::talk::Talk;
use crate::words::Said;

/// Where the info-hash lies in what a UDP tracker is asked, who has to know it (BEP 15). No other datagram has it there.
const ASKING_A_TRACKER: usize = 16;

/// A datagram may not name a private torrent to anybody but a tracker.
pub(super) fn datagram(known: &Known, data: &[u8]) -> Result<(), String> {
    let hash = known.data.info_hash().on_the_wire();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let place = data.windows(hash.len()).position(|window| window == hash);
    let named = place.is_some_and(|place| place != ASKING_A_TRACKER)
        || data.windows(hex.len()).any(|window| window.eq_ignore_ascii_case(hex.as_bytes()));
    ensure(!named, || format!("tells strangers of a private torrent: {}", data.escape_ascii()))
}

/// A peer may not be told of others, nor be asked for any.
pub(super) fn word(talk: &Talk, said: &Said) -> Result<(), String> {
    let wrong = match said {
        Said::Extended(0, body) => super::talk::extension(body, "ut_pex").is_some_and(|id| id > 0),
        Said::Extended(id, _) => talk.their_pex == Some(*id),
        Said::Port(_) => true,
        _ => false,
    };
    ensure(!wrong, || format!("{said}, although the torrent is private"))
}

/// Nobody is known who was found in a way that does not suit it.
pub(super) fn peers(known: &Known, engine: &Engine) -> Result<(), String> {
    let Some(status) = engine.torrent(known.id) else { return Ok(()) };
    let known_from = Source::ALL.into_iter().filter(|source| status.known_from.of(*source) > 0);
    let connected = engine.peers(known.id).map(|peer| peer.source);
    let wrong = known_from.chain(connected).find(|source| !source.suits_private());
    ensure(wrong.is_none(), || format!("a peer of a private torrent that it has from {wrong:?}"))
}
