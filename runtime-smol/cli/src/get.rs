//! `pieceful get`.

use crate::args::Get;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Get) -> Result<Outcome, Failure> {
    Err(Failure::new("`get` is not there yet").advice("wait for a later version"))
}
