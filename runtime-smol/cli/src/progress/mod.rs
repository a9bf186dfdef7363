//! How a running command tells what it does: live bars, plain lines, JSON, or not at all.

mod bars;
mod json;
mod lines;
mod totals;
mod work;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pieceful_core::engine::{TorrentState, TorrentStatus};
use pieceful_core::id::InfoHash;
use pieceful_core::metainfo::Info;

use crate::errors::{Failure, without_numbers};
use crate::printable::printable;
use crate::units;
use bars::Bars;
use lines::Lines;
use totals::Totals;
pub(crate) use work::Work;

/// What is told, and how.
#[derive(Debug)]
pub(crate) struct Progress {
    torrents: Vec<Shown>,
    /// When a torrent has given enough, in thousandths of its size.
    ratio: Option<u32>,
    how: How,
}

#[derive(Debug)]
enum How {
    /// Standard error is a terminal.
    Bars(Bars),
    /// It is a file or a pipe.
    Lines(Lines),
    /// One object a line on standard output, for programs.
    Json,
    Quiet,
}

/// One torrent as it is shown.
#[derive(Debug)]
struct Shown {
    /// Safe to print.
    name: String,
    info_hash: InfoHash,
    started: Instant,
    /// Bytes that were there before this run, once that is known.
    had: Option<u64>,
    /// Since when it is complete and there for others.
    serving: Option<Instant>,
    /// While it has no peer: how one is looked for.
    looking: Option<String>,
    /// How much of its size, in thousandths, makes a full bar of what was sent.
    ratio: u32,
    ended: bool,
}

/// What the user asked to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    ForPeople,
    Json,
    Quiet,
}

impl Progress {
    /// Nothing shown yet. `ratio` is when a torrent has given enough, in thousandths of its size.
    pub(crate) fn new(wish: Wish, ratio: Option<u32>) -> Self {
        let how = match wish {
            Wish::Json => How::Json,
            Wish::Quiet => How::Quiet,
            Wish::ForPeople if io::stderr().is_terminal() => How::Bars(Bars::new()),
            Wish::ForPeople => How::Lines(Lines::default()),
        };
        Self { torrents: Vec::new(), ratio, how }
    }

    /// A torrent to show from now on; they are counted from 0.
    pub(crate) fn add(&mut self, name: &str, info_hash: InfoHash) {
        let shown = Shown {
            name: printable(name).into_owned(),
            info_hash,
            started: Instant::now(),
            had: None,
            serving: None,
            looking: None,
            ratio: self.ratio.unwrap_or(1_000),
            ended: false,
        };
        self.torrents.push(shown);
    }

    /// What a magnet link leads to is known.
    pub(crate) fn known(&mut self, torrent: usize, info: &Info) -> Result<(), Failure> {
        let shown = &mut self.torrents[torrent];
        shown.name = printable(&info.name).into_owned();
        let text = format!(
            "{}: {} in {}",
            shown.name,
            units::size(info.stored_length()),
            units::counted(info.stored_files().count() as u64, "file")
        );
        match &mut self.how {
            How::Json => json::metadata(&self.torrents[torrent], info)?,
            How::Bars(bars) => bars.renamed(torrent, &self.torrents[torrent].name),
            How::Lines(_) | How::Quiet => {}
        }
        self.note(&text);
        Ok(())
    }

    /// How often numbers are worth pulling.
    pub(crate) fn interval(&self) -> Duration {
        match self.how {
            How::Bars(_) => Duration::from_millis(200),
            How::Lines(_) | How::Json | How::Quiet => Duration::from_secs(1),
        }
    }

    /// Peers can connect to us at `address`.
    pub(crate) fn listening(&self, address: SocketAddr) -> Result<(), Failure> {
        match self.how {
            How::Json => json::listening(address),
            How::Bars(_) | How::Lines(_) | How::Quiet => Ok(()),
        }
    }

