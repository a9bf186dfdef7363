//! What all torrents of a run are together.

use std::time::Duration;

use pieceful_core::engine::{TorrentState, TorrentStatus};

use super::Shown;
use crate::units;

/// Sums over the torrents that have not failed.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Whether there is nothing left to check or to download.
    pub(super) serving: bool,
    /// Bytes here.
    pub(super) done: u64,
    /// Bytes there are.
    pub(super) wanted: u64,
    /// Bytes sent.
    pub(super) sent: u64,
    /// Bytes to send until enough is given.
    pub(super) to_give: u64,
    pub(super) down_rate: u64,
    pub(super) up_rate: u64,
    pub(super) peers: u64,
}

impl Totals {
    pub(super) fn of(torrents: &[Shown], statuses: &[Option<TorrentStatus>]) -> Self {
        let mut totals = Self { serving: true, ..Self::default() };
        for (shown, status) in torrents.iter().zip(statuses) {
            let Some(status) = status.as_ref().filter(|status| status.state != TorrentState::Failed) else {
                continue;
            };
            totals.serving &= shown.serving.is_some();
            totals.done += status.wanted.bytes_done;
            totals.wanted += status.wanted.bytes_total;
            totals.sent += status.traffic.payload_up;
            totals.to_give = totals.to_give.saturating_add(shown.to_give(status));
            totals.down_rate += status.traffic.down_rate;
            totals.up_rate += status.traffic.up_rate;
            totals.peers += u64::from(status.peers);
        }
        totals
    }

    /// How long the rest takes at this rate.
    pub(super) fn time_left(&self) -> Option<Duration> {
        units::time_left(self.wanted.saturating_sub(self.done), self.down_rate)
    }
}
