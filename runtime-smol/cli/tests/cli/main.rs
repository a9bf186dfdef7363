//! The program as a user or a script meets it: what is typed, what is printed, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod choice;
mod get;
mod kill;
mod magnet;
mod seed;
mod share;
mod torrents;
mod usage;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// How a run of the program ended.
#[derive(Debug)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

/// The program, to be run away from the user's own state and from other tests: those share the same torrent, and would
/// meet on the local network or by nodes of the DHT that they knew.
fn program(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pieceful"));
    let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let meets = args.first().is_some_and(|first| first == "get" || first == "seed");
    command.args(args).args(meets.then_some("--no-lsd")).stdin(Stdio::null());
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("main").replace("::", "-");
    command.env("XDG_STATE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("state").join(test));
    command
}

/// Runs the program to its end.
fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let output = program(args).output().expect("the program can be started");
    Ran {
        status: output.status.code().expect("the program ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

impl Ran {
    /// Checks that it is done, without a word of trouble.
    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    /// Checks that it failed, and gives the sentence that says why and what to do.
    #[track_caller]
    fn failed(&self) -> &str {
        assert_eq!(self.status, 1, "{self:?}");
        let last = self.stderr.lines().last().unwrap_or_default();
        last.strip_prefix("error: ").unwrap_or_else(|| panic!("the last line is no error: {self:?}"))
    }

    /// The one object on stdout.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
