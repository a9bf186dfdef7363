//! A private torrent on the wire: what is captured of a network on which everything is switched on that finds peers.

use crate::capture::{Capture, Datagram};
use crate::libtorrent::{DhtNodes, Libtorrent};
use crate::others::{Other as _, Program};
use crate::ours::{self, Driver, Told};
use crate::processes::{Place, own_neighbour_address};
use crate::runner::Case;
use crate::seeding::{self, DRIVERS};
use crate::trees::{Recipe, Torrent, recipes};
use crate::{Bench, CASE_TIME, Failure, Result, network};

pub(crate) fn cases() -> Vec<Case> {
    let cases = DRIVERS.map(|driver| Case {
        name: format!("a private torrent is told to nobody, {driver:?}").to_lowercase(),
        needs: vec![Program::Libtorrent],
        own_network: true,
        run: Box::new(move |bench| tell_nobody(bench, driver)),
    });
    cases.into()
}

/// A private torrent goes from us to us and to libtorrent. Then another is given and found in the same way, which is
/// not private: the DHT and the local network hear of that one, and have never heard of the first.
fn tell_nobody(bench: &Bench, driver: Driver) -> Result<()> {
    let place = Place::new(CASE_TIME)?;
    let python = bench.others.python()?;
    let mut capture = Capture::start(python, &place)?;
    let nodes = DhtNodes::start(python, 1, &place)?;
    let first = nodes.addresses()[0];
    let listen = Some(network::address_of_neighbour(1).into());
    let told = Told { nodes: vec![first], lsd: true, listen, ..Told::default() };

    let private = recipe(driver, true).make(bench, &[], &place)?;
    let mut seeder = seeding::seed(driver, bench, &private, &told, &place)?;
    let address = seeder.address()?;
    let folder = place.folder("taken")?;
    let told_of_it = Told { peers: vec![address], ..told.clone() };
    ours::download(driver, bench, &private, &told_of_it, &folder, &place)
        .map_err(|error| error.and(seeder.tell()))?;
    private.compare(&folder)?;
    let (near, folder) = (own_neighbour_address()?, place.folder("theirs")?);
    let options = ["--connect", &address.to_string(), "--dht", &first.to_string(), "--lsd", "yes"];
    let mut leecher = Libtorrent::start(python, near, &private, &folder, &options, &place)?;
    leecher.wait_complete(&place).map_err(|error| error.and(leecher.story()).and(seeder.tell()))?;

    let elsewhere = Place::new(CASE_TIME)?;
    let public = recipe(driver, false).make(bench, &[], &elsewhere)?;
    let mut other = seeding::seed(driver, bench, &public, &told, &elsewhere)?;
    let (folder, from) = (elsewhere.folder("taken")?, other.address()?);
    ours::download(driver, bench, &public.by_link(), &told, &folder, &elsewhere)
        .map_err(|error| error.and(other.tell()))?;
    let by = |datagram: &Datagram| datagram.names(&public) && datagram.from == from;
    capture.wait_for("waiting for the DHT to hear of it", |it| by(it) && !it.is_to_a_group(), &place)?;
    // Announcements come from a socket that all programs share.
    let near = |it: &Datagram| it.names(&public) && it.is_to_a_group();
    capture.wait_for("waiting for neighbours to hear of it", near, &place)?;

    check(&capture, &private, address)?;
    seeder.stop(&place)?;
    other.stop(&elsewhere)
}

fn check(capture: &Capture, private: &Torrent, seeder: std::net::SocketAddr) -> Result<()> {
    if let Some(datagram) = capture.seen().iter().find(|datagram| datagram.names(private)) {
        return Err(Failure::new(format!("the private torrent is told: {datagram:?}")));
    }
    let takes_part = capture.seen().iter().any(|datagram| datagram.from == seeder);
    if takes_part { Ok(()) } else { Err(Failure::new("its seeder took no part in the DHT")) }
}

/// One that no other case has: neighbours hear of each other.
fn recipe(driver: Driver, private: bool) -> Recipe {
    let piece_length = if driver == Driver::Std { 256 << 10 } else { 512 << 10 };
    Recipe { piece_length, private, ..recipes::SMALL_PIECES }
}
