//! Progress on a terminal: a live bar per torrent, lines that stay above them.
//!
//! A torrent that ends leaves one line above the bars and makes room, so that a hundred torrents need no more
//! rows than the terminal has.

use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use pieceful_core::engine::{TorrentState, TorrentStatus};
use rustix::stdio::stderr;
use rustix::termios::tcgetwinsize;

use super::lines::metadata_line;
use super::{Shown, Totals};
use crate::units;

/// From this many columns on there is room for every word.
const WIDE: u16 = 110;
/// Below this there is room for the bar and a percentage.
const NARROW: u16 = 60;

#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    /// One a torrent, while it is shown.
    bars: Vec<Option<Row>>,
    ended: Vec<bool>,
    total: Option<Row>,
    look: Look,
    /// The bars stand as they were, and lines go below them.
    left: bool,
}

/// How rows share the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    width: Width,
    names: usize,
    bar: usize,
    words: usize,
}

/// A bar and the words behind it. They change together: words that indicatif keeps would be drawn with the
/// position of another moment.
#[derive(Clone, Debug)]
struct Row {
    bar: ProgressBar,
    words: Arc<Mutex<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Width {
    Narrow,
    #[default]
    Medium,
    Wide,
}

impl Bars {
    pub(super) fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(60));
        Self { multi, bars: Vec::new(), ended: Vec::new(), total: None, look: Look::default(), left: false }
    }

    pub(super) fn update(&mut self, torrents: &[Shown], statuses: &[Option<TorrentStatus>]) {
        self.bars.resize(torrents.len(), None);
        self.ended.resize(torrents.len().max(self.ended.len()), false);
        let (columns, rows) = screen();
        let look = Look::new(torrents, columns);
        let restyle = look != self.look;
        self.look = look;
        // The total, the line the cursor stands in, and one to see what scrolled by.
        let mut room = usize::from(rows.saturating_sub(3).max(1));
        for (place, (shown, status)) in torrents.iter().zip(statuses).enumerate() {
            let Some(status) = status.as_ref().filter(|_| !self.ended[place] && room > 0) else { continue };
            room -= 1;
            let row = self.bars[place].get_or_insert_with(|| {
                let row = Row::new(match &self.total {
                    Some(total) => self.multi.insert_before(&total.bar, ProgressBar::no_length()),
                    None => self.multi.add(ProgressBar::no_length()),
                });
                row.bar.set_prefix(shown.name.clone());
                row.style(look);
                row
            });
            if restyle {
                row.style(look);
            }
            row.draw(shown, status, look.width);
        }
        if torrents.len() > 1 {
            let total = self.total.get_or_insert_with(|| {
                let row = Row::new(self.multi.add(ProgressBar::no_length()));
                row.bar.set_prefix(format!("total of {}", torrents.len()));
                row.style(look);
                row
            });
            if restyle {
                total.style(look);
            }
            total.draw_total(&Totals::of(torrents, statuses), look.width);
        }
    }

    /// The torrent's bar goes, `line` stays.
    pub(super) fn finished(&mut self, torrent: usize, line: &str) {
        self.remove(torrent);
        self.achieved(line);
    }

    /// The torrent's bar goes on, `line` is left above.
    pub(super) fn achieved(&self, line: &str) {
        self.note(&format!("{} {line}", paint("32", "✓")));
    }

    /// The torrent's bar goes, `line` stays if there is one.
    pub(super) fn failed(&mut self, torrent: usize, line: Option<&String>) {
        self.remove(torrent);
        if let Some(line) = line {
            self.note(&format!("{} {line}", paint("31", "✗")));
        }
    }

    /// The torrent is called otherwise from now on.
    pub(super) fn renamed(&self, torrent: usize, name: &str) {
        if let Some(Some(row)) = self.bars.get(torrent) {
            row.bar.set_prefix(name.to_owned());
        }
    }

    fn remove(&mut self, torrent: usize) {
        if self.ended.len() <= torrent {
            self.ended.resize(torrent + 1, false);
        }
        self.ended[torrent] = true;
        if let Some(row) = self.bars.get_mut(torrent).and_then(Option::take) {
            row.bar.finish_and_clear();
            self.multi.remove(&row.bar);
        }
    }

    /// A line above the bars.
    pub(super) fn note(&self, line: &str) {
        if self.left {
            eprintln!("{line}");
            return;
        }
        // A terminal that cannot be written to has nobody to tell so.
        let _ = self.multi.println(line);
    }

    /// Leaves the bars as they are and goes on below them.
    ///
    /// A terminal that has just echoed `^C` has its cursor elsewhere than where it was left, so what is drawn
    /// cannot be taken away any more.
    pub(super) fn leave(&mut self) {
        self.multi.set_draw_target(ProgressDrawTarget::hidden());
        self.left = true;
        self.bars.clear();
        self.total = None;
        eprintln!();
    }

    pub(super) fn close(&mut self) {
        for row in self.bars.iter_mut().chain([&mut self.total]).filter_map(Option::take) {
            row.bar.finish_and_clear();
        }
        let _ = self.multi.clear();
    }
}

