//! Some files of a torrent, and not the others.

use std::time::Duration;

use pieceful_core::engine::{Call, Event, Priority, Selection, TorrentState};
use pieceful_tests::{Data, World};

const MINUTES: Duration = Duration::from_secs(600);

/// Five files, of which neighbours share a piece.
fn five() -> Data {
    let files = [
        ("five/a", 200_000),
        ("five/b", 150_000),
        ("five/c", 5_000),
        ("five/d", 300_000),
        ("five/e", 90_000),
    ];
    Data::random(50, &files, 32 << 10)
}

fn only(files: &[u32]) -> Option<Selection> {
    Some(Selection::only(files.iter().map(|&file| file..=file)))
}

fn finished(world: &World, name: &str) -> usize {
    world.events(name).iter().filter(|(_, event)| matches!(event, Event::Finished { .. })).count()
}

#[test]
fn what_is_not_wanted_is_not_downloaded_and_what_is_wanted_is_enough_to_be_finished() {
    let mut world =
        World::new(700).data(five()).seed("alice").leecher("bob").with(|spec| spec.wants = only(&[1, 4]));
    world.run_until(|w| w.complete("bob"), MINUTES);
    let status = world.status("bob");
    assert_eq!(status.state, TorrentState::Seeding);
    assert_eq!((status.wanted.bytes_done, status.wanted.bytes_total), (240_000, 240_000));
    let wanted: Vec<u32> = world.torrent().wanted(&only(&[1, 4]).unwrap()).collect();
    assert_eq!(status.pieces_done as usize, wanted.len());
    let of_pieces: u64 = wanted.iter().map(|&piece| world.torrent().piece(piece).len() as u64).sum();
    assert_eq!(status.traffic.payload_down, of_pieces);
}

#[test]
fn files_of_a_higher_priority_come_first() {
    let mut wants = Selection::all();
    wants.set(3..=3, Priority::High);
    wants.set(0..=0, Priority::Low);
    let mut world = World::new(701).data(five()).seed("alice").with(|spec| spec.link.up = 200 << 10);
    world = world.leecher("bob").with(|spec| spec.wants = Some(wants.clone()));
    let pieces = |priority: Priority, data: &Data| {
        let of = wants.of_pieces(&data.layout).into_iter().zip(0..).filter(move |(is, _)| *is == priority);
        of.map(|(_, piece)| piece).collect::<Vec<u32>>()
    };
    let high = pieces(Priority::High, world.torrent());
    world.run_until(|w| high.iter().all(|&piece| w.holds("bob", piece)), MINUTES);
    let low = pieces(Priority::Low, world.torrent());
    assert!(
        low.iter().filter(|&&piece| world.holds("bob", piece)).count() <= 1,
        "the first few pieces are any"
    );
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(finished(&world, "bob"), 1);
}

#[test]
fn who_wants_more_after_all_goes_on_with_a_seed_it_had_left() {
    let mut world =
        World::new(702).data(five()).seed("alice").leecher("bob").with(|spec| spec.wants = only(&[0]));
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.status("bob").peers, 0, "a seed has nothing to get from who wants nothing");
    world.command("bob", |id| Call::SetFiles(id, Selection::all()));
    assert!(!world.complete("bob"));
    world.run_until(|w| w.complete("bob"), Duration::from_secs(30));
    assert_eq!(world.status("bob").bytes_done, world.status("bob").bytes_total);
    assert_eq!(finished(&world, "bob"), 2);
}

#[test]
fn who_wants_less_is_finished_at_once_and_keeps_and_serves_what_it_has() {
    let mut world =
        World::new(703).data(five()).seed("alice").with(|spec| spec.link.up = 200 << 10).leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 8), MINUTES);
    world.command("bob", |id| Call::SetFiles(id, Selection::only([])));
    assert!(world.complete("bob"));
    let status = world.status("bob");
    assert_eq!((status.state, status.wanted.bytes_total), (TorrentState::Seeding, 0));
    assert!(status.pieces_done >= 8);
    world.kill("alice");
    let had = status.pieces_done;
    world = world.leecher("carol");
    world.run_until(|w| w.status_is("carol", |status| status.pieces_done >= had), MINUTES);
}

