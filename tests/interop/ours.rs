//! Our side: a download or a seeding session on either driver.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use pieceful_core::engine::{AddTorrent, DhtConfig, Event, Selection, TorrentState, TorrentStatus, What};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::Magnet;
use pieceful_std::{Options, SessionEvent};
use serde_json::Value;

use crate::processes::{Place, Process};
use crate::trees::Torrent;
use crate::{Bench, Failure, Result, network};

/// Which driver takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// `pieceful-std`, in this process.
    Std,
    /// `pieceful-smol`: downloads with the program `pieceful`, seeds in this process.
    Smol,
}

/// What the user tells us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) trackers: Vec<String>,
    /// Nodes of the DHT to begin at.
    pub(crate) nodes: Vec<SocketAddr>,
    /// That there are neighbours, whom the program always looks for.
    pub(crate) lsd: bool,
    /// Where to listen, if not at the usual address.
    pub(crate) listen: Option<IpAddr>,
    /// The files to download, by number; all, if there are none.
    pub(crate) files: Vec<u32>,
    /// Bytes per second.
    pub(crate) max_upload: Option<u64>,
}

impl Told {
    /// Where a client listens that is told this: at any port.
    fn listens(&self) -> SocketAddr {
        SocketAddr::new(self.listen.unwrap_or_else(network::ours), 0)
    }

    /// Tells it to the program.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.arg("--listen").arg(self.listens().to_string());
        for peer in &self.peers {
            command.arg("--peer").arg(peer.to_string());
        }
        for tracker in &self.trackers {
            command.arg("--tracker").arg(tracker);
        }
        for node in &self.nodes {
            command.arg("--dht-bootstrap").arg(node.to_string());
        }
        if let Some(rate) = self.max_upload {
            command.arg("--max-upload").arg(rate.to_string());
        }
        for file in &self.files {
            command.arg("--files").arg(file.to_string());
        }
    }

    fn selection(&self) -> Option<Selection> {
        let files = self.files.iter().map(|&file| file..=file);
        (!self.files.is_empty()).then(|| Selection::only(files))
    }

    /// What a session is told by its options.
    fn options(&self) -> Options {
        let mut options = Options { listen: vec![self.listens()], ..Options::default() };
        options.config.rates.upload = self.max_upload;
        options.config.lsd = self.lsd;
        options.config.dht = (!self.nodes.is_empty()).then(|| DhtConfig {
            bootstrap: self.nodes.iter().map(|node| (node.ip().to_string(), node.port())).collect(),
            ..DhtConfig::default()
        });
        options
    }
}

/// Downloads `torrent` to `folder` and stops.
pub(crate) fn download(
    driver: Driver,
    bench: &Bench,
    torrent: &Torrent,
    told: &Told,
    folder: &Path,
    place: &Place,
) -> Result<()> {
    match driver {
        Driver::Std => download_in_process(torrent, told, folder, place),
        Driver::Smol => download_by_program(&bench.pieceful, torrent, told, folder, place),
    }
}

fn download_in_process(torrent: &Torrent, told: &Told, folder: &Path, place: &Place) -> Result<()> {
    let seeding = Ours::start(Driver::Std, torrent, told, folder)?;
    let seeding = seeding.until_complete(place)?;
    let status = seeding.status()?;
    let traffic = status.traffic;
    if (traffic.hash_failures, traffic.wasted) != (0, 0) {
        return Err(Failure::new(format!("from an honest peer, and yet {traffic:?}")));
    }
    seeding.stop()
}

fn download_by_program(
    pieceful: &Path,
    torrent: &Torrent,
    told: &Told,
    folder: &Path,
    place: &Place,
) -> Result<()> {
    let mut command = Command::new(pieceful);
    command.arg("get").arg(torrent.typed()).arg("-o").arg(folder).arg("--json");
    command.env("XDG_STATE_HOME", place.path("state"));
    told.tell(&mut command);
    let mut process = Process::start_talking("pieceful", command, place)?;
    let mut said = Vec::new();
    while let Some(line) = process.line(place)? {
        let event: Value = serde_json::from_str(&line)?;
        said.push(event["event"].as_str().unwrap_or_default().to_owned());
    }
    let status = process.wait_end(place)?;
    if !status.success() {
        return Err(process.failure(&format!("pieceful get: {status}")));
    }
    said.dedup();
    if torrent.link.is_some() {
        let metadata = said.iter().position(|said| said == "metadata");
        said.retain(|said| !said.starts_with("metadata"));
        if metadata.is_none() {
            return Err(process.failure("pieceful get said nothing of the metadata"));
        }
    }
    if said.first().is_none_or(|first| first != "listening")
        || said.get(1).is_none_or(|second| second != "progress")
        || said.last().is_none_or(|last| last != "finished")
    {
        return Err(process.failure(&format!("pieceful get said {said:?}")));
    }
    Ok(())
}

/// A session with one torrent.
pub(crate) struct Ours {
    session: Session,
    torrent: TorrentId,
    story: Story,
}

