//! Nobody is told of the other, and no tracker knows them: they meet through the DHT, through a peer that both know, or
//! on the local network.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::aria2::Aria2;
use crate::libtorrent::{DhtNodes, Libtorrent};
use crate::others::{Other, Program};
use crate::ours::{self, Driver, Told};
use crate::processes::{Place, copy_into, own_address, own_neighbour_address};
use crate::runner::Case;
use crate::seeding::{self, DRIVERS, Row};
use crate::transmission::Transmission;
use crate::trees::{Recipe, Torrent, recipes};
use crate::{Bench, CASE_TIME, Failure, Result, network};

/// Slow enough for a swarm to be still there when everybody has met.
const HARDLY: u64 = 16 << 10;

const LIBTORRENT: &[Program] = &[Program::Libtorrent];
/// The DHT begins at a node of libtorrent.
const ARIA2: &[Program] = &[Program::Libtorrent, Program::Aria2];

/// Transmission takes no node on loopback, a link may not name a peer there, and there are no neighbours.
const ON_A_NETWORK: [Row; 5] = [
    ("seed all three by one dht", &ALL_THREE, recipes::SMALL_PIECES, all_three_ask_the_dht),
    ("download from all three by one dht", &ALL_THREE, recipes::SMALL_PIECES, all_three_are_in_the_dht),
    ("download from libtorrent whose host a link names", LIBTORRENT, recipes::FILES, look_up_the_seed),
    ("seed libtorrent by local discovery", LIBTORRENT, NEAR[0], be_a_neighbour),
    ("download from libtorrent by local discovery", LIBTORRENT, NEAR[1], have_a_neighbour),
];

/// Neighbours hear of all that goes on beside them, so these are torrents that no other case has.
const NEAR: [Recipe; 2] = [
    Recipe { piece_length: 64 << 10, ..recipes::FILES },
    Recipe { piece_length: 64 << 10, ..recipes::SMALL_PIECES },
];

const ROWS: [Row; 6] = [
    ("seed aria2 by dht", ARIA2, recipes::FILES, aria2_asks_the_dht),
    ("download from aria2 by dht", ARIA2, recipes::FILES, aria2_is_in_the_dht),
    ("seed libtorrent by dht", LIBTORRENT, recipes::FILES, libtorrent_asks_the_dht),
    ("download from libtorrent by dht", LIBTORRENT, recipes::FILES, libtorrent_is_in_the_dht),
    ("download from libtorrent by peer exchange", LIBTORRENT, recipes::FILES, hear_of_the_seed),
    ("seed libtorrents that meet by peer exchange", LIBTORRENT, recipes::SMALL_PIECES, introduce_them),
];

pub(crate) fn cases() -> Vec<Case> {
    let rows = ON_A_NETWORK.map(|row| (row, true)).into_iter().chain(ROWS.map(|row| (row, false)));
    let cases = rows.flat_map(|((name, needs, recipe, run), own_network)| {
        DRIVERS.map(|driver| Case {
            name: format!("{name}, {}, {driver:?}", recipe.name()).to_lowercase(),
            needs: needs.to_vec(),
            own_network,
            run: Box::new(move |bench| run(bench, recipe, driver)),
        })
    });
    cases.collect()
}

/// A DHT and a torrent that only it knows of.
struct Trackerless {
    nodes: DhtNodes,
    /// Where to begin.
    first: SocketAddr,
    torrent: Torrent,
    told: Told,
}

impl Trackerless {
    fn start(bench: &Bench, recipe: Recipe, nodes: u8, place: &Place) -> Result<Self> {
        let torrent = recipe.make(bench, &[], place)?;
        let nodes = DhtNodes::start(bench.others.python()?, nodes, place)?;
        let first = nodes.addresses()[0];
        let told = Told { nodes: vec![first], ..Told::default() };
        Ok(Self { nodes, first, torrent, told })
    }

