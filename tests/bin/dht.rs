//! A DHT, and how well peers are found in it.

use std::time::Duration;

use pieceful_tests::dht::{Profile, measure};

const AGE: Duration = Duration::from_secs(3_600);
const SEARCHES: usize = 1_000;

/// Says whether next to nobody looked in vain.
pub(crate) fn run(nodes: u32, hostile: u32) -> bool {
    let figures = measure(1, Profile { nodes, loss: 5, churn: 20, natted: 50, hostile }, AGE, SEARCHES);
    println!("{figures}");
    figures.per_mille() >= if hostile == 0 { 990 } else { 950 }
}