    /// The check of what is there has ended and has found this many pieces.
    pub(crate) fn checked(
        &mut self,
        torrent: usize,
        found: u32,
        status: &TorrentStatus,
    ) -> Result<(), Failure> {
        // The first pieces may have come since.
        let had = if found == 0 { 0 } else { status.wanted.bytes_done };
        self.torrents[torrent].had = Some(had);
        match self.how {
            How::Json => json::progress(&self.torrents[torrent], status)?,
            How::Bars(_) | How::Lines(_) | How::Quiet => {}
        }
        if had > 0 && had < status.wanted.bytes_total {
            let name = &self.torrents[torrent].name;
            let (done, total) = (units::size(had), units::size(status.wanted.bytes_total));
            self.note(&format!("{name}: going on with {done} of {total} that are there already"));
        }
        Ok(())
    }

    /// How peers of a torrent are looked for that has none.
    pub(crate) fn looking(&mut self, torrent: usize, words: Option<String>) {
        self.torrents[torrent].looking = words;
    }

    /// The numbers now.
    pub(crate) fn update(&mut self, statuses: &[Option<TorrentStatus>]) -> Result<(), Failure> {
        match &mut self.how {
            How::Bars(bars) => bars.update(&self.torrents, statuses),
            How::Lines(lines) => lines.update(&self.torrents, statuses),
            How::Json => {
                for (shown, status) in self.torrents.iter().zip(statuses) {
                    if let Some(metadata) = status.as_ref().and_then(|status| status.metadata) {
                        json::metadata_progress(shown, &metadata)?;
                    }
                    // After the first event, which comes with the end of the check, until the last.
                    if let Some(status) = status.as_ref().filter(|_| shown.had.is_some() && !shown.ended) {
                        json::progress(shown, status)?;
                    }
                }
            }
            How::Quiet => {}
        }
        Ok(())
    }

    /// Everything of this torrent is on disk and verified.
    pub(crate) fn finished(&mut self, torrent: usize, status: &TorrentStatus) -> Result<(), Failure> {
        self.torrents[torrent].ended = true;
        let shown = &self.torrents[torrent];
        match &mut self.how {
            How::Bars(bars) => bars.finished(torrent, &shown.line(&shown.summary(status))),
            _ => self.achieved(torrent, status)?,
        }
        Ok(())
    }

    /// The same, and it stays there for others.
    pub(crate) fn finished_and_serving(
        &mut self,
        torrent: usize,
        status: &TorrentStatus,
    ) -> Result<(), Failure> {
        self.serving(torrent);
        self.achieved(torrent, status)
    }

    fn achieved(&self, torrent: usize, status: &TorrentStatus) -> Result<(), Failure> {
        let shown = &self.torrents[torrent];
        match &self.how {
            How::Bars(bars) => bars.achieved(&shown.line(&shown.summary(status))),
            How::Lines(_) => eprintln!("{}: {}", shown.name, shown.summary(status)),
            How::Json => {
                json::progress(shown, status)?;
                json::finished(shown)?;
            }
            How::Quiet => {}
        }
        Ok(())
    }

    /// From now on this torrent is there for others.
    pub(crate) fn serving(&mut self, torrent: usize) {
        self.torrents[torrent].serving = Some(Instant::now());
    }

    /// This torrent has given enough.
    pub(crate) fn given(&mut self, torrent: usize, status: &TorrentStatus) -> Result<(), Failure> {
        self.torrents[torrent].ended = true;
        let shown = &self.torrents[torrent];
        match &mut self.how {
            How::Bars(bars) => bars.finished(torrent, &shown.line(&shown.gave(status))),
            How::Lines(_) => eprintln!("{}: {}", shown.name, shown.gave(status)),
            How::Json => {
                json::progress(shown, status)?;
                json::seeding_done(shown)?;
            }
            How::Quiet => {}
        }
        Ok(())
    }

    /// The user has ended the serving of this torrent.
    pub(crate) fn stopped_serving(&mut self, torrent: usize, status: &TorrentStatus) {
        let shown = &self.torrents[torrent];
        let text = format!("{}: {}", shown.name, shown.gave(status));
        self.note(&text);
    }

