//! Ours as the seed: several clients at once take a torrent from us and from each other, or from us alone.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::libtorrent::Libtorrent;
use crate::opentracker::Opentracker;
use crate::others::{Other, Program};
use crate::ours::{Driver, Ours, Told};
use crate::processes::{Place, copy_into, own_address};
use crate::runner::Case;
use crate::seeder::Seeder;
use crate::tracker::Tracker;
use crate::transmission::Transmission;
use crate::trees::{Maker, Recipe, Torrent, recipes};
use crate::{Bench, CASE_TIME, Failure, Result, network};

/// Transmission, which looks around every ten seconds only, begins first.
const ALL_THREE: [Program; 3] = [Program::Transmission, Program::Libtorrent, Program::Aria2];

const WITH_TRACKER: [Program; 4] =
    [Program::Opentracker, Program::Transmission, Program::Libtorrent, Program::Aria2];

pub(crate) const DRIVERS: [Driver; 2] = [Driver::Std, Driver::Smol];

/// Slow enough for leechers to have something for each other before we have given it to all of them.
const SLOWLY: u64 = 6 << 20;

/// Both drivers run each of these.
pub(crate) type Run = fn(&Bench, Recipe, Driver) -> Result<()>;

/// What, who is needed for it, with which torrent, and how.
pub(crate) type Row = (&'static str, &'static [Program], Recipe, Run);

const ON_LOOPBACK: [Row; 12] = [
    ("seed all three as we dial", &ALL_THREE, recipes::SMALL_PIECES, we_dial),
    ("seed all three as we dial", &ALL_THREE, recipes::BIG_PIECES, we_dial),
    ("seed all three as we dial", &ALL_THREE, recipes::FILES, we_dial),
    ("seed all three as we dial", &ALL_THREE, recipes::FILES.by(Maker::Padded), we_dial),
    ("seed transmission that we dial by ipv6", &[Program::Transmission], recipes::SMALL_PIECES, we_dial_v6),
    ("seed libtorrent that dials by ipv6", &[Program::Libtorrent], recipes::FILES, libtorrent_dials_v6),
    ("seed libtorrent that has a magnet link", &[Program::Libtorrent], recipes::FILES, has_a_magnet_link),
    (
        "seed transmission that has a magnet link",
        &[Program::Transmission],
        recipes::SMALL_PIECES,
        dial_a_link,
    ),
    ("seed aria2 that has a magnet link", &[Program::Aria2], recipes::FILES, aria2_has_a_magnet_link),
    ("seed beside a partial seed", &[Program::Libtorrent], recipes::FILES, partial_seed),
    ("seed within a limit", &[Program::Libtorrent], recipes::SMALL_PIECES, within_limit),
    ("seed, and be gone from opentracker", &[Program::Opentracker], recipes::ONE_BYTE, leave_tracker),
];

/// Where Transmission dials.
const ON_A_NETWORK: [Row; 5] = [
    ("seed a swarm with ours in it, who serve on", &WITH_TRACKER, recipes::FILES, serve_on),
    ("seed all three as they dial", &WITH_TRACKER, recipes::SMALL_PIECES, they_dial),
    ("seed all three as they dial", &WITH_TRACKER, recipes::BIG_PIECES, they_dial),
    ("seed all three as they dial", &WITH_TRACKER, recipes::FILES, they_dial),
    ("seed transmission that dials by ipv6", &[Program::Transmission], recipes::SMALL_PIECES, they_dial_v6),
];

pub(crate) fn cases() -> Vec<Case> {
    let rows = ON_A_NETWORK.map(|row| (row, true)).into_iter().chain(ON_LOOPBACK.map(|row| (row, false)));
    let cases = rows.flat_map(|((name, needs, recipe, run), own_network)| {
        DRIVERS.map(|driver| Case {
            name: format!("{name}, {}, {driver:?}", recipe.name()).to_lowercase(),
            needs: needs.iter().copied().chain(recipe.needs()).collect(),
            own_network,
            run: Box::new(move |bench| run(bench, recipe, driver)),
        })
    });
    cases.collect()
}

/// Clients of others that want a torrent, each with a folder of its own.
struct Leechers<'a> {
    torrent: &'a Torrent,
    all: Vec<(Program, Box<dyn Other>, PathBuf)>,
}

impl<'a> Leechers<'a> {
    fn start(bench: &Bench, torrent: &'a Torrent, place: &Place) -> Result<Self> {
        let mut all = Vec::new();
        for program in ALL_THREE {
            let folder = place.folder(&format!("{program:?}"))?;
            all.push((program, bench.others.leech(program, torrent, &folder, None, place)?, folder));
        }
        Ok(Self { torrent, all })
    }

