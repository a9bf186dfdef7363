//! The extension handshake: which extensions a peer speaks, and what it says about itself (BEP 10).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::WireError;
use crate::bencode::{self, Kind, Limits, Value};
use crate::id::PieceIndex;

/// The payload of an [`Extended`](super::Message::Extended) message with id [`HANDSHAKE_ID`].
///
/// A peer may send it again to change what it said; [`ExtensionIds::update`] applies that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// The ids the sender wants to receive each extension under (`m`).
    pub ids: ExtensionIds,
    /// Name and version of the sender (`v`), without control characters and at most
    /// [`CLIENT_CHARS_MAX`] characters.
    pub client: Option<String>,
    /// The sender's listening port (`p`).
    pub port: Option<u16>,
    /// How many requests the sender queues before it drops some (`reqq`).
    pub request_queue: Option<u32>,
    /// The receiver's address as the sender sees it (`yourip`).
    pub your_ip: Option<IpAddr>,
    /// An IPv4 address of the sender's.
    pub ipv4: Option<Ipv4Addr>,
    /// An IPv6 address of the sender's.
    pub ipv6: Option<Ipv6Addr>,
    /// Bytes of the `info` dictionary (BEP 9).
    pub metadata_size: Option<u32>,
    /// The sender will not download anything more: a seed, or a partial one (BEP 21).
    pub upload_only: bool,
}

/// The ids under which a peer receives the extensions we know; `None` where it did not say, 0 where it
/// switched one off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// Metadata exchange (BEP 9).
    pub ut_metadata: Option<u8>,
    /// Peer exchange (BEP 11).
    pub ut_pex: Option<u8>,
    /// "I no longer have this piece" (BEP 54).
    pub lt_donthave: Option<u8>,
    /// Introductions between peers behind NATs (BEP 55).
    pub ut_holepunch: Option<u8>,
    /// Changes of [`ExtendedHandshake::upload_only`] (BEP 21).
    pub upload_only: Option<u8>,
}

/// The extended message id of the handshake itself.
pub const HANDSHAKE_ID: u8 = 0;

/// The extended message id under which we are told of other peers (BEP 11).
pub const PEX_ID: u8 = 1;

/// The extended message id under which we receive changes of `upload_only`.
pub const UPLOAD_ONLY_ID: u8 = 3;

/// The extended message id under which we are asked for metadata (BEP 9).
pub const METADATA_ID: u8 = 2;

/// The extended message id under which we are asked for introductions (BEP 55).
pub const HOLEPUNCH_ID: u8 = 4;

/// The extended message id under which we are told that a piece is gone (BEP 54).
pub const DONT_HAVE_ID: u8 = 7;

/// Longer names are cut: they are for people to read.
pub const CLIENT_CHARS_MAX: usize = 64;

impl ExtensionIds {
    /// Those we listen to in any torrent; [`PEX_ID`] comes beside them in one that is not private. Introductions are
    /// not among them as long as there is nothing that gets through to whom we would be introduced to.
    pub const OURS: Self = Self {
        ut_metadata: Some(METADATA_ID),
        ut_pex: None,
        lt_donthave: Some(DONT_HAVE_ID),
        ut_holepunch: None,
        upload_only: Some(UPLOAD_ONLY_ID),
    };

    /// Applies a later handshake's ids: what it does not name stays as it was.
    pub fn update(&mut self, later: &Self) {
        self.ut_metadata = later.ut_metadata.or(self.ut_metadata);
        self.ut_pex = later.ut_pex.or(self.ut_pex);
        self.lt_donthave = later.lt_donthave.or(self.lt_donthave);
        self.ut_holepunch = later.ut_holepunch.or(self.ut_holepunch);
        self.upload_only = later.upload_only.or(self.upload_only);
    }
}

