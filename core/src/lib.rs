//! BitTorrent as a pure state machine: bytes and timer events in, wire messages and disk actions out.
//!
//! The crate owns no socket, file, clock, thread or source of randomness. What an [`Engine`](engine::Engine)
//! does is a function of its configuration, its seed and the calls made to it.
//!
//! Read on in [`driving`] (the contract, with a complete driver), [`layers`] (each usable alone), [`timing`] (time,
//! randomness, determinism), [`backpressure`] (what bounds memory), [`storage`] (what is promised about files) and
//! [`testing`] (how all this is shown).

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod bencode;
pub mod bitfield;
pub mod chain;
pub mod choke;
mod compact;
pub mod cx;
pub mod dht;
pub mod disk;
pub mod engine;
pub mod id;
pub mod lsd;
pub mod metainfo;
pub mod peer;
pub mod picker;
pub mod rate;
pub mod rng;
pub mod scope;
pub mod time;
pub mod torrent;
pub mod tracker;
pub mod wire;

#[doc = include_str!("../docs/driving.md")]
pub mod driving {}

#[doc = include_str!("../docs/layers.md")]
pub mod layers {}

#[doc = include_str!("../docs/time.md")]
pub mod timing {}

#[doc = include_str!("../docs/backpressure.md")]
pub mod backpressure {}

#[doc = include_str!("../docs/storage.md")]
#[doc = include_str!("../docs/parts.md")]
pub mod storage {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
