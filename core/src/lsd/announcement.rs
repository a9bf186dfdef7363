//! The text of an announcement.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// How every announcement begins.
pub const PREFIX: &[u8] = b"BT-SEARCH * HTTP/1.1";

/// Most torrents that are written to one datagram, which then fits into a packet of any network, and most that are read
/// of one.
pub const HASHES_MAX: usize = 20;

/// Longer ones are no announcements.
const LEN_MAX: usize = 4096;
/// Longer cookies are none of ours.
const COOKIE_LEN_MAX: usize = 64;

/// Which torrents somebody has, and where it takes connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The TCP port; not 0.
    pub port: u16,
    /// The torrents, at least one.
    pub hashes: Vec<[u8; 20]>,
    /// Any text by which a sender knows its own announcements.
    pub cookie: Option<String>,
}

impl Announcement {
    /// Reads a datagram; `None` unless it names a port and a torrent. Headers that are unknown or odd are left out, as
    /// are torrents beyond [`HASHES_MAX`].
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        if datagram.len() > LEN_MAX {
            return None;
        }
        let text = core::str::from_utf8(datagram.strip_prefix(PREFIX)?).ok()?;
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        if lines.next() != Some("") {
            return None;
        }
        let (mut port, mut hashes, mut cookie) = (None, Vec::new(), None);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("port") {
                port = value.parse().ok().filter(|port| *port > 0);
            } else if name.eq_ignore_ascii_case("infohash") {
                hashes.extend(
                    info_hash(value).filter(|hash| hashes.len() < HASHES_MAX && !hashes.contains(hash)),
                );
            } else if name.eq_ignore_ascii_case("cookie") && value.len() <= COOKIE_LEN_MAX {
                cookie = Some(String::from(value));
            }
        }
        Some(Self { port: port?, hashes, cookie }).filter(|heard| !heard.hashes.is_empty())
    }

    /// The datagram to send to `group`.
    #[must_use]
    pub fn encode(&self, group: SocketAddr) -> Vec<u8> {
        let mut text = Vec::from(PREFIX);
        let mut line = |line: &str| text.extend_from_slice(line.as_bytes());
        line(&format!("\r\nHost: {group}\r\nPort: {}\r\n", self.port));
        for hash in &self.hashes {
            line(&format!("Infohash: {}\r\n", HEXLOWER.encode(hash)));
        }
        if let Some(cookie) = &self.cookie {
            line(&format!("cookie: {cookie}\r\n"));
        }
        line("\r\n\r\n");
        text
    }
}

fn info_hash(hex: &str) -> Option<[u8; 20]> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789ABCDEF01234567";

    fn parse(text: &str) -> Option<Announcement> {
        Announcement::parse(text.as_bytes())
    }

    #[test]
    fn what_is_written_is_what_bep_14_shows_and_is_read_again() {
        let announcement =
            Announcement { port: 6881, hashes: vec![[0xab; 20]], cookie: Some(String::from("x7")) };
        let group = "239.192.152.143:6771".parse().unwrap();
        let bytes = announcement.encode(group);
        let text = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
                    Infohash: abababababababababababababababababababab\r\ncookie: x7\r\n\r\n\r\n";
        assert_eq!(core::str::from_utf8(&bytes), Ok(text));
        assert_eq!(Announcement::parse(&bytes), Some(announcement.clone()));
        let group = "[ff15::efc0:988f]:6771".parse().unwrap();
        let text = String::from_utf8(announcement.encode(group)).unwrap();
        assert!(text.contains("\r\nHost: [ff15::efc0:988f]:6771\r\n"), "{text}");
    }

    #[test]
    fn other_clients_write_it_in_other_ways() {
        let read =
            parse(&format!("BT-SEARCH * HTTP/1.1\nPORT:80\nX-Odd\ninfohash:{HEX}  \nInfohash: {HEX}\n"))
                .unwrap();
        assert_eq!((read.port, read.hashes.len(), read.cookie), (80, 1, None));
    }

    #[test]
    fn what_names_no_port_or_no_torrent_is_no_announcement() {
        let hash = format!("Infohash: {HEX}\r\n");
        for text in [
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n\r\n",
            &format!("BT-SEARCH * HTTP/1.1\r\n{hash}"),
            &format!("BT-SEARCH * HTTP/1.1\r\nPort: 0\r\n{hash}"),
            &format!("BT-SEARCH * HTTP/1.1\r\nPort: 65536\r\n{hash}"),
            &format!("BT-SEARCH * HTTP/1.10\r\nPort: 1\r\n{hash}"),
            &format!("GET / HTTP/1.1\r\nPort: 1\r\n{hash}"),
            &format!("BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: {}", &HEX[1..]),
            &format!("BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n{hash}{}", " ".repeat(5_000)),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_list_without_end_only_the_beginning_is_read() {
        let hashes: String =
            (0..40_u8).map(|n| format!("Infohash: {}\r\n", HEXLOWER.encode(&[n; 20]))).collect();
        let read = parse(&format!("BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n{hashes}")).unwrap();
        assert_eq!(read.hashes.len(), HASHES_MAX);
    }
}
