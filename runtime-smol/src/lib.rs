//! Drives [`pieceful_core`] with [smol]: one thread for the engine and all sockets.
//!
//! The same [`Session`] as in [`pieceful_std`], with `async` methods where there is something to wait for.
//! They may be awaited on any executor. The thread is the session's own; disk workers, and the few lookups and
//! HTTP requests there are, have threads beside it.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use pieceful_core::engine::{AddTorrent, Event};
//! use pieceful_core::metainfo::Metainfo;
//! use pieceful_smol::{Options, Session, SessionEvent};
//!
//! async fn download(metainfo: Metainfo) -> Result<(), Box<dyn std::error::Error>> {
//!     let session = Session::start(Options { listen: vec!["0.0.0.0:6881".parse()?], ..Options::default() })?;
//!     let mut events = session.events();
//!     let torrent = session.add(AddTorrent::new(Arc::new(metainfo)), "downloads".as_ref()).await?;
//!     while let Some(event) = events.next().await {
//!         match event {
//!             SessionEvent::Event(Event::Finished { torrent: done }) if done == torrent => break,
//!             SessionEvent::Event(Event::Failed { error, .. }) => return Err(error.into()),
//!             _ => {}
//!         }
//!     }
//!     session.stop().await?;
//!     Ok(())
//! }
//! ```

#![warn(missing_docs)]

mod datagram;
mod engine_loop;
mod inbox;
mod listener;
pub mod session;
mod stream;

pub use pieceful_std::tape::RecordOptions;
pub use pieceful_std::{AddError, Options, SessionEvent, StartError, StopError};
pub use session::{Events, Session};
