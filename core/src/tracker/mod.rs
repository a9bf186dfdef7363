//! Asking trackers for peers.

/// Why an announce failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackerError {
    /// No answer.
    #[error("no answer in time")]
    TimedOut,
}