    /// Waits until each has everything, and compares it.
    fn wait_complete(&mut self, place: &Place) -> Result<()> {
        for (program, client, folder) in &mut self.all {
            let complete = client.wait_complete(place).and_then(|()| match program {
                Program::Libtorrent => self.torrent.compare(folder),
                Program::Aria2 => self.torrent.compare_without_padding(folder),
                _ => self.torrent.compare_without_padding_and_empty(folder),
            });
            complete.map_err(|error| Failure::new(format!("{program:?}: {error}")).and(client.story()))?;
        }
        Ok(())
    }
}

/// It knows the info-hash, and asks us for the rest.
fn has_a_magnet_link(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let mut seeder = seed(driver, bench, &torrent, &Told::default(), &place)?;
    let folder = place.folder("theirs")?;
    let address = seeder.address()?.to_string();
    let options = ["--connect", &address, "--magnet", "yes"];
    let python = bench.others.python()?;
    let mut leecher = Libtorrent::start(python, own_address()?, &torrent, &folder, &options, &place)?;
    leecher.wait_complete(&place).map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    torrent.compare(&folder)?;
    seeder.stop(&place)
}

/// Transmission knows the info-hash, and learns the rest of us once we have dialled.
fn dial_a_link(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let folder = place.folder("theirs")?;
    let leecher = bench.others.leech(Program::Transmission, &torrent.by_link(), &folder, None, &place)?;
    let told = Told { peers: vec![leecher.address()], ..Told::default() };
    let seeder = seed(driver, bench, &torrent, &told, &place)?;
    takes_all(leecher, seeder, &torrent, &folder, &place)
}

/// aria2 learns of us from the tracker that its link names.
fn aria2_has_a_magnet_link(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let tracker = Tracker::start()?;
    let torrent = recipe.make(bench, &[tracker.url()], &place)?;
    let mut seeder = seed(driver, bench, &torrent, &Told::default(), &place)?;
    tracker.wait_seeder(&torrent.metainfo, &place).map_err(|error| error.and(seeder.tell()))?;
    let folder = place.folder("theirs")?;
    let leecher = bench.others.leech(Program::Aria2, &torrent.by_link(), &folder, None, &place)?;
    takes_all(leecher, seeder, &torrent, &folder, &place)
}

fn takes_all(
    mut leecher: Box<dyn Other>,
    mut seeder: Seeder,
    torrent: &Torrent,
    folder: &Path,
    place: &Place,
) -> Result<()> {
    leecher
        .wait_complete(place)
        .and_then(|()| torrent.compare(folder))
        .map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    check_sent(&seeder, torrent, 1)?;
    seeder.stop(place)
}

/// They learn of us, and of each other, from opentracker.
fn they_dial(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let (torrent, mut tracker) = with_opentracker(bench, recipe, driver, &place)?;
    let told = Told { max_upload: Some(SLOWLY), ..Told::default() };
    let mut seeder = seed(driver, bench, &torrent, &told, &place)?;
    tracker.wait_seeders(&torrent.metainfo, |seeders| seeders == 1, &place)?;
    let mut leechers = Leechers::start(bench, &torrent, &place)?;
    leechers.wait_complete(&place).map_err(|error| error.and(seeder.tell()))?;
    let three = 3 * torrent.metainfo.info.stored_length();
    if seeder.sent()?.is_some_and(|sent| sent >= three) {
        return Err(Failure::new("we gave three copies: they had nothing for each other"));
    }
    seeder.stop(&place)
}

/// They know nobody but us, and us only because we dialled.
fn we_dial(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let mut leechers = Leechers::start(bench, &torrent, &place)?;
    let peers = leechers.all.iter().map(|(_, client, _)| client.address()).collect();
    let mut seeder = seed(driver, bench, &torrent, &Told { peers, ..Told::default() }, &place)?;
    leechers.wait_complete(&place).map_err(|error| error.and(seeder.tell()))?;
    check_sent(&seeder, &torrent, 3)?;
    seeder.stop(&place)
}