impl ExtendedHandshake {
    /// Reads a payload; bytes after the dictionary are ignored.
    ///
    /// Fields that are missing, of the wrong type or out of range are left out, as other clients do: a peer
    /// that words one of them oddly still has pieces.
    ///
    /// # Errors
    /// [`WireError::ExtendedHandshake`] and [`WireError::ExtendedNotDictionary`].
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let (document, _) = bencode::decode_prefix(payload, Limits::WIRE)?;
        let root = document.root();
        if root.kind() != Kind::Dict {
            return Err(WireError::ExtendedNotDictionary);
        }
        let mut handshake = Self::default();
        if let Some(ids) = root.get(b"m") {
            for (name, id) in NAMES {
                *id(&mut handshake.ids) = number(ids.get(name));
            }
        }
        handshake.client = root.get(b"v").and_then(Value::as_bytes).and_then(printable);
        handshake.port = number(root.get(b"p")).filter(|&port: &u16| port > 0);
        handshake.request_queue = number(root.get(b"reqq")).filter(|&count: &u32| count > 0);
        handshake.metadata_size = number(root.get(b"metadata_size")).filter(|&size: &u32| size > 0);
        handshake.ipv4 = array(root.get(b"ipv4")).map(Ipv4Addr::from_octets);
        handshake.ipv6 = array(root.get(b"ipv6")).map(Ipv6Addr::from_octets);
        let your_ip = root.get(b"yourip");
        handshake.your_ip = array(your_ip)
            .map(|ip| IpAddr::V4(Ipv4Addr::from_octets(ip)))
            .or_else(|| array(your_ip).map(|ip| IpAddr::V6(Ipv6Addr::from_octets(ip))));
        handshake.upload_only =
            root.get(b"upload_only").and_then(Value::as_int).is_some_and(|flag| flag != 0);
        Ok(handshake)
    }

    /// The payload to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut ids = self.ids;
        bencode::dict(|d| {
            d.dict(b"m", |m| {
                for (name, id) in NAMES {
                    if let Some(id) = *id(&mut ids) {
                        m.int(name, id.into());
                    }
                }
            });
            let numbers = [
                (&b"metadata_size"[..], self.metadata_size),
                (b"p", self.port.map(u32::from)),
                (b"reqq", self.request_queue),
                (b"upload_only", self.upload_only.then_some(1)),
            ];
            for (key, value) in numbers {
                if let Some(value) = value {
                    d.int(key, value.into());
                }
            }
            if let Some(client) = &self.client {
                d.bytes(b"v", client.as_bytes());
            }
            if let Some(ip) = self.ipv4 {
                d.bytes(b"ipv4", &ip.octets());
            }
            if let Some(ip) = self.ipv6 {
                d.bytes(b"ipv6", &ip.octets());
            }
            match self.your_ip {
                Some(IpAddr::V4(ip)) => d.bytes(b"yourip", &ip.octets()),
                Some(IpAddr::V6(ip)) => d.bytes(b"yourip", &ip.octets()),
                None => {}
            }
        })
    }
}

type IdOf = fn(&mut ExtensionIds) -> &mut Option<u8>;

const NAMES: [(&[u8], IdOf); 5] = [
    (b"ut_metadata", |ids| &mut ids.ut_metadata),
    (b"ut_pex", |ids| &mut ids.ut_pex),
    (b"lt_donthave", |ids| &mut ids.lt_donthave),
    (b"ut_holepunch", |ids| &mut ids.ut_holepunch),
    (b"upload_only", |ids| &mut ids.upload_only),
];

/// The piece that a `lt_donthave` message says is no longer there (BEP 54); `None` when it is malformed.
#[must_use]
pub fn dont_have(payload: &[u8]) -> Option<PieceIndex> {
    Some(PieceIndex(u32::from_be_bytes(payload.try_into().ok()?)))
}

fn number<N: TryFrom<i64>>(value: Option<Value<'_>>) -> Option<N> {
    value?.as_int()?.try_into().ok()
}

fn array<const N: usize>(value: Option<Value<'_>>) -> Option<[u8; N]> {
    value?.as_bytes()?.try_into().ok()
}

