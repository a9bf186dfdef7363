//! Drives [`pieceful_core`] with blocking sockets and threads.
//!
//! A [`Session`] is a BitTorrent client for a program to embed: it has one thread for the engine, two for
//! each connection, and a pool of disk workers. For many connections at the least cost see `pieceful-smol`,
//! which shares this crate's disk workers and has the same `Session` in async form.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use pieceful_core::engine::{AddTorrent, Event};
//! use pieceful_core::metainfo::Metainfo;
//! use pieceful_std::{Options, Session, SessionEvent};
//!
//! fn download(metainfo: Metainfo) -> Result<(), Box<dyn std::error::Error>> {
//!     let session = Session::start(Options { listen: vec!["0.0.0.0:6881".parse()?], ..Options::default() })?;
//!     let mut events = session.events();
//!     let torrent = session.add(AddTorrent::new(Arc::new(metainfo)), "downloads".as_ref())?;
//!     for event in &mut events {
//!         match event {
//!             SessionEvent::Event(Event::Finished { torrent: done }) if done == torrent => break,
//!             SessionEvent::Event(Event::Failed { error, .. }) => return Err(error.into()),
//!             _ => {}
//!         }
//!     }
//!     session.stop()?;
//!     Ok(())
//! }
//! ```

#![warn(missing_docs)]

pub mod bind;
pub mod buffers;
pub mod clock;
pub mod create;
mod crew;
mod datagram;
pub mod disk;
mod engine_loop;
pub mod entropy;
pub mod events;
pub mod fetcher;
mod listener;
pub mod resolver;
pub mod saver;
mod sending;
pub mod session;
pub mod store;
mod stream;
pub mod tape;
pub mod verify;

pub use events::{Events, SessionEvent};
pub use session::{AddError, Options, Session, StartError, StopError};