/// We are the only seed of a swarm in which both our drivers download beside the others. What they then have
/// they give to those that come later, when the first seed is gone.
fn serve_on(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let (torrent, mut tracker) = with_opentracker(bench, recipe, driver, &place)?;
    let mut first = seed(driver, bench, &torrent, &Told::default(), &place)?;
    tracker.wait_seeders(&torrent.metainfo, |seeders| seeders == 1, &place)?;
    let mut leechers = Leechers::start(bench, &torrent, &place)?;
    let mut ours = Vec::new();
    for driver in DRIVERS {
        let folder = place.folder(&format!("ours, {driver:?}"))?;
        let getting = Seeder::get(driver, bench, &torrent, &Told::default(), &folder, &place)?;
        ours.push((driver, getting.until_complete(&place)?, folder));
    }
    leechers.wait_complete(&place).map_err(|error| error.and(first.tell()))?;
    drop(leechers);
    first.stop(&place)?;
    let bare = recipe.make(bench, &[], &place)?;
    for (driver, mut seeder, folder) in ours {
        torrent.compare(&folder)?;
        let theirs = place.folder(&format!("after {driver:?}"))?;
        let from = Some(seeder.address()?);
        let mut late = bench.others.leech(Program::Libtorrent, &bare, &theirs, from, &place)?;
        late.wait_complete(&place)
            .and_then(|()| torrent.compare(&theirs))
            .map_err(|error| error.and(late.story()).and(seeder.tell()))?;
        seeder.stop(&place)?;
    }
    Ok(())
}

fn libtorrent_dials_v6(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let told = Told { listen: Some(Ipv6Addr::LOCALHOST.into()), ..Told::default() };
    let mut seeder = seed(driver, bench, &torrent, &told, &place)?;
    let theirs = place.folder("theirs")?;
    let from = Some(seeder.address()?);
    let mut leecher = bench.others.leech(Program::Libtorrent, &torrent, &theirs, from, &place)?;
    leecher
        .wait_complete(&place)
        .and_then(|()| torrent.compare(&theirs))
        .map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    check_sent(&seeder, &torrent, 1)?;
    seeder.stop(&place)
}

/// Transmission is told our address by a tracker.
fn they_dial_v6(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let tracker = Tracker::start()?;
    let told = Told { listen: Some(network::V6[0].into()), ..Told::default() };
    let mut seeder = seed(driver, bench, &recipe.make(bench, &[], &place)?, &told, &place)?;
    tracker.name(seeder.address()?);
    let torrent = recipe.make(bench, &[tracker.url()], &place)?;
    let theirs = place.folder("theirs")?;
    let path = bench.others.path(Program::Transmission)?;
    let mut leecher = Transmission::start(path, &torrent, &theirs, network::V6[1], &[], &place)?;
    leecher
        .wait_complete(&place)
        .and_then(|()| torrent.compare(&theirs))
        .map_err(|error| error.and(leecher.story()).and(tracker.story()).and(seeder.tell()))?;
    check_sent(&seeder, &torrent, 1)?;
    seeder.stop(&place)
}

fn we_dial_v6(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let theirs = place.folder("theirs")?;
    let path = bench.others.path(Program::Transmission)?;
    let mut leecher = Transmission::start(path, &torrent, &theirs, Ipv6Addr::LOCALHOST, &[], &place)?;
    let peers = vec![SocketAddr::new(Ipv6Addr::LOCALHOST.into(), leecher.address().port())];
    let told = Told { listen: Some(IpAddr::from(Ipv6Addr::LOCALHOST)), peers, ..Told::default() };
    let mut seeder = seed(driver, bench, &torrent, &told, &place)?;
    leecher
        .wait_complete(&place)
        .and_then(|()| torrent.compare(&theirs))
        .map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    seeder.stop(&place)
}

/// libtorrent takes some files from us and says that it wants no more (BEP 21). To us it is of no use then, but
/// a leecher of ours takes those files from it, and the others from us.
fn partial_seed(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let mut seeder = seed(driver, bench, &torrent, &Told::default(), &place)?;
    let theirs = place.folder("theirs")?;
    let python = bench.others.python()?;
    let mut partial = Libtorrent::start(
        python,
        own_address()?,
        &torrent,
        &theirs,
        &["--connect", &seeder.address()?.to_string(), "--files", "20-39"],
        &place,
    )?;
    partial.wait_complete(&place).map_err(|error| error.and(partial.story()).and(seeder.tell()))?;
    if let Seeder::Session(ours) = &seeder {
        place
            .wait_until("waiting for it to be shown out", || Ok((ours.status()?.peers == 0).then_some(())))?;
    }
    let folder = place.folder("ours, leeching")?;
    let told = Told { peers: vec![partial.address()], ..Told::default() };
    let mut leecher = Ours::start(driver, &torrent, &told, &folder)?;
    let some = |status: &pieceful_core::engine::TorrentStatus| {
        (1..status.pieces_total).contains(&status.pieces_done).then_some(())
    };
    place
        .wait_until("waiting for pieces from a partial seed", || Ok(some(&leecher.status()?)))
        .map_err(|error| error.and(partial.story()).and(leecher.tell()))?;
    leecher.call(seeder.address()?);
    let leecher = leecher.until_complete(&place).map_err(|error| error.and(seeder.tell()))?;
    torrent.compare(&folder)?;
    leecher.stop()?;
    seeder.stop(&place)
}

