//! What every host must do; and what every seed must do.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::Data;
use pieceful_core::engine::{AddTorrent, Event, TorrentError};
use pieceful_core::id::TorrentId;

use super::host::Host;
pub use super::magnet::*;
pub use super::seeding::*;

pub(crate) const PIECE: u32 = 32 << 10;

pub(crate) fn one_file(seed: u64) -> Arc<Data> {
    Arc::new(Data::random(seed, &[(&format!("{seed}.bin"), 500_001)], PIECE))
}

pub(crate) fn spec(data: &Data, peers: &[SocketAddr]) -> AddTorrent {
    AddTorrent { peers: peers.to_vec(), ..AddTorrent::new(Arc::clone(&data.metainfo)) }
}

pub(crate) fn all(data: &Data) -> Vec<u32> {
    (0..data.pieces()).collect()
}

pub(crate) fn seeds(host: &mut impl Host, client: &str, data: &Arc<Data>, peers: &[SocketAddr]) -> TorrentId {
    host.put(client, data, &all(data));
    let torrent = host.add(client, data, spec(data, peers));
    host.wait(client, &checked(torrent));
    torrent
}

pub(crate) fn checked(torrent: TorrentId) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Checked { torrent: its, .. } if *its == torrent)
}

pub(crate) fn finished(torrent: TorrentId) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Finished { torrent: its } if *its == torrent)
}

/// Payload bytes a client has received for a torrent.
fn downloaded(host: &mut impl Host, client: &str, torrent: TorrentId) -> u64 {
    host.status(client, torrent).traffic.payload_down
}

/// Every file of the torrent lies in the client's folder as it should be.
pub(crate) fn has_all(host: &impl Host, client: &str, data: &Data) {
    for (index, file) in data.layout.files().iter().enumerate() {
        let Some(path) = &file.path else { continue };
        let found = host.file(client, &path.to_string());
        assert!(found.as_deref() == Some(&data.file(index)[..]), "{client}: {path} is wrong or missing");
    }
}

/// Alice has it, Bob dials her and gets it.
pub(crate) fn goes_through(host: &mut impl Host, data: &Arc<Data>) -> TorrentId {
    host.start("alice", false);
    host.start("bob", false);
    seeds(host, "alice", data, &[]);
    let torrent = host.add("bob", data, spec(data, &[host.address("alice")]));
    host.wait("bob", &finished(torrent));
    has_all(host, "bob", data);
    torrent
}

pub fn a_leecher_that_dials_gets_everything(mut host: impl Host) {
    goes_through(&mut host, &one_file(1));
}

pub fn a_leecher_that_is_dialled_gets_everything(mut host: impl Host) {
    let data = one_file(2);
    host.start("alice", false);
    host.start("bob", false);
    let torrent = host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &checked(torrent));
    let bob = host.address("bob");
    seeds(&mut host, "alice", &data, &[bob]);
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}

pub fn a_torrent_of_one_byte_arrives(mut host: impl Host) {
    goes_through(&mut host, &Arc::new(Data::single(3, 1, PIECE)));
}

pub fn files_nested_empty_and_of_any_name_arrive(mut host: impl Host) {
    let files = [
        ("empty", 0),
        ("a/one", 1),
        ("a/b/c/d/deep", 70_000),
        ("grüße/日本語.txt", 33_000),
        ("with space/-dash", PIECE.into()),
        ("a/empty at the end", 0),
    ];
    goes_through(&mut host, &Arc::new(Data::random(4, &files, PIECE)));
}

pub fn two_halves_make_a_whole(mut host: impl Host) {
    let data = one_file(5);
    let (left, right) = (all(&data)[..8].to_vec(), all(&data)[8..].to_vec());
    host.start("left", false);
    host.start("right", false);
    host.put("left", &data, &left);
    host.put("right", &data, &right);
    let one = host.add("left", &data, spec(&data, &[]));
    host.wait("left", &checked(one));
    let other = host.add("right", &data, spec(&data, &[host.address("left")]));
    host.wait("left", &finished(one));
    host.wait("right", &finished(other));
    has_all(&host, "left", &data);
    has_all(&host, "right", &data);
}

pub fn what_is_on_disk_already_is_not_fetched_again(mut host: impl Host) {
    let data = one_file(6);
    host.start("bob", false);
    host.put("bob", &data, &all(&data)[..10]);
    let torrent = goes_through(&mut host, &data);
    let fetched = downloaded(&mut host, "bob", torrent);
    let rest = data.contents.len() as u64 - 10 * u64::from(PIECE);
    assert!(
        fetched >= rest && fetched < rest + u64::from(PIECE),
        "{fetched} bytes fetched, {rest} were missing"
    );
}

pub fn data_of_somebody_else_is_not_touched(mut host: impl Host) {
    let data = one_file(7);
    host.start("bob", false);
    host.put_file("bob", "7.bin", &[7; 100_000]);
    host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &|event| matches!(event, Event::Failed { error: TorrentError::OtherData { .. }, .. }));
    assert!(host.file("bob", "7.bin").as_deref() == Some(&[7; 100_000]));
}

