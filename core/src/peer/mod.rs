//! One connection to a peer as a state machine.

mod error;

pub use error::CloseReason;
