//! Something to share, and a program that runs while a test looks at it.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Ran, program, run, text};

const FILES: [(&str, usize); 3] = [("one.bin", 300_000), ("deeper/two.bin", 90_001), ("deeper/none", 0)];
/// All files together.
pub(crate) const BYTES: u64 = 390_001;

/// A folder with files, and its torrent.
pub(crate) struct Share {
    pub(crate) place: TempDir,
    pub(crate) torrent: PathBuf,
    name: String,
}

impl Share {
    pub(crate) fn named(name: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data").join(name);
        for (path, len) in FILES {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, (0..len).map(|at| (at * 131 % 253) as u8).collect::<Vec<u8>>()).unwrap();
        }
        let torrent = place.path().join("x.torrent");
        run(["create", text(&folder), "-o", text(&torrent), "--piece-length", "32K"]).done();
        Self { place, torrent, name: String::from(name) }
    }

    /// The folder the shared one lies in.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// One of the shared files.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.data().join(&self.name).join(path)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    /// Checks that every file is in `folder`.
    #[track_caller]
    pub(crate) fn assert_in(&self, folder: &Path) {
        for (path, _) in FILES {
            let there = fs::read(folder.join(&self.name).join(path)).unwrap();
            assert!(fs::read(self.file(path)).unwrap() == there, "{path} differs");
        }
    }
}

/// A program that runs with `--json`; ended when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        let args = args.into_iter().chain(["--json"]);
        let mut child = program(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line as it is; `None` when the program has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().transpose().unwrap()
    }

    /// Reads on until the event of this name.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) -> Value {
        while let Some(line) = self.line() {
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
        panic!("it ended without {name}: {:?}", self.end());
    }

    /// Where it listens.
    #[track_caller]
    pub(crate) fn address(&mut self) -> String {
        String::from(self.until("listening")["address"].as_str().unwrap())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it from one moment to the next, unless it has ended well before; what it printed since it was last looked at.
    pub(crate) fn kill(&mut self) -> Vec<Value> {
        let _ = self.child.kill(); // it has ended already, then
        let lines = std::iter::from_fn(|| self.lines.next()?.ok());
        // The last line may be cut.
        let said = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
        let failed = self.child.wait().unwrap().code().is_some_and(|code| code != 0);
        let stderr = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        assert!(!failed && !stderr.contains("panicked"), "{stderr}");
        said
    }

    /// Waits for it to end; what it printed since it was last looked at.
    pub(crate) fn end(&mut self) -> Ran {
        let mut stdout = String::new();
        while let Some(line) = self.line() {
            stdout = stdout + &line + "\n";
        }
        let stderr = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        let status = self.child.wait().unwrap().code().expect("the program ends by itself");
        Ran { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already, then
        let _ = self.child.wait();
    }
}
