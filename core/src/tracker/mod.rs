//! Asking trackers for peers: whom, when, in which words, and what to believe of the answer.
//!
//! [`Trackers`] is one torrent's tiers and timetable; [`UdpTrackers`] speaks the UDP protocol for any number of
//! torrents; [`http`] builds URLs and reads bodies. None of them does any I/O.
//!
//! By hand, an announce over HTTP is a URL and the reading of what comes back:
//!
//! ```
//! use pieceful_core::id::PeerId;
//! use pieceful_core::tracker::{Announce, AnnounceEvent, Numbers, http};
//!
//! # fn get(url: &str) -> (u16, Vec<u8>) {
//! #     assert!(url.starts_with("http://tracker.example/announce?info_hash=%07%07"));
//! #     (200, b"d8:intervali1800e5:peers6:\x05\x06\x07\x08\x1a\xe1e".to_vec())
//! # }
//! let announce = Announce {
//!     info_hash: [7; 20],
//!     key: 0x5eed,
//!     event: AnnounceEvent::Started,
//!     numbers: Numbers {
//!         peer_id: PeerId(*b"-PF0100-0123456789ab"),
//!         port: 6881,
//!         uploaded: 0,
//!         downloaded: 0,
//!         left: 1 << 20,
//!         numwant: 50,
//!     },
//! };
//! let url = http::announce_url("http://tracker.example/announce", &announce, None);
//! let (status, body) = get(&url);
//! let answer = http::checked(status, http::parse_announce(&body))?;
//! assert_eq!(answer.peers, ["5.6.7.8:6881".parse()?]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! [`Trackers`] does that and the timetable: its [`Action`]s say what to fetch or whom to ask over UDP, and its
//! [`deadline`](Trackers::deadline) when to call [`tick`](Trackers::tick).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use crate::id::PeerId;
use crate::scope::{self, NamedBy};

mod error;
pub mod http;
mod names;
mod tiers;
mod timetable;
pub mod udp;
mod udp_session;
mod url;

pub use error::{BodyError, Retry, TrackerError, UrlError};
pub use tiers::Trackers;
pub use udp_session::{QueryTag, UdpAction, UdpTrackers};
pub use url::{Scheme, TrackerUrl, redacted};

/// Longest tracker URL: the longest that all browsers and servers of old agree on.
pub const URL_LEN_MAX: usize = 2048;
/// Tiers of one torrent; more are dropped. Lists found in the wild have some twenty.
pub const TIERS_MAX: usize = 50;
/// Trackers of one torrent in all tiers; more are dropped.
pub const TRACKERS_MAX: usize = 200;
/// Announces of one torrent under way at once. Dead trackers are common and take minutes to give up on, so a
/// few must not keep the live ones waiting.
pub const ANNOUNCES_MAX: usize = 16;
/// Peers taken from one answer, the rest is dropped: as many as a torrent remembers.
pub const ANSWER_PEERS_MAX: usize = 2_000;
/// UDP announces of all torrents under way at once; each takes some 500 bytes.
pub const UDP_REQUESTS_MAX: usize = 16_384;

/// What an announce is about (BEP 3, `event`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnounceEvent {
    /// Still here.
    #[default]
    Regular,
    /// The first since the torrent was started.
    Started,
    /// The last piece has come.
    Completed,
    /// The last one.
    Stopped,
}

/// A torrent's numbers at the moment of an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Who we are.
    pub peer_id: PeerId,
    /// The port peers reach us at; 0 when they cannot.
    pub port: u16,
    /// Payload bytes sent since the torrent was started.
    pub uploaded: u64,
    /// Payload bytes received since the torrent was started.
    pub downloaded: u64,
    /// Bytes still missing.
    pub left: u64,
    /// Peers wanted.
    pub numwant: u32,
}

/// What we tell a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The torrent ([`InfoHash::on_the_wire`](crate::id::InfoHash::on_the_wire)).
    pub info_hash: [u8; 20],
    /// By which a tracker knows us again when our address changes.
    pub key: u32,
    /// Why now.
    pub event: AnnounceEvent,
    /// How things stand.
    pub numbers: Numbers,
}

