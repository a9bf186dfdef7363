//! `pieceful files`: what a torrent holds, each file with the number it is chosen by.

use pieceful_core::metainfo::Metainfo;
use serde::Serialize;

use crate::args::Files;
use crate::errors::{Failure, Outcome};
use crate::printable::printable;
use crate::{json, output, source, units};

/// Columns of a size such as `1023 KiB`.
const SIZE: usize = 10;

/// Prints a line a file, or one object.
pub(crate) fn run(args: &Files) -> Result<Outcome, Failure> {
    if source::is_magnet(&args.torrent) {
        return Err(Failure::new("a magnet link does not list the files of its torrent")
            .advice("make a .torrent file of it with `pieceful get LINK --metadata-only -o FILE`"));
    }
    let torrent = source::torrent(&args.torrent)?;
    let files = list(&torrent);
    if args.json {
        json::line(&Report { files })?;
    } else {
        output::write(page(&files).as_bytes())?;
    }
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Report<'a> {
    files: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    index: u32,
    length: u64,
    path: &'a str,
}

fn list(torrent: &Metainfo) -> Vec<Entry<'_>> {
    let files = (0..).zip(&torrent.info.files).filter(|(_, file)| !file.padding);
    files.map(|(index, file)| Entry { index, length: file.length, path: file.path.as_str() }).collect()
}

fn page(files: &[Entry<'_>]) -> String {
    let digits = files.last().map_or(1, |last| last.index.to_string().len());
    let line = |file: &Entry<'_>| {
        let size = units::size(file.length);
        format!("{:>digits$}  {size:>SIZE$}  {}\n", file.index, printable(file.path))
    };
    files.iter().map(line).collect()
}
