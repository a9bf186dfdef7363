//! Announce URLs and what is in the answers (BEP 3, 7, 23, 24, 31, 48).
//!
//! Dictionaries are read as other clients read them: a key of the wrong type counts as absent, bytes after the
//! dictionary are ignored. What decides is whether there are peers in it.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{Announce, AnnounceEvent, Answer, BodyError, Retry, Scrape, TrackerError, words};
use crate::bencode::{self, Kind, Limits, Value};
use crate::compact;

/// The URL to GET for `announce`, built on the tracker's own `url`; a query that is there already stays.
///
/// `tracker_id` is what the same tracker gave as [`Answer::tracker_id`].
#[must_use]
pub fn announce_url(url: &str, announce: &Announce, tracker_id: Option<&[u8]>) -> String {
    let Announce { info_hash, key, event, numbers } = announce;
    let mut out = with_query(url);
    let _ = write!(
        out,
        "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&numwant={}&key={key:08X}&compact=1&no_peer_id=1",
        percent_encode(info_hash, ESCAPED),
        percent_encode(&numbers.peer_id.0, ESCAPED),
        numbers.port,
        numbers.uploaded,
        numbers.downloaded,
        numbers.left,
        numbers.numwant,
    ); // a String takes everything
    out.push_str(match event {
        AnnounceEvent::Regular => "",
        AnnounceEvent::Started => "&event=started",
        AnnounceEvent::Completed => "&event=completed",
        AnnounceEvent::Stopped => "&event=stopped",
    });
    if let Some(id) = tracker_id {
        let _ = write!(out, "&trackerid={}", percent_encode(id, ESCAPED));
    }
    out
}

/// Reads the body of an answer to an announce.
///
/// # Errors
///
/// The tracker's own refusal, or what is wrong with the body.
pub fn parse_announce(body: &[u8]) -> Result<Answer, TrackerError> {
    let document = document(body)?;
    let root = dictionary(&document)?;
    let mut answer = Answer::default();
    for (key, value) in root.entries() {
        match key {
            b"interval" => answer.interval = seconds(value),
            b"min interval" => answer.min_interval = seconds(value),
            b"complete" => answer.seeders = count(value),
            b"incomplete" => answer.leechers = count(value),
            b"downloaded" => answer.downloaded = count(value),
            b"tracker id" => {
                let id = value.as_bytes().filter(|id| id.len() <= TRACKER_ID_MAX);
                answer.tracker_id = id.map(Bytes::copy_from_slice);
            }
            b"warning message" => {
                answer.warning = value.as_bytes().map(words).filter(|words| !words.is_empty());
            }
            b"external ip" => answer.external_ip = value.as_bytes().and_then(address),
            b"peers" => read_peers(value, &mut answer)?,
            b"peers6" => answer.add_peers(compact::v6(value.as_bytes().unwrap_or_default())),
            _ => {}
        }
    }
    Ok(answer)
}

/// The URL to GET for a scrape of `info_hash`; `None` when the tracker's announce URL has no scrape URL: when
/// the last part of its path does not begin with `announce` (BEP 48).
#[must_use]
pub fn scrape_url(url: &str, info_hash: [u8; 20]) -> Option<String> {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    };
    let (before, last) = path.rsplit_once('/')?;
    let after = last.strip_prefix("announce")?;
    if before.ends_with(":/") {
        return None; // that was a host called announce, not a path
    }
    let mut scrape = String::with_capacity(url.len() + 80);
    let _ = write!(scrape, "{before}/scrape{after}");
    if let Some(query) = query {
        let _ = write!(scrape, "?{query}");
    }
    let mut out = with_query(&scrape);
    let _ = write!(out, "info_hash={}", percent_encode(&info_hash, ESCAPED));
    Some(out)
}

