//! What a torrent has in hand during a call.

use alloc::vec::Vec;

use super::{Action, Checks, Outside, Slots, Uplink};
use crate::disk::Budget;
use crate::peer;
use crate::rng::Rng;
use crate::time::Instant;

/// What a torrent has in hand during a call: the three effects, and what it shares with other torrents.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time of the call.
    pub now: Instant,
    /// The torrent's source of randomness.
    pub rng: &'a mut Rng,
    /// Where actions go.
    pub out: &'a mut Vec<Action>,
    /// A list to be reused for what a peer wants done: empty between calls.
    pub scratch: &'a mut Vec<peer::Action>,
    /// Bytes the disk holds for all torrents.
    pub budget: &'a mut Budget,
    /// The upload limit of all torrents together.
    pub upload: &'a mut Uplink,
    /// What we look like from outside.
    pub outside: &'a mut Outside,
    /// Whose turn it is to hash while files are checked.
    pub checks: &'a mut Checks,
    /// Upload slots of all torrents together.
    pub slots: &'a mut Slots,
    /// The download limit of all torrents together, in bytes per second.
    pub download_limit: Option<u64>,
}
