//! Which tracker to ask, and when (BEP 12).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Action, AnnounceTag, Answer, Numbers, TrackerError};
use crate::cx::Cx;
use crate::rng::Rng;
use crate::time::Instant;

/// One torrent's trackers.
#[derive(Debug)]
pub struct Trackers {
    info_hash: [u8; 20],
    key: u32,
}

impl Trackers {
    /// The trackers of the torrent `info_hash`: those the user named, each a tier of its own, before those the
    /// torrent names. Addresses we cannot speak to, and repeated ones, are left out.
    #[must_use]
    pub fn new(info_hash: [u8; 20], user: &[String], torrent: &[Vec<String>], rng: &mut Rng) -> Self {
        let _ = (user, torrent);
        Self { info_hash, key: rng.u32() }
    }

    /// Begins, or begins again after [`stop`](Self::stop).
    pub fn start(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let _ = (numbers, cx, self.info_hash, self.key);
    }

    /// The last piece has come: the trackers we are known at are told.
    pub fn completed(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let _ = (numbers, cx);
    }

    /// Tells every tracker we are known at that we leave. Ends with [`Action::Told`], after 5 s at the latest.
    pub fn stop(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let _ = (numbers, cx);
    }

    /// More peers are wanted: asks as soon as the trackers' minimum intervals allow.
    pub fn ask_now(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let _ = (numbers, cx);
    }

    /// Asks one HTTP tracker of every tier how many peers there are (BEP 48).
    pub fn scrape(&mut self, cx: &mut Cx<'_, Action>) {
        let _ = cx;
    }

    /// Does what is due.
    pub fn tick(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let _ = (numbers, cx);
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// An [`Action::Fetch`] ended: with a status code, a body and the address it came from, or not.
    pub fn fetched(
        &mut self,
        tag: AnnounceTag,
        result: Result<(u16, &[u8], IpAddr), TrackerError>,
        cx: &mut Cx<'_, Action>,
    ) {
        let _ = (tag, result, cx);
    }

    /// An [`Action::Udp`] ended: with an answer and the address it came from, or not.
    pub fn udp_answered(
        &mut self,
        tag: AnnounceTag,
        result: Result<(Answer, IpAddr), TrackerError>,
        cx: &mut Cx<'_, Action>,
    ) {
        let _ = (tag, result, cx);
    }
}
