//! How far it is, on a terminal; nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many things; it hides itself where nobody looks.
pub(crate) fn bar(things: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!(
        "[{{elapsed_precise}}] {{wide_bar}} {{pos}} of {{len}} {what}, {{eta}} left {{msg}}"
    ));
    let bar = ProgressBar::new(things).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
