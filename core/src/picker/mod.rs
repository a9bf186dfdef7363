//! Which blocks to ask a peer for.

/// Which piece comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PieceOrder {
    /// Rarest first: what few peers have is spread first (BEP 3).
    #[default]
    RarestFirst,
    /// From the front to the back, for reading while it arrives.
    Sequential,
}
