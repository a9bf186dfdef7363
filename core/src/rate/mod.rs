//! How fast bytes flow, and how fast they may.
//!
//! ```
//! use core::time::Duration;
//! use pieceful_core::rate::{Bucket, Meter};
//! use pieceful_core::time::Instant;
//!
//! let mut now = Instant::ZERO;
//! let mut meter = Meter::default();
//! let mut bucket = Bucket::new(Some(100_000));
//! for _ in 0..400 {
//!     now += Duration::from_millis(25);
//!     let granted = bucket.take(now, 1 << 20);
//!     meter.add(now, granted);
//! }
//! assert!((97_000..=103_000).contains(&meter.rate(now)));
//! ```

mod bucket;
mod meter;
mod pace;

pub use bucket::Bucket;
pub use meter::Meter;
pub use pace::Pace;
