//! DHT messages: what is understood of a datagram survives being written again, and is no more than it may be.

use pieceful_core::dht::{
    Body, Message, MessageError, Method, REPLY_NODES_MAX, REPLY_SAMPLES_MAX, REPLY_VALUES_MAX, TOKEN_LEN_MAX,
    TRANSACTION_LEN_MAX,
};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let message = match Message::decode(data) {
        Ok(message) => message,
        Err(MessageError::Query { transaction }) => {
            assert!((1..=TRANSACTION_LEN_MAX).contains(&transaction.len()));
            return;
        }
        Err(_) => return,
    };
    assert!((1..=TRANSACTION_LEN_MAX).contains(&message.transaction.len()));
    match &message.body {
        Body::Query(query) => {
            if let Method::AnnouncePeer { token, port, .. } = &query.method {
                assert!(token.len() <= TOKEN_LEN_MAX && *port != Some(0));
            }
        }
        Body::Reply(reply) => {
            for nodes in [&reply.nodes, &reply.nodes6].into_iter().flatten() {
                assert!(nodes.len() <= REPLY_NODES_MAX);
            }
            assert!(reply.values.len() <= REPLY_VALUES_MAX);
            assert!(reply.token.as_ref().is_none_or(|token| token.len() <= TOKEN_LEN_MAX));
            assert!(reply.samples.as_ref().is_none_or(|samples| samples.hashes.len() <= REPLY_SAMPLES_MAX));
        }
        Body::Error(_) => {}
    }
    assert_eq!(Message::decode(&message.encode()), Ok(message));
}
