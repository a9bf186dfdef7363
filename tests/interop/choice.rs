//! Some files of a torrent: downloaded from libtorrent, served to it, and completed by a later run.

use std::fs;
use std::path::Path;

use pieceful_core::metainfo::File;

use crate::libtorrent::Libtorrent;
use crate::others::{Family, Other as _, Program};
use crate::ours::{self, Driver, Ours, Told};
use crate::processes::{Place, own_address};
use crate::runner::Case;
use crate::trees::{Torrent, recipes};
use crate::{Bench, CASE_TIME, Failure, Result};

pub(crate) fn cases() -> Vec<Case> {
    let case = |driver: Driver| Case {
        name: format!("some files from and to libtorrent, {driver:?}").to_lowercase(),
        needs: vec![Program::Libtorrent],
        own_network: false,
        run: Box::new(move |bench| some_files(bench, driver)),
    };
    [Driver::Std, Driver::Smol].map(case).into()
}

fn some_files(bench: &Bench, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipes::FILES.make(bench, &[], &place)?;
    let files = torrent.metainfo.info.files.iter().zip(0..);
    let large = files.filter(|(file, _)| file.length > 1_000).map(|(_, number)| number);
    let chosen: Vec<u32> = large.step_by(4).collect();
    let folder = place.folder("ours")?;
    let seeder = bench.others.seed(Program::Libtorrent, &torrent, Family::V4, &place)?;
    let told = Told { peers: vec![seeder.address()], files: chosen.clone(), ..Told::default() };
    ours::download(driver, bench, &torrent, &told, &folder, &place)
        .and_then(|()| check_files(&torrent, &chosen, &folder))
        .map_err(|error| error.and(seeder.story()))?;

    serve_some(bench, driver, &torrent, &told, &folder, &place)?;

    let told = Told { files: Vec::from_iter(0..torrent.metainfo.info.files.len() as u32), ..told };
    ours::download(driver, bench, &torrent, &told, &folder, &place)
        .and_then(|()| torrent.compare(&folder))
        .map_err(|error| error.and(seeder.story()))
}

/// An error unless the chosen files are whole, the others are not there, and the parts of pieces are.
fn check_files(torrent: &Torrent, chosen: &[u32], folder: &Path) -> Result<()> {
    let source = torrent.source.parent().ok_or_else(|| Failure::new("a source without a folder"))?;
    for (file, number) in torrent.metainfo.info.files.iter().zip(0..) {
        let File { path, .. } = file;
        let there = fs::read(folder.join(path.as_str())).ok();
        let should =
            if chosen.contains(&number) { Some(fs::read(source.join(path.as_str()))?) } else { None };
        if there != should {
            return Err(Failure::new(format!("{path} is not as it should be")));
        }
    }
    let parts = format!(".{}.parts", torrent.metainfo.info.info_hash.to_hex());
    if folder.join(&parts).exists() { Ok(()) } else { Err(Failure::new(format!("there is no {parts}"))) }
}

/// libtorrent has of us all that we have, which is not all there is.
fn serve_some(
    bench: &Bench,
    driver: Driver,
    torrent: &Torrent,
    told: &Told,
    ours: &Path,
    place: &Place,
) -> Result<()> {
    let told = Told { peers: Vec::new(), ..told.clone() };
    let mut seeder = Ours::start(driver, torrent, &told, ours)?.until_complete(place)?;
    let bytes = seeder.status()?.bytes_done;
    let (theirs, address) = (place.folder("leecher")?, seeder.address()?.to_string());
    let options = ["--watch", "yes", "--connect", &address];
    let leecher =
        Libtorrent::start(bench.others.python()?, own_address()?, torrent, &theirs, &options, place)?;
    leecher.wait_done(bytes, place).map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    seeder.stop()
}
