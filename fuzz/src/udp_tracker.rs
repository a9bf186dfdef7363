//! To be written.

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let _ = data;
}