    /// This torrent cannot go on. A lone torrent's reason is left for the last line of standard error.
    pub(crate) fn failed(&mut self, torrent: usize, failure: &Failure) -> Result<(), Failure> {
        self.torrents[torrent].ended = true;
        let lone = self.torrents.len() == 1;
        let text = format!("{}: {failure}", self.torrents[torrent].name);
        match &mut self.how {
            How::Bars(bars) => bars.failed(torrent, (!lone).then_some(&text)),
            How::Lines(_) | How::Quiet | How::Json if lone => {}
            How::Lines(_) | How::Quiet => eprintln!("{text}"),
            How::Json => {
                eprintln!("{text}");
                json::error(&text)?;
            }
        }
        Ok(())
    }

    /// Something about a torrent that is not as it should be, and goes on all the same.
    pub(crate) fn warn(&mut self, torrent: usize, text: &str) -> Result<(), Failure> {
        let shown = &self.torrents[torrent];
        let text = without_numbers(String::from(text));
        if let How::Json = self.how {
            return json::warning(shown, &text);
        }
        let several = self.torrents.len() > 1;
        let text = if several { format!("{}: {text}", shown.name) } else { text };
        self.note(&text);
        Ok(())
    }

    /// Something people may want to know. Programs are not told.
    pub(crate) fn note(&mut self, text: &str) {
        match &self.how {
            How::Bars(bars) => bars.note(&printable(text)),
            How::Lines(_) => eprintln!("{}", printable(text)),
            How::Json | How::Quiet => {}
        }
    }

    /// The user wants to stop, and what is left to do may take a moment.
    pub(crate) fn stopping(&mut self, text: &str) {
        match &mut self.how {
            How::Bars(bars) => {
                bars.leave();
                eprintln!("{text}");
            }
            How::Lines(_) => eprintln!("{text}"),
            How::Json | How::Quiet => {}
        }
    }

    /// The command has failed with this as the last line of standard error.
    pub(crate) fn error(&self, failure: &Failure) {
        if let How::Json = self.how {
            // When standard output is what failed, the exit status is left to say so.
            let _ = json::error(&failure.to_string());
        }
    }

    /// Takes the bars away; lines stay.
    pub(crate) fn close(&mut self) {
        if let How::Bars(bars) = &mut self.how {
            bars.close();
        }
    }
}

impl Shown {
    /// What is left above the bars.
    fn line(&self, words: &str) -> String {
        format!("{}  {words}", self.name)
    }

    /// Whether what it gives is of more interest than what it has.
    fn is_serving(&self, status: &TorrentStatus) -> bool {
        self.serving.is_some() && status.state == TorrentState::Seeding
    }

    /// Bytes to send until enough is given; where that has no end, until as much is given as was taken.
    fn to_give(&self, status: &TorrentStatus) -> u64 {
        let goal = u128::from(status.wanted.bytes_total) * u128::from(self.ratio) / 1_000;
        u64::try_from(goal).unwrap_or(u64::MAX)
    }

    /// `1.50 GiB sent in 2m 10s, ratio 0.42`.
    fn gave(&self, status: &TorrentStatus) -> String {
        let sent = status.traffic.payload_up;
        let took = self.serving.unwrap_or(self.started).elapsed();
        let ratio = units::ratio(sent, status.wanted.bytes_total);
        format!("{} sent in {}, ratio {ratio}", units::size(sent), units::span_precise(took))
    }

    /// `1.50 GiB in 12s, 128 MiB/s`.
    fn summary(&self, status: &TorrentStatus) -> String {
        let size = units::size(status.wanted.bytes_total);
        let fetched = status.wanted.bytes_done.saturating_sub(self.had.unwrap_or(0));
        if fetched == 0 {
            return format!("{size}, all of it was there already");
        }
        let took = self.started.elapsed();
        let rate = (fetched as f64 / took.as_secs_f64().max(0.001)) as u64;
        format!("{size} in {}, {}", units::span_precise(took), units::rate(rate))
    }
}
