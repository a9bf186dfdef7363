//! Downloads from, and uploads to, clients and trackers nobody here wrote: libtorrent, Transmission, aria2,
//! opentracker. Everything stays on this machine, in a network of its own where that can be had.
//!
//! What a case needs and this machine does not have is named at the end, and passes; with
//! `PIECEFUL_INTEROP=require` it fails. Words on the command line choose cases by name:
//! `cargo test -p pieceful-tests --test interop -- transmission udp`.

mod aria2;
mod capture;
mod choice;
mod http;
mod libtorrent;
mod meeting;
mod network;
mod opentracker;
mod others;
mod ours;
mod private;
mod processes;
mod runner;
mod seeder;
mod seeding;
mod tracker;
mod transmission;
mod trees;

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::opentracker::Opentracker;
use crate::others::{Family, Others, Program};
use crate::ours::{Driver, Ours, Told};
use crate::processes::{Place, copy_into, output_of, own_address};
use crate::runner::Case;
use crate::tracker::Tracker;
use crate::trees::{Maker, Recipe, Sources, Torrent, recipes};

/// How the two sides learn of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// We are told the address, an IPv4 one.
    Peer,
    /// An IPv6 one.
    PeerV6,
    /// An HTTP tracker of ours, named by the torrent.
    Http,
    /// The same, but we know it from the user alone.
    NamedHttp,
    /// We have nothing but a magnet link that names such a tracker.
    Magnet,
    /// opentracker over HTTP.
    OpentrackerHttp,
    /// opentracker over UDP.
    Udp,
}

/// Who dials, when the other program downloads from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialling {
    They,
    We,
    /// Whoever is first to know.
    ByTracker,
}

/// Downloads from Transmission, which is slow: by which route, what.
const FROM_TRANSMISSION: [(Route, Recipe); 6] = [
    (Route::Magnet, recipes::FILES),
    (Route::Peer, recipes::BIG_PIECES),
    (Route::Peer, recipes::FILES),
    (Route::Http, recipes::ONE_BYTE),
    (Route::Http, recipes::FORTY_MIB),
    (Route::Udp, recipes::SMALL_PIECES),
];

/// Beside everything from the other two by every main route.
const MORE: [(Program, Route, Recipe); 8] = [
    (Program::Libtorrent, Route::Magnet, recipes::FILES),
    (Program::Aria2, Route::Magnet, recipes::SMALL_PIECES),
    (Program::Libtorrent, Route::Peer, recipes::FILES.by(Maker::Libtorrent)),
    (Program::Libtorrent, Route::Peer, recipes::FILES.by(Maker::Hybrid)),
    (Program::Libtorrent, Route::PeerV6, recipes::FORTY_MIB),
    (Program::Libtorrent, Route::OpentrackerHttp, recipes::SMALL_PIECES),
    (Program::Libtorrent, Route::NamedHttp, recipes::FILES),
    (Program::Aria2, Route::Peer, recipes::FILES.by(Maker::Libtorrent)),
];

/// Uploads: who leeches, who dials, what.
const UPLOADS: [(Program, Dialling, Recipe); 4] = [
    // Not the 60 files: Transmission makes no empty ones.
    (Program::Transmission, Dialling::We, recipes::SMALL_PIECES),
    (Program::Libtorrent, Dialling::They, recipes::FORTY_MIB),
    (Program::Libtorrent, Dialling::We, recipes::FILES),
    (Program::Aria2, Dialling::ByTracker, recipes::FORTY_MIB),
];

