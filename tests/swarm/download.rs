//! Getting pieces from those who have them.

use std::time::Duration;

use pieceful_core::engine::{Event, PieceOrder, TorrentState};
use pieceful_tests::{Data, Link, Segmentation, World};

const MINUTES: Duration = Duration::from_secs(600);

#[test]
fn a_leecher_gets_everything_from_a_seed() {
    let mut world = World::new(1).seed("alice").leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(world.holds_everything("bob"));
    assert_eq!(world.status("bob").state, TorrentState::Seeding);
}

#[test]
fn a_seed_that_dials_serves_as_well_as_one_that_is_dialled() {
    let mut world = World::new(2).leecher("bob").seed("alice");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn five_leechers_share_what_one_seed_has() {
    let names = ["bob", "carol", "dave", "erin", "frank"];
    let mut world = World::new(3).seed("alice");
    world = names.iter().fold(world, |world, name| world.leecher(name));
    world.run_until(|w| names.iter().all(|name| w.complete(name)), MINUTES);

    let sent = world.status("alice").traffic.payload_up;
    let size = world.torrent().contents.len() as u64;
    assert!(sent < 5 * size, "the seed sent {sent} bytes: the leechers gave each other nothing");
}

#[test]
fn two_halves_make_a_whole() {
    let mut world = World::new(4);
    let pieces = world.torrent().pieces();
    world = world.partial("left", 0..pieces / 2).partial("right", pieces / 2..pieces);
    world.run_until(|w| w.complete("left") && w.complete("right"), MINUTES);
}

#[test]
fn what_is_sent_is_received_and_little_of_it_twice() {
    let data = Data::single(5, 16 << 20, 256 << 10);
    let mut world = World::new(5).data(data).seed("alice").leecher("bob").leecher("carol");
    world.run_until(|w| w.complete("bob") && w.complete("carol"), MINUTES);
    world.run_for(Duration::from_secs(5));
    let traffic = ["alice", "bob", "carol"].map(|name| world.status(name).traffic);
    let up: u64 = traffic.iter().map(|traffic| traffic.payload_up).sum();
    let down: u64 = traffic.iter().map(|traffic| traffic.payload_down).sum();
    let wasted: u64 = traffic.iter().map(|traffic| traffic.wasted).sum();
    // What was under way when a connection was closed reaches nobody.
    assert!(up >= down && up - down < down / 50, "{up} sent, {down} received");
    assert_eq!(down - wasted, 2 * world.torrent().contents.len() as u64);
    assert!(wasted < down / 20, "{wasted} of {down} bytes came twice");
}

#[test]
fn files_of_every_shape_arrive() {
    let files = [
        ("empty", 0),
        ("a/one byte", 1),
        ("a/b/c/deep", 40_000),
        ("a/empty too", 0),
        ("grüße/日本語.txt", 70_001),
        ("last", 16_384),
    ];
    let mut world = World::new(6).data(Data::random(6, &files, 32 << 10)).seed("alice").leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    for (index, (path, _)) in files.iter().enumerate() {
        let found = world.file("bob", &format!("data-6/{path}"));
        assert_eq!(found.as_ref(), Some(&world.torrent().file(index)), "{path}");
    }
}

#[test]
fn a_torrent_of_one_byte_arrives() {
    let mut world = World::new(7).data(Data::single(7, 1, 16 << 10)).seed("alice").leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn pieces_of_8_mib_arrive_however_the_stream_is_cut() {
    let data = || Data::single(9, (16 << 20) + 5, 8 << 20);
    for how in [Segmentation::Natural, Segmentation::Random] {
        let mut world = World::new(9).data(data()).segmentation(how).seed("alice").leecher("bob");
        world.run_until(|w| w.complete("bob"), MINUTES);
    }
}

#[test]
fn a_download_survives_reads_of_one_byte() {
    let data = Data::single(10, 40_000, 16 << 10);
    let mut world =
        World::new(10).data(data).segmentation(Segmentation::Bytewise).seed("alice").leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_fast_link_is_used() {
    let link = |up, ms| Link { up, down: 100 << 20, delay: Duration::from_millis(ms), ..Link::default() };
    let data = Data::single(11, 32 << 20, 256 << 10);
    let mut world = World::new(11).data(data);
    world = world.seed("alice").with(|spec| spec.link = link(10 << 20, 5));
    world = world.leecher("bob").with(|spec| spec.link = link(10 << 20, 5));
    world.run_until(|w| w.complete("bob"), MINUTES);
    // 32 MiB at 10 MiB/s are 3.2 s.
    assert!(world.elapsed() < Duration::from_millis(4_500), "it took {:?}", world.elapsed());
}

#[test]
fn in_sequential_order_pieces_come_one_after_the_other() {
    let mut world = World::new(12).seed("alice").with(|spec| spec.link.up = 200 << 10);
    world = world.leecher("bob").with(|spec| spec.order = PieceOrder::Sequential);
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 15), MINUTES);
    let done = world.status("bob").pieces_done;
    let ahead = (0..world.torrent().pieces()).filter(|&piece| world.holds("bob", piece)).skip(done as usize);
    assert!((0..10).all(|piece| world.holds("bob", piece)), "the first pieces are not there");
    assert!(ahead.count() <= 4, "more than a few pieces beyond the first {done} are there");
}

#[test]
fn rarest_pieces_come_first_from_a_seed_that_others_lack() {
    // carol has all but the last four; alice is slow and has everything: what only alice has is asked of her.
    let mut world = World::new(13).seed("alice").with(|spec| spec.link.up = 100 << 10);
    let pieces = world.torrent().pieces();
    world = world.partial("carol", 0..pieces - 4).leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    let from_alice = world.status("alice").traffic.payload_up;
    assert!(from_alice > 4 * (64 << 10) - (64 << 10), "alice sent only {from_alice}");
}

#[test]
fn a_seed_that_leaves_in_the_middle_is_replaced_by_one_that_comes() {
    let mut world = World::new(14).seed("alice").leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done > 5), MINUTES);
    world.kill("alice");
    world.run_for(Duration::from_secs(5));
    assert!(!world.complete("bob"));
    world.add_node("anna", |spec| spec.has = pieceful_tests::Has::Everything);
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_refused_connection_is_tried_again_later() {
    let mut world = World::new(15).seed("alice").with(|spec| spec.starts = Duration::from_secs(40));
    world = world.leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn nobody_is_banned_in_a_swarm_of_the_honest() {
    let mut world = World::new(16).seed("alice").leecher("bob").leecher("carol").leecher("dave");
    world.run_until(|w| ["bob", "carol", "dave"].iter().all(|name| w.complete(name)), MINUTES);
    for name in ["alice", "bob", "carol", "dave"] {
        assert!(
            !world.saw(name, |event| matches!(event, Event::PeerBanned { .. } | Event::PieceFailed { .. }))
        );
    }
}
