//! The example of the guide to testing (`core/docs/testing.md`), which does what the guide says of it.

use std::time::Duration;

use pieceful_tests::{Fault, World};

#[test]
fn a_test_in_five_lines() {
    let mut world = World::new(1).seed("alice").leecher("bob").with(|spec| spec.link.down = 100_000);
    world.run_for(Duration::from_secs(2));
    world.inflict("alice", &Fault::BlackHole { lasts: Duration::from_secs(30) });
    world.run_until(|w| w.complete("bob"), Duration::from_secs(120));
    assert_eq!(world.status("bob").traffic.hash_failures, 0);
}

#[test]
fn the_guide_shows_it() {
    let (_, from) = include_str!("guide.rs").split_once("five_lines() {\n").expect("it is there");
    let lines: Vec<&str> = from.lines().take_while(|line| *line != "}").map(str::trim_start).collect();
    assert!(include_str!("../../core/docs/testing.md").contains(&lines.join("\n")), "{lines:#?}");
}