/// A peer's words, fit for a terminal: no control characters, none that turn the direction of the text.
fn printable(words: &[u8]) -> Option<String> {
    let start = &words[..words.len().min(CLIENT_CHARS_MAX * 8)];
    let words: String = String::from_utf8_lossy(start)
        .chars()
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .take(CLIENT_CHARS_MAX)
        .collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::BencodeError;

    #[test]
    fn what_libtorrent_says_is_understood() {
        let handshake = ExtendedHandshake::parse(
            b"d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e12:ut_holepunchi4e\
              11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei32768e1:pi6881e4:reqqi2000e11:upload_onlyi1e\
              1:v18:libtorrent/2.1.1.06:yourip4:\x7f\0\0\x01e",
        );
        let ids = ExtensionIds {
            ut_metadata: Some(2),
            ut_pex: Some(1),
            lt_donthave: Some(7),
            ut_holepunch: Some(4),
            upload_only: Some(3),
        };
        let said = ExtendedHandshake {
            ids,
            client: Some(String::from("libtorrent/2.1.1.0")),
            port: Some(6881),
            request_queue: Some(2000),
            your_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ipv4: None,
            ipv6: None,
            metadata_size: Some(32768),
            upload_only: true,
        };
        assert_eq!(handshake, Ok(said));
    }

    #[test]
    fn what_is_sent_is_canonical_and_says_only_what_is_known() {
        assert_eq!(ExtendedHandshake::default().encode(), b"d1:mdee");
        let handshake = ExtendedHandshake {
            ids: ExtensionIds { ut_pex: Some(1), ut_metadata: Some(0), ..ExtensionIds::default() },
            ipv6: Some(Ipv6Addr::LOCALHOST),
            port: Some(80),
            ..ExtendedHandshake::default()
        };
        let bytes = b"d4:ipv616:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x011:md11:ut_metadatai0e6:ut_pexi1ee1:pi80ee";
        assert_eq!(handshake.encode(), bytes);
    }

    #[test]
    fn an_odd_field_is_left_out_and_the_rest_is_kept() {
        let odd = b"d4:ipv43:abc1:mli1ee1:p4:68814:reqqi-5e13:metadata_sizei4294967296e11:upload_only1:1\
              6:yourip5:abcde1:vi7ee";
        assert_eq!(ExtendedHandshake::parse(odd), Ok(ExtendedHandshake::default()));
        let odd =
            ExtendedHandshake::parse(b"d1:md6:ut_pexi256e11:ut_metadatai3ee1:pi0e4:reqqi1eejunk").unwrap();
        assert_eq!((odd.ids.ut_pex, odd.ids.ut_metadata), (None, Some(3)));
        assert_eq!((odd.port, odd.request_queue), (None, Some(1)));
        let none = ExtendedHandshake::parse(b"d13:metadata_sizei0e1:pi0e4:reqqi0ee");
        assert_eq!(none, Ok(ExtendedHandshake::default()), "nothing of these can be 0");
    }

    #[test]
    fn a_name_cannot_steer_a_terminal_or_fill_it() {
        let client = |words: &str| {
            let payload = bencode::dict(|d| d.bytes(b"v", words.as_bytes()));
            ExtendedHandshake::parse(&payload).unwrap().client
        };
        assert_eq!(client("\x1b[31mred\u{202e}\r\n").as_deref(), Some("[31mred"));
        assert_eq!(client("µTorrent").as_deref(), Some("µTorrent"));
        assert_eq!(client("\n"), None);
        assert_eq!(client(&"é".repeat(9999)).map(|name| name.chars().count()), Some(CLIENT_CHARS_MAX));
    }

    #[test]
    fn what_is_not_a_dictionary_is_an_error() {
        assert_eq!(ExtendedHandshake::parse(b"le"), Err(WireError::ExtendedNotDictionary));
        let cut = WireError::ExtendedHandshake(BencodeError::Truncated { at: 1 });
        assert_eq!(ExtendedHandshake::parse(b"d"), Err(cut));
    }

    #[test]
    fn a_later_handshake_changes_what_it_names() {
        let mut ids = ExtensionIds { ut_pex: Some(1), ut_metadata: Some(2), ..ExtensionIds::default() };
        ids.update(&ExtensionIds { ut_pex: Some(0), lt_donthave: Some(7), ..ExtensionIds::default() });
        assert_eq!((ids.ut_pex, ids.ut_metadata, ids.lt_donthave), (Some(0), Some(2), Some(7)));
    }

    #[test]
    fn a_piece_that_is_gone_is_named_in_4_bytes() {
        assert_eq!(dont_have(&[0, 0, 1, 2]), Some(PieceIndex(258)));
        assert_eq!(dont_have(&[0, 0, 1]), None);
    }
}
