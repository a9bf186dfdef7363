//! Names that peers give themselves (BEP 20).

use alloc::format;
use alloc::string::String;

use crate::id::PeerId;
use crate::rng::Rng;

/// A fresh name: `-`, the client's `tag` of two letters and four digits, `-`, and 12 random characters.
///
/// ```
/// use pieceful_core::rng::{Rng, Seed};
///
/// let id = pieceful_core::wire::peer_id(*b"PF0100", &mut Rng::new(Seed([1; 32])));
/// assert!(id.0.starts_with(b"-PF0100-"));
/// ```
#[must_use]
pub fn peer_id(tag: [u8; 6], rng: &mut Rng) -> PeerId {
    let mut id = *b"-000000-............";
    id[1..7].copy_from_slice(&tag);
    for byte in &mut id[8..] {
        *byte = RANDOM[(rng.u32() % 64) as usize];
    }
    PeerId(id)
}

/// Characters that need no escaping in a tracker's URL.
const RANDOM: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// The program a peer id in the Azureus style names, such as `Transmission 4.0.5.0`; for people to read, as
/// anybody can call itself anything.
#[must_use]
pub fn client_name(id: &PeerId) -> Option<String> {
    let [b'-', first, second, version @ .., b'-'] = id.0.first_chunk::<8>()? else { return None };
    let known = CLIENTS.iter().find(|(tag, _)| *tag == [*first, *second]);
    let [major, minor, patch, build] = version.map(char::from);
    if ![major, minor, patch, build].iter().all(char::is_ascii_alphanumeric) {
        return None;
    }
    known.map(|(_, name)| format!("{name} {major}.{minor}.{patch}.{build}"))
}

const CLIENTS: &[([u8; 2], &str)] = &[
    (*b"7T", "aTorrent"),
    (*b"A2", "aria2"),
    (*b"AZ", "Vuze"),
    (*b"BC", "BitComet"),
    (*b"BI", "BiglyBT"),
    (*b"DE", "Deluge"),
    (*b"FL", "Flud"),
    (*b"FW", "FrostWire"),
    (*b"KT", "KTorrent"),
    (*b"LT", "libtorrent"),
    (*b"PF", "pieceful"),
    (*b"PI", "PicoTorrent"),
    (*b"TR", "Transmission"),
    (*b"TT", "TuoTu"),
    (*b"TX", "Tixati"),
    (*b"UM", "µTorrent Mac"),
    (*b"UT", "µTorrent"),
    (*b"WW", "WebTorrent"),
    (*b"XL", "Xunlei"),
    (*b"lt", "rTorrent"),
    (*b"qB", "qBittorrent"),
    (*b"rQ", "rqbit"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn no_two_ids_are_alike_and_all_are_safe_in_urls() {
        let mut rng = Rng::new(Seed([5; 32]));
        let (one, two) = (peer_id(*b"PF0100", &mut rng), peer_id(*b"PF0100", &mut rng));
        assert_ne!(one, two);
        assert!(one.0.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
    }

    #[test]
    fn well_known_tags_are_named() {
        assert_eq!(client_name(&PeerId(*b"-TR4050-abcdefghijkl")).as_deref(), Some("Transmission 4.0.5.0"));
        assert_eq!(client_name(&PeerId(*b"-ZZ4050-abcdefghijkl")), None);
        assert_eq!(client_name(&PeerId(*b"-TR\x1b[0m-abcdefghijkl")), None);
        assert_eq!(client_name(&PeerId(*b"M7-9-2--abcdefghijkl")), None);
    }
}