enum Session {
    Std(pieceful_std::Session, pieceful_std::Events),
    Smol(pieceful_smol::Session, pieceful_smol::Events),
}

impl Ours {
    /// Takes part in `torrent`, whose files are in `folder` or will be.
    pub(crate) fn start(driver: Driver, torrent: &Torrent, told: &Told, folder: &Path) -> Result<Self> {
        let options = told.options();
        let what = match &torrent.link {
            Some(link) => What::from(link.parse::<Magnet>().map_err(Failure::from_error)?),
            None => Arc::new(torrent.metainfo.clone()).into(),
        };
        let spec = AddTorrent {
            peers: told.peers.clone(),
            trackers: told.trackers.clone(),
            files: told.selection(),
            ..AddTorrent::new(what)
        };
        let (session, torrent) = match driver {
            Driver::Std => {
                let session = pieceful_std::Session::start(options).map_err(Failure::from_error)?;
                let events = session.events();
                let torrent = session.add(spec, folder).map_err(Failure::from_error)?;
                (Session::Std(session, events), torrent)
            }
            Driver::Smol => {
                let session = pieceful_smol::Session::start(options).map_err(Failure::from_error)?;
                let events = session.events();
                let added = smol::block_on(session.add(spec, folder));
                (Session::Smol(session, events), added.map_err(Failure::from_error)?)
            }
        };
        Ok(Self { session, torrent, story: Story::new() })
    }

    /// Where it accepts connections.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let listening = match &self.session {
            Session::Std(session, _) => session.listening(),
            Session::Smol(session, _) => session.listening(),
        };
        listening.first().copied().ok_or_else(|| Failure::new("our session does not listen"))
    }

    /// Calls a peer.
    pub(crate) fn call(&self, peer: SocketAddr) {
        match &self.session {
            Session::Std(session, _) => session.add_peer(self.torrent, peer),
            Session::Smol(session, _) => session.add_peer(self.torrent, peer),
        }
    }

    /// Waits until every piece is there that is wanted: found on disk or downloaded, and verified.
    pub(crate) fn until_complete(mut self, place: &Place) -> Result<Self> {
        loop {
            let left = place.left("waiting for our download").map_err(|error| error.and(self.tell()))?;
            let event = match &mut self.session {
                Session::Std(_, events) => events.next_timeout(left),
                Session::Smol(_, events) => smol::block_on(events.next_timeout(left)),
            };
            let Some(event) = event else { continue };
            let finished = matches!(&event, SessionEvent::Event(Event::Finished { .. }));
            self.story.hear(event);
            if let Some(wrong) = &self.story.wrong {
                return Err(Failure::new(wrong).and(self.tell()));
            }
            if finished {
                let status = self.status()?;
                let wanted = status.wanted;
                let whole = (status.state, wanted.bytes_done) == (TorrentState::Seeding, wanted.bytes_total);
                return if whole {
                    Ok(self)
                } else {
                    Err(Failure::new(format!("finished, and yet {status:?}")))
                };
            }
        }
    }

    pub(crate) fn status(&self) -> Result<TorrentStatus> {
        let status = match &self.session {
            Session::Std(session, _) => session.status(self.torrent),
            Session::Smol(session, _) => smol::block_on(session.status(self.torrent)),
        };
        status.ok_or_else(|| Failure::new("our torrent is gone"))
    }

    /// Stops in good order.
    pub(crate) fn stop(self) -> Result<()> {
        match &self.session {
            Session::Std(session, _) => session.stop(),
            Session::Smol(session, _) => smol::block_on(session.stop()),
        }
        .map_err(Failure::from_error)
    }

    /// What happened, for a failure.
    pub(crate) fn tell(&mut self) -> String {
        let peers = match &mut self.session {
            Session::Std(session, events) => {
                while let Some(event) = events.next_timeout(std::time::Duration::ZERO) {
                    self.story.hear(event);
                }
                session.peers(self.torrent)
            }
            Session::Smol(session, events) => {
                while let Some(event) = smol::block_on(events.next_timeout(std::time::Duration::ZERO)) {
                    self.story.hear(event);
                }
                smol::block_on(session.peers(self.torrent))
            }
        };
        let status = self.status().map_or_else(|error| error.to_string(), |status| format!("{status:?}"));
        let events = self.story.events.join("\n    ");
        format!("our side:\n    {events}\n    {status}\n    {peers:?}")
    }
}

/// What a session told.
struct Story {
    since: Instant,
    events: Vec<String>,
    /// What must not happen among honest clients.
    wrong: Option<String>,
}

impl Story {
    fn new() -> Self {
        Self { since: Instant::now(), events: Vec::new(), wrong: None }
    }

    fn hear(&mut self, event: SessionEvent) {
        if let SessionEvent::Event(
            Event::Failed { .. }
            | Event::PieceFailed { .. }
            | Event::PeerBanned { .. }
            | Event::TrackerFailed { .. }
            | Event::Stopped,
        ) = &event
        {
            self.wrong = Some(format!("{event:?}"));
        }
        self.events.push(format!("{:8.3} s {event:?}", self.since.elapsed().as_secs_f64()));
    }
}
