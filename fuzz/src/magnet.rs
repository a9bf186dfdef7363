//! Magnet links: what is read, printed and read again is the same.

use pieceful_core::metainfo::{MAGNET_LEN_MAX, MAGNET_LIST_MAX, Magnet};

/// Reads `data` as a link; without the start of one, as the hints that follow it.
pub fn run(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    round_trip(text);
    round_trip(&format!("magnet:?xt=urn:btih:c9e15763f722f23e98a29decdfae341b98d53056&{text}"));
}

fn round_trip(link: &str) {
    let Ok(magnet) = link.parse::<Magnet>() else { return };
    for len in [magnet.trackers.len(), magnet.web_seeds.len(), magnet.peers.len(), magnet.select.len()] {
        assert!(len <= MAGNET_LIST_MAX);
    }
    let printed = magnet.to_string();
    assert!(printed.is_ascii() && !printed.contains(char::is_whitespace), "{printed}");
    // Escaping makes it longer, so what just fitted may not fit again.
    if printed.len() <= MAGNET_LEN_MAX {
        assert_eq!(printed.parse::<Magnet>().as_ref(), Ok(&magnet), "{printed}");
    }
}
