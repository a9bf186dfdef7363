//! `pieceful get`: downloads torrents until everything is on disk and verified.

mod notes;
mod session;

use std::sync::Arc;
use std::time::Instant;

use futures_lite::FutureExt as _;
use pieceful_core::engine::{AddTorrent, Event, TorrentState, TorrentStatus};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Metainfo;
use pieceful_smol::{Events, Session, SessionEvent};

use crate::args::Get;
use crate::errors::{Failure, Outcome};
use crate::progress::{Progress, Wish};
use crate::signals::{self, Interrupt};
use crate::source;
use notes::Notes;

/// Downloads; the sentence of a failure says what to do.
pub(crate) fn run(args: &Get) -> Result<Outcome, Failure> {
    let interrupt = signals::interrupt()?;
    let mut progress = Progress::new(match args {
        Get { json: true, .. } => Wish::Json,
        Get { quiet: true, .. } => Wish::Quiet,
        Get { .. } => Wish::ForPeople,
    });
    let ended = smol::block_on(download(args, &mut progress, &interrupt));
    progress.close();
    if let Err(failure) = &ended {
        progress.error(failure);
    }
    ended
}

async fn download(args: &Get, progress: &mut Progress, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    let torrents = load(args)?;
    let session = session::start(args, progress)?;
    let ended = match Downloads::add(args, torrents, &session, progress).await {
        Ok(mut downloads) => downloads.watch(progress, interrupt).await,
        Err(failure) => Err(failure),
    };
    if ended != Ok(Outcome::Interrupted) {
        progress.close();
    }
    session::stop(&session, progress).await;
    ended
}

/// Reads every SOURCE before anything is started, so that a mistyped one is noticed at once. One that is given
/// twice counts once.
fn load(args: &Get) -> Result<Vec<Arc<Metainfo>>, Failure> {
    let mut torrents: Vec<Arc<Metainfo>> = Vec::new();
    for named in &args.sources {
        let torrent = source::to_download(named)?;
        if torrents.iter().all(|known| known.info.info_hash != torrent.info.info_hash) {
            torrents.push(Arc::new(torrent));
        }
    }
    Ok(torrents)
}

/// The downloads under way, in the order of the command line.
struct Downloads<'a> {
    args: &'a Get,
    session: &'a Session,
    events: Events,
    torrents: Vec<Download>,
    notes: Notes,
}

struct Download {
    /// Where it was added.
    id: Option<TorrentId>,
    name: String,
    trackers: usize,
    end: Option<End>,
}

enum End {
    Finished,
    Failed(Failure),
}

impl<'a> Downloads<'a> {
    async fn add(
        args: &'a Get,
        torrents: Vec<Arc<Metainfo>>,
        session: &'a Session,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let events = session.events();
        let notes = Notes::new(torrents.len() > 1);
        let mut all = Self { args, session, events, torrents: Vec::new(), notes };
        for (place, metainfo) in torrents.into_iter().enumerate() {
            let name = metainfo.info.name.clone();
            let trackers = metainfo.trackers.iter().map(Vec::len).sum::<usize>() + args.trackers.len();
            progress.add(&name, metainfo.info.info_hash);
            let added = session.add(spec(args, metainfo), &args.output).await;
            let (id, refused) = match added {
                Ok(id) => (Some(id), None),
                Err(error) => (None, Some(session::why_not_added(&error))),
            };
            all.torrents.push(Download { id, name, trackers, end: None });
            if let Some(failure) = refused {
                all.fail(place, failure, progress)?;
            }
        }
        Ok(all)
    }

    /// Shows what happens until all are finished or failed, or the user has had enough.
    async fn watch(&mut self, progress: &mut Progress, interrupt: &Interrupt) -> Result<Outcome, Failure> {
        let mut tick = Instant::now();
        while self.torrents.iter().any(|torrent| torrent.end.is_none()) {
            let now = Instant::now();
            if now >= tick {
                tick = now + progress.interval();
                let statuses = self.statuses().await;
                progress.update(&statuses)?;
                self.help(&statuses, progress);
            }
            let happened = async { Happened::Event(self.events.next_timeout(tick - now).await) };
            let stopped = async {
                let _ = interrupt.recv().await;
                Happened::Interrupt
            };
            match happened.or(stopped).await {
                Happened::Interrupt => {
                    progress.stopping("stopping: telling the trackers (Ctrl-C again to stop at once)");
                    return Ok(Outcome::Interrupted);
                }
                Happened::Event(Some(SessionEvent::Event(event))) => self.show(event, progress).await?,
                Happened::Event(Some(SessionEvent::Lagged(_))) => self.catch_up(progress).await?,
                Happened::Event(None) if self.events.is_over() => {
                    return Err(
                        Failure::new("the session ended by itself").advice("run the same command again")
                    );
                }
                Happened::Event(None) => {}
            }
        }
        self.end()
    }

