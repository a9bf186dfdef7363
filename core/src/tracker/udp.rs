//! The datagrams of the UDP tracker protocol (BEP 15), with the URL option of BEP 41.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{AnnounceEvent, Answer, Retry, TrackerError, words};
use crate::compact;

/// An announce to a UDP tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// What to say.
    pub announce: super::Announce,
    /// Path and query of the tracker's URL, for trackers that tell users apart by it (BEP 41); may be empty.
    pub url_data: String,
}

/// What a tracker sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The connection id to announce with, valid for [`CONNECTION_TIME`].
    Connect(u64),
    /// The answer to an announce.
    Announce(Answer),
    /// A refusal.
    Error(TrackerError),
}

/// How long a connection id may be used (BEP 15).
pub const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// Asks for a connection id.
#[must_use]
pub fn connect(transaction: u32) -> Bytes {
    let mut out = Vec::with_capacity(16);
    out.extend_from_slice(&PROTOCOL_ID.to_be_bytes());
    out.extend_from_slice(&CONNECT.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
    Bytes::from(out)
}

impl Announce {
    /// The announce as a datagram.
    #[must_use]
    pub fn encode(&self, connection: u64, transaction: u32) -> Bytes {
        let super::Announce { info_hash, key, event, numbers } = &self.announce;
        let event: u32 = match event {
            AnnounceEvent::Regular => 0,
            AnnounceEvent::Completed => 1,
            AnnounceEvent::Started => 2,
            AnnounceEvent::Stopped => 3,
        };
        let mut out = Vec::with_capacity(ANNOUNCE_LEN + self.url_data.len() + 16);
        out.extend_from_slice(&connection.to_be_bytes());
        out.extend_from_slice(&ANNOUNCE.to_be_bytes());
        out.extend_from_slice(&transaction.to_be_bytes());
        out.extend_from_slice(info_hash);
        out.extend_from_slice(&numbers.peer_id.0);
        out.extend_from_slice(&numbers.downloaded.to_be_bytes());
        out.extend_from_slice(&numbers.left.to_be_bytes());
        out.extend_from_slice(&numbers.uploaded.to_be_bytes());
        out.extend_from_slice(&event.to_be_bytes());
        out.extend_from_slice(&[0; 4]); // our address: the one this comes from
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&numbers.numwant.to_be_bytes());
        out.extend_from_slice(&numbers.port.to_be_bytes());
        self.options(&mut out);
        Bytes::from(out)
    }

    /// BEP 41: the URL's path and query in runs of up to 255 bytes, up to the first that does not fit a
    /// datagram.
    fn options(&self, out: &mut Vec<u8>) {
        if matches!(self.url_data.as_str(), "" | "/") {
            return;
        }
        for run in self.url_data.as_bytes().chunks(255) {
            if out.len() + 2 + run.len() > DATAGRAM_LEN_MAX {
                return; // the end of the datagram ends the options as well
            }
            out.push(OPTION_URL_DATA);
            out.push(run.len() as u8);
            out.extend_from_slice(run);
        }
        out.push(OPTION_END);
    }
}

/// The transaction id that a datagram would be the reply to.
#[must_use]
pub fn transaction(data: &[u8]) -> Option<u32> {
    word(data, 4)
}

