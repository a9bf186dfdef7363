//! Which files of a torrent the user wants: numbers, ranges and patterns, as typed after `--files`.

use std::ops::RangeInclusive;

use pieceful_core::engine::Selection;
use pieceful_core::metainfo::Info;

use crate::errors::Failure;

/// One of what `--files` may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// By number, as `pieceful files` lists them.
    Numbers(Vec<RangeInclusive<u32>>),
    /// By name.
    Pattern(String),
}

/// Reads `0,2-5`; anything that is not made of digits, commas and dashes is a pattern.
pub(crate) fn parse(typed: &str) -> Result<Files, String> {
    if typed.is_empty() {
        return Err(String::from("name files by number, such as 0,2-5, or by a pattern, such as '*.mkv'"));
    }
    if !typed.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b'-')) {
        return Ok(Files::Pattern(String::from(typed)));
    }
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.parse().ok()?..=last.parse().ok()?;
        (!range.is_empty()).then_some(range)
    };
    let ranges: Option<Vec<_>> = typed.split(',').map(range).collect();
    ranges.map(Files::Numbers).ok_or_else(|| {
        format!("'{typed}' names no files: write numbers and ranges, such as 0,2-5 (a pattern needs a letter or *)")
    })
}

/// What of a torrent is to be downloaded.
pub(crate) fn select(files: &[Files], info: &Info) -> Result<Selection, Failure> {
    let mut wanted = Vec::new();
    for files in files {
        match files {
            Files::Numbers(ranges) => {
                for range in ranges {
                    see_that_it_is_there(*range.end(), info)?;
                    wanted.push(range.clone());
                }
            }
            Files::Pattern(pattern) => {
                let before = wanted.len();
                let matching = numbered(info).filter(|(_, path)| matches(pattern, path));
                wanted.extend(matching.map(|(number, _)| number..=number));
                if wanted.len() == before {
                    return Err(
                        Failure::usage(format!("no file of {} matches '{pattern}'", info.name)).advice(LIST)
                    );
                }
            }
        }
    }
    Ok(Selection::only(wanted))
}

/// What a magnet link selects (`so=`) has to be there.
pub(crate) fn see_what_is_selected(select: &[RangeInclusive<u32>], info: &Info) -> Result<(), Failure> {
    select.iter().try_for_each(|range| see_that_it_is_there(*range.end(), info))
}

const LIST: &str = "`pieceful files TORRENT` lists what there is";

fn see_that_it_is_there(number: u32, info: &Info) -> Result<(), Failure> {
    let count = info.files.len();
    if (number as usize) < count {
        return Ok(());
    }
    let last = count.saturating_sub(1);
    Err(Failure::usage(format!("{} has no file {number}, the last is {last}", info.name)).advice(LIST))
}

/// The files that are stored, each with its number and its path.
pub(crate) fn numbered(info: &Info) -> impl Iterator<Item = (u32, &str)> {
    let files = (0..).zip(&info.files);
    files.filter(|(_, file)| !file.padding).map(|(number, file)| (number, file.path.as_str()))
}

/// A pattern without a slash is held against names, any other against paths, with or without the torrent's own folder.
fn matches(pattern: &str, path: &str) -> bool {
    let matches = |text: &str| fast_glob::glob_match(pattern, text);
    let within = path.split_once('/').map(|(_, within)| within);
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    match pattern.contains('/') {
        false => matches(name),
        true => matches(path) || within.is_some_and(matches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_told_from_patterns() {
        assert_eq!(parse("0,2-5"), Ok(Files::Numbers(vec![0..=0, 2..=5])));
        assert_eq!(parse("*.mkv"), Ok(Files::Pattern(String::from("*.mkv"))));
        assert_eq!(parse("2 - 5"), Ok(Files::Pattern(String::from("2 - 5"))));
        for wrong in ["", ",", "1,", "-", "1-", "5-2", "1-2-3", "4294967296"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_without_a_slash_is_held_against_names_and_one_with_a_slash_against_paths() {
        for (pattern, path, does) in [
            ("*.mkv", "show/season 1/a.mkv", true),
            ("*.mkv", "a.mkv", true),
            ("*.mkv", "show/a.mkv.txt", false),
            ("season 1/*", "show/season 1/a.mkv", true),
            ("show/season 1/*", "show/season 1/a.mkv", true),
            ("season 1/*", "show/season 1/extras/b.mkv", false),
            ("season 1/**", "show/season 1/extras/b.mkv", true),
            ("*.{srt,sub}", "show/season 1/a.srt", true),
            ("season ?/a.*", "show/season 2/a.nfo", true),
        ] {
            assert_eq!(matches(pattern, path), does, "{pattern} and {path}");
        }
    }
}