pub fn a_refused_connection_does_not_keep_the_next_one_waiting(mut host: impl Host) {
    let data = one_file(8);
    host.start("alice", false);
    host.start("bob", false);
    seeds(&mut host, "alice", &data, &[]);
    let peers = [host.nobody(), host.address("alice")];
    let torrent = host.add("bob", &data, spec(&data, &peers));
    host.wait("bob", &finished(torrent));
}

pub fn strangers_meet_through_a_tracker(mut host: impl Host) {
    let url = host.tracker(false);
    let data = Arc::new(Data::with_trackers(9, &[("9.bin", 300_000)], PIECE, &[&url]));
    host.start("alice", false);
    host.start("bob", false);
    seeds(&mut host, "alice", &data, &[]);
    host.wait("alice", &|event| matches!(event, Event::TrackerAnswered { .. }));
    let torrent = host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &|event| matches!(event, Event::TrackerAnswered { peers: 1, .. }));
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}

pub fn strangers_meet_through_a_friend_of_both(mut host: impl Host) {
    let data = one_file(24);
    for client in ["alice", "bob", "carol"] {
        host.start(client, false);
    }
    host.add("bob", &data, spec(&data, &[]));
    let bob = [host.address("bob")];
    host.add("alice", &data, spec(&data, &bob));
    host.add("carol", &data, spec(&data, &bob));
    // Nobody has anything, so nobody leaves: whoever else comes is whom Bob has named.
    for stranger in ["alice", "carol"] {
        let met = RefCell::new(BTreeSet::new());
        host.wait(stranger, &|event| {
            if let Event::PeerConnected { peer, .. } = event {
                met.borrow_mut().insert(*peer);
            }
            met.borrow().len() >= 2
        });
    }
}

pub fn strangers_meet_through_a_node_of_the_dht(mut host: impl Host) {
    let data = one_file(25);
    host.start_in_dht("router", None);
    let router = Some(host.address("router"));
    host.start_in_dht("alice", router);
    seeds(&mut host, "alice", &data, &[]);
    host.wait_dht("router", &|dht| dht.torrents_stored == 1);
    host.start_in_dht("bob", router);
    let link = AddTorrent::new(data.metainfo.to_magnet());
    let torrent = host.add("bob", &data, link);
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}

pub fn two_torrents_go_at_once(mut host: impl Host) {
    let (first, second) = (one_file(10), one_file(11));
    host.start("alice", false);
    host.start("bob", false);
    seeds(&mut host, "alice", &first, &[]);
    seeds(&mut host, "alice", &second, &[]);
    let peers = [host.address("alice")];
    let one = host.add("bob", &first, spec(&first, &peers));
    let other = host.add("bob", &second, spec(&second, &peers));
    host.wait("bob", &finished(one));
    host.wait("bob", &finished(other));
    has_all(&host, "bob", &first);
    has_all(&host, "bob", &second);
}

pub fn it_works_over_ipv6(mut host: impl Host) {
    let data = one_file(12);
    if !(host.start("alice", true) && host.start("bob", true)) {
        println!("this machine has no IPv6: left out");
        return;
    }
    seeds(&mut host, "alice", &data, &[]);
    assert!(host.address("alice").is_ipv6());
    let torrent = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}

pub fn a_removed_torrent_leaves_its_files(mut host: impl Host) {
    let data = one_file(13);
    let torrent = goes_through(&mut host, &data);
    host.remove("bob", torrent);
    host.wait("bob", &|event| matches!(event, Event::Removed { torrent: its } if *its == torrent));
    has_all(&host, "bob", &data);
    let again = host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &finished(again));
}

pub fn a_client_stops_in_time(mut host: impl Host) {
    goes_through(&mut host, &one_file(14));
    host.stop("bob");
    host.stop("alice");
}

pub fn who_leaves_right_after_its_first_announce_is_not_believed_to_be_there(mut host: impl Host) {
    let url = host.tracker(false);
    let data = Arc::new(Data::with_trackers(17, &[("17.bin", 300_000)], PIECE, &[&url]));
    host.start("alice", false);
    host.start("bob", false);
    seeds(&mut host, "alice", &data, &[]);
    host.stop("alice");
    host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &|event| matches!(event, Event::TrackerAnswered { peers: 0, .. }));
}

pub fn a_hanging_tracker_does_not_delay_the_end(mut host: impl Host) {
    let url = host.tracker(true);
    let data = Arc::new(Data::with_trackers(15, &[("15.bin", 300_000)], PIECE, &[&url]));
    host.start("bob", false);
    seeds(&mut host, "bob", &data, &[]);
    host.stop("bob");
}

pub fn a_client_that_has_stopped_can_be_started_on_its_folder_again(mut host: impl Host) {
    let data = one_file(16);
    goes_through(&mut host, &data);
    host.stop("bob");
    host.start("bob", false);
    let torrent = host.add("bob", &data, spec(&data, &[]));
    host.wait("bob", &finished(torrent));
    assert_eq!(downloaded(&mut host, "bob", torrent), 0);
}
