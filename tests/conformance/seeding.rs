//! What every host must do as a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Data;
use crate::words::{self, Said};
use bytes::Bytes;
use pieceful_core::engine::{AddTorrent, Event, RateLimits, SeedingLimits, TorrentState};
use pieceful_core::id::TorrentId;

use super::host::{Host, Wire};
use super::suite::{PIECE, all, checked, finished, has_all, one_file, seeds, spec};

/// More than any system takes of a connection whose other end does not read.
const MUCH: u64 = 16 << 20;
/// Requests a peer may have waiting.
const QUEUE: u32 = 500;

/// Alice has it.
fn alice_seeds(host: &mut impl Host, data: &Arc<Data>, spec: AddTorrent) -> TorrentId {
    host.start("alice", false);
    host.put("alice", data, &all(data));
    let torrent = host.add("alice", data, spec);
    // Her files are made ready after they were checked, and only then does she answer.
    host.wait("alice", &finished(torrent));
    torrent
}

/// A connection to Alice on which she has agreed to serve.
fn served(host: &mut impl Host, data: &Data, fast: bool) -> Wire {
    let wire = host.connect("alice");
    let greeting = words::handshake(data.info_hash().on_the_wire(), *b"-XX0001-abcdefghijkl", fast);
    host.say(wire, [greeting, words::plain(words::INTERESTED)].concat().into());
    host.hear(wire, &|said| said.contains(&Said::Plain(words::UNCHOKE)));
    wire
}

fn closed_by(event: &Event) -> bool {
    matches!(event, Event::PeerClosed { .. })
}

pub fn many_leechers_at_once_get_everything(mut host: impl Host) {
    let data = Arc::new(Data::random(30, &[("30.bin", 3_000_001)], PIECE));
    host.start("alice", false);
    seeds(&mut host, "alice", &data, &[]);
    let alice = host.address("alice");
    let leechers: Vec<String> = (0..8).map(|number| format!("leecher {number}")).collect();
    let torrents: Vec<_> = leechers
        .iter()
        .map(|name| {
            host.start(name, false);
            host.add(name, &data, spec(&data, &[alice]))
        })
        .collect();
    for (name, torrent) in leechers.iter().zip(torrents) {
        host.wait(name, &finished(torrent));
        has_all(&host, name, &data);
    }
}

pub fn two_torrents_are_served_at_once(mut host: impl Host) {
    let (first, second) = (one_file(31), one_file(32));
    for name in ["alice", "bob", "carol"] {
        host.start(name, false);
    }
    seeds(&mut host, "alice", &first, &[]);
    seeds(&mut host, "alice", &second, &[]);
    let peers = [host.address("alice")];
    let bobs = host.add("bob", &first, spec(&first, &peers));
    let carols = host.add("carol", &second, spec(&second, &peers));
    host.wait("bob", &finished(bobs));
    host.wait("carol", &finished(carols));
    has_all(&host, "bob", &first);
    has_all(&host, "carol", &second);
}

pub fn a_seed_that_has_given_enough_stops(mut host: impl Host) {
    let data = one_file(33);
    let seeding = SeedingLimits { ratio_permille: Some(1_000), time: None };
    let torrent = alice_seeds(&mut host, &data, AddTorrent { seeding, ..spec(&data, &[]) });
    host.start("bob", false);
    let bobs = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(bobs));
    host.wait("alice", &|event| matches!(event, Event::SeedingDone { .. }));
    let status = host.status("alice", torrent);
    assert_eq!((status.state, status.peers), (TorrentState::Paused, 0));
}

pub fn an_upload_limit_holds(mut host: impl Host) {
    const LIMIT: u64 = 200_000;
    let data = one_file(34);
    let rates = RateLimits { download: None, upload: Some(LIMIT) };
    alice_seeds(&mut host, &data, AddTorrent { rates, ..spec(&data, &[]) });
    host.start("bob", false);
    let began = host.clock();
    let bobs = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(bobs));
    // A second's worth may come at once. How much longer it takes is up to the machine.
    let least = Duration::from_millis(data.contents.len() as u64 * 1000 / LIMIT - 1000);
    let took = host.clock() - began;
    assert!(took >= least, "took {took:?}, not the {least:?} it should have");
}