/// Reads a reply. `ipv6` says over which family it came, and so how long its peers are.
///
/// # Errors
///
/// [`TrackerError::Datagram`] for an unknown action or a length its action cannot have.
pub fn parse(data: &[u8], ipv6: bool) -> Result<Reply, TrackerError> {
    let action = word(data, 0).unwrap_or(u32::MAX);
    let misfit = TrackerError::Datagram { action, len: data.len() };
    match action {
        CONNECT => match data.get(8..16).and_then(<[u8]>::first_chunk) {
            Some(id) => Ok(Reply::Connect(u64::from_be_bytes(*id))),
            None => Err(misfit),
        },
        ANNOUNCE => {
            let (Some(interval), Some(leechers), Some(seeders), Some(entries)) =
                (word(data, 8), word(data, 12), word(data, 16), data.get(20..))
            else {
                return Err(misfit);
            };
            let mut answer = Answer {
                interval: Some(Duration::from_secs(interval.into())),
                seeders: Some(seeders),
                leechers: Some(leechers),
                ..Answer::default()
            };
            if ipv6 {
                answer.add_peers(compact::v6(entries));
            } else {
                answer.add_peers(compact::v4(entries));
            }
            Ok(Reply::Announce(answer))
        }
        ERROR => match data.get(8..) {
            Some(reason) => {
                Ok(Reply::Error(TrackerError::Failure { reason: words(reason), retry: Retry::Unsaid }))
            }
            None => Err(misfit),
        },
        _ => Err(misfit),
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

const PROTOCOL_ID: u64 = 0x417_2710_1980;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const ERROR: u32 = 3;
const ANNOUNCE_LEN: usize = 98;
const OPTION_END: u8 = 0;
const OPTION_URL_DATA: u8 = 2;
/// Fits every path without being cut up: IPv6's smallest MTU less its header and UDP's.
const DATAGRAM_LEN_MAX: usize = 1_232;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::id::PeerId;
    use crate::tracker::Numbers;

    fn announce(url_data: &str) -> Announce {
        let numbers = Numbers {
            peer_id: PeerId(*b"-PF0100-abcdefghijkl"),
            port: 6881,
            uploaded: 3,
            downloaded: 1,
            left: 2,
            numwant: 50,
        };
        let announce = crate::tracker::Announce {
            info_hash: [7; 20],
            key: 0xaabb_ccdd,
            event: AnnounceEvent::Started,
            numbers,
        };
        Announce { announce, url_data: url_data.to_string() }
    }

    #[test]
    fn an_announce_lies_in_the_datagram_as_bep_15_says() {
        let data = announce("").encode(0x0102_0304_0506_0708, 0x1122_3344);
        assert_eq!(data.len(), 98);
        assert_eq!(data[..16], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0x11, 0x22, 0x33, 0x44]);
        assert_eq!(data[16..36], [7; 20]);
        assert_eq!(data[36..56], *b"-PF0100-abcdefghijkl");
        assert_eq!((data[63], data[71], data[79]), (1, 2, 3), "downloaded, left, uploaded");
        assert_eq!(data[80..84], [0, 0, 0, 2], "started");
        assert_eq!(data[88..92], [0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(data[92..96], [0, 0, 0, 50]);
        assert_eq!(data[96..98], 6881_u16.to_be_bytes());
    }

    #[test]
    fn the_path_follows_as_bep_41_says() {
        let data = announce("/dir?a=b").encode(0, 0);
        assert_eq!(data[98..], *b"\x02\x08/dir?a=b\x00");
        let long = "x".repeat(300);
        let data = announce(&long).encode(0, 0);
        assert_eq!(
            (data[98], data[99], data[355], data[356], data.len()),
            (2, 255, 2, 45, 98 + 2 + 255 + 2 + 45 + 1)
        );
        assert!(announce(&"x".repeat(2048)).encode(0, 0).len() <= DATAGRAM_LEN_MAX);
    }

    #[test]
    fn a_reply_of_an_impossible_length_or_action_is_named() {
        for (data, action) in [
            (&[][..], u32::MAX),
            (&[0, 0, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7], 0),
            (&[0, 0, 0, 1, 9, 9, 9, 9, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0], 1),
            (&[0, 0, 0, 3, 9, 9, 9], 3),
            (&[0, 0, 0, 2, 9, 9, 9, 9], 2),
        ] {
            assert_eq!(parse(data, false), Err(TrackerError::Datagram { action, len: data.len() }));
        }
    }

    #[test]
    fn peers_are_as_long_as_their_family() {
        let mut data = Vec::from([0, 0, 0, 1, 9, 9, 9, 9, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2]);
        data.extend_from_slice(&[1, 2, 3, 4, 0, 80, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1]);
        let Ok(Reply::Announce(v4)) = parse(&data, false) else { panic!("no answer") };
        let Ok(Reply::Announce(v6)) = parse(&data, true) else { panic!("no answer") };
        assert_eq!((v4.peers.len(), v6.peers.len()), (2, 1), "the second has port 0");
        assert_eq!(
            (v4.seeders, v4.leechers, v4.interval),
            (Some(2), Some(1), Some(Duration::from_secs(0x708)))
        );
    }

    #[test]
    fn a_refusal_is_fit_for_a_screen() {
        let data = [b"\0\0\0\x03\x09\x09\x09\x09go \x1b[31maway\0".as_slice(), &[b'!'; 2000]].concat();
        let Ok(Reply::Error(TrackerError::Failure { reason, .. })) = parse(&data, false) else {
            panic!("no refusal")
        };
        assert!(reason.starts_with("go [31maway!"), "{reason}");
        assert_eq!(reason.chars().count(), 256);
    }
}
