//! Magnet links: a torrent's name in one line of text (BEP 9, BEP 53).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use data_encoding::{BASE32, HEXLOWER, HEXLOWER_PERMISSIVE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::url;
use crate::id::InfoHash;

/// A magnet link.
///
/// ```
/// use pieceful_core::metainfo::Magnet;
///
/// let link = "magnet:?xt=urn:btih:c9e15763f722f23e98a29decdfae341b98d53056&dn=Cosmos%20Laundromat&so=0,2-4";
/// let magnet: Magnet = link.parse()?;
/// assert_eq!(magnet.name.as_deref(), Some("Cosmos Laundromat"));
/// assert_eq!(magnet.select, [0..=0, 2..=4]);
/// assert_eq!(magnet.to_string(), link);
/// # Ok::<(), pieceful_core::metainfo::MagnetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// `xt`: which torrent.
    pub info_hash: InfoHash,
    /// `dn`: what to call it until its metadata is known. As it came, so not fit for a path or a terminal.
    pub name: Option<String>,
    /// `tr`: tracker URLs, each a tier of its own.
    pub trackers: Vec<String>,
    /// `ws`: web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// `x.pe`: peers to connect to, as host and port. IPv6 addresses are without brackets.
    pub peers: Vec<(String, u16)>,
    /// `so`: which files to download (BEP 53), counted from 0; all of them when empty.
    pub select: Vec<RangeInclusive<u32>>,
}

/// Why a magnet link is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    #[error("a magnet link begins with \"magnet:?\"")]
    Scheme,
    /// Longer than any that is read.
    #[error("a magnet link of {len} bytes is too long, at most {max} are read")]
    TooLong {
        /// Its length.
        len: usize,
        /// [`MAGNET_LEN_MAX`].
        max: usize,
    },
    /// No `xt` names a torrent: the link is for another network.
    #[error("the magnet link names no torrent: it has no \"xt=urn:btih:\" or \"xt=urn:btmh:\"")]
    NoTorrent,
    /// An `xt` whose hash has the wrong length or other characters.
    #[error("{0:?} in the magnet link is no info-hash")]
    InfoHash(String),
    /// Two `xt` name different torrents.
    #[error("the magnet link names two torrents")]
    TwoTorrents,
    /// `so` is not a list of numbers and ranges.
    #[error("{0:?} in the magnet link does not select files")]
    Select(String),
}

/// Longest link that is read, in bytes: real ones with dozens of trackers have 4,000.
pub const MAGNET_LEN_MAX: usize = 64 * 1024;

/// Trackers, web seeds, peers and ranges that are kept, of each; what follows is ignored.
pub const MAGNET_LIST_MAX: usize = 256;

impl FromStr for Magnet {
    type Err = MagnetError;

