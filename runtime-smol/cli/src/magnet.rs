//! `pieceful magnet`.

use crate::args::Magnet;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Magnet) -> Result<Outcome, Failure> {
    Err(Failure::new("`magnet` is not there yet").advice("wait for a later version"))
}
