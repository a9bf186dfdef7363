//! Which URLs and hosts that strangers write are kept.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Longest URL that is kept, in bytes: what web servers take.
const URL_LEN_MAX: usize = 2048;

/// Longest host name (RFC 1035).
const HOST_LEN_MAX: usize = 253;

/// Adds `url` to `urls` unless it is empty, too long, there already, one too many, or has spaces or control
/// characters inside: such a URL reaches no server, but might smuggle a line into a request or a log.
///
/// Which schemes and addresses may be contacted is decided where that is done.
pub(super) fn push(urls: &mut Vec<String>, url: &str, max: usize) {
    let url = url.trim();
    let fits = !url.is_empty() && url.len() <= URL_LEN_MAX && urls.len() < max;
    if fits && is_printable(url) && !urls.iter().any(|other| other == url) {
        urls.push(url.to_string());
    }
}

/// Whether this may be a host name or an IP address.
pub(super) fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'%');
    !host.is_empty() && host.len() <= HOST_LEN_MAX && host.bytes().all(allowed)
}

fn is_printable(url: &str) -> bool {
    !url.chars().any(|c| c.is_control() || c.is_whitespace() || super::files::turns_text(c))
}
