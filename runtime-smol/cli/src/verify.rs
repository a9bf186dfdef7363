//! `pieceful verify`.

use crate::args::Verify;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Verify) -> Result<Outcome, Failure> {
    Err(Failure::new("`verify` is not there yet").advice("wait for a later version"))
}
