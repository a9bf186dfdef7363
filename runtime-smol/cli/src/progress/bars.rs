//! Progress on a terminal: a live bar per torrent, lines that stay above them.
//!
//! A torrent that ends leaves one line above the bars and makes room, so that a hundred torrents need no more
//! rows than the terminal has.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pieceful_core::engine::{TorrentState, TorrentStatus};
use rustix::stdio::stderr;
use rustix::termios::tcgetwinsize;

use super::Shown;
use crate::units;

/// From this many columns on there is room for every word.
const WIDE: u16 = 110;
/// Below this there is room for the bar and a percentage.
const NARROW: u16 = 60;

#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    /// One a torrent, while it is shown.
    bars: Vec<Option<ProgressBar>>,
    ended: Vec<bool>,
    total: Option<ProgressBar>,
    width: Width,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Narrow,
    Medium,
    Wide,
}

impl Bars {
    pub(super) fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { multi, bars: Vec::new(), ended: Vec::new(), total: None, width: Width::Medium }
    }

    pub(super) fn update(&mut self, torrents: &[Shown], statuses: &[Option<TorrentStatus>]) {
        self.bars.resize(torrents.len(), None);
        self.ended.resize(torrents.len().max(self.ended.len()), false);
        let (columns, rows) = screen();
        let width = match columns {
            ..NARROW => Width::Narrow,
            NARROW..WIDE => Width::Medium,
            WIDE.. => Width::Wide,
        };
        let restyle = width != self.width;
        self.width = width;
        // The total, the line the cursor stands in, and one to see what scrolled by.
        let mut room = usize::from(rows.saturating_sub(3).max(1));
        let names = name_width(torrents, columns);
        for (place, (shown, status)) in torrents.iter().zip(statuses).enumerate() {
            let Some(status) = status.as_ref().filter(|_| !self.ended[place] && room > 0) else { continue };
            room -= 1;
            let bar = self.bars[place].get_or_insert_with(|| {
                let bar = insert(&self.multi, self.total.as_ref());
                bar.set_style(style(names, width));
                bar.set_prefix(shown.name.clone());
                bar
            });
            if restyle {
                bar.set_style(style(names, width));
            }
            draw(bar, status, width);
        }
        if torrents.len() > 1 {
            let total = self.total.get_or_insert_with(|| {
                let bar = self.multi.add(ProgressBar::no_length());
                bar.set_style(style(names, width));
                bar.set_prefix("total");
                bar
            });
            if restyle {
                total.set_style(style(names, width));
            }
            draw_total(total, statuses, width);
        }
    }

    /// The torrent's bar goes, `line` stays.
    pub(super) fn finished(&mut self, torrent: usize, line: &str) {
        self.remove(torrent);
        self.note(&format!("{} {line}", paint("32", "✓")));
    }

    /// The torrent's bar goes, `line` stays if there is one.
    pub(super) fn failed(&mut self, torrent: usize, line: Option<&String>) {
        self.remove(torrent);
        if let Some(line) = line {
            self.note(&format!("{} {line}", paint("31", "✗")));
        }
    }

    fn remove(&mut self, torrent: usize) {
        if self.ended.len() <= torrent {
            self.ended.resize(torrent + 1, false);
        }
        self.ended[torrent] = true;
        if let Some(bar) = self.bars.get_mut(torrent).and_then(Option::take) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// A line above the bars.
    pub(super) fn note(&self, line: &str) {
        // A terminal that cannot be written to has nobody to tell so.
        let _ = self.multi.println(line);
    }

    pub(super) fn close(&mut self) {
        for bar in self.bars.iter_mut().chain([&mut self.total]).filter_map(Option::take) {
            bar.finish_and_clear();
        }
        let _ = self.multi.clear();
    }
}

/// A new bar in the last row but that of the total.
fn insert(multi: &MultiProgress, total: Option<&ProgressBar>) -> ProgressBar {
    match total {
        Some(total) => multi.insert_before(total, ProgressBar::no_length()),
        None => multi.add(ProgressBar::no_length()),
    }
}

