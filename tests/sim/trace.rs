//! The last things that happened, for people.

use std::collections::VecDeque;
use std::fmt;

use pieceful_core::time::Instant;

/// Lines kept by default: enough to see what led to a failure.
const KEPT: usize = 400;

/// A window onto the end of a run. With `SIM_TRACE=1` in the environment every line also goes to standard error.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    dropped: u64,
    live: bool,
    pub(crate) keep: usize,
}

impl Default for Trace {
    fn default() -> Self {
        let live = std::env::var_os("SIM_TRACE").is_some_and(|value| value != "0");
        Self { lines: VecDeque::new(), dropped: 0, live, keep: KEPT }
    }
}

impl Trace {
    /// Whether anything written is seen by anybody.
    pub(crate) const fn is_kept(&self) -> bool {
        self.keep > 0 || self.live
    }

    pub(crate) fn write(&mut self, now: Instant, node: &str, text: fmt::Arguments<'_>) {
        if !self.is_kept() {
            return;
        }
        let micros = now.as_micros();
        let line = format!("{:6}.{:06}  {node:<8} {text}", micros / 1_000_000, micros % 1_000_000);
        if self.live {
            eprintln!("{line}");
        }
        if self.keep == 0 {
            return;
        }
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dropped > 0 {
            writeln!(f, "... {} lines before (SIM_TRACE=1 prints them all)", self.dropped)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
