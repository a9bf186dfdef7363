//! Whatever a peer says in its extension handshake can be said again: what is understood survives encoding.

use pieceful_core::wire::extended::{CLIENT_CHARS_MAX, ExtendedHandshake};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let Ok(handshake) = ExtendedHandshake::parse(data) else { return };
    if let Some(client) = &handshake.client {
        assert!(client.chars().count() <= CLIENT_CHARS_MAX && !client.contains(char::is_control));
    }
    let payload = handshake.encode();
    assert_eq!(ExtendedHandshake::parse(&payload), Ok(handshake), "{}", payload.escape_ascii());
}
