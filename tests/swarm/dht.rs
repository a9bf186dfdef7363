//! A DHT as a whole: peers that some announce are found by others, whoever else is there.

use std::time::Duration;

use pieceful_tests::dht::{Figures, Profile, measure};

const AGE: Duration = Duration::from_secs(20 * 60);

const NODES: Profile = Profile { nodes: 200, loss: 5, churn: 20, natted: 50, hostile: 0 };

fn found_quickly(figures: Figures, least_per_mille: usize) {
    assert!(figures.per_mille() >= least_per_mille, "{figures}");
    assert!(figures.median_time < Duration::from_secs(3), "{figures}");
    assert!(figures.median_asked <= 40, "{figures}");
    assert!(figures.idle_bytes < 1_000, "{figures}");
}

#[test]
fn peers_are_found_though_half_of_the_nodes_cannot_be_reached_and_nodes_come_and_go() {
    found_quickly(measure(1, NODES, AGE, 200), 990);
}

#[test]
fn peers_are_found_though_a_fifth_of_the_nodes_lie() {
    found_quickly(measure(2, Profile { hostile: 20, ..NODES }, AGE, 200), 950);
}