    async fn show(&mut self, event: Event, progress: &mut Progress) -> Result<(), Failure> {
        if let Some(place) = subject(&event).and_then(|id| self.place(id)) {
            if let Some(note) = self.notes.about(&event, &self.torrents[place].name) {
                progress.note(&note);
            }
            match event {
                Event::Checked { .. } => {
                    if let Some(status) = self.status(place).await {
                        progress.checked(place, &status)?;
                    }
                }
                Event::Finished { .. } => self.finish(place, progress).await?,
                Event::Failed { error, .. } => {
                    self.fail(place, session::why_it_failed(&error, &self.args.output), progress)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Events were dropped: the states tell what they would have said.
    async fn catch_up(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        for place in 0..self.torrents.len() {
            match self.status(place).await.map(|status| status.state) {
                Some(TorrentState::Seeding) => self.finish(place, progress).await?,
                Some(TorrentState::Failed) => {
                    let failure = Failure::new("it failed").advice("run the same command again to see why");
                    self.fail(place, failure, progress)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn finish(&mut self, place: usize, progress: &mut Progress) -> Result<(), Failure> {
        if self.torrents[place].end.is_none() {
            self.torrents[place].end = Some(End::Finished);
            if let Some(status) = self.status(place).await {
                progress.finished(place, &status)?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, place: usize, failure: Failure, progress: &mut Progress) -> Result<(), Failure> {
        if self.torrents[place].end.is_none() {
            progress.failed(place, &failure)?;
            self.torrents[place].end = Some(End::Failed(failure));
        }
        Ok(())
    }

    /// Once nothing has come for a while: what is being tried, and what the user can do.
    fn help(&mut self, statuses: &[Option<TorrentStatus>], progress: &mut Progress) {
        for (torrent, status) in self.torrents.iter().zip(statuses) {
            let Some(status) = status.filter(|_| torrent.end.is_none()) else { continue };
            let tried = notes::Tried { trackers: torrent.trackers, peers: self.args.peers.len() };
            if let Some(help) = self.notes.help(&torrent.name, &status, &tried) {
                progress.note(&help);
            }
        }
    }

    /// How it all ended: the failure of one, or a count of them.
    fn end(&mut self) -> Result<Outcome, Failure> {
        let all = self.torrents.len();
        let mut failures: Vec<Failure> = Vec::new();
        for torrent in self.torrents.drain(..) {
            if let Some(End::Failed(failure)) = torrent.end {
                failures.push(failure);
            }
        }
        match failures.pop() {
            None => Ok(Outcome::Done),
            Some(failure) if all == 1 => Err(failure),
            Some(_) => Err(Failure::new(format!("{} of {all} torrents failed", failures.len() + 1))
                .advice("the lines above say why; run the same command again once that is mended")),
        }
    }

    fn place(&self, id: TorrentId) -> Option<usize> {
        self.torrents.iter().position(|torrent| torrent.id == Some(id))
    }

    async fn status(&self, place: usize) -> Option<TorrentStatus> {
        self.session.status(self.torrents[place].id?).await
    }

    async fn statuses(&self) -> Vec<Option<TorrentStatus>> {
        let mut statuses = Vec::with_capacity(self.torrents.len());
        for place in 0..self.torrents.len() {
            statuses.push(self.status(place).await);
        }
        statuses
    }
}

enum Happened {
    Event(Option<SessionEvent>),
    Interrupt,
}

/// The torrent an event is about.
fn subject(event: &Event) -> Option<TorrentId> {
    match event {
        Event::Checked { torrent, .. }
        | Event::Finished { torrent }
        | Event::SeedingDone { torrent }
        | Event::Failed { torrent, .. }
        | Event::PieceFailed { torrent, .. }
        | Event::PeerConnected { torrent, .. }
        | Event::PeerBanned { torrent, .. }
        | Event::TrackerAnswered { torrent, .. }
        | Event::TrackerWarned { torrent, .. }
        | Event::TrackerFailed { torrent, .. }
        | Event::Removed { torrent } => Some(*torrent),
        Event::PeerClosed { torrent, .. } => *torrent,
        Event::Stopped => None,
    }
}

fn spec(args: &Get, metainfo: Arc<Metainfo>) -> AddTorrent {
    AddTorrent {
        peers: args.peers.clone(),
        trackers: args.trackers.clone(),
        order: session::order(args),
        allocation: args.allocation.into(),
        overwrite: args.overwrite,
        peers_max: args.max_peers.map(std::num::NonZeroU32::get),
        ..AddTorrent::new(metainfo)
    }
}
