//! The bar of a command that only hashes: how far, how fast, how long still. Nothing without a terminal.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that goes away when dropped. Any thread may move it.
#[derive(Debug)]
pub(crate) struct Work(ProgressBar);

impl Work {
    /// `doing` such as `hashing`; `total` is in bytes.
    pub(crate) fn new(doing: &'static str, total: u64, quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total.max(1)), target).with_message(doing);
        let style = "  {msg} {wide_bar:.cyan/black.bright} {percent:>3}%  {binary_bytes:>10} of \
                     {binary_total_bytes}  {binary_bytes_per_sec:>13}  {eta:>4} ";
        bar.set_style(
            ProgressStyle::with_template(style)
                .expect("work: the template is well formed")
                .progress_chars("━╸─"),
        );
        Self(bar)
    }

    /// So many bytes there are, once that is known.
    pub(crate) fn of(&self, bytes: u64) {
        if self.0.length() != Some(bytes.max(1)) {
            self.0.set_length(bytes.max(1));
        }
    }

    /// So many bytes are done in all.
    pub(crate) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
