//! Whose fault it is when something ends: a peer's ends its own connection, a disk's its own torrent, and an honest
//! peer is never at fault.

use std::net::SocketAddr;

use pieceful_core::engine::Event;
use pieceful_core::id::{ConnId, TorrentId};
use pieceful_core::peer::CloseReason;

use super::ensure;

/// What the engine is reacting to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// What came on, or became of, a connection.
    Conn(ConnId, SocketAddr),
    /// An answer of the disk.
    Disk(TorrentId),
    /// Time, a user, a tracker.
    #[default]
    Other,
}

/// Whether `event` may follow from its cause. The address of a peer that it says has done wrong, if it does.
pub(super) fn event(event: &Event, cause: Cause) -> Result<Option<SocketAddr>, String> {
    match event {
        Event::PeerClosed { peer, reason, .. } => {
            let own = matches!(cause, Cause::Conn(_, address) if address == *peer);
            let by_what_it_said = reason.is_misbehaviour() && *reason != CloseReason::Banned;
            let by_its_end = matches!(reason, CloseReason::Stream(_));
            ensure(own || !(by_what_it_said || by_its_end), || {
                format!("{peer} is closed ({reason}) for what happened elsewhere: {cause:?}")
            })?;
            Ok(reason.is_misbehaviour().then_some(*peer))
        }
        Event::PeerBanned { peer, .. } => Ok(Some(*peer)),
        Event::Failed { torrent, error } => {
            let own = match cause {
                Cause::Disk(failed) => failed == *torrent,
                Cause::Conn(..) => false,
                Cause::Other => true,
            };
            ensure(own, || format!("{torrent:?} fails ({error}) for what happened elsewhere: {cause:?}"))?;
            Ok(None)
        }
        _ => Ok(None),
    }
}
