//! Fuzz targets: each takes arbitrary bytes and panics when a claim about the core does not hold.
//!
//! They are ordinary functions, so `cargo test` runs them too, over the committed corpus and over seeded inputs.

pub mod bencode;
pub mod dht;
pub mod engine;
pub mod extended;
pub mod http_tracker;
pub mod krpc;
pub mod layout;
pub mod lsd;
pub mod magnet;
pub mod metainfo;
pub mod peer;
pub mod picker;
pub mod saved;
pub mod swarm;
pub mod tape;
pub mod udp_tracker;
pub mod ut_metadata;
pub mod ut_pex;
pub mod wire;

/// A target's name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by name.
pub const TARGETS: &[Target] = &[
    ("bencode", bencode::run),
    ("metainfo", metainfo::run),
    ("magnet", magnet::run),
    ("wire", wire::run),
    ("extended", extended::run),
    ("ut_pex", ut_pex::run),
    ("lsd", lsd::run),
    ("ut_metadata", ut_metadata::run),
    ("peer", peer::run),
    ("http_tracker", http_tracker::run),
    ("udp_tracker", udp_tracker::run),
    ("krpc", krpc::run),
    ("dht", dht::run),
    ("picker", picker::run),
    ("layout", layout::run),
    ("engine", engine::run),
    ("tape", tape::run),
    ("saved", saved::run),
    ("swarm", swarm::run),
];