/// Bob has begun to download from Alice, who is slow and can call him. Her torrent and his.
fn under_way(host: &mut impl Host, data: &Arc<Data>) -> (TorrentId, TorrentId) {
    host.start("bob", false);
    let rates = RateLimits { download: None, upload: Some(150_000) };
    let alices = AddTorrent { rates, ..spec(data, &[host.address("bob")]) };
    let bobs = host.add("bob", data, spec(data, &[]));
    host.wait("bob", &checked(bobs));
    let alices = alice_seeds(host, data, alices);
    host.wait("bob", &|event| matches!(event, Event::PeerConnected { .. }));
    (alices, bobs)
}

pub fn a_seed_paused_while_it_serves_goes_on_later(mut host: impl Host) {
    let data = one_file(35);
    let (alices, bobs) = under_way(&mut host, &data);
    host.pause("alice", alices, true);
    host.wait("bob", &closed_by);
    let status = host.status("alice", alices);
    assert_eq!((status.state, status.peers), (TorrentState::Paused, 0));
    assert!(host.status("bob", bobs).bytes_done < data.contents.len() as u64);
    host.pause("alice", alices, false);
    host.wait("bob", &finished(bobs));
    has_all(&host, "bob", &data);
}

pub fn a_seed_removed_while_it_serves_hangs_up(mut host: impl Host) {
    let data = one_file(36);
    let (alices, bobs) = under_way(&mut host, &data);
    host.remove("alice", alices);
    host.wait("bob", &closed_by);
    host.wait("alice", &|event| matches!(event, Event::Removed { torrent } if *torrent == alices));
    assert!(host.status("bob", bobs).bytes_done < data.contents.len() as u64);
    has_all(&host, "alice", &data);
    let again = host.add("alice", &data, spec(&data, &[host.address("bob")]));
    host.wait("alice", &checked(again));
    host.wait("bob", &finished(bobs));
}

pub fn blocks_of_128_kib_are_served_and_larger_ones_refused_by_name(mut host: impl Host) {
    let data = Arc::new(Data::random(37, &[("37.bin", 1_000_000)], 512 << 10));
    alice_seeds(&mut host, &data, spec(&data, &[]));
    let wire = served(&mut host, &data, true);
    for len in [32 << 10, 64 << 10, 128 << 10] {
        host.say(wire, words::request(0, 7, len));
        let said = host.hear(wire, &|said| is_answered(said, 0, 7, len));
        let right = data.piece(0).slice(7..7 + len as usize);
        assert!(said.contains(&Said::Piece(0, 7, len, right.to_vec())), "{len} bytes are not served");
    }
    for len in [(128 << 10) + 1, 256 << 10] {
        host.say(wire, words::request(0, 7, len));
        let said = host.hear(wire, &|said| is_answered(said, 0, 7, len));
        assert!(said.contains(&Said::Reject(0, 7, len)), "{len} bytes are not refused");
    }
    // It is still served.
    host.say(wire, words::request(1, 0, 16_384));
    host.hear(wire, &|said| is_answered(said, 1, 0, 16_384));
}

pub fn one_that_knows_no_rejects_may_ask_for_too_much_and_stay(mut host: impl Host) {
    let data = Arc::new(Data::random(38, &[("38.bin", 1_000_000)], 512 << 10));
    alice_seeds(&mut host, &data, spec(&data, &[]));
    let wire = served(&mut host, &data, false);
    host.say(wire, words::request(0, 0, 256 << 10));
    host.say(wire, words::request(1, 0, 16_384));
    let said = host.hear(wire, &|said| is_answered(said, 1, 0, 16_384));
    assert!(!is_answered(&said, 0, 0, 256 << 10));
}

