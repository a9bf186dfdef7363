//! `pieceful demo`.

use crate::args::Demo;
use crate::errors::{Failure, Outcome};

/// Not there yet.
pub(crate) fn run(_args: &Demo) -> Result<Outcome, Failure> {
    Err(Failure::new("`demo` is not there yet").advice("wait for a later version"))
}
