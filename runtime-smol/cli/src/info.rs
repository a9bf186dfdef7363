//! `pieceful info`.

use crate::args::Info;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Info) -> Result<Outcome, Failure> {
    Err(Failure::new("`info` is not there yet").advice("wait for a later version"))
}