    /// We announce the torrent, and somebody who has its link alone looks for it.
    fn seed(
        &self,
        bench: &Bench,
        driver: Driver,
        place: &Place,
        leech: impl FnOnce(&Torrent, &Path) -> Result<Box<dyn Other>>,
    ) -> Result<()> {
        let mut seeder = seeding::seed(driver, bench, &self.torrent, &self.told, place)?;
        self.nodes
            .wait_announced(&self.torrent, seeder.address()?, place)
            .map_err(|error| error.and(seeder.tell()))?;
        let folder = place.folder("theirs")?;
        let mut leecher = leech(&self.torrent.by_link(), &folder)?;
        leecher
            .wait_complete(place)
            .and_then(|()| self.torrent.compare(&folder))
            .map_err(|error| error.and(leecher.story()).and(self.nodes.story()).and(seeder.tell()))?;
        seeder.stop(place)
    }

    /// `seeder` announces the torrent, and we have nothing but its link.
    fn download(&self, bench: &Bench, driver: Driver, place: &Place, seeder: &dyn Other) -> Result<()> {
        let folder = place.folder("ours")?;
        self.nodes
            .wait_announced(&self.torrent, seeder.address(), place)
            .and_then(|()| ours::download(driver, bench, &self.torrent.by_link(), &self.told, &folder, place))
            .and_then(|()| self.torrent.compare(&folder))
            .map_err(|error| error.and(seeder.story()).and(self.nodes.story()))
    }
}

fn libtorrent_asks_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let dht = Trackerless::start(bench, recipe, 1, &place)?;
    dht.seed(bench, driver, &place, |torrent, folder| {
        let options = ["--dht", &dht.first.to_string(), "--magnet", "yes"];
        let python = bench.others.python()?;
        Ok(Box::new(Libtorrent::start(python, own_address()?, torrent, folder, &options, &place)?))
    })
}

fn aria2_asks_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let dht = Trackerless::start(bench, recipe, 1, &place)?;
    dht.seed(bench, driver, &place, |torrent, folder| {
        let path = bench.others.path(Program::Aria2)?;
        Ok(Box::new(Aria2::leech(path, torrent, folder, Some(dht.first), &place)?))
    })
}

/// It dials nobody, so we have to find it.
fn libtorrent_is_in_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let dht = Trackerless::start(bench, recipe, 1, &place)?;
    let options = ["--dht", &dht.first.to_string(), "--passive", "yes"];
    let seeder = libtorrent_seed(bench, &dht.torrent, &options, &place)?;
    dht.download(bench, driver, &place, &seeder)
}

/// aria2 dials nobody, so we have to find it.
fn aria2_is_in_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let dht = Trackerless::start(bench, recipe, 1, &place)?;
    let seeder = start_seed(Program::Aria2, bench, &dht.torrent, dht.nodes.addresses(), &place)?;
    dht.download(bench, driver, &place, &*seeder)
}

/// Transmission asks no DHT of fewer nodes, and goes from one to the next in its own time.
const NODES: u8 = 12;
const IN_NO_HURRY: Duration = Duration::from_secs(240);

const ALL_THREE: [Program; 3] = [Program::Transmission, Program::Libtorrent, Program::Aria2];

/// We announce a torrent in a DHT of which all three are nodes, and they have its link.
fn all_three_ask_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(IN_NO_HURRY)?;
    let dht = Trackerless::start(bench, recipe, NODES, &place)?;
    let mut seeder = seeding::seed(driver, bench, &dht.torrent, &dht.told, &place)?;
    let (link, nodes) = (dht.torrent.by_link(), dht.nodes.addresses());
    let mut leechers = Vec::new();
    for program in ALL_THREE {
        let folder = place.folder(&format!("{program:?}"))?;
        leechers.push((start_in_dht(program, bench, &link, &folder, nodes, false, &place)?, folder));
    }
    for (leecher, folder) in &mut leechers {
        leecher
            .wait_complete(&place)
            .and_then(|()| dht.torrent.compare(folder))
            .map_err(|error| error.and(leecher.story()).and(dht.nodes.story()).and(seeder.tell()))?;
    }
    seeder.stop(&place)
}

