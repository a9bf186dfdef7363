//! The page of `pieceful info`: what a torrent says, aligned, with the files as a tree.

use std::fmt::Write as _;

use super::{FileEntry, Report};
use crate::printable::printable;
use crate::units;

/// Columns of the labels.
const LABEL: usize = 11;
/// Columns of a size such as `1023 KiB`, with room before it.
const SIZE: usize = 12;

/// The whole page; nothing in it can act on a terminal.
pub(super) fn page(report: &Report) -> String {
    let mut page = format!("{}\n\n", printable(report.name.as_deref().unwrap_or("(a name is not given)")));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(page, "  {label:<LABEL$}  {}", printable(text));
    };
    if let Some(hash) = &report.info_hash {
        row("Info-hash", hash);
    }
    if let Some(hash) = &report.info_hash_v2 {
        row("v2 hash", hash);
    }
    if let (Some(total), Some(files)) = (report.total_size, &report.files) {
        let files = units::counted(files.len() as u64, "file");
        row("Size", &format!("{} ({} bytes) in {files}", units::size(total), units::count(total)));
    }
    if let (Some(count), Some(length)) = (report.piece_count, report.piece_length) {
        row("Pieces", &format!("{} of {}", units::count(count.into()), units::size(length.into())));
    }
    if report.private == Some(true) {
        row("Private", "yes, peers only from its own trackers");
    }
    match (report.creation_date.and_then(units::date), &report.created_by) {
        (Some(date), Some(program)) => row("Created", &format!("{date} by {program}")),
        (Some(date), None) => row("Created", &date),
        (None, Some(program)) => row("Created", &format!("by {program}")),
        (None, None) => {}
    }
    if let Some(comment) = report.comment.as_deref().filter(|comment| !comment.is_empty()) {
        for (place, line) in comment.lines().enumerate() {
            row(if place == 0 { "Comment" } else { "" }, line);
        }
    }
    let tiers = report.trackers.len();
    for (tier, urls) in report.trackers.iter().enumerate() {
        for (place, url) in urls.iter().enumerate() {
            let label = if tier == 0 && place == 0 { "Trackers" } else { "" };
            let rank = if tiers > 1 && place == 0 { format!("{}. ", tier + 1) } else { String::new() };
            let indent = if tiers > 1 { 3 } else { 0 };
            row(label, &format!("{rank:indent$}{url}"));
        }
    }
    for (place, url) in report.web_seeds.iter().enumerate() {
        row(if place == 0 { "Web seeds" } else { "" }, url);
    }
    row("Magnet", &report.magnet);
    if let Some(files) = &report.files {
        page.push('\n');
        tree(&mut page, files);
    }
    page
}

/// Sizes in a column, names indented by folder. A folder's line comes before the first file in it.
fn tree(page: &mut String, files: &[FileEntry]) {
    let mut open: Vec<&str> = Vec::new();
    for file in files {
        let mut folders: Vec<&str> = file.path.split('/').collect();
        let name = folders.pop().unwrap_or_default();
        let shared = open.iter().zip(&folders).take_while(|(open, wanted)| open == wanted).count();
        for (depth, folder) in folders.iter().enumerate().skip(shared) {
            let _ = writeln!(page, "{:SIZE$}  {:indent$}{}/", "", "", printable(folder), indent = 2 * depth);
        }
        let indent = 2 * folders.len();
        let size = units::size(file.length);
        let _ = writeln!(page, "{size:>SIZE$}  {:indent$}{}", "", printable(name));
        open = folders;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_once_for_the_files_in_it() {
        let file = |path: &str| FileEntry { path: String::from(path), length: 1 };
        let mut page = String::new();
        tree(&mut page, &[file("top/a"), file("top/sub/b"), file("top/sub/c"), file("top/d")]);
        let names: Vec<&str> = page.lines().map(|line| &line[SIZE + 2..]).collect();
        assert_eq!(names, ["top/", "  a", "  sub/", "    b", "    c", "  d"]);
    }

    #[test]
    fn nothing_of_a_torrent_acts_on_the_terminal() {
        let evil = String::from("\u{1b}[2J\u{202e}x");
        let report = Report {
            name: Some(evil.clone()),
            comment: Some(format!("{evil}\nsecond line")),
            created_by: Some(evil.clone()),
            trackers: vec![vec![evil.clone()], vec![evil.clone()]],
            web_seeds: vec![evil.clone()],
            files: Some(vec![FileEntry { path: format!("{evil}/{evil}"), length: 1 }]),
            magnet: evil,
            ..Report::default()
        };
        let page = page(&report);
        assert!(!page.chars().any(|c| c != '\n' && crate::printable::is_unsafe(c)), "{page}");
        assert!(page.contains("second line"));
    }
}