pub fn what_the_choked_are_promised_is_given_in_full(mut host: impl Host) {
    for (seed, piece_length) in [(42, 16 << 10), (43, 512 << 10)] {
        let data = Arc::new(Data::random(seed, &[(&format!("{seed}.bin"), 1_500_000)], piece_length));
        alice_seeds(&mut host, &data, spec(&data, &[]));
        let wire = host.connect("alice");
        // It shows no interest, so it is not given a slot.
        let greeting = words::handshake(data.info_hash().on_the_wire(), *b"-XX0001-abcdefghijkl", true);
        let has_none = words::plain(15);
        host.say(wire, [greeting, has_none, words::request(1, 0, 16_384)].concat().into());
        let said = host.hear(wire, &|said| is_answered(said, 1, 0, 16_384));
        let promised = said.iter().filter_map(|said| match *said {
            Said::AllowedFast(piece) => Some(piece),
            _ => None,
        });
        let blocks = promised.flat_map(|piece| (0..piece_length / 16_384).map(move |n| (piece, n * 16_384)));
        let blocks: Vec<(u32, u32)> = blocks.filter(|block| *block != (1, 0)).collect();
        assert!(piece_length > 16 << 10 || !blocks.is_empty(), "nothing is promised");
        for (piece, offset) in blocks {
            host.say(wire, words::request(piece, offset, 16_384));
            let said = host.hear(wire, &|said| is_answered(said, piece, offset, 16_384));
            assert!(!said.contains(&Said::Reject(piece, offset, 16_384)), "#{piece} was promised");
        }
    }
}

fn is_answered(said: &[Said], piece: u32, offset: u32, len: u32) -> bool {
    said.iter().any(|said| match *said {
        Said::Piece(its, at, long, _) | Said::Reject(its, at, long) => {
            (its, at, long) == (piece, offset, len)
        }
        _ => false,
    })
}

/// As many blocks as may be asked for at once, more bytes than a connection that is not read can hold.
fn a_full_queue() -> Vec<(u32, u32)> {
    (0..QUEUE).map(|number| (number / 16, number % 16 * (32 << 10))).collect()
}

fn much_data(seed: u64) -> Arc<Data> {
    Arc::new(Data::random(seed, &[(&format!("{seed}.bin"), MUCH)], 512 << 10))
}

pub fn one_that_asks_and_does_not_read_costs_little_and_holds_up_nobody(mut host: impl Host) {
    let data = much_data(39);
    let torrent = alice_seeds(&mut host, &data, spec(&data, &[]));
    let wire = served(&mut host, &data, true);
    let requests = a_full_queue().into_iter().map(|(piece, offset)| words::request(piece, offset, 32 << 10));
    host.say(wire, requests.collect::<Vec<_>>().concat().into());
    host.start("bob", false);
    let bobs = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(bobs));
    let bobs = host.status("bob", bobs).traffic.payload_down;
    let unread = host.status("alice", torrent).traffic.payload_up.saturating_sub(bobs);
    assert!(unread < MUCH / 2, "{unread} bytes were read from disk for one that takes none of them");
}

pub fn what_is_cancelled_before_it_leaves_is_not_sent(mut host: impl Host) {
    let data = much_data(40);
    alice_seeds(&mut host, &data, spec(&data, &[]));
    let wire = served(&mut host, &data, true);
    let asked = a_full_queue();
    let all = |word: u8| -> Bytes {
        let body = |(piece, offset): &(u32, u32)| [*piece, *offset, 32 << 10].map(u32::to_be_bytes).concat();
        asked.iter().map(|block| words::message(word, &body(block))).collect::<Vec<_>>().concat().into()
    };
    host.say(wire, all(6));
    host.say(wire, all(8));
    // By the time that somebody else has everything, Alice has read all of that, and nothing more has left.
    host.start("bob", false);
    let bobs = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(bobs));
    let answer = |said: &Said| match *said {
        Said::Piece(piece, offset, ..) => Some(((piece, offset), true)),
        Said::Reject(piece, offset, _) => Some(((piece, offset), false)),
        _ => None,
    };
    let said = host.hear(wire, &|said| said.iter().filter_map(answer).count() >= QUEUE as usize);
    let mut answers: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    said.iter().filter_map(answer).for_each(|(block, _)| *answers.entry(block).or_default() += 1);
    assert!(asked.iter().all(|block| answers.get(block) == Some(&1)), "each is answered once: {answers:?}");
    let sent = said.iter().filter_map(answer).filter(|(_, sent)| *sent).count();
    assert!(sent < asked.len() / 2, "{sent} of {} blocks were sent all the same", asked.len());
}

pub fn silent_connections_do_not_keep_others_out(mut host: impl Host) {
    let data = one_file(41);
    alice_seeds(&mut host, &data, spec(&data, &[]));
    for _ in 0..200 {
        host.connect("alice");
    }
    host.start("bob", false);
    let bobs = host.add("bob", &data, spec(&data, &[host.address("alice")]));
    host.wait("bob", &finished(bobs));
}