/// What a tracker tells us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// When it wants to hear from us next, as it says; `None` when it does not say.
    pub interval: Option<Duration>,
    /// How soon we may ask again at the earliest.
    pub min_interval: Option<Duration>,
    /// Peers, at most [`ANSWER_PEERS_MAX`], none with port 0.
    pub peers: Vec<SocketAddr>,
    /// Peers that have everything.
    pub seeders: Option<u32>,
    /// The others.
    pub leechers: Option<u32>,
    /// How often the torrent was completed.
    pub downloaded: Option<u32>,
    /// To be sent back with every announce to this tracker.
    pub tracker_id: Option<Bytes>,
    /// Something it wants people to read: control characters removed, cut to 256 characters.
    pub warning: Option<String>,
    /// Our address as it sees it (BEP 24).
    pub external_ip: Option<IpAddr>,
}

impl Answer {
    /// Adds peers, as far as there is room and they can be dialled.
    fn add_peers(&mut self, peers: impl Iterator<Item = SocketAddr>) {
        let room = ANSWER_PEERS_MAX.saturating_sub(self.peers.len());
        self.peers.extend(peers.filter(|peer| peer.port() != 0).take(room));
    }

    /// Drops the peers that a machine at `from` has no business naming ([`crate::scope`]).
    pub fn drop_out_of_scope(&mut self, from: IpAddr) {
        let Some(own) = scope::scope(from) else {
            self.peers.clear();
            return;
        };
        self.peers.retain(|peer| scope::may_name(NamedBy::Host(own), peer.ip()));
    }
}

/// How many peers a torrent has, as a tracker counts them (BEP 48).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// Peers that have everything.
    pub seeders: u32,
    /// The others.
    pub leechers: u32,
    /// How often the torrent was completed.
    pub downloaded: u32,
}

/// One request of a [`Trackers`], to be given back with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnounceTag(u64);

/// What a [`Trackers`] wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make one HTTP GET request and answer with [`Trackers::fetched`].
    Fetch {
        /// To answer with.
        tag: AnnounceTag,
        /// The whole URL: secret, like the passkey in it.
        url: String,
        /// Who named it; decides which addresses it may lead to.
        named_by: NamedBy,
    },
    /// Ask a UDP tracker ([`UdpTrackers::ask`]) and answer with [`Trackers::udp_answered`].
    Udp {
        /// To answer with.
        tag: AnnounceTag,
        /// Host name or literal address.
        host: String,
        /// UDP port.
        port: u16,
        /// Who named it; decides which addresses it may lead to.
        named_by: NamedBy,
        /// What to say.
        announce: udp::Announce,
    },
    /// Nobody waits for this any more: if it has not left yet, it need not. An answer is ignored.
    Cancel {
        /// Which.
        tag: AnnounceTag,
    },
    /// A tracker answered.
    Answered {
        /// The tracker, as [`redacted`] shows it.
        url: String,
        /// What it said, without the peers it has no business naming.
        answer: Answer,
        /// How far the tracker reaches, and so whom it may name.
        from: NamedBy,
    },
    /// A tracker answered a scrape.
    Scraped {
        /// The tracker, as [`redacted`] shows it.
        url: String,
        /// What it said.
        scrape: Scrape,
    },
    /// An announce or scrape failed; for announces the next tracker, or a later try, follows by itself.
    Failed {
        /// The tracker, as [`redacted`] shows it.
        url: String,
        /// Why.
        error: TrackerError,
    },
    /// After [`Trackers::stop`]: everyone who had to be told is told, or was given up on.
    Told,
}

/// A stranger's words, fit for a terminal: no control characters, at most 256 characters.
fn words(text: &[u8]) -> String {
    /// More than any tracker has to say, and two lines on a screen.
    const WORDS_MAX: usize = 256;

    let text = String::from_utf8_lossy(text.get(..4 * WORDS_MAX).unwrap_or(text));
    text.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(WORDS_MAX).collect()
}

/// Characters that reorder or hide what is around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