#[test]
fn a_change_of_mind_takes_back_what_was_asked_for() {
    let mut world =
        World::new(704).data(five()).seed("alice").with(|spec| spec.link.up = 50 << 10).leecher("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 2), MINUTES);
    world.command("bob", |id| Call::SetFiles(id, Selection::only([2..=2])));
    let asked = |w: &World| w.peers("bob").iter().map(|peer| peer.asked).sum::<u32>();
    assert!(asked(&world) <= 2 * 2, "two pieces of two blocks each hold the third file");
    world.run_until(|w| w.complete("bob"), MINUTES);
}

#[test]
fn a_magnet_link_selects_files() {
    let mut world = World::new(705).data(five()).seed("alice").leecher("bob").with(|spec| {
        spec.magnet = true;
        spec.wants = only(&[2, 3]);
    });
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(world.status("bob").wanted.bytes_total, 305_000);
}

#[test]
fn two_who_want_different_files_of_a_seed_that_leaves_have_what_they_wanted() {
    let mut world =
        World::new(706).data(five()).seed("alice").leecher("bob").with(|spec| spec.wants = only(&[0, 1]));
    world = world.leecher("carol").with(|spec| spec.wants = only(&[1, 2, 3]));
    world.run_until(|w| w.complete("bob") && w.complete("carol"), MINUTES);
    // Between them they have all but the last file.
    world.kill("alice");
    world = world.leecher("dave").with(|spec| spec.wants = only(&[0, 1, 2, 3]));
    world.run_until(|w| w.complete("dave"), MINUTES);
}

/// What was downloaded of the third file of [`five`] lies in a piece of its neighbours.
fn parts(world: &World) -> String {
    world.torrent().layout.parts().expect("a torrent has a place for parts").to_string()
}

#[test]
fn a_file_that_is_skipped_is_not_created_and_what_was_fetched_of_it_is_kept_for_a_run_that_wants_it() {
    let mut world =
        World::new(707).data(five()).seed("alice").leecher("bob").with(|spec| spec.wants = only(&[1, 3]));
    world.run_until(|w| w.complete("bob"), MINUTES);
    let there = |world: &World, file: &str| world.file("bob", &format!("data-50/five/{file}")).is_some();
    let there = |world: &World| ["a", "b", "c", "d", "e"].map(|file| there(world, file));
    assert_eq!(there(&world), [false, true, false, true, false]);
    assert!(world.file("bob", &parts(&world)).is_some());
    let had = world.status("bob").pieces_done;
    world.kill("bob");
    world.begin_with("bob", |spec| spec.wants = Some(Selection::all()));
    world.restart("bob");
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= had), Duration::from_secs(5));
    assert_eq!(world.status("bob").traffic.payload_down, 0, "what is there is not asked for again");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(there(&world), [true; 5]);
    assert!(world.holds_everything("bob"));
    assert!(world.file("bob", &parts(&world)).is_none(), "nothing needs it any more");
}

