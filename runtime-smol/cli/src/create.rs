//! `pieceful create`.

use crate::args::Create;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Create) -> Result<Outcome, Failure> {
    Err(Failure::new("`create` is not there yet").advice("wait for a later version"))
}