    /// Reads a link. What it does not know and malformed hints (trackers, web seeds, peers) are ignored; what
    /// says which data is meant (`xt`, `so`) has to be right.
    fn from_str(link: &str) -> Result<Self, MagnetError> {
        let link = link.trim();
        if link.len() > MAGNET_LEN_MAX {
            return Err(MagnetError::TooLong { len: link.len(), max: MAGNET_LEN_MAX });
        }
        let query = match link.split_at_checked("magnet:?".len()) {
            Some((scheme, query)) if scheme.eq_ignore_ascii_case("magnet:?") => query,
            _ => return Err(MagnetError::Scheme),
        };
        let (mut v1, mut v2) = (None, None);
        let mut name = None;
        let (mut trackers, mut web_seeds, mut peers) = (Vec::new(), Vec::new(), Vec::new());
        let mut select = Vec::new();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescape(value);
            match plain_key(key) {
                "xt" => read_topic(&value, &mut v1, &mut v2)?,
                "dn" if name.is_none() && !value.is_empty() => name = Some(value.into_owned()),
                "tr" => url::push(&mut trackers, &value, MAGNET_LIST_MAX),
                "ws" => url::push(&mut web_seeds, &value, MAGNET_LIST_MAX),
                "x.pe" if peers.len() < MAGNET_LIST_MAX => peers.extend(read_peer(&value)),
                "so" => read_select(&value, &mut select)?,
                _ => {}
            }
        }
        let info_hash = match (v1, v2) {
            (Some(sha1), Some(sha256)) => InfoHash::hybrid(sha1, sha256),
            (Some(sha1), None) => InfoHash::from_v1(sha1),
            (None, Some(sha256)) => InfoHash::from_v2(sha256),
            (None, None) => return Err(MagnetError::NoTorrent),
        };
        Ok(Self { info_hash, name, trackers, web_seeds, peers, select })
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "magnet:?";
        if let Some(sha1) = self.info_hash.v1() {
            write!(f, "{separator}xt=urn:btih:{}", HEXLOWER.encode(&sha1))?;
            separator = "&";
        }
        if let Some(sha256) = self.info_hash.v2() {
            write!(f, "{separator}xt=urn:btmh:{SHA256_MULTIHASH}{}", HEXLOWER.encode(&sha256))?;
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", escape(name))?;
        }
        for tracker in &self.trackers {
            write!(f, "&tr={}", escape(tracker))?;
        }
        for web_seed in &self.web_seeds {
            write!(f, "&ws={}", escape(web_seed))?;
        }
        for (host, port) in &self.peers {
            match host.contains(':') {
                true => write!(f, "&x.pe=[{}]:{port}", escape(host))?,
                false => write!(f, "&x.pe={}:{port}", escape(host))?,
            }
        }
        for (place, range) in self.select.iter().enumerate() {
            f.write_str(if place == 0 { "&so=" } else { "," })?;
            match range.start() == range.end() {
                true => write!(f, "{}", range.start())?,
                false => write!(f, "{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

/// As the link.
#[cfg(feature = "serde")]
impl serde::Serialize for Magnet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Magnet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The multihash prefix of a SHA-256: its code and its length.
const SHA256_MULTIHASH: &str = "1220";

/// Left alone besides letters and digits: what RFC 3986 calls unreserved, and what is read more easily plain.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

fn escape(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// Percent-decoded, with `+` as a space as forms and most clients write it. Bad UTF-8 becomes U+FFFD.
fn unescape(value: &str) -> Cow<'_, str> {
    match value.contains('+') {
        true => Cow::Owned(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()),
        false => percent_decode_str(value).decode_utf8_lossy(),
    }
}

/// `tr.1` is `tr`: some programs number what comes several times.
fn plain_key(key: &str) -> &str {
    match key.rsplit_once('.') {
        Some((plain, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => plain,
        _ => key,
    }
}

fn read_topic(topic: &str, v1: &mut Option<[u8; 20]>, v2: &mut Option<[u8; 32]>) -> Result<(), MagnetError> {
    let wrong = || MagnetError::InfoHash(topic.to_string());
    if let Some(text) = strip_prefix_ignoring_case(topic, "urn:btih:") {
        let bytes = match text.len() {
            40 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            32 => BASE32.decode(text.to_ascii_uppercase().as_bytes()),
            _ => return Err(wrong()),
        };
        set(v1, bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?)
    } else if let Some(text) = strip_prefix_ignoring_case(topic, "urn:btmh:") {
        let hex = text.strip_prefix(SHA256_MULTIHASH).ok_or_else(wrong)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
        set(v2, bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?)
    } else {
        Ok(()) // names the data in another network
    }
}

fn set<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), MagnetError> {
    match slot {
        Some(other) if *other != value => Err(MagnetError::TwoTorrents),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn read_peer(value: &str) -> Option<(String, u16)> {
    let (host, port) = value.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if host.contains(':') => return None, // IPv6 without brackets: no telling where the port begins
        None => host,
    };
    let port: u16 = port.parse().ok()?;
    (port > 0 && url::is_host(bare)).then(|| (bare.to_string(), port))
}

fn read_select(value: &str, select: &mut Vec<RangeInclusive<u32>>) -> Result<(), MagnetError> {
    for part in value.split(',').filter(|part| !part.is_empty()) {
        let wrong = || MagnetError::Select(part.to_string());
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.parse().map_err(|_| wrong())?;
        let last: u32 = last.parse().map_err(|_| wrong())?;
        if first > last || select.len() >= MAGNET_LIST_MAX {
            return Err(wrong());
        }
        select.push(first..=last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "c9e15763f722f23e98a29decdfae341b98d53056";

    fn parse(rest: &str) -> Magnet {
        alloc::format!("magnet:?xt=urn:btih:{HEX}{rest}").parse().unwrap()
    }

    fn fails(link: &str) -> MagnetError {
        link.parse::<Magnet>().expect_err("this is no magnet link")
    }

    #[test]
    fn hex_and_base32_in_either_case_name_the_same_torrent() {
        let base32 = BASE32.encode(&HEXLOWER.decode(HEX.as_bytes()).unwrap());
        for link in [
            alloc::format!("magnet:?xt=urn:btih:{HEX}"),
            alloc::format!("MAGNET:?xt=URN:BTIH:{}", HEX.to_uppercase()),
            alloc::format!("magnet:?xt.1=urn:btih:{base32}"),
            alloc::format!("  magnet:?dn=x&xt=urn%3Abtih%3A{}\n", base32.to_lowercase()),
        ] {
            assert_eq!(link.parse::<Magnet>().unwrap().info_hash.to_hex(), HEX, "{link}");
        }
    }

    #[test]
    fn a_v2_multihash_and_a_hybrid_are_read() {
        let v2 = "urn:btmh:1220caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";
        let magnet: Magnet = alloc::format!("magnet:?xt={v2}").parse().unwrap();
        assert_eq!(magnet.info_hash.v1(), None);
        assert_eq!(magnet.to_string(), alloc::format!("magnet:?xt={v2}"));
        let hybrid = parse(&alloc::format!("&xt={v2}"));
        assert_eq!(hybrid.info_hash.v2(), magnet.info_hash.v2());
        assert_eq!(hybrid.info_hash.to_hex(), HEX);
        assert_eq!(hybrid.to_string().parse(), Ok(hybrid));
    }

    #[test]
    fn trackers_web_seeds_and_peers_are_read_numbered_or_not() {
        let magnet = parse(
            "&dn=a+b%2Bc&tr=http%3A%2F%2Ft.example%2Fannounce%3Fk%3D1&tr.1=udp://u.example:6969&ws=http://w/\
             &x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:6882&x.pe=host.example:1&tr.2=udp://u.example:6969",
        );
        assert_eq!(magnet.name.as_deref(), Some("a b+c"));
        assert_eq!(magnet.trackers, ["http://t.example/announce?k=1", "udp://u.example:6969"], "each once");
        assert_eq!(magnet.web_seeds, ["http://w/"]);
        let peers: Vec<(&str, u16)> = magnet.peers.iter().map(|(host, port)| (&**host, *port)).collect();
        assert_eq!(peers, [("10.0.0.1", 6881), ("2001:db8::1", 6882), ("host.example", 1)]);
        assert_eq!(magnet.to_string().parse(), Ok(magnet));
    }

    #[test]
    fn malformed_hints_are_ignored() {
        let magnet =
            parse("&x.pe=nowhere&x.pe=h:0&x.pe=:1&x.pe=2001:db8::1&tr=&tr=http://a%0d%0ab/&dn=&zz=1&=&&");
        assert_eq!(magnet, parse(""));
    }

    #[test]
    fn files_are_selected_by_number_and_range() {
        assert_eq!(parse("&so=0,2,4-9").select, [0..=0, 2..=2, 4..=9]);
        assert_eq!(parse("&so=").select, []);
        for wrong in ["x", "3-1", "-", "1-", "4294967296", "0,1,,x"] {
            let link = alloc::format!("magnet:?xt=urn:btih:{HEX}&so={wrong}");
            assert!(matches!(fails(&link), MagnetError::Select(_)), "{wrong}");
        }
    }

    #[test]
    fn a_link_that_names_no_torrent_or_two_is_refused() {
        assert_eq!(fails("http://example.com"), MagnetError::Scheme);
        assert_eq!(fails("magnet:"), MagnetError::Scheme);
        assert_eq!(fails("magnet:?dn=x"), MagnetError::NoTorrent);
        assert_eq!(fails("magnet:?xt=urn:ed2k:31d6cfe0d16ae931b73c59d7e0c089c0"), MagnetError::NoTorrent);
        for wrong in ["", "c9e1", &HEX[1..], &alloc::format!("{}g", &HEX[1..])] {
            let link = alloc::format!("magnet:?xt=urn:btih:{wrong}");
            assert!(matches!(fails(&link), MagnetError::InfoHash(_)), "{wrong}");
        }
        assert!(matches!(fails("magnet:?xt=urn:btmh:1114ab"), MagnetError::InfoHash(_)));
        let two = alloc::format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}", "0".repeat(40));
        assert_eq!(fails(&two), MagnetError::TwoTorrents);
    }

    #[test]
    fn long_links_and_long_lists_are_cut() {
        let link = alloc::format!("magnet:?xt=urn:btih:{HEX}&dn={}", "x".repeat(MAGNET_LEN_MAX));
        assert!(matches!(fails(&link), MagnetError::TooLong { .. }));
        let peers: String = (1..=300).map(|port| alloc::format!("&x.pe=h:{port}")).collect();
        assert_eq!(parse(&peers).peers.len(), MAGNET_LIST_MAX);
        let files: Vec<String> = (0..300).map(|file| (2 * file).to_string()).collect();
        let link = alloc::format!("magnet:?xt=urn:btih:{HEX}&so={}", files.join(","));
        assert!(matches!(fails(&link), MagnetError::Select(_)));
    }
}
