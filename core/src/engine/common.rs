//! What all torrents share, lent to one of them at a time.

use alloc::vec::Vec;

use crate::disk::Budget;
use crate::rate::Bucket;
use crate::rng::Rng;
use crate::time::Instant;
use crate::torrent::{Action, Outside, Turn};

#[derive(Debug)]
pub(super) struct Common {
    pub(super) rng: Rng,
    pub(super) budget: Budget,
    pub(super) upload: Bucket,
    pub(super) outside: Outside,
}

impl Common {
    /// A torrent's turn, in which it pushes what it wants done to `out`.
    pub(super) const fn turn<'a>(&'a mut self, now: Instant, out: &'a mut Vec<Action>) -> Turn<'a> {
        let Self { rng, budget, upload, outside } = self;
        Turn { now, rng, out, budget, upload, outside }
    }
}
