//! What all torrents share, lent to one of them at a time.

use alloc::vec::Vec;

use crate::disk::Budget;
use crate::peer;
use crate::rng::Rng;
use crate::time::Instant;
use crate::torrent::{Action, Checks, Outside, Slots, Turn, Uplink};

#[derive(Debug)]
pub(super) struct Common {
    pub(super) rng: Rng,
    pub(super) scratch: Vec<peer::Action>,
    pub(super) budget: Budget,
    pub(super) upload: Uplink,
    pub(super) outside: Outside,
    pub(super) checks: Checks,
    pub(super) slots: Slots,
    pub(super) download_limit: Option<u64>,
}

impl Common {
    /// A torrent's turn, in which it pushes what it wants done to `out`.
    pub(super) const fn turn<'a>(&'a mut self, now: Instant, out: &'a mut Vec<Action>) -> Turn<'a> {
        let Self { rng, scratch, budget, upload, outside, checks, slots, download_limit } = self;
        let download_limit = *download_limit;
        Turn { now, rng, out, scratch, budget, upload, outside, checks, slots, download_limit }
    }
}
