//! Announce URLs and what is in the answers (BEP 3, 7, 23, 24, 31, 48).

use alloc::string::String;

use super::{Announce, Answer, Scrape, TrackerError};

/// The URL to GET for `announce`, built on the tracker's own `url`.
#[must_use]
pub fn announce_url(url: &str, announce: &Announce, tracker_id: Option<&[u8]>) -> String {
    let _ = (announce, tracker_id);
    String::from(url)
}

/// Reads the body of an answer to an announce.
///
/// # Errors
///
/// The tracker's own refusal, or what is wrong with the body.
pub fn parse_announce(body: &[u8]) -> Result<Answer, TrackerError> {
    let _ = body;
    Err(TrackerError::TimedOut)
}

/// The URL to GET for a scrape of `info_hash`; `None` when the tracker's announce URL has no scrape URL
/// (BEP 48).
#[must_use]
pub fn scrape_url(url: &str, info_hash: [u8; 20]) -> Option<String> {
    let _ = (url, info_hash);
    None
}

/// Reads the body of an answer to a scrape of `info_hash`.
///
/// # Errors
///
/// The tracker's own refusal, or what is wrong with the body.
pub fn parse_scrape(body: &[u8], info_hash: [u8; 20]) -> Result<Scrape, TrackerError> {
    let _ = (body, info_hash);
    Err(TrackerError::TimedOut)
}