/// Reads the body of an answer to a scrape of `info_hash`.
///
/// # Errors
///
/// The tracker's own refusal, or what is wrong with the body.
pub fn parse_scrape(body: &[u8], info_hash: [u8; 20]) -> Result<Scrape, TrackerError> {
    let document = document(body)?;
    let root = dictionary(&document)?;
    let file = root.get(b"files").and_then(|files| files.get(&info_hash));
    let file = file.ok_or(TrackerError::Body(BodyError::OtherTorrent))?;
    let number = |key: &[u8]| file.get(key).and_then(count).unwrap_or(0);
    Ok(Scrape {
        seeders: number(b"complete"),
        leechers: number(b"incomplete"),
        downloaded: number(b"downloaded"),
    })
}

/// `parsed` as an HTTP `status` lets it stand: a status other than success is an error by itself, but a tracker
/// that says why in its body is quoted.
///
/// # Errors
///
/// [`TrackerError::Status`], or what `parsed` says.
pub fn checked<T>(status: u16, parsed: Result<T, TrackerError>) -> Result<T, TrackerError> {
    match parsed {
        Err(failure @ TrackerError::Failure { .. }) => Err(failure),
        _ if !(200..300).contains(&status) => Err(TrackerError::Status(status)),
        other => other,
    }
}

