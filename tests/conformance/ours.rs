//! The sessions of both drivers as clients of the suite.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use pieceful_core::dht;
use pieceful_core::engine::{AddTorrent, Config, Event, TorrentStatus};
use pieceful_core::id::TorrentId;
use pieceful_std::tape::RecordOptions;
use pieceful_std::{Options, SessionEvent};
use pieceful_tests::conformance::Driver;
use smol::future::block_on;

pub(crate) struct Std {
    session: pieceful_std::Session,
    events: pieceful_std::Events,
}

pub(crate) struct Smol {
    session: pieceful_smol::Session,
    events: pieceful_smol::Events,
}

fn options(listen: SocketAddr, config: Config, tape: RecordOptions) -> Options {
    Options { listen: vec![listen], config, record: Some(tape), ..Options::default() }
}

fn event(told: SessionEvent) -> Event {
    match told {
        SessionEvent::Event(event) => event,
        SessionEvent::Lagged(count) => panic!("{count} events were dropped"),
    }
}

impl Driver for Std {
    fn start(listen: SocketAddr, config: Config, tape: RecordOptions) -> io::Result<Self> {
        let session =
            pieceful_std::Session::start(options(listen, config, tape)).map_err(io::Error::other)?;
        Ok(Self { events: session.events(), session })
    }

    fn listening(&self) -> SocketAddr {
        self.session.listening()[0]
    }

    fn next(&mut self, limit: Duration) -> Option<Event> {
        self.events.next_timeout(limit).map(event)
    }

    fn add(&self, spec: AddTorrent, folder: &Path) -> TorrentId {
        self.session.add(spec, folder).expect("a torrent that can be added")
    }

    fn remove(&self, torrent: TorrentId) {
        self.session.remove(torrent);
    }

    fn pause(&self, torrent: TorrentId, paused: bool) {
        if paused { self.session.pause(torrent) } else { self.session.resume(torrent) }
    }

    fn status(&self, torrent: TorrentId) -> TorrentStatus {
        self.session.status(torrent).expect("a torrent that is there")
    }

    fn dht(&self) -> Option<dht::Status> {
        self.session.dht()
    }

    fn stop(self) -> bool {
        self.session.stop().is_ok()
    }
}

impl Driver for Smol {
    fn start(listen: SocketAddr, config: Config, tape: RecordOptions) -> io::Result<Self> {
        let session =
            pieceful_smol::Session::start(options(listen, config, tape)).map_err(io::Error::other)?;
        Ok(Self { events: session.events(), session })
    }

    fn listening(&self) -> SocketAddr {
        self.session.listening()[0]
    }

    fn next(&mut self, limit: Duration) -> Option<Event> {
        block_on(self.events.next_timeout(limit)).map(event)
    }

    fn add(&self, spec: AddTorrent, folder: &Path) -> TorrentId {
        block_on(self.session.add(spec, folder)).expect("a torrent that can be added")
    }

    fn remove(&self, torrent: TorrentId) {
        self.session.remove(torrent);
    }

    fn pause(&self, torrent: TorrentId, paused: bool) {
        if paused { self.session.pause(torrent) } else { self.session.resume(torrent) }
    }

    fn status(&self, torrent: TorrentId) -> TorrentStatus {
        block_on(self.session.status(torrent)).expect("a torrent that is there")
    }

    fn dht(&self) -> Option<dht::Status> {
        block_on(self.session.dht())
    }

    fn stop(self) -> bool {
        block_on(self.session.stop()).is_ok()
    }
}