/// How long a case may take. Transmission thinks in rounds of ten seconds, and the machine may be busy.
const CASE_TIME: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words = words(&arguments);
    let mut cases = cases();
    cases.retain(|case| words.iter().all(|word| case.name.contains(word)));
    if arguments.iter().any(|argument| argument == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    if cases.is_empty() {
        return ExitCode::SUCCESS; // meant for another suite
    }
    let required = std::env::var_os("PIECEFUL_INTEROP").is_some_and(|value| value == "require");
    match build_program().and_then(Bench::set_up) {
        Ok(bench) => runner::run(cases, &bench, required),
        Err(failure) => {
            println!("interop: cannot begin: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The words among arguments that are otherwise those of the usual harness.
fn words(arguments: &[String]) -> Vec<&str> {
    const WITH_VALUE: [&str; 6] = ["--test-threads", "--skip", "--format", "--color", "--logfile", "-Z"];
    let mut words = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        if WITH_VALUE.contains(&argument) {
            arguments.next();
        } else if !argument.starts_with('-') {
            words.push(argument);
        }
    }
    words
}

fn cases() -> Vec<Case> {
    // Those that take longest come first.
    let downloads = downloads().into_iter().flat_map(|(program, route, recipe)| {
        [Driver::Std, Driver::Smol].map(|driver| download_case(program, route, recipe, driver))
    });
    let uploads = UPLOADS.into_iter().flat_map(|(program, dialling, recipe)| {
        [Driver::Std, Driver::Smol].map(|driver| upload_case(program, dialling, recipe, driver))
    });
    let meeting = meeting::cases().into_iter().chain(private::cases()).chain(choice::cases());
    seeding::cases().into_iter().chain(meeting).chain(uploads).chain(downloads).collect()
}

fn downloads() -> Vec<(Program, Route, Recipe)> {
    let mut all: Vec<_> =
        FROM_TRANSMISSION.iter().map(|&(route, recipe)| (Program::Transmission, route, recipe)).collect();
    for program in [Program::Libtorrent, Program::Aria2] {
        for route in [Route::Peer, Route::Http, Route::Udp] {
            // Somebody else's torrents, too.
            let theirs = (program, route) == (Program::Libtorrent, Route::Http);
            let maker = if theirs { Maker::Libtorrent } else { Maker::Pieceful };
            all.extend(recipes::ALL.map(|recipe| (program, route, recipe.by(maker))));
        }
    }
    all.extend(MORE);
    all
}

fn download_case(program: Program, route: Route, recipe: Recipe, driver: Driver) -> Case {
    let tracker = matches!(route, Route::Udp | Route::OpentrackerHttp).then_some(Program::Opentracker);
    let what = recipe.name();
    Case {
        name: format!("download from {program:?} by {route:?}, {what}, {driver:?}").to_lowercase(),
        needs: [Some(program), tracker, recipe.needs()].into_iter().flatten().collect(),
        own_network: false,
        run: Box::new(move |bench| download(bench, program, route, recipe, driver)),
    }
}

fn upload_case(program: Program, dialling: Dialling, recipe: Recipe, driver: Driver) -> Case {
    let who = match dialling {
        Dialling::They => "that dials",
        Dialling::We => "that we dial",
        Dialling::ByTracker => "by tracker",
    };
    let what = recipe.name();
    Case {
        name: format!("upload to {program:?} {who}, {what}, {driver:?}").to_lowercase(),
        needs: [Some(program), recipe.needs()].into_iter().flatten().collect(),
        own_network: false,
        run: Box::new(move |bench| upload(bench, program, dialling, recipe, driver)),
    }
}

fn download(bench: &Bench, program: Program, route: Route, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let folder = place.folder("ours")?;
    match route {
        Route::Peer | Route::PeerV6 => {
            let torrent = recipe.make(bench, &[], &place)?;
            let family = if route == Route::Peer { Family::V4 } else { Family::V6 };
            let seeder = bench.others.seed(program, &torrent, family, &place)?;
            let told = Told { peers: vec![seeder.address()], ..Told::default() };
            ours::download(driver, bench, &torrent, &told, &folder, &place)
                .and_then(|()| torrent.compare(&folder))
                .map_err(|error| error.and(seeder.story()))
        }
        Route::Http | Route::NamedHttp | Route::Magnet => {
            let tracker = Tracker::start()?;
            let torrent = recipe.make(bench, &[tracker.url()], &place)?;
            let (ours, told) = match route {
                Route::Http => (None, Told::default()),
                Route::Magnet => (Some(torrent.by_link()), Told::default()),
                _ => {
                    let told = Told { trackers: vec![tracker.url()], ..Told::default() };
                    (Some(recipe.make(bench, &[], &place)?), told)
                }
            };
            let seeder = bench.others.seed(program, &torrent, Family::V4, &place)?;
            let ours = ours.as_ref().unwrap_or(&torrent);
            tracker
                .wait_seeder(&torrent.metainfo, &place)
                .and_then(|()| ours::download(driver, bench, ours, &told, &folder, &place))
                .and_then(|()| torrent.compare(&folder))
                .and_then(|()| check_announces(&tracker))
                .map_err(|error| error.and(tracker.story()).and(seeder.story()))
        }
        Route::OpentrackerHttp | Route::Udp => {
            let scheme = if route == Route::Udp { "udp" } else { "http" };
            let address = own_address()?;
            let torrent = recipe.make(bench, &[format!("{scheme}://{address}/announce")], &place)?;
            let program_path = bench.others.path(Program::Opentracker)?;
            let mut tracker = Opentracker::start(program_path, address, &torrent.metainfo, &place)?;
            let seeder = bench.others.seed(program, &torrent, Family::V4, &place)?;
            tracker
                .wait_seeder(&torrent.metainfo, &place)
                .and_then(|()| ours::download(driver, bench, &torrent, &Told::default(), &folder, &place))
                .and_then(|()| torrent.compare(&folder))
                .map_err(|error| error.and(seeder.story()))
        }
    }
}

/// An error unless we told the tracker of the whole download, in order.
fn check_announces(tracker: &Tracker) -> Result<()> {
    let mut announces = tracker.announces();
    announces.retain(|told| told.peer_id.starts_with(b"-PF"));
    let events: Vec<_> = announces.iter().map(|told| (told.event.as_str(), told.left == 0)).collect();
    if events == [("started", false), ("completed", true), ("stopped", true)] {
        return Ok(());
    }
    Err(Failure::new(format!("we announced (event, nothing left) {events:?}")))
}

fn upload(bench: &Bench, program: Program, dialling: Dialling, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let tracker = if dialling == Dialling::ByTracker { Some(Tracker::start()?) } else { None };
    let trackers: Vec<_> = tracker.iter().map(Tracker::url).collect();
    let torrent = recipe.make(bench, &trackers, &place)?;
    let (ours, theirs) = (place.folder("ours")?, place.folder("theirs")?);
    copy_into(&torrent.source, &ours)?;
    let mut seeder = Ours::start(driver, &torrent, &Told::default(), &ours)?.until_complete(&place)?;
    if let Some(tracker) = &tracker {
        tracker.wait_seeder(&torrent.metainfo, &place).map_err(|error| error.and(seeder.tell()))?;
    }
    let peer = if dialling == Dialling::They { Some(seeder.address()?) } else { None };
    let mut leecher = bench.others.leech(program, &torrent, &theirs, peer, &place)?;
    if dialling == Dialling::We {
        seeder.call(leecher.address());
    }
    leecher
        .wait_complete(&place)
        .and_then(|()| torrent.compare(&theirs))
        .map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    check_uploaded(&seeder, &torrent)?;
    seeder.stop()
}

/// An error unless we sent every byte at least once.
fn check_uploaded(seeder: &Ours, torrent: &Torrent) -> Result<()> {
    let (sent, length) = (seeder.status()?.traffic.payload_up, torrent.metainfo.info.stored_length());
    if sent >= length { Ok(()) } else { Err(Failure::new(format!("{sent} bytes sent of {length}"))) }
}

/// What all cases share.
#[derive(Debug)]
struct Bench {
    sources: Sources,
    others: Others,
    /// The program under test.
    pieceful: PathBuf,
    /// Why this run has no network of its own, if it has none.
    no_network: Option<String>,
}

impl Bench {
    fn set_up(pieceful: PathBuf) -> Result<Self> {
        let no_network =
            (!network::is_own()).then(|| format!("no network of its own: {}", network::enter(&pieceful)));
        Ok(Self { sources: Sources::make()?, others: Others::find(), pieceful, no_network })
    }
}

/// Builds `pieceful` as these tests were built, and says where it is. `PIECEFUL_BIN` names one that is there.
fn build_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PIECEFUL_BIN") {
        return Ok(path.into());
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--package", "pieceful", "--bin", "pieceful", "--message-format", "json"]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for line in output_of(&mut command)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if let Some(path) = message["executable"].as_str() {
            return Ok(path.into());
        }
    }
    Err(Failure::new("cargo built no program"))
}

type Result<T> = std::result::Result<T, Failure>;

/// Why a case failed, in words for a person, with what each side said.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    fn from_error(error: impl Display) -> Self {
        Self(error.to_string())
    }

    /// With something more to read.
    fn and(self, more: impl Display) -> Self {
        Self(format!("{}\n{more}", self.0))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