impl Row {
    fn new(bar: ProgressBar) -> Self {
        Self { bar, words: Arc::default() }
    }

    fn style(&self, look: Look) {
        let Look { names, bar, words: columns, .. } = look;
        let words = Arc::clone(&self.words);
        let style = ProgressStyle::with_template(&format!(
            "  {{prefix:{names}!}} {{bar:{bar}.cyan/black.bright}} {{percent:>3}}%  {{words:{columns}!}}"
        ))
        .expect("bars: the template is well formed")
        .with_key("words", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&words.lock().unwrap_or_else(PoisonError::into_inner));
        })
        .progress_chars("━╸─");
        self.bar.set_style(style);
    }

    fn draw(&self, shown: &Shown, status: &TorrentStatus, width: Width) {
        if shown.is_serving(status) {
            let words = serving_words(status, width);
            self.set(status.traffic.payload_up, shown.to_give(status), words);
        } else if let Some(metadata) = &status.metadata {
            self.set(metadata.pieces_done.into(), metadata.pieces_total.into(), words(shown, status, width));
        } else if status.state == TorrentState::Checking {
            self.set(status.pieces_checked.into(), status.pieces_total.into(), words(shown, status, width));
        } else {
            self.set(status.wanted.bytes_done, status.wanted.bytes_total, words(shown, status, width));
        }
    }

    fn draw_total(&self, totals: &Totals, width: Width) {
        if totals.serving {
            self.set(totals.sent, totals.to_give, total_serving_words(totals, width));
        } else {
            self.set(totals.done, totals.wanted, total_words(totals, width));
        }
    }

    fn set(&self, done: u64, total: u64, words: String) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words;
        self.bar.update(|state| {
            state.set_len(total.max(1));
            state.set_pos(done.min(total.max(1)));
        });
    }
}

/// `text` in a colour, unless the user wants none (no-color.org).
fn paint(colour: &str, text: &str) -> String {
    match std::env::var_os("NO_COLOR") {
        Some(set) if !set.is_empty() => String::from(text),
        _ => format!("\x1b[{colour}m{text}\x1b[0m"),
    }
}

