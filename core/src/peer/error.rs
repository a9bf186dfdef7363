//! Why a connection to a peer ended, by name.

/// Why a connection to a peer ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We are done with it.
    #[error("done")]
    Done,
}
