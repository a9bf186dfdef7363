//! Whatever a peer says in its extension handshake, or about metadata, can be said again: what is understood survives
//! encoding.

use bytes::Bytes;
use pieceful_core::wire::extended::{CLIENT_CHARS_MAX, ExtendedHandshake};
use pieceful_core::wire::metadata::MetadataMessage;

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    if let Some(message) = MetadataMessage::parse(&payload) {
        let mut again = message.encode();
        if let MetadataMessage::Data { data, .. } = &message {
            assert!(payload.ends_with(data));
            again.extend_from_slice(data);
        }
        assert_eq!(MetadataMessage::parse(&again.into()), Some(message));
    }
    let Ok(handshake) = ExtendedHandshake::parse(data) else { return };
    if let Some(client) = &handshake.client {
        assert!(client.chars().count() <= CLIENT_CHARS_MAX && !client.contains(char::is_control));
    }
    let payload = handshake.encode();
    assert_eq!(ExtendedHandshake::parse(&payload), Ok(handshake), "{}", payload.escape_ascii());
}
