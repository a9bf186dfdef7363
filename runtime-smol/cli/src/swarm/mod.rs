//! Taking part in swarms until the goal is reached: what `get` and `seed` have in common.

mod folder;
mod member;
mod notes;
mod session;

use std::path::Path;
use std::time::Instant;

use futures_lite::FutureExt as _;
use pieceful_core::engine::{AddTorrent, Event, SeedingLimits, TorrentState, TorrentStatus, What};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Info;
use pieceful_smol::{Events, Session, SessionEvent};

use crate::args::{Peers, Telling};
use crate::choice::{self, Files};
use crate::create;
use crate::errors::{Failure, Outcome};
use crate::progress::{Progress, Wish};
use crate::signals::{self, Interrupt};
use crate::units;
use member::{Member, Stage};
use notes::Notes;

/// What a run is to do, as its command line says.
pub(crate) struct Plan<'a> {
    pub(crate) goal: Goal,
    pub(crate) sources: &'a [String],
    /// Reads a source.
    pub(crate) read: fn(&str) -> Result<What, Failure>,
    /// Where the files lie, or will lie; of metadata alone, the .torrent file to be.
    pub(crate) folder: &'a Path,
    pub(crate) peers: &'a Peers,
    pub(crate) telling: &'a Telling,
    pub(crate) max_download: Option<u64>,
    pub(crate) max_upload: Option<u64>,
    /// When each torrent has given enough.
    pub(crate) seeding: SeedingLimits,
    /// The files to download; all, if none are named.
    pub(crate) files: &'a [Files],
    /// Adds what only this command knows to what is usual.
    pub(crate) spec: &'a dyn Fn(AddTorrent) -> AddTorrent,
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Once a .torrent file is made of a magnet link.
    Metadata {
        /// In place of one that is there.
        overwrite: bool,
    },
    /// Once everything is here.
    Download,
    /// Once everything is here and enough of it is given, or the user has had enough.
    DownloadThenSeed,
    /// The same, and what is not here by now is not fetched.
    Seed,
}

/// Takes part; the sentence of a failure says what to do.
pub(crate) fn run(plan: &Plan<'_>) -> Result<Outcome, Failure> {
    let interrupt = signals::interrupt()?;
    let wish = match plan.telling {
        Telling { json: true, .. } => Wish::Json,
        Telling { quiet: true, .. } => Wish::Quiet,
        Telling { .. } => Wish::ForPeople,
    };
    let mut progress = Progress::new(wish, plan.seeding.ratio_permille);
    let ended = smol::block_on(take_part(plan, &mut progress, &interrupt));
    progress.close();
    if let Err(failure) = &ended {
        progress.error(failure);
    }
    ended
}

async fn take_part(
    plan: &Plan<'_>,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<Outcome, Failure> {
    let torrents = load(plan)?;
    if torrents.len() > 1 && !plan.files.is_empty() {
        return Err(Failure::usage("--files chooses files of one torrent, and several are named")
            .advice("run it once for each of them"));
    }
    folder::see_to(plan)?;
    let session = session::start(plan, progress)?;
    let ended = match Members::add(plan, torrents, &session, progress).await {
        Ok(mut members) => members.watch(progress, interrupt).await,
        Err(failure) => Err(failure),
    };
    progress.close();
    session::stop(&session, progress).await;
    ended
}

/// Reads every SOURCE before anything is started, so that a mistyped one is noticed at once. One that is given
/// twice counts once; if one of them is a .torrent file, that one, since it says more than a link.
fn load<'a>(plan: &Plan<'a>) -> Result<Vec<(&'a str, What)>, Failure> {
    let mut torrents: Vec<(&str, What)> = Vec::new();
    for named in plan.sources {
        let torrent = (plan.read)(named)?;
        let name = torrent.info_hash().on_the_wire();
        match torrents.iter_mut().find(|(_, known)| known.info_hash().on_the_wire() == name) {
            Some((_, known @ What::Magnet(_))) => *known = torrent,
            Some((_, What::Metainfo(_))) => {}
            None => torrents.push((named, torrent)),
        }
    }
    Ok(torrents)
}

