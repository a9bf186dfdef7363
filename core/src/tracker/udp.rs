//! The datagrams of the UDP tracker protocol (BEP 15), with the URL option of BEP 41.

use alloc::string::String;

/// An announce to a UDP tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// What to say.
    pub announce: super::Announce,
    /// Path and query of the tracker's URL, for trackers that tell users apart by it (BEP 41); may be empty.
    pub url_data: String,
}
