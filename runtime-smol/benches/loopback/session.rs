//! The two drivers as leechers and as seeds: what any application would write.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pieceful_core::engine::{AddTorrent, Event};
use pieceful_core::metainfo::Metainfo;
use pieceful_std::{Options, SessionEvent};

use crate::{Fallible, meter, server};

/// Without a word for so long something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn leech_smol(torrent: &Path, folder: &Path, peers: Vec<SocketAddr>) -> Fallible<()> {
    let spec = spec(torrent, peers)?;
    futures_lite::future::block_on(async {
        let session = pieceful_smol::Session::start(options()?)?;
        let mut events = session.events();
        session.add(spec, folder).await?;
        while !is_last(events.next_timeout(PATIENCE).await)? {}
        meter::done();
        Ok(session.stop().await?)
    })
}

pub(crate) fn leech_std(torrent: &Path, folder: &Path, peers: Vec<SocketAddr>) -> Fallible<()> {
    let spec = spec(torrent, peers)?;
    let session = pieceful_std::Session::start(options()?)?;
    let mut events = session.events();
    session.add(spec, folder)?;
    while !is_last(events.next_timeout(PATIENCE))? {}
    meter::done();
    Ok(session.stop()?)
}

pub(crate) fn serve_smol(torrent: &Path, folder: &Path) -> Fallible<()> {
    let spec = spec(torrent, Vec::new())?;
    futures_lite::future::block_on(async {
        let session = pieceful_smol::Session::start(options()?)?;
        let mut events = session.events();
        session.add(spec, folder).await?;
        while !is_last(events.next_timeout(PATIENCE).await)? {}
        server::tell(session.listening()[0])?;
        Ok(session.stop().await?)
    })
}

pub(crate) fn serve_std(torrent: &Path, folder: &Path) -> Fallible<()> {
    let spec = spec(torrent, Vec::new())?;
    let session = pieceful_std::Session::start(options()?)?;
    let mut events = session.events();
    session.add(spec, folder)?;
    while !is_last(events.next_timeout(PATIENCE))? {}
    server::tell(session.listening()[0])?;
    Ok(session.stop()?)
}

fn spec(torrent: &Path, peers: Vec<SocketAddr>) -> Fallible<AddTorrent> {
    let metainfo = Metainfo::parse(fs::read(torrent)?)?;
    Ok(AddTorrent { peers, ..AddTorrent::new(Arc::new(metainfo)) })
}

fn options() -> Fallible<Options> {
    Ok(Options { listen: vec!["127.0.0.1:0".parse()?], ..Options::default() })
}

fn is_last(event: Option<SessionEvent>) -> Fallible<bool> {
    match event {
        Some(SessionEvent::Event(Event::Finished { .. })) => Ok(true),
        Some(SessionEvent::Event(Event::Failed { error, .. })) => Err(error.into()),
        Some(_) => Ok(false),
        None => Err("nothing happens any more".into()),
    }
}