/// The torrents under way, in the order of the command line.
struct Members<'a> {
    plan: &'a Plan<'a>,
    session: &'a Session,
    events: Events,
    all: Vec<Member<'a>>,
    notes: Notes,
    /// Whether it was said that everything there is to serve is served.
    ready: bool,
}

impl<'a> Members<'a> {
    async fn add(
        plan: &'a Plan<'a>,
        torrents: Vec<(&'a str, What)>,
        session: &'a Session,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let events = session.events();
        let mut members =
            Self { plan, session, events, all: Vec::new(), notes: Notes::default(), ready: false };
        for (place, (source, what)) in torrents.into_iter().enumerate() {
            let mut member = Member::new(source, &what, plan);
            progress.add(&member.name, what.info_hash());
            let notes = match &what {
                What::Magnet(magnet) => notes::of_link(magnet),
                What::Metainfo(_) => Vec::new(),
            };
            let added = session.add(spec(plan, what)?, plan.folder).await;
            member.id = added.as_ref().ok().copied();
            members.all.push(member);
            notes.iter().try_for_each(|note| progress.warn(place, note))?;
            if let Err(error) = added {
                members.fail(place, session::why_not_added(&error), progress)?;
            }
        }
        Ok(members)
    }

    /// Shows what happens until the goal is reached or out of reach, or the user has had enough.
    async fn watch(&mut self, progress: &mut Progress, interrupt: &Interrupt) -> Result<Outcome, Failure> {
        let mut tick = Instant::now();
        while self.all.iter().any(|member| !member.has_ended()) {
            let now = Instant::now();
            if now >= tick {
                tick = now + progress.interval();
                let statuses = self.statuses().await;
                self.help(&statuses, progress).await?;
                progress.update(&statuses)?;
            }
            let happened = async { Happened::Event(self.events.next_timeout(tick - now).await) };
            let stopped = async {
                let _ = interrupt.recv().await;
                Happened::Interrupt
            };
            match happened.or(stopped).await {
                Happened::Interrupt => return self.interrupted(progress).await,
                Happened::Event(Some(SessionEvent::Event(event))) => self.show(event, progress).await?,
                Happened::Event(Some(SessionEvent::Lagged(_))) => self.catch_up(progress).await?,
                Happened::Event(None) if self.events.is_over() => {
                    return Err(
                        Failure::new("the session ended by itself").advice("run the same command again")
                    );
                }
                Happened::Event(None) => {}
            }
            self.see_whether_ready(progress).await?;
        }
        self.end()
    }

    async fn show(&mut self, event: Event, progress: &mut Progress) -> Result<(), Failure> {
        let Some(place) = subject(&event).and_then(|id| self.place(id)) else { return Ok(()) };
        if let Some(note) = self.notes.about(&event, &self.all[place].name) {
            progress.warn(place, &note)?;
        }
        match event {
            Event::MetadataReceived { .. } => self.know(place, progress).await?,
            // Of what is only served, numbers are worth nothing before all of it can be had.
            Event::Checked { pieces, .. } if self.plan.goal != Goal::Seed => {
                if let Some(status) = self.status(place).await {
                    progress.checked(place, pieces, &status)?;
                    if status.wanted.pieces_done < status.wanted.pieces_total
                        && let Err(failure) = folder::may_write(self.plan.folder, &self.all[place].name)
                    {
                        self.fail(place, failure, progress)?;
                    }
                }
            }
            Event::Finished { .. } => self.complete(place, progress).await?,
            Event::SeedingDone { .. } => self.give_no_more(place, progress).await?,
            Event::Failed { error, .. } => {
                let failure = self.all[place].why_it_failed(&error, self.plan);
                self.fail(place, failure, progress)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a magnet link leads to is known.
    async fn know(&mut self, place: usize, progress: &mut Progress) -> Result<(), Failure> {
        let Some(id) = self.all[place].id.filter(|_| !self.all[place].is_known) else { return Ok(()) };
        let Some(metainfo) = self.session.metainfo(id).await else { return Ok(()) };
        self.all[place].is_known = true;
        self.all[place].is_private = metainfo.info.private;
        self.all[place].name = metainfo.info.name.clone();
        progress.known(place, &metainfo.info)?;
        let Goal::Metadata { overwrite } = self.plan.goal else {
            return self.choose(place, id, &metainfo.info, progress);
        };
        match create::write(self.plan.folder, &metainfo.to_torrent(), overwrite) {
            Ok(()) => {
                self.all[place].stage = Stage::Done;
                progress.note(&format!("written to {}", self.plan.folder.display()));
            }
            Err(failure) => self.fail(place, failure, progress)?,
        }
        Ok(())
    }

    /// Now that it is known which files there are: those that are wanted.
    fn choose(
        &mut self,
        place: usize,
        id: TorrentId,
        info: &Info,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let chosen = if self.plan.files.is_empty() {
            choice::see_what_is_selected(&self.all[place].selected, info)
        } else {
            choice::select(self.plan.files, info).map(|files| {
                self.session.set_files(id, files);
                self.session.resume(id);
            })
        };
        match chosen {
            Ok(()) => Ok(()),
            Err(failure) => self.fail(place, failure, progress),
        }
    }

    /// Events were dropped: the states tell what they would have said.
    async fn catch_up(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        for place in 0..self.all.len() {
            self.know(place, progress).await?;
            match self.status(place).await.map(|status| status.state) {
                Some(TorrentState::Seeding) => self.complete(place, progress).await?,
                // Nobody else pauses a torrent.
                Some(TorrentState::Paused) => {
                    self.complete(place, progress).await?;
                    self.give_no_more(place, progress).await?;
                }
                Some(TorrentState::Failed) => {
                    let failure = Failure::new("it failed").advice("run the same command again to see why");
                    self.fail(place, failure, progress)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Everything of a torrent is here.
    async fn complete(&mut self, place: usize, progress: &mut Progress) -> Result<(), Failure> {
        let member = &mut self.all[place];
        if member.stage != Stage::Fetching {
            return Ok(());
        }
        let goal = self.plan.goal;
        member.stage = if goal == Goal::Download { Stage::Done } else { Stage::Serving };
        if let Some(status) = self.status(place).await {
            match goal {
                Goal::Metadata { .. } => {}
                Goal::Download => progress.finished(place, &status)?,
                Goal::DownloadThenSeed => progress.finished_and_serving(place, &status)?,
                Goal::Seed => progress.serving(place),
            }
        }
        Ok(())
    }

    /// A torrent has given enough.
    async fn give_no_more(&mut self, place: usize, progress: &mut Progress) -> Result<(), Failure> {
        if self.all[place].stage == Stage::Serving {
            self.all[place].stage = Stage::Done;
            if let Some(status) = self.status(place).await {
                progress.given(place, &status)?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, place: usize, failure: Failure, progress: &mut Progress) -> Result<(), Failure> {
        if !self.all[place].has_ended() {
            progress.failed(place, &failure)?;
            self.all[place].stage = Stage::Failed(failure);
        }
        Ok(())
    }

    /// Once there is nothing left to check or to fetch: who can come for it, and how long.
    async fn see_whether_ready(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let fetching = self.all.iter().any(|member| member.stage == Stage::Fetching);
        let serving = self.all.iter().any(|member| member.stage == Stage::Serving);
        if self.ready || fetching || !serving {
            return Ok(());
        }
        self.ready = true;
        if self.plan.goal == Goal::Seed {
            session::tell_where(self.session, progress)?;
            for place in 0..self.all.len() {
                if self.all[place].stage == Stage::Serving
                    && let Some(status) = self.status(place).await
                {
                    progress.checked(place, status.pieces_done, &status)?;
                }
            }
        }
        let SeedingLimits { ratio_permille, time } = self.plan.seeding;
        let ratio = ratio_permille.map(|ratio| format!("ratio {}, ", units::permille(ratio.into())));
        let time = time.map(|time| format!("{}, ", units::span(time)));
        let until = [ratio, time].into_iter().flatten().collect::<String>();
        let until = until.strip_suffix(", ").map_or_else(String::new, |until| format!("{until} or "));
        let addresses: Vec<String> = self.session.listening().iter().map(ToString::to_string).collect();
        progress.note(&format!("seeding until {until}Ctrl-C, listening on {}", addresses.join(" and ")));
        let nodes = self.dht_nodes().await;
        let hidden =
            |member: &Member<'_>| member.stage == Stage::Serving && member.is_hidden(nodes, self.plan);
        if let Some(place) = self.all.iter().position(hidden) {
            progress.warn(place, notes::HIDDEN)?;
        }
        Ok(())
    }

    /// While there is nobody: what is being tried, and, once that has lasted for a while, what the user can do.
    async fn help(
        &mut self,
        statuses: &[Option<TorrentStatus>],
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let nodes = self.dht_nodes().await;
        for (place, (member, status)) in self.all.iter().zip(statuses).enumerate() {
            let Some(status) = status.filter(|_| member.stage == Stage::Fetching) else { continue };
            let tried = member.tried(nodes, self.plan);
            progress.looking(place, (status.peers == 0).then(|| tried.words(status.known_peers)));
            if let Some(help) = self.notes.help(&member.name, &status, &tried) {
                progress.warn(place, &help)?;
            }
        }
        Ok(())
    }

    /// Nodes of the DHT that answer, if we take part in it.
    async fn dht_nodes(&self) -> Option<usize> {
        self.session.dht().await.map(|status| status.good())
    }

    /// The user has had enough: of giving, which is a good end, or of waiting.
    async fn interrupted(&mut self, progress: &mut Progress) -> Result<Outcome, Failure> {
        let announced = self.all.iter().any(|member| !member.has_ended() && member.trackers > 0);
        progress.stopping(if announced {
            "stopping: telling the trackers (Ctrl-C again to stop at once)"
        } else {
            "stopping"
        });
        if matches!(self.plan.goal, Goal::Download | Goal::Metadata { .. })
            || self.all.iter().any(|member| member.stage == Stage::Fetching)
        {
            return Ok(Outcome::Interrupted);
        }
        for place in 0..self.all.len() {
            if self.all[place].stage == Stage::Serving
                && let Some(status) = self.status(place).await
            {
                progress.stopped_serving(place, &status);
            }
        }
        self.end()
    }

    /// How it all ended: the failure of one, or a count of them.
    fn end(&mut self) -> Result<Outcome, Failure> {
        let all = self.all.len();
        let mut failures: Vec<Failure> =
            self.all.drain(..).filter_map(|member| member.stage.into_failure()).collect();
        match failures.pop() {
            None => Ok(Outcome::Done),
            Some(failure) if all == 1 => Err(failure),
            Some(_) => Err(Failure::new(format!("{} of {all} torrents failed", failures.len() + 1))
                .advice("the lines above say why; run the same command again once that is mended")),
        }
    }

    fn place(&self, id: TorrentId) -> Option<usize> {
        self.all.iter().position(|member| member.id == Some(id))
    }

    async fn status(&self, place: usize) -> Option<TorrentStatus> {
        self.session.status(self.all[place].id?).await
    }

    async fn statuses(&self) -> Vec<Option<TorrentStatus>> {
        let mut statuses = Vec::with_capacity(self.all.len());
        for place in 0..self.all.len() {
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
        Event::MetadataReceived { torrent }
        | Event::MetadataFailed { torrent }
        | Event::SavedRefused { torrent, .. }
        | Event::Checked { torrent, .. }
        | Event::Finished { torrent }
        | Event::SeedingDone { torrent }
        | Event::Failed { torrent, .. }
        | Event::FilesChanged { torrent, .. }
        | Event::NoSpace { torrent, .. }
        | Event::SpaceAgain { torrent }
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

fn spec(plan: &Plan<'_>, what: What) -> Result<AddTorrent, Failure> {
    let peers = plan.peers;
    let (files, metadata_only) = match &what {
        _ if plan.files.is_empty() => (Some(what.selection()), false),
        What::Metainfo(metainfo) => (Some(choice::select(plan.files, &metainfo.info)?), false),
        // It is paused with its metadata, until the files are chosen by that.
        What::Magnet(_) => (None, true),
    };
    Ok((plan.spec)(AddTorrent {
        files,
        metadata_only,
        peers: peers.peers.clone(),
        trackers: peers.trackers.clone(),
        peers_max: peers.max_peers.map(std::num::NonZeroU32::get),
        seeding: plan.seeding,
        ..AddTorrent::new(what)
    }))
}
