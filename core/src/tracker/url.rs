//! What a tracker's URL may look like, and how much of it may be shown.

use alloc::format;
use alloc::string::String;
use core::net::{IpAddr, Ipv6Addr};

use super::{URL_LEN_MAX, UrlError};

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP (BEP 3).
    Http,
    /// HTTP over TLS.
    Https,
    /// UDP (BEP 15).
    Udp,
}

/// A tracker's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerUrl {
    text: String,
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    path_at: usize,
}

impl TrackerUrl {
    /// Takes `text` apart.
    ///
    /// # Errors
    ///
    /// What keeps it from being the address of a tracker we can speak to.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim_ascii();
        if text.len() > URL_LEN_MAX {
            return Err(UrlError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Character);
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match () {
            () if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            () if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            () if scheme.eq_ignore_ascii_case("udp") => Scheme::Udp,
            () => return Err(UrlError::Scheme),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let path_at = text.len() - rest.len() + authority.len();
        let (host, port) = host_and_port(authority)?;
        if scheme == Scheme::Udp && port.is_none() {
            return Err(UrlError::Port);
        }
        Ok(Self { text: String::from(text), scheme, host, port, path_at })
    }

    /// The URL as it was given, without what follows `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name in lower case, or literal address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the URL has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Path and query; may be empty.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

/// Host and port of `user@host:port`.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    if authority.contains('\\') {
        return Err(UrlError::Host); // some URL libraries read it as a slash, and so another host
    }
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(UrlError::Host),
            }
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            // Anything else is another name to some URL library: `%2e` a dot, `ß` two letters.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
                return Err(UrlError::Host);
            }
            (host, port)
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// `url` without what may be a secret: fit for logs and screens.
///
/// Private trackers know their users by a key in the path or the query. Host and port stay, and those parts of
/// the path that trackers commonly have; every other part, the values of the query and a user name are `***`.
///
/// ```
/// use pieceful_core::tracker::redacted;
///
/// assert_eq!(redacted("udp://open.example:6969/announce"), "udp://open.example:6969/announce");
/// assert_eq!(redacted("https://a.example/0123456789abcdef/announce"), "https://a.example/***/announce");
/// assert_eq!(redacted("https://me:pw@a.example/announce.php?passkey=1f2e"), "https://***@a.example/announce.php?passkey=***");
/// ```
#[must_use]
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return String::from("***") };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match before_query.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (before_query, None),
    };
    let mut shown = match authority.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://***@{place}"),
        None => format!("{scheme}://{authority}"),
    };
    for part in path.into_iter().flat_map(|path| path.split('/')) {
        shown.push('/');
        shown.push_str(if part.is_empty() || COMMON_PARTS.contains(&part) { part } else { "***" });
    }
    for (place, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if place == 0 { '?' } else { '&' });
        if let Some((name, _)) = pair.split_once('=') {
            shown.push_str(name);
            shown.push('=');
        }
        shown.push_str("***");
    }
    shown
}

const COMMON_PARTS: [&str; 8] =
    ["announce", "announce.php", "scrape", "scrape.php", "tracker", "tracker.php", "ann", "stat"];

/// `text` with every mention of `url`, or of a part of it that [`redacted`] hides, taken out. HTTP libraries
/// like to quote the URL in their errors, and trackers the key that they refuse.
pub(super) fn without_secrets(text: &str, url: &str) -> String {
    /// Shorter parts are no keys, and would take words out of the sentence.
    const SECRET_LEN_MIN: usize = 6;

    let mut clean = text.replace(url, &redacted(url));
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    for secret in path.split('/').chain(values).chain(user.split(':')) {
        if secret.len() >= SECRET_LEN_MIN && !COMMON_PARTS.contains(&secret) {
            clean = clean.replace(secret, "***");
        }
    }
    clean
}

/// The literal address in `host`, if it is one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        let url = TrackerUrl::parse("UDP://Tracker.Example:6969/announce?k=v#top").unwrap();
        assert_eq!(url.scheme(), Scheme::Udp);
        assert_eq!((url.host(), url.port()), ("tracker.example", Some(6969)));
        assert_eq!(url.path_and_query(), "/announce?k=v");
        assert_eq!(url.as_str(), "UDP://Tracker.Example:6969/announce?k=v");

        let url = TrackerUrl::parse(" http://me:pw@[2001:db8::1]?x ").unwrap();
        assert_eq!((url.host(), url.port(), url.path_and_query()), ("2001:db8::1", None, "?x"));
    }

    #[test]
    fn what_is_no_tracker_url_is_refused_by_name() {
        for (text, error) in [
            ("wss://a.example", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("a.example:6969", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///announce", UrlError::Host),
            ("http://good.example\\@evil.example/", UrlError::Host),
            ("http://ex%61mple/", UrlError::Host),
            ("http://[::1/announce", UrlError::Host),
            ("http://[::1]x/announce", UrlError::Host),
            ("http://[nonsense]/announce", UrlError::Host),
            ("http://пример/", UrlError::Host),
            ("udp://a.example/announce", UrlError::Port),
            ("udp://a.example:0/", UrlError::Port),
            ("udp://a.example:65536/", UrlError::Port),
            ("udp://a.example:+80/", UrlError::Port),
            ("http://a.example/a b", UrlError::Character),
            ("http://a.example/\r\nHost: b", UrlError::Character),
        ] {
            assert_eq!(TrackerUrl::parse(text), Err(error), "{text}");
        }
        let long = format!("http://a.example/{}", "x".repeat(URL_LEN_MAX));
        assert_eq!(TrackerUrl::parse(&long), Err(UrlError::TooLong));
    }

    #[test]
    fn a_key_is_hidden_wherever_a_tracker_keeps_it() {
        for (url, shown) in [
            ("https://a.example/announce/k3y", "https://a.example/announce/***"),
            ("https://a.example?k3y", "https://a.example?***"),
            ("https://a.example/a.php?uid=7&k3y#k", "https://a.example/***?uid=***&***"),
            ("https://k3y@a.example:8080", "https://***@a.example:8080"),
            ("udp://a.example:80/k3y/", "udp://a.example:80/***/"),
            ("k3y", "***"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn an_error_that_quotes_the_url_or_the_key_loses_it() {
        let url = "https://a.example/0123456789abcdef/announce?pass=secretkey";
        let clean =
            without_secrets("GET https://a.example/0123456789abcdef/announce?pass=secretkey: refused", url);
        assert_eq!(clean, "GET https://a.example/***/announce?pass=***: refused");
        assert_eq!(without_secrets("unknown key 0123456789abcdef", url), "unknown key ***");
    }
}
