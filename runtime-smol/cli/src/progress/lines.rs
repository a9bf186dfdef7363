//! Progress without a terminal: a plain line per torrent every few seconds.

use std::time::{Duration, Instant};

use pieceful_core::engine::{TorrentState, TorrentStatus};

use super::Shown;
use crate::units;

/// Often enough to see that it lives, seldom enough for a log.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Option<Instant>,
}

impl Lines {
    pub(super) fn update(&mut self, torrents: &[Shown], statuses: &[Option<TorrentStatus>]) {
        let due = self.last.get_or_insert_with(Instant::now);
        if due.elapsed() < EVERY {
            return;
        }
        *due = Instant::now();
        for (shown, status) in torrents.iter().zip(statuses) {
            if let Some(line) = status.as_ref().and_then(line) {
                eprintln!("{}: {line}", shown.name);
            }
        }
    }
}

/// What there is to say about a torrent that is under way.
fn line(status: &TorrentStatus) -> Option<String> {
    let total = units::count(u64::from(status.pieces_total));
    match status.state {
        TorrentState::Checking => {
            let checked = units::count(u64::from(status.pieces_checked));
            Some(format!("checking what is there, {checked} of {total} pieces"))
        }
        TorrentState::Downloading => {
            let done = units::count(u64::from(status.pieces_done));
            let rate = units::rate(status.traffic.down_rate);
            let peers = units::counted(u64::from(status.peers), "peer");
            let missing = status.bytes_total.saturating_sub(status.bytes_done);
            let left = units::time_left(missing, status.traffic.down_rate)
                .map(|left| format!(", {} left", units::span(left)))
                .unwrap_or_default();
            let percent = units::percent(status.bytes_done, status.bytes_total);
            Some(format!("{percent}%, {done} of {total} pieces, {rate}, {peers}{left}"))
        }
        TorrentState::Seeding | TorrentState::Paused | TorrentState::Failed | TorrentState::Leaving => None,
    }
}
