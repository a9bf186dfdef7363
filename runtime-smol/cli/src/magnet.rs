//! `pieceful magnet`: the link that stands for a torrent.

use crate::args::Magnet;
use crate::errors::{Failure, Outcome};
use crate::{output, source};

/// Prints the link.
pub(crate) fn run(args: &Magnet) -> Result<Outcome, Failure> {
    output::line(&source::torrent(&args.torrent)?.to_magnet().to_string())?;
    Ok(Outcome::Done)
}
