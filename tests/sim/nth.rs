//! The n-th thing of a kind that engines would have the world do fails, for any n.

use std::time::Duration;

use pieceful_core::disk::DiskErrorKind;

use crate::World;

/// One kind of thing that engines would have the world do, and how it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A disk action ends with this error, and nothing was done.
    Disk(DiskErrorKind),
    /// A connection is refused.
    Connect,
    /// The connection that is sent on is reset.
    Send,
    /// A name is not looked up.
    Resolve,
    /// A request by HTTP finds nobody.
    Fetch,
    /// A datagram is lost.
    Datagram,
    /// A wake-up comes a minute late.
    Timer,
}

/// How late a wake-up is.
pub(crate) const LATE: Duration = Duration::from_secs(60);

/// What is to fail.
#[derive(Debug, Default)]
pub(crate) struct Nth {
    fails: Option<Operation>,
    /// How many of the kind are to come before it; passed once this has been counted down.
    before: u64,
    pub(crate) failed: bool,
}

impl Nth {
    /// One of a kind is to be done: whether it is the one that fails, and how.
    pub(crate) fn due(&mut self, is: impl Fn(Operation) -> bool) -> Option<Operation> {
        let operation = self.fails.filter(|&operation| is(operation) && !self.failed)?;
        if self.before > 0 {
            self.before -= 1;
            return None;
        }
        self.failed = true;
        Some(operation)
    }
}

impl World {
    /// Makes the `n`th operation of a kind fail, counted from 1 over all nodes and from now on.
    #[must_use]
    pub fn failing(mut self, operation: Operation, n: u64) -> Self {
        self.nth = Nth { fails: Some(operation), before: n.saturating_sub(1), failed: false };
        self
    }

    /// Whether there were as many operations as it takes for one to fail.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.nth.failed
    }

    pub(crate) fn fails(&mut self, operation: Operation) -> bool {
        self.nth.due(|other| other == operation).is_some()
    }
}
