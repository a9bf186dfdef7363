//! How a command ends: done, failed with a sentence that says what to do, or interrupted.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use pieceful_core::disk::{DiskError, DiskErrorKind};

use crate::printable::printable;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for is done.
    Done,
    /// The user stopped it, and everything was closed in good order.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Interrupted => Self::from(INTERRUPTED),
        }
    }
}

/// 128 + SIGINT, as shells say it.
pub(crate) const INTERRUPTED: u8 = 130;

/// As for a command line that cannot be read.
const USAGE: u8 = 2;

/// Why a command failed, and what the user can do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was typed cannot be meant.
    usage: bool,
    what: String,
    advice: Option<String>,
}

impl Failure {
    /// Something went wrong. `what` begins in lower case and has no full stop.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { usage: false, what: without_numbers(what.into()), advice: None }
    }

    /// What was typed does not fit: ends with the status of a wrong command line.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new(what) }
    }

    /// The same, with what to do about it.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        if failure.usage { Self::from(USAGE) } else { Self::FAILURE }
    }
}

impl fmt::Display for Failure {
    /// One line that is safe to print whatever the words came from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.what))?;
        match &self.advice {
            Some(advice) => write!(f, "; {}", printable(advice)),
            None => Ok(()),
        }
    }
}

/// The system's words without its numbers: ` (os error 2)` says nothing that the words before it do not.
pub(crate) fn without_numbers(mut text: String) -> String {
    const NUMBER: &str = " (os error ";
    while let Some(start) = text.find(NUMBER) {
        let digits = text[start + NUMBER.len()..].find(|c: char| !c.is_ascii_digit());
        match digits.map(|digits| start + NUMBER.len() + digits) {
            Some(end) if text[end..].starts_with(')') => text.replace_range(start..=end, ""),
            _ => break,
        }
    }
    text
}

/// What a system error calls for, where that is plain.
pub(crate) fn io_advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => "check the path",
        Kind::PermissionDenied => "check who may read and write there",
        Kind::StorageFull | Kind::QuotaExceeded => "free some space and try again",
        Kind::ReadOnlyFilesystem => "choose a place that can be written to",
        Kind::IsADirectory => "name a file, not a folder",
        Kind::NotADirectory => "name a folder, not a file",
        _ => "see what the system says, then try again",
    }
}

/// What a storage error below `folder` calls for.
pub(crate) fn disk_advice(error: &DiskError, folder: &Path) -> String {
    let folder = folder.display();
    match error.kind {
        DiskErrorKind::NoSpace => format!("free some space for {folder}, then run the same command again"),
        DiskErrorKind::Denied => format!("check who may read and write in {folder}"),
        DiskErrorKind::InTheWay => String::from("move it away, or choose another folder"),
        DiskErrorKind::InUse => String::from("wait until that is over, or choose another folder"),
        DiskErrorKind::Missing => String::from("leave the files alone while they are in use, then try again"),
        DiskErrorKind::TooManyOpen => String::from("raise the limit (`ulimit -n`), or do less at once"),
        DiskErrorKind::Io => format!("check the disk that holds {folder}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_come_without_its_numbers() {
        let failure = Failure::new("cannot read x: Not a directory (os error 20)").advice("name a folder");
        assert_eq!(failure.to_string(), "cannot read x: Not a directory; name a folder");
        assert_eq!(Failure::new("a (os error 1) b (os error x").to_string(), "a b (os error x");
    }

    #[test]
    fn a_failure_is_one_line_that_ends_with_the_advice() {
        let failure = Failure::new("cannot read a\nb").advice("check the path");
        assert_eq!(failure.to_string(), "cannot read a�b; check the path");
    }
}