/// `text` in a colour, unless the user wants none (no-color.org).
fn paint(colour: &str, text: &str) -> String {
    match std::env::var_os("NO_COLOR") {
        Some(set) if !set.is_empty() => String::from(text),
        _ => format!("\x1b[{colour}m{text}\x1b[0m"),
    }
}

fn draw(bar: &ProgressBar, status: &TorrentStatus, width: Width) {
    let checking = status.state == TorrentState::Checking;
    let (place, length) = if checking {
        (u64::from(status.pieces_checked), u64::from(status.pieces_total))
    } else {
        (status.bytes_done, status.bytes_total)
    };
    bar.set_length(length.max(1));
    bar.set_position(place);
    bar.set_message(message(status, width));
}

/// The words behind a bar.
fn message(status: &TorrentStatus, width: Width) -> String {
    let fraction =
        |part: u32| format!("{}/{}", units::count(part.into()), units::count(status.pieces_total.into()));
    match status.state {
        TorrentState::Checking if width == Width::Narrow => String::from("checking"),
        TorrentState::Checking => format!("checking {}", fraction(status.pieces_checked)),
        TorrentState::Downloading => {
            let pieces = fraction(status.pieces_done);
            let rate = units::rate(status.traffic.down_rate);
            let peers = units::counted(u64::from(status.peers), "peer");
            let missing = status.bytes_total.saturating_sub(status.bytes_done);
            let left =
                units::time_left(missing, status.traffic.down_rate).map(units::span).unwrap_or_default();
            match width {
                Width::Narrow => rate,
                Width::Medium => format!("{pieces}  {rate:>10}  {peers}  {left}"),
                Width::Wide if left.is_empty() => format!("{pieces} pieces  {rate:>10}  {peers}"),
                Width::Wide => format!("{pieces} pieces  {rate:>10}  {peers}  {left} left"),
            }
        }
        TorrentState::Seeding => String::from("done"),
        TorrentState::Paused => String::from("paused"),
        TorrentState::Failed => String::from("failed"),
        TorrentState::Leaving => String::from("telling the trackers"),
    }
}

fn draw_total(bar: &ProgressBar, statuses: &[Option<TorrentStatus>], width: Width) {
    let known = || statuses.iter().flatten();
    let total: u64 = known().map(|status| status.bytes_total).sum();
    let done: u64 = known().map(|status| status.bytes_done).sum();
    let rate = known().map(|status| status.traffic.down_rate).sum();
    bar.set_length(total.max(1));
    bar.set_position(done);
    let left = units::time_left(total.saturating_sub(done), rate).map(units::span).unwrap_or_default();
    let (done, total, rate) = (units::size(done), units::size(total), units::rate(rate));
    bar.set_message(match width {
        Width::Narrow => rate,
        Width::Medium => format!("{done}  {rate}  {left}"),
        Width::Wide if left.is_empty() => format!("{done} of {total}  {rate}"),
        Width::Wide => format!("{done} of {total}  {rate}  {left} left"),
    });
}

/// Name, bar, percentage, words. `names` is the columns for names; the words have columns of their own, so
/// that bars under each other have one length.
fn style(names: usize, width: Width) -> ProgressStyle {
    let words = match width {
        Width::Narrow => 10,
        Width::Medium => 38,
        Width::Wide => 56,
    };
    ProgressStyle::with_template(&format!(
        "  {{prefix:{names}!}} {{wide_bar:.cyan/black.bright}} {{percent:>3}}%  {{msg:{words}!}}"
    ))
    .expect("bars: the template is well formed")
    .progress_chars("━╸─")
}

/// Columns for names: as the longest wants, within a quarter of the screen or so.
fn name_width(torrents: &[Shown], columns: u16) -> usize {
    let longest = torrents.iter().map(|shown| shown.name.chars().count()).max().unwrap_or(0);
    longest.clamp(8, (usize::from(columns) / 4).max(12))
}

/// Columns and rows of the terminal.
fn screen() -> (u16, u16) {
    match tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}
