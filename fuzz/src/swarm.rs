//! A whole swarm with everything that may go wrong in it: no rule is broken, and once all heals everybody finishes.

use arbitrary::Unstructured;
use pieceful_tests::Scenario;
use pieceful_tests::scenario::Chance;

/// Larger swarms find little more, and few of them can be tried in a second.
const NODES_MAX: usize = 6;

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut below = |max: u32| input.int_in_range(0..=max - 1).unwrap_or_default();
    let scenario = Scenario::drawn(0, &mut Chance::new(&mut below));
    if scenario.nodes.len() > NODES_MAX {
        return;
    }
    if let Err(failure) = scenario.run() {
        panic!("{failure:?}\n{scenario}");
    }
}
