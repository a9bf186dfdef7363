//! Tracker answers and tracker URLs: reading them never panics, and what comes out is bounded and escaped.

use std::net::IpAddr;

use pieceful_core::id::PeerId;
use pieceful_core::scope::{self, NamedBy};
use pieceful_core::tracker::{
    ANSWER_PEERS_MAX, Announce, AnnounceEvent, Numbers, TrackerError, TrackerUrl, http, redacted,
};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    match http::parse_announce(data) {
        Ok(mut answer) => {
            assert!(answer.peers.len() <= ANSWER_PEERS_MAX);
            assert!(answer.peers.len() <= data.len() / 6, "peers out of nothing");
            assert!(answer.peers.iter().all(|peer| peer.port() != 0));
            assert!(answer.warning.as_deref().is_none_or(fit_for_a_screen));
            let from = IpAddr::from([9, 9, 9, 9]);
            answer.drop_out_of_scope(from);
            let internet = NamedBy::Host(scope::Scope::Global);
            assert!(answer.peers.iter().all(|peer| scope::may_name(internet, peer.ip())));
        }
        Err(TrackerError::Failure { reason, .. }) => assert!(fit_for_a_screen(&reason)),
        Err(error) => assert!(fit_for_a_screen(&error.to_string())),
    }
    let _ = http::parse_scrape(data, [b'a'; 20]);
    url(&String::from_utf8_lossy(data));
}

fn fit_for_a_screen(words: &str) -> bool {
    words.chars().count() <= 256 && !words.chars().any(char::is_control)
}

fn url(text: &str) {
    let shown = redacted(text);
    assert!(shown.len() <= 3 + 4 * text.len(), "{shown}");
    let Ok(url) = TrackerUrl::parse(text) else { return };
    let again = TrackerUrl::parse(url.as_str());
    assert_eq!(again.as_ref(), Ok(&url), "a tracker URL is one when it is read again");
    let numbers =
        Numbers { peer_id: PeerId([0xff; 20]), port: 1, uploaded: 2, downloaded: 3, left: 4, numwant: 5 };
    let announce = Announce { info_hash: [0; 20], key: 6, event: AnnounceEvent::Started, numbers };
    let built = http::announce_url(url.as_str(), &announce, Some(text.as_bytes()));
    let scrape = http::scrape_url(url.as_str(), [0; 20]);
    for built in scrape.iter().chain([&built]) {
        assert!(built.bytes().all(|byte| byte.is_ascii_graphic()), "{built:?}");
        // What is added to the query must not change where the request goes.
        if let Ok(built) = TrackerUrl::parse(built) {
            assert_eq!((built.host(), built.port(), built.scheme()), (url.host(), url.port(), url.scheme()));
        }
    }
}