/// Each of them announces another torrent in one DHT, and we have nothing but the links.
fn all_three_are_in_the_dht(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(IN_NO_HURRY)?;
    let python = bench.others.python()?;
    let nodes = DhtNodes::start(python, NODES, &place)?;
    let mut seeds = Vec::new();
    for (times, program) in (1..).zip(ALL_THREE) {
        let own = Place::new(IN_NO_HURRY)?;
        let recipe = Recipe { piece_length: recipe.piece_length << times, ..recipe };
        let torrent = recipe.make(bench, &[], &own)?;
        let seeder = start_seed(program, bench, &torrent, nodes.addresses(), &own)?;
        seeds.push((torrent, seeder, own));
    }
    let told = Told { nodes: vec![nodes.addresses()[0]], ..Told::default() };
    for (torrent, seeder, own) in &seeds {
        let folder = own.folder("ours")?;
        nodes
            .wait_announced(torrent, seeder.address(), &place)
            .and_then(|()| ours::download(driver, bench, &torrent.by_link(), &told, &folder, own))
            .and_then(|()| torrent.compare(&folder))
            .map_err(|error| error.and(seeder.story()).and(nodes.story()))?;
    }
    Ok(())
}

/// One that has all files and is found in the DHT alone.
fn start_seed(
    program: Program,
    bench: &Bench,
    torrent: &Torrent,
    nodes: &[SocketAddr],
    place: &Place,
) -> Result<Box<dyn Other>> {
    let folder = with_files(torrent, place)?;
    start_in_dht(program, bench, torrent, &folder, nodes, true, place)
}

/// One that takes part in a torrent and begins at these nodes, or the first of them.
fn start_in_dht(
    program: Program,
    bench: &Bench,
    torrent: &Torrent,
    folder: &Path,
    nodes: &[SocketAddr],
    seeds: bool,
    place: &Place,
) -> Result<Box<dyn Other>> {
    let path = bench.others.path(program)?;
    let first = nodes.first().copied();
    Ok(match program {
        Program::Transmission => {
            Box::new(Transmission::start(path, torrent, folder, Ipv6Addr::LOCALHOST, nodes, place)?)
        }
        Program::Aria2 if seeds => Box::new(Aria2::seed(path, torrent, folder, first, place)?),
        Program::Aria2 => Box::new(Aria2::leech(path, torrent, folder, first, place)?),
        _ => {
            let first = nodes[0].to_string();
            let mut options = vec!["--dht", &first];
            if torrent.link.is_some() {
                options.extend(["--magnet", "yes"]);
            }
            if seeds {
                options.extend(["--passive", "yes"]);
            }
            Box::new(Libtorrent::start(path, own_address()?, torrent, folder, &options, place)?)
        }
    })
}

/// Nobody's name server is there to be asked. But the system finds an address that is written as one number as well,
/// which to us is a name like any other.
fn look_up_the_seed(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let seeder = libtorrent_seed(bench, &torrent, &["--passive", "yes"], &place)?;
    let SocketAddr::V4(address) = seeder.address() else { return Err(Failure::new("it is not on IPv4")) };
    let (host, port) = (address.ip().to_bits(), address.port());
    let link = format!("{}&x.pe={host:#x}:{port}", torrent.metainfo.to_magnet());
    let torrent = Torrent { link: Some(link), ..torrent };
    let folder = place.folder("ours")?;
    ours::download(driver, bench, &torrent, &Told::default(), &folder, &place)
        .and_then(|()| torrent.compare(&folder))
        .map_err(|error| error.and(seeder.story()))
}