/// The words behind a bar.
fn words(shown: &Shown, status: &TorrentStatus, width: Width) -> String {
    let fraction =
        |part: u32, all: u32| format!("{}/{}", units::count(part.into()), units::count(all.into()));
    match status.state {
        TorrentState::FetchingMetadata if width == Width::Narrow => String::from("metadata"),
        TorrentState::FetchingMetadata => {
            shown.looking.clone().unwrap_or_else(|| metadata_line(shown, status))
        }
        TorrentState::Checking if width == Width::Narrow => String::from("checking"),
        TorrentState::Checking => {
            format!("checking {}", fraction(status.pieces_checked, status.pieces_total))
        }
        TorrentState::Downloading => {
            let pieces = fraction(status.wanted.pieces_done, status.wanted.pieces_total);
            let rate = units::rate(status.traffic.down_rate);
            let peers = units::counted(u64::from(status.peers), "peer");
            let missing = status.wanted.bytes_total.saturating_sub(status.wanted.bytes_done);
            let left =
                units::time_left(missing, status.traffic.down_rate).map(units::span).unwrap_or_default();
            match (width, &shown.looking) {
                (Width::Narrow, _) => rate,
                (_, Some(looking)) => looking.clone(),
                (Width::Medium, None) => format!("{pieces}  {rate:>10}  {peers}  {left}"),
                (Width::Wide, None) if left.is_empty() => format!("{pieces} pieces  {rate:>10}  {peers}"),
                (Width::Wide, None) => format!("{pieces} pieces  {rate:>10}  {peers}  {left} left"),
            }
        }
        TorrentState::Seeding => String::from("done"),
        TorrentState::Paused => String::from("paused"),
        TorrentState::Failed => String::from("failed"),
        TorrentState::Leaving => String::from("telling the trackers"),
    }
}

/// The words behind the bar of a torrent that is complete: the bar shows how much of it was given.
fn serving_words(status: &TorrentStatus, width: Width) -> String {
    let rate = units::rate(status.traffic.up_rate);
    let peers = units::counted(u64::from(status.peers), "peer");
    let sent = status.traffic.payload_up;
    let ratio = units::ratio(sent, status.wanted.bytes_total);
    match width {
        Width::Narrow => rate,
        Width::Medium => format!("up {rate:>10}  {peers}  ratio {ratio}"),
        Width::Wide => format!("up {rate:>10}  {peers}  {} sent  ratio {ratio}", units::size(sent)),
    }
}

/// The words behind the bar of all torrents together.
fn total_words(totals: &Totals, width: Width) -> String {
    let left = totals.time_left().map(units::span).unwrap_or_default();
    let (done, wanted) = (units::size(totals.done), units::size(totals.wanted));
    let rate = units::rate(totals.down_rate);
    match width {
        Width::Narrow => rate,
        Width::Medium => format!("{done}  {rate}  {left}"),
        Width::Wide if left.is_empty() => format!("{done} of {wanted}  {rate}"),
        Width::Wide => format!("{done} of {wanted}  {rate}  {left} left"),
    }
}

/// The same once all of them are complete.
fn total_serving_words(totals: &Totals, width: Width) -> String {
    let (rate, sent) = (units::rate(totals.up_rate), units::size(totals.sent));
    match width {
        Width::Narrow => rate,
        Width::Medium => format!("up {rate:>10}  {sent} sent"),
        Width::Wide => {
            let (peers, ratio) =
                (units::counted(totals.peers, "peer"), units::ratio(totals.sent, totals.wanted));
            format!("up {rate:>10}  {peers}  {sent} sent  ratio {ratio}")
        }
    }
}

impl Look {
    /// Names get what the longest wants, within a quarter of the screen or so; the words have columns of their
    /// own, so that bars under each other have one length; the bar has the rest.
    fn new(torrents: &[Shown], columns: u16) -> Self {
        /// Between the parts, the percentage, and room for the `^C` that a terminal writes by itself: in the
        /// last column it would begin a new row, and the rows would no longer be where we draw them.
        const APART: usize = 2 + 1 + 1 + 4 + 2 + 4;
        let (width, words) = match columns {
            ..NARROW => (Width::Narrow, 10),
            NARROW..WIDE => (Width::Medium, 38),
            WIDE.. => (Width::Wide, 56),
        };
        let columns = usize::from(columns);
        let longest = torrents.iter().map(|shown| shown.name.chars().count()).max().unwrap_or(0);
        let names = longest.clamp(11, (columns / 4).max(12));
        let bar = columns.saturating_sub(APART + names + words).clamp(5, 60);
        Self { width, names, bar, words }
    }
}

/// Columns and rows of the terminal.
fn screen() -> (u16, u16) {
    match tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}
