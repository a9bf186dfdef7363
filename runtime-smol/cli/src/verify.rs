//! `pieceful verify`: whether a torrent's files are all there, and right.

use std::fmt::Write as _;
use std::path::Path;

use pieceful_core::disk::Layout;
use pieceful_core::metainfo::{Info, Metainfo};
use pieceful_std::verify::{Verified, VerifyError};
use serde::Serialize;

use crate::args::Verify;
use crate::errors::{Failure, Outcome, disk_advice, io_advice};
use crate::printable::printable;
use crate::progress::Work;
use crate::{json, output, source, units, workers};

/// The object of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    complete: bool,
    pieces_ok: u32,
    pieces_total: u32,
    bytes_ok: u64,
}

/// Done when everything is right, failed when not.
pub(crate) fn run(args: &Verify) -> Result<Outcome, Failure> {
    let Metainfo { info, .. } = source::torrent(&args.torrent)?;
    let folder = &args.folder;
    std::fs::read_dir(folder).map_err(|error| {
        Failure::new(format!("cannot read {}: {error}", folder.display())).advice(io_advice(&error))
    })?;
    let found = look(&info, folder, args.json)?;
    if args.json {
        let Verified { complete, pieces_ok, pieces_total, bytes_ok, .. } = found;
        json::line(&Report { complete, pieces_ok, pieces_total, bytes_ok })?;
    } else {
        output::write(words(&info, &found).as_bytes())?;
    }
    if found.complete { Ok(Outcome::Done) } else { Err(why_not(&found, args)) }
}

fn look(info: &Info, folder: &Path, quiet: bool) -> Result<Verified, Failure> {
    let bar = Work::new("verifying", info.total_length, quiet);
    let found = pieceful_std::verify::verify(info, folder, workers(), &|at| bar.at(at.bytes_done));
    found.map_err(|error| {
        let failure = Failure::new(format!("cannot verify: {error}"));
        match &error {
            VerifyError::Disk(error) => failure.advice(disk_advice(error, folder)),
            VerifyError::Layout(_) => failure.advice("get the .torrent file again"),
        }
    })
}

/// A line that says it all, and one for each file that is not whole.
fn words(info: &Info, found: &Verified) -> String {
    let name = printable(&info.name);
    let (ok, total) = (units::count(found.pieces_ok.into()), units::count(found.pieces_total.into()));
    let (bytes_ok, bytes) = (units::size(found.bytes_ok), units::size(info.stored_length()));
    if found.complete {
        return format!("{name}: complete, {total} of {total} pieces are right, {bytes}\n");
    }
    let mut text = format!("{name}: {ok} of {total} pieces are right, {bytes_ok} of {bytes}\n");
    let Ok(layout) = Layout::of(info) else { return text };
    for (index, file) in (0..).zip(layout.files()) {
        let Some(path) = &file.path else { continue };
        let pieces = layout.pieces_of(index);
        let wanted = pieces.len();
        let wrong = pieces.filter(|&piece| !found.have.get(piece as usize).copied().unwrap_or(false)).count();
        if wrong > 0 {
            let path = printable(&path.to_string()).into_owned();
            let _ = writeln!(
                text,
                "  {path}: {} of {} pieces missing or wrong",
                units::count(wrong as u64),
                units::count(wanted as u64)
            );
        }
    }
    text
}

fn why_not(found: &Verified, args: &Verify) -> Failure {
    let wrong = found.pieces_total - found.pieces_ok;
    if wrong == 0 {
        return Failure::new("every piece is right, but a file is missing or goes on after its end")
            .advice("compare the sizes with `pieceful info`");
    }
    let total = units::counted(found.pieces_total.into(), "piece");
    Failure::new(format!("{} of {total} missing or wrong", units::count(wrong.into()))).advice(format!(
        "`pieceful get {} -o {}` fetches them",
        args.torrent,
        args.folder.display()
    ))
}