/// `url` ready for the first `name=value` to follow, safe to put on a request line.
fn with_query(url: &str) -> String {
    let mut out = String::with_capacity(url.len() + 300);
    for byte in url.bytes() {
        match byte {
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    match url.split_once('?') {
        None => out.push('?'),
        Some((_, "")) => {}
        Some((_, query)) if query.ends_with('&') => {}
        Some(_) => out.push('&'),
    }
    out
}

fn document(body: &[u8]) -> Result<bencode::Document<'_>, TrackerError> {
    match bencode::decode_prefix(body, LIMITS) {
        Ok((document, _trailing)) => Ok(document),
        Err(error) => Err(TrackerError::Body(BodyError::Bencode(error))),
    }
}

/// The answer's dictionary, unless it is a refusal.
fn dictionary<'a>(document: &'a bencode::Document<'_>) -> Result<Value<'a>, TrackerError> {
    let root = document.root();
    if root.kind() != Kind::Dict {
        return Err(TrackerError::Body(BodyError::NotADictionary));
    }
    let Some(reason) = root.get(b"failure reason").and_then(Value::as_bytes) else { return Ok(root) };
    let retry = match root.get(b"retry in") {
        Some(value) if value.as_bytes() == Some(b"never") => Retry::Never,
        Some(value) => minutes(value).map_or(Retry::Unsaid, Retry::After),
        None => Retry::Unsaid,
    };
    Err(TrackerError::Failure { reason: words(reason), retry })
}

/// BEP 31 says an integer; some trackers write it as a string.
fn minutes(value: Value<'_>) -> Option<Duration> {
    let minutes = value.as_int().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(minutes)
        .ok()
        .filter(|minutes| *minutes > 0)
        .map(|minutes| Duration::from_secs(60 * u64::from(minutes)))
}

fn read_peers(value: Value<'_>, answer: &mut Answer) -> Result<(), TrackerError> {
    match value.kind() {
        Kind::Bytes => answer.add_peers(compact::v4(value.as_bytes().unwrap_or_default())),
        Kind::List => {
            for peer in value.items() {
                // A name in place of an address would have us look up whatever a stranger likes.
                let address =
                    peer.get(b"ip").and_then(Value::as_str).and_then(|ip| ip.parse::<IpAddr>().ok());
                let port =
                    peer.get(b"port").and_then(Value::as_int).and_then(|port| u16::try_from(port).ok());
                if let (Some(address), Some(port)) = (address, port) {
                    answer.add_peers(core::iter::once(SocketAddr::new(address.to_canonical(), port)));
                }
            }
        }
        Kind::Int | Kind::Dict => return Err(TrackerError::Body(BodyError::Peers)),
    }
    Ok(())
}

/// A span in seconds; a negative one is none at all.
fn seconds(value: Value<'_>) -> Option<Duration> {
    value.as_int().map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// A number of peers; trackers write -1 when they do not know.
fn count(value: Value<'_>) -> Option<u32> {
    value.as_int().and_then(|count| u32::try_from(count).ok())
}

/// BEP 24: 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(|v6| IpAddr::from(v6).to_canonical()).ok())
}

/// All but the characters that RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A body of 1 MiB full of peers as dictionaries has half as many values.
const LIMITS: Limits = Limits { depth: 10, tokens: 1 << 18 };

/// Longest `tracker id` that is sent back, in bytes; those in use have a few dozen.
const TRACKER_ID_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    use super::*;
    use crate::id::PeerId;
    use crate::tracker::{ANSWER_PEERS_MAX, Numbers};

    fn announce(event: AnnounceEvent) -> Announce {
        let numbers = Numbers {
            peer_id: PeerId(*b"-PF0100-a~b c&d=e?f#"),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: 3,
            numwant: 50,
        };
        let mut info_hash = [0xff; 20];
        info_hash[..4].copy_from_slice(b"a\0 +");
        Announce { info_hash, key: 0xab, event, numbers }
    }

    fn peers(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|peer| peer.parse().unwrap()).collect()
    }

    #[test]
    fn an_announce_url_says_everything_and_escapes_raw_bytes() {
        let url = announce_url("http://a.example/announce", &announce(AnnounceEvent::Started), Some(b"t i"));
        assert_eq!(
            url,
            format!(
                "http://a.example/announce?info_hash=a%00%20%2B{}&peer_id=-PF0100-a~b%20c%26d%3De%3Ff%23&port=6881\
                 &uploaded=1&downloaded=2&left=3&numwant=50&key=000000AB&compact=1&no_peer_id=1&event=started\
                 &trackerid=t%20i",
                "%FF".repeat(16)
            )
        );
        assert!(!announce_url("http://a/", &announce(AnnounceEvent::Regular), None).contains("event"));
    }

    #[test]
    fn a_query_that_is_there_stays_in_front() {
        for (url, start) in [
            ("http://a.example/announce.php?passkey=k", "http://a.example/announce.php?passkey=k&info_hash="),
            ("http://a.example/x?", "http://a.example/x?info_hash="),
            ("http://a.example/x?a&", "http://a.example/x?a&info_hash="),
            ("http://a.example", "http://a.example?info_hash="),
            ("http://a.example/\u{e9} x", "http://a.example/%C3%A9%20x?info_hash="),
        ] {
            let got = announce_url(url, &announce(AnnounceEvent::Regular), None);
            assert!(got.starts_with(start), "{got}");
        }
    }

    #[test]
    fn an_answer_with_compact_peers_of_both_families() {
        let body = [
            b"d8:completei5e10:downloadedi9e11:external ip4:\x01\x02\x03\x0410:incompletei-1e8:intervali900e\
              12:min intervali300e5:peers7:\x05\x06\x07\x08\x1a\xe1x6:peers618:"
                .as_slice(),
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80],
            b"10:tracker id3:abc15:warning message5:o\x1bld!e\n",
        ]
        .concat();
        assert_eq!(
            parse_announce(&body),
            Ok(Answer {
                interval: Some(Duration::from_secs(900)),
                min_interval: Some(Duration::from_secs(300)),
                peers: peers(&["5.6.7.8:6881", "[2001:db8::1]:80"]),
                seeders: Some(5),
                leechers: None,
                downloaded: Some(9),
                tracker_id: Some(Bytes::from_static(b"abc")),
                warning: Some(String::from("old!")),
                external_ip: Some(IpAddr::from([1, 2, 3, 4])),
            })
        );
    }

    #[test]
    fn peers_as_dictionaries_without_those_that_cannot_be_dialled() {
        let body = b"d5:peersld2:ip7:1.2.3.47:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti80eed2:ip11:2001:db8::14:porti81ee\
                     d2:ip9:localhost4:porti80eed2:ip7:1.2.3.44:porti0eed2:ip7:1.2.3.44:porti70000eed4:porti1eei7eee";
        assert_eq!(parse_announce(body).unwrap().peers, peers(&["1.2.3.4:80", "[2001:db8::1]:81"]));
    }

    #[test]
    fn a_huge_answer_gives_so_many_peers_and_no_more() {
        let one = "d2:ip7:1.2.3.44:porti80ee";
        let body = format!("d5:peersl{}ee", one.repeat(10_000));
        assert_eq!(parse_announce(body.as_bytes()).unwrap().peers.len(), ANSWER_PEERS_MAX);
    }

    #[test]
    fn a_refusal_with_what_it_says_about_trying_again() {
        for (retry, want) in [
            ("", Retry::Unsaid),
            ("8:retry ini5e", Retry::After(Duration::from_secs(300))),
            ("8:retry in1:5", Retry::After(Duration::from_secs(300))),
            ("8:retry ini-1e", Retry::Unsaid),
            ("8:retry ini9223372036854775807e", Retry::Unsaid),
            ("8:retry in5:never", Retry::Never),
        ] {
            let body = format!("d14:failure reason4:full{retry}e");
            let failure = TrackerError::Failure { reason: String::from("full"), retry: want };
            assert_eq!(parse_announce(body.as_bytes()), Err(failure));
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        assert!(matches!(parse_announce(b"<html>"), Err(TrackerError::Body(BodyError::Bencode(_)))));
        assert_eq!(parse_announce(b"i7e"), Err(TrackerError::Body(BodyError::NotADictionary)));
        assert_eq!(parse_announce(b"d5:peersi1ee"), Err(TrackerError::Body(BodyError::Peers)));
        assert_eq!(parse_announce(b"de"), Ok(Answer::default()), "nothing to say is no error");
    }

    #[test]
    fn a_status_is_an_error_unless_the_tracker_says_why() {
        assert_eq!(checked(404, parse_announce(b"<html>")), Err(TrackerError::Status(404)));
        assert_eq!(checked(500, parse_announce(b"de")), Err(TrackerError::Status(500)));
        let refusal = checked(403, parse_announce(b"d14:failure reason2:noe"));
        assert_eq!(refusal, Err(TrackerError::Failure { reason: String::from("no"), retry: Retry::Unsaid }));
        assert_eq!(checked(200, parse_announce(b"de")), Ok(Answer::default()));
    }

    #[test]
    fn scrape_urls_as_bep_48_derives_them() {
        let escaped = "%01".repeat(20);
        for (url, start) in [
            ("http://a.example/announce", Some("http://a.example/scrape?info_hash=")),
            ("http://a.example/x/announce", Some("http://a.example/x/scrape?info_hash=")),
            ("http://a.example/announce.php", Some("http://a.example/scrape.php?info_hash=")),
            ("http://a.example/announce?x2%0644", Some("http://a.example/scrape?x2%0644&info_hash=")),
            ("http://a.example/x/announce?x=2/4", Some("http://a.example/x/scrape?x=2/4&info_hash=")),
            ("http://a.example/a", None),
            ("http://announce.example", None),
            ("http://a.example/x%064announce", None),
        ] {
            assert_eq!(scrape_url(url, [1; 20]), start.map(|start| format!("{start}{escaped}")), "{url}");
        }
    }

    #[test]
    fn a_scrape_answers_for_this_torrent_or_not_at_all() {
        let body = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei5e10:downloadedi50e10:incompletei10eeee";
        assert_eq!(parse_scrape(body, [b'a'; 20]), Ok(Scrape { seeders: 5, leechers: 10, downloaded: 50 }));
        assert_eq!(parse_scrape(body, [b'b'; 20]), Err(TrackerError::Body(BodyError::OtherTorrent)));
        assert!(matches!(
            parse_scrape(b"d14:failure reason2:noe", [0; 20]),
            Err(TrackerError::Failure { .. })
        ));
    }
}