/// We know one peer, which has nothing for us. But it knows a seed, which for its part dials nobody.
fn hear_of_the_seed(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let seeder = libtorrent_seed(bench, &torrent, &["--passive", "yes", "--idle", "yes"], &place)?;
    let between = place.folder("between")?;
    let options = ["--connect", &seeder.address().to_string(), "--idle", "yes"];
    let python = bench.others.python()?;
    let between = Libtorrent::start(python, own_address()?, &torrent, &between, &options, &place)?;
    between.wait_met(seeder.address(), None, &place)?;
    let told = Told { peers: vec![between.address()], ..Told::default() };
    let folder = place.folder("ours")?;
    ours::download(driver, bench, &torrent, &told, &folder, &place)
        .and_then(|()| torrent.compare(&folder))
        .map_err(|error| error.and(between.story()).and(seeder.story()))
}

/// Two leechers know nobody but us. One of them dials nobody, so the other has its address from us.
fn introduce_them(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = recipe.make(bench, &[], &place)?;
    let leech = |name, options: &[&str]| {
        let python = bench.others.python()?;
        Libtorrent::start(python, own_address()?, &torrent, &place.folder(name)?, options, &place)
    };
    let one = leech("one", &["--passive", "yes"])?;
    let told = Told { peers: vec![one.address()], max_upload: Some(HARDLY), ..Told::default() };
    let mut seeder = seeding::seed(driver, bench, &torrent, &told, &place)?;
    let address: SocketAddr = seeder.address()?;
    let other = leech("other", &["--connect", &address.to_string()])?;
    other
        .wait_met(one.address(), Some("pex"), &place)
        .map_err(|error| error.and(other.story()).and(one.story()).and(seeder.tell()))?;
    seeder.stop(&place)
}

/// Nobody has the address of the other. libtorrent hears that we are there.
fn be_a_neighbour(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = near(recipe, driver).make(bench, &[], &place)?;
    let folder = place.folder("theirs")?;
    let (python, address) = (bench.others.python()?, own_neighbour_address()?);
    let mut leecher = Libtorrent::start(python, address, &torrent, &folder, &["--lsd", "yes"], &place)?;
    let mut seeder = seeding::seed(driver, bench, &torrent, &neighbour(), &place)?;
    let ours = seeder.address()?;
    leecher
        .wait_near(ours, &place)
        .and_then(|()| leecher.wait_complete(&place))
        .and_then(|()| torrent.compare(&folder))
        .map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;
    seeder.stop(&place)
}

/// The seed dials nobody, so we have to hear that it is there.
fn have_a_neighbour(bench: &Bench, recipe: Recipe, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let torrent = near(recipe, driver).make(bench, &[], &place)?;
    let theirs = with_files(&torrent, &place)?;
    let (python, address) = (bench.others.python()?, own_neighbour_address()?);
    let options = ["--lsd", "yes", "--passive", "yes"];
    let seeder = Libtorrent::start(python, address, &torrent, &theirs, &options, &place)?;
    let folder = place.folder("ours")?;
    ours::download(driver, bench, &torrent.by_link(), &neighbour(), &folder, &place)
        .and_then(|()| torrent.compare(&folder))
        .map_err(|error| error.and(seeder.story()))
}

/// Neither do the drivers meet each other.
fn near(recipe: Recipe, driver: Driver) -> Recipe {
    let twice = u32::from(driver == Driver::Smol);
    Recipe { piece_length: recipe.piece_length << twice, ..recipe }
}

/// What we are told when there are neighbours.
fn neighbour() -> Told {
    Told { lsd: true, listen: Some(network::address_of_neighbour(1).into()), ..Told::default() }
}

/// libtorrent with all files.
fn libtorrent_seed(bench: &Bench, torrent: &Torrent, options: &[&str], place: &Place) -> Result<Libtorrent> {
    let folder = with_files(torrent, place)?;
    let python = bench.others.python()?;
    let mut seeder = Libtorrent::start(python, own_address()?, torrent, &folder, options, place)?;
    seeder.wait_complete(place)?;
    Ok(seeder)
}

/// A folder of theirs that has all files.
fn with_files(torrent: &Torrent, place: &Place) -> Result<PathBuf> {
    let folder = place.folder("theirs")?;
    copy_into(&torrent.source, &folder)?;
    Ok(folder)
}