/// libtorrent notes what we offer it, and how fast it gets what it wants.
fn within_limit(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    const LIMIT: u64 = 700 << 10;
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let told = Told { max_upload: Some(LIMIT), ..Told::default() };
    let mut seeder = seed(driver, bench, &torrent, &told, &place)?;
    let (theirs, address) = (place.folder("theirs")?, seeder.address()?.to_string());
    let options = ["--connect", &address, "--watch", "yes"];
    let leecher =
        Libtorrent::start(bench.others.python()?, own_address()?, &torrent, &theirs, &options, &place)?;
    let told = leecher.tell_until("finished", &place).map_err(|error| error.and(seeder.tell()))?;
    torrent.compare(&theirs)?;
    let heard: Vec<&str> = told.iter().filter_map(|told| told["what"].as_str()).collect();
    let heard = |words: &[&str]| heard.iter().any(|said| words.iter().all(|word| said.contains(word)));
    let offers: [&[&str]; 4] =
        [&["HAVE_ALL"], &["ALLOWED_FAST"], &["EXTENDED_HANDSHAKE", "'reqq': 500"], &["'upload_only': 1"]];
    if let Some(missing) = offers.iter().find(|words| !heard(words)) {
        return Err(Failure::new(format!("libtorrent heard no {missing:?}")).and(leecher.story()));
    }
    let progress: Vec<(f64, f64)> =
        told.iter().filter_map(|told| Some((told["at"].as_f64()?, told["done"].as_f64()?))).collect();
    // The first second's worth may come at once.
    let begin = progress.iter().find(|(_, done)| *done > 0.0).map_or(0.0, |(at, _)| at + 2.0);
    let window: Vec<_> = progress.iter().filter(|(at, _)| *at >= begin).collect();
    let (Some((since, before)), Some((until, after))) = (window.first(), window.last()) else {
        return Err(Failure::new("it was all there within two seconds"));
    };
    let ratio = (after - before) / (until - since) / LIMIT as f64;
    // libtorrent counts when it reads: when it gets to run, what waited in its socket comes on top. And neither
    // side may get to run as often as it would like.
    if !(0.5..1.2).contains(&ratio) {
        return Err(Failure::new(format!("{ratio:.2} times the rate we were allowed")));
    }
    seeder.stop(&place)
}

fn leave_tracker(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let (torrent, mut tracker) = with_opentracker(bench, recipe, driver, &place)?;
    let seeder = seed(driver, bench, &torrent, &Told::default(), &place)?;
    tracker.wait_seeders(&torrent.metainfo, |seeders| seeders == 1, &place)?;
    seeder.stop(&place)?;
    tracker.wait_seeders(&torrent.metainfo, |seeders| seeders == 0, &place)
}

/// A torrent that names an opentracker, which std reaches over HTTP and smol over UDP.
fn with_opentracker(
    bench: &Bench,
    recipe: Recipe,
    driver: Driver,
    place: &Place,
) -> Result<(Torrent, Opentracker)> {
    let scheme = if driver == Driver::Std { "http" } else { "udp" };
    let address = own_address()?;
    let torrent = recipe.make(bench, &[format!("{scheme}://{address}/announce")], place)?;
    let program = bench.others.path(Program::Opentracker)?;
    let tracker = Opentracker::start(program, address, &torrent.metainfo, place)?;
    Ok((torrent, tracker))
}

/// Our seed, with files of its own.
pub(crate) fn seed(
    driver: Driver,
    bench: &Bench,
    torrent: &Torrent,
    told: &Told,
    place: &Place,
) -> Result<Seeder> {
    let folder = place.folder("ours")?;
    copy_into(&torrent.source, &folder)?;
    Seeder::seed(driver, bench, torrent, told, &folder, place)
}

/// An error unless we sent every byte this many times, as far as is known.
fn check_sent(seeder: &Seeder, torrent: &Torrent, times: u64) -> Result<()> {
    let least = times * torrent.metainfo.info.stored_length();
    match seeder.sent()? {
        Some(sent) if sent < least => Err(Failure::new(format!("{sent} bytes sent of {least}"))),
        _ => Ok(()),
    }
}
