//! Whole swarms in virtual time, in one process, from one number.
//!
//! A [`World`] holds engines with simulated disks, links between them, trackers, and scripted peers that speak raw
//! bytes. It is the third driver beside the std and the smol one: it uses the engine's public calls and nothing
//! else. Everything that happens follows from the seed, so a failing run is run again by running it again.
//!
//! ```
//! use std::time::Duration;
//! use pieceful_tests::World;
//!
//! let world = World::new(1).seed("alice").leecher("bob");
//! assert!(!world.complete("bob"));
//! ```

mod asking;
mod balance;
pub mod checker;
mod clock;
#[path = "../conformance/mod.rs"]
pub mod conformance;
mod data;
pub mod dht;
mod disk;
mod fault;
mod file;
mod link;
mod nat;
mod node;
mod nth;
pub mod odd;
mod paths;
mod perform;
mod queue;
pub mod scenario;
pub mod script;
mod services;
mod streams;
mod tape;
mod tcp;
mod trace;
mod tracker;
mod transcript;
mod udp;
mod udp_tracker;
pub mod words;
mod world;

pub use data::Data;
pub use disk::DiskProfile;
pub use fault::Fault;
pub use link::Link;
pub use nat::Nat;
pub use node::{Has, Spec};
pub use nth::Operation;
pub use scenario::Scenario;
pub use services::Names;
pub use tape::{Effects, Tape};
pub use tcp::Segmentation;
pub use tracker::{Announce, Lie, Manner, Tracker};
pub use udp::UdpProfile;
pub use world::World;

use pieceful_core::rng::{Rng, Seed};

/// The stream of random numbers for one use of one seed.
#[must_use]
pub fn seeded(seed: u64, label: &str) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Rng::new(Seed(bytes)).fork(label)
}
