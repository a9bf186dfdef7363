//! Whom to send which datagram, when to send it again, and whose answer to believe (BEP 15).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{Answer, TrackerError, udp};
use crate::cx::Cx;
use crate::scope::NamedBy;
use crate::time::Instant;

/// One name look-up of a [`UdpTrackers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryTag(u64);

/// What a [`UdpTrackers`] wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpAction {
    /// Look up a host name and answer with [`UdpTrackers::resolved`].
    Resolve {
        /// To answer with.
        query: QueryTag,
        /// A host name, never a literal address.
        host: String,
    },
    /// Send a datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The payload.
        data: Bytes,
    },
    /// An announce ended.
    Answered {
        /// As given to [`UdpTrackers::ask`].
        token: u64,
        /// The answer and the address it came from, or why there is none.
        result: Result<(Answer, IpAddr), TrackerError>,
    },
}

/// All UDP trackers of all torrents.
#[derive(Debug, Default)]
pub struct UdpTrackers {}

impl UdpTrackers {
    /// With nothing to do.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces to the tracker at `host` and `port`. Ends with one [`UdpAction::Answered`] for `token`, unless
    /// cancelled; a `token` that is in use already is cancelled first.
    pub fn ask(
        &mut self,
        token: u64,
        named_by: NamedBy,
        host: &str,
        port: u16,
        announce: udp::Announce,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        let _ = (token, named_by, host, port, announce, cx);
    }

    /// Forgets the announce `token`.
    pub fn cancel(&mut self, token: u64) {
        let _ = token;
    }

    /// A [`UdpAction::Resolve`] ended.
    pub fn resolved(
        &mut self,
        query: QueryTag,
        result: Result<Vec<IpAddr>, TrackerError>,
        cx: &mut Cx<'_, UdpAction>,
    ) {
        let _ = (query, result, cx);
    }

    /// A datagram arrived. `true` when it answers a request of ours, whatever it says; `false` when it is for
    /// somebody else.
    pub fn receive(&mut self, from: SocketAddr, data: &[u8], cx: &mut Cx<'_, UdpAction>) -> bool {
        let _ = (from, data, cx);
        false
    }

    /// Does what is due.
    pub fn tick(&mut self, cx: &mut Cx<'_, UdpAction>) {
        let _ = cx;
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        None
    }
}