#[test]
fn a_run_that_names_no_files_continues_with_those_that_were_chosen() {
    let mut world = World::new(710).data(five()).seed("alice").with(|spec| spec.link.up = 100 << 10);
    world = world.leecher("bob").with(|spec| spec.wants = only(&[0, 3]));
    world.run_until(|w| w.status_is("bob", |status| status.pieces_done >= 4), MINUTES);
    world.begin_with("bob", |spec| spec.wants = None);
    world.restart("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(world.status("bob").wanted.bytes_total, 500_000);
}

#[test]
fn a_file_that_is_wanted_later_gets_what_was_kept_of_it_while_the_torrent_runs() {
    let mut world =
        World::new(708).data(five()).seed("alice").leecher("bob").with(|spec| spec.wants = only(&[1]));
    world.run_until(|w| w.complete("bob"), MINUTES);
    for (wants, left) in [(only(&[1, 2]), true), (only(&[0, 1, 2, 4]), true), (None, false)] {
        world.command("bob", |id| Call::SetFiles(id, wants.unwrap_or_default()));
        world.run_until(|w| w.complete("bob"), MINUTES);
        world.run_for(Duration::from_secs(1));
        assert!(world.holds_everything("bob"));
        assert_eq!(world.file("bob", &parts(&world)).is_some(), left);
    }
    assert_eq!(world.status("bob").traffic.payload_down, world.torrent().contents.len() as u64);
}

#[test]
fn a_file_of_somebody_elses_that_is_not_wanted_stays_as_it_is() {
    let others = bytes::Bytes::from_static(b"a letter");
    let mut world = World::new(709).data(five()).seed("alice").leecher("bob").with(|spec| {
        spec.wants = only(&[1]);
        spec.files = vec![("data-50/five/c".into(), others.clone())];
    });
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert_eq!(world.file("bob", "data-50/five/c"), Some(others.clone()));
    world.command("bob", |id| Call::SetFiles(id, Selection::all()));
    assert!(world.saw("bob", |event| matches!(event, Event::Failed { .. })), "it is not to be overwritten");
    assert_eq!(world.file("bob", "data-50/five/c"), Some(others.clone()));
    world.begin_with("bob", |spec| spec.wants = Some(Selection::all()));
    world.restart("bob");
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.file("bob", "data-50/five/c"), Some(others));
}

#[test]
fn in_sequential_order_both_ends_of_each_wanted_file_come_first_and_then_its_middle_from_the_front() {
    let mut world = World::new(711).data(five()).seed("alice").with(|spec| spec.link.up = 100 << 10);
    world = world.leecher("bob").with(|spec| {
        spec.order = pieceful_core::engine::PieceOrder::Sequential;
        spec.wants = only(&[0, 3]);
    });
    let ends = [0, 200_000 - 1, 355_000, 655_000 - 1].map(|byte: u32| byte / (32 << 10));
    let mut order: Vec<u32> = Vec::new();
    while !world.complete("bob") {
        world.run_for(Duration::from_millis(50));
        let new = (0..world.torrent().pieces())
            .filter(|piece| world.holds("bob", *piece) && !order.contains(piece));
        let new: Vec<u32> = new.collect();
        order.extend(new);
    }
    // Disks answer neighbours in any order.
    order[..4].sort_unstable();
    assert_eq!(order[..4], ends);
    let mut middle = order.split_off(4);
    let came = middle.clone();
    middle.sort_unstable();
    let moved = |piece: &u32| {
        let place = |order: &[u32]| order.iter().position(|other| other == piece).unwrap_or_default();
        place(&came).abs_diff(place(&middle))
    };
    assert!(middle.iter().all(|piece| moved(piece) <= 2), "{came:?}");
}

#[test]
fn a_file_that_was_begun_is_known_for_ours_whatever_was_wanted_when_the_power_failed() {
    let data = Data::random(51, &[("two/a", 400_000), ("two/b", 400_000)], 512 << 10);
    let mut world =
        World::new(712).data(data).seed("alice").with(|spec| spec.link.up = 50 << 10).leecher("bob");
    let down = |w: &World, bytes: u64| w.status_is("bob", |status| status.traffic.payload_down > bytes);
    // Skipped with some of its only piece on disk, and wanted again in the next run.
    world.run_until(|w| down(w, 100_000), MINUTES);
    world.command("bob", |id| Call::SetFiles(id, Selection::only([])));
    world.run_for(Duration::from_secs(20));
    world.restart("bob");
    world.run_for(Duration::from_secs(1));
    world.command("bob", |id| Call::SetFiles(id, Selection::all()));
    // Wanted once more, and off before anything is whole.
    world.run_until(|w| down(w, 50_000), MINUTES);
    world.restart("bob");
    world.run_for(Duration::from_secs(1));
    world.run_until(|w| w.complete("bob"), MINUTES);
    assert!(!world.saw("bob", |event| matches!(event, Event::Failed { .. })));
}
