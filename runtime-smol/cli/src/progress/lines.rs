//! Progress without a terminal: a plain line per torrent every few seconds, and fewer once it is complete.

use std::time::{Duration, Instant};

use pieceful_core::engine::{TorrentState, TorrentStatus};

use super::{Shown, Totals};
use crate::units;

/// Often enough to see that it lives, seldom enough for a log.
const EVERY: Duration = Duration::from_secs(5);

/// A seed goes on for months.
const SERVING_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Option<Instant>,
    last_serving: Option<Instant>,
    /// Bytes each torrent had sent when that was last said.
    said: Vec<u64>,
}

impl Lines {
    pub(super) fn update(&mut self, torrents: &[Shown], statuses: &[Option<TorrentStatus>]) {
        if is_due(&mut self.last, EVERY) {
            for (shown, status) in torrents.iter().zip(statuses) {
                if let Some(line) = status.as_ref().and_then(|status| line(shown, status)) {
                    eprintln!("{}: {line}", shown.name);
                }
            }
            if let Some(line) = total(torrents, statuses) {
                eprintln!("total: {line}");
            }
        }
        if is_due(&mut self.last_serving, SERVING_EVERY) {
            self.serving(torrents, statuses);
        }
    }

    /// What those give that are complete; those that gave nothing since the last time are left out.
    fn serving(&mut self, torrents: &[Shown], statuses: &[Option<TorrentStatus>]) {
        self.said.resize(torrents.len(), 0);
        for ((shown, status), said) in torrents.iter().zip(statuses).zip(&mut self.said) {
            let Some(status) = status.as_ref().filter(|status| shown.is_serving(status)) else { continue };
            let sent = status.traffic.payload_up;
            if std::mem::replace(said, sent) != sent {
                eprintln!("{}: {}", shown.name, serving_line(status));
            }
        }
    }
}

fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let last = last.get_or_insert_with(Instant::now);
    let due = last.elapsed() >= every;
    if due {
        *last = Instant::now();
    }
    due
}

/// What several downloads are together, while more than one is under way.
fn total(torrents: &[Shown], statuses: &[Option<TorrentStatus>]) -> Option<String> {
    let downloading = |status: &&TorrentStatus| status.state == TorrentState::Downloading;
    if torrents.len() < 2 || statuses.iter().flatten().filter(downloading).count() == 0 {
        return None;
    }
    let totals = Totals::of(torrents, statuses);
    let (done, all) = (units::size(totals.done), units::size(totals.wanted));
    let left = totals.time_left().map(|left| format!(", {} left", units::span(left))).unwrap_or_default();
    let percent = units::percent(totals.done, totals.wanted);
    Some(format!("{percent}%, {done} of {all}, {}{left}", units::rate(totals.down_rate)))
}

fn serving_line(status: &TorrentStatus) -> String {
    let (sent, rate) = (status.traffic.payload_up, units::rate(status.traffic.up_rate));
    let peers = units::counted(u64::from(status.peers), "peer");
    let ratio = units::ratio(sent, status.wanted.bytes_total);
    format!("seeding, {rate}, {peers}, {} sent, ratio {ratio}", units::size(sent))
}

/// What there is to say about a torrent of which only the magnet link is there.
pub(super) fn metadata_line(shown: &Shown, status: &TorrentStatus) -> String {
    if let Some(looking) = &shown.looking {
        return format!("getting the metadata, {looking}");
    }
    let peers = units::counted(u64::from(status.peers), "peer");
    let percent = status.metadata.filter(|metadata| metadata.pieces_total > 0).map(|metadata| {
        format!(", {}%", units::percent(metadata.pieces_done.into(), metadata.pieces_total.into()))
    });
    format!("getting the metadata: {peers}{}", percent.unwrap_or_default())
}

/// What there is to say about a torrent that is under way.
fn line(shown: &Shown, status: &TorrentStatus) -> Option<String> {
    match status.state {
        TorrentState::FetchingMetadata => Some(metadata_line(shown, status)),
        TorrentState::Checking => {
            let checked = units::count(u64::from(status.pieces_checked));
            let total = units::count(u64::from(status.pieces_total));
            Some(format!("checking what is there, {checked} of {total} pieces"))
        }
        TorrentState::Downloading => {
            let done = units::count(u64::from(status.wanted.pieces_done));
            let total = units::count(u64::from(status.wanted.pieces_total));
            let rate = units::rate(status.traffic.down_rate);
            let peers = units::counted(u64::from(status.peers), "peer");
            let missing = status.wanted.bytes_total.saturating_sub(status.wanted.bytes_done);
            let left = units::time_left(missing, status.traffic.down_rate)
                .map(|left| format!(", {} left", units::span(left)))
                .unwrap_or_default();
            let percent = units::percent(status.wanted.bytes_done, status.wanted.bytes_total);
            let going = match &shown.looking {
                Some(looking) => looking.clone(),
                None => format!("{rate}, {peers}{left}"),
            };
            Some(format!("{percent}%, {done} of {total} pieces, {going}"))
        }
        TorrentState::Seeding | TorrentState::Paused | TorrentState::Failed | TorrentState::Leaving => None,
    }
}
