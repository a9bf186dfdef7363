//! `pieceful info`: what a torrent or magnet link says, as a page or as JSON.

mod page;

use pieceful_core::id::InfoHash;
use pieceful_core::metainfo::{Magnet, Metainfo};
use serde::Serialize;

use crate::args::Info;
use crate::errors::{Failure, Outcome};
use crate::{json, output, source};

/// Prints the page or the object.
pub(crate) fn run(args: &Info) -> Result<Outcome, Failure> {
    let report = if source::is_magnet(&args.source) {
        Report::of_magnet(&source::magnet(&args.source)?)
    } else {
        Report::of(&source::torrent(&args.source)?)
    };
    if args.json { json::line(&report) } else { output::write(page::page(&report).as_bytes()) }?;
    Ok(Outcome::Done)
}

/// The fields of `--json`, in their order. What the source does not say is `None`.
#[derive(Debug, Default, Serialize)]
struct Report {
    name: Option<String>,
    info_hash: Option<String>,
    info_hash_v2: Option<String>,
    piece_length: Option<u32>,
    piece_count: Option<u32>,
    total_size: Option<u64>,
    private: Option<bool>,
    files: Option<Vec<FileEntry>>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    magnet: String,
}

#[derive(Debug, Serialize)]
struct FileEntry {
    path: String,
    length: u64,
}

impl Report {
    fn of(metainfo: &Metainfo) -> Self {
        let info = &metainfo.info;
        let files: Vec<FileEntry> = info
            .files
            .iter()
            .filter(|file| !file.padding)
            .map(|file| FileEntry { path: file.path.to_string(), length: file.length })
            .collect();
        Self {
            name: Some(info.name.clone()),
            info_hash: v1_hex(&info.info_hash),
            info_hash_v2: v2_hex(&info.info_hash),
            piece_length: Some(info.piece_length),
            piece_count: Some(info.piece_count()),
            total_size: Some(files.iter().map(|file| file.length).sum()),
            private: Some(info.private),
            files: Some(files),
            trackers: metainfo.trackers.clone(),
            web_seeds: metainfo.web_seeds.clone(),
            comment: metainfo.comment.clone(),
            created_by: metainfo.created_by.clone(),
            creation_date: metainfo.creation_date,
            magnet: metainfo.to_magnet().to_string(),
        }
    }

    /// A link says little: the rest comes from peers.
    fn of_magnet(magnet: &Magnet) -> Self {
        Self {
            name: magnet.name.clone(),
            info_hash: v1_hex(&magnet.info_hash),
            info_hash_v2: v2_hex(&magnet.info_hash),
            trackers: magnet.trackers.iter().map(|url| vec![url.clone()]).collect(),
            web_seeds: magnet.web_seeds.clone(),
            magnet: magnet.to_string(),
            ..Self::default()
        }
    }
}

fn v1_hex(hash: &InfoHash) -> Option<String> {
    hash.v1().map(|sha1| hex(&sha1))
}

fn v2_hex(hash: &InfoHash) -> Option<String> {
    hash.v2().map(|sha256| hex(&sha256))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
