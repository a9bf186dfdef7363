//! What a run says in words: which events are worth a line, and what helps when nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use pieceful_core::engine::{Event, TorrentState, TorrentStatus};
use pieceful_core::metainfo::Magnet;
use pieceful_core::scope::{self, NamedBy};

use crate::units;

/// Without a peer for this long, a user wonders.
const HELP_AFTER: Duration = Duration::from_secs(10);
/// And once more, seldom enough not to nag.
const HELP_AGAIN: Duration = Duration::from_secs(120);

/// A torrent is served, and nobody will hear of it.
pub(super) const HIDDEN: &str = "no tracker is named, so nobody will hear of this: add one with --tracker, call \
     a peer with --peer, or give others the address above";

/// What has been said, so that it is not said again.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The last trouble of each tracker of each torrent.
    trackers: BTreeMap<(String, String), String>,
    banned: BTreeSet<std::net::IpAddr>,
    /// Since when each torrent has been without a peer, and how long to wait before saying so.
    alone: BTreeMap<String, (Instant, Duration)>,
}

/// Where peers are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    pub(super) trackers: usize,
    /// Named by the magnet link.
    pub(super) link_peers: usize,
    /// Given with `--peer`.
    pub(super) peers: usize,
    /// Nodes of the DHT that answer, where it is asked.
    pub(super) dht: Option<usize>,
    /// The local network.
    pub(super) lsd: bool,
}

impl Tried {
    fn nothing(&self) -> bool {
        self.trackers + self.link_peers + self.peers == 0 && self.dht.is_none() && !self.lsd
    }

    /// How peers are being looked for, in the few words that have room beside a bar.
    pub(super) fn words(&self, known_peers: u32) -> String {
        let peers = units::counted(u64::from(known_peers), "peer");
        match (self.dht, self.trackers) {
            (Some(nodes), _) => {
                format!("asking the DHT: {}, {peers}", units::counted(nodes as u64, "node"))
            }
            (None, 0) => format!("looking for peers: {} known", units::count(u64::from(known_peers))),
            (None, trackers) => format!("asking {}: {peers}", units::counted(trackers as u64, "tracker")),
        }
    }
}

impl Notes {
    /// A line about `event`, if it is news to a person.
    pub(super) fn about(&mut self, event: &Event, name: &str) -> Option<String> {
        Some(match event {
            Event::PeerBanned { peer, .. } => self
                .banned
                .insert(peer.ip())
                .then(|| format!("peer {peer} sent wrong data and is not asked again"))?,
            Event::SavedRefused { error, .. } => format!("{error}; all files are checked instead"),
            Event::FilesChanged { .. } => String::from("files have changed on disk, checking them"),
            Event::NoSpace { error, .. } => format!("{error}; waiting for it, trying again every 30 s"),
            Event::SpaceAgain { .. } => String::from("there is space again, going on"),
            Event::MetadataFailed { .. } => String::from("the metadata arrived damaged, fetching it again"),
            Event::PieceFailed { piece, .. } => format!("piece {piece} arrived damaged, fetching it again"),
            Event::TrackerFailed { url, error, .. } => {
                self.tracker(name, url, format!("tracker {}: {error}", host(url)))?
            }
            Event::TrackerWarned { url, warning, .. } => {
                self.tracker(name, url, format!("tracker {} says: {warning}", host(url)))?
            }
            Event::TrackerAnswered { url, .. } => {
                self.trackers.remove(&(String::from(name), url.clone()));
                return None;
            }
            _ => return None,
        })
    }

    /// `text`, unless that was the last thing said about this tracker.
    fn tracker(&mut self, name: &str, url: &str, text: String) -> Option<String> {
        let said = self.trackers.insert((String::from(name), String::from(url)), text.clone());
        (said.as_ref() != Some(&text)).then_some(text)
    }

    /// What is being tried and what the user can do, once a download has had no peer for a while.
    pub(super) fn help(&mut self, name: &str, status: &TorrentStatus, tried: &Tried) -> Option<String> {
        let is_served = match &status.metadata {
            Some(metadata) => metadata.peers > 0,
            None => status.state != TorrentState::Downloading || status.peers > 0,
        };
        if is_served {
            self.alone.remove(name);
            return None;
        }
        // Where nobody is being asked there is nothing to wait for.
        let patience = if tried.nothing() { Duration::ZERO } else { HELP_AFTER };
        let (since, patience) =
            self.alone.entry(String::from(name)).or_insert_with(|| (Instant::now(), patience));
        if since.elapsed() < *patience {
            return None;
        }
        *since = Instant::now();
        *patience = HELP_AGAIN;
        Some(help(status.peers, status.known_peers, tried))
    }
}

/// What a user may not expect of a link.
pub(super) fn of_link(magnet: &Magnet) -> Vec<String> {
    let mut notes = Vec::new();
    if !magnet.web_seeds.is_empty() {
        notes.push(String::from("the link names web seeds (\"ws\"), which come later: only peers are asked"));
    }
    for (host, port) in &magnet.peers {
        if host.parse::<IpAddr>().is_ok_and(|ip| !scope::may_name(NamedBy::Torrent, ip)) {
            notes.push(format!(
                "the link's peer {host}:{port} is not called, since a link may not name this machine: if you trust \
                 it, use --peer"
            ));
        }
    }
    notes
}

fn help(peers: u32, known_peers: u32, tried: &Tried) -> String {
    let mut sources = Vec::new();
    if tried.trackers > 0 {
        sources.push(units::counted(tried.trackers as u64, "tracker"));
    }
    if tried.peers > 0 {
        sources.push(format!("{} given with --peer", units::counted(tried.peers as u64, "peer")));
    }
    if tried.link_peers > 0 {
        sources.push(format!("{} named by the link", units::counted(tried.link_peers as u64, "peer")));
    }
    if let Some(nodes) = tried.dht {
        sources.push(format!("the DHT ({})", units::counted(nodes as u64, "node")));
    }
    if tried.lsd {
        sources.push(String::from("the local network"));
    }
    if peers > 0 {
        let connected = units::counted(u64::from(peers), "peer");
        return format!(
            "{connected} connected, and nobody has the metadata yet; still trying, or add a peer with --peer"
        );
    }
    if sources.is_empty() {
        return String::from(
            "no peers: the torrent names no tracker; add one with --tracker, or a peer with --peer",
        );
    }
    let addresses = match known_peers {
        0 => String::from("no address learnt yet"),
        1 => String::from("1 address known, no answer yet"),
        known => format!("{} addresses known, no answer yet", units::count(u64::from(known))),
    };
    let first_node = match tried.dht {
        Some(0) => ", a node of the DHT with --dht-bootstrap",
        _ => "",
    };
    format!(
        "no peers yet: asking {}, {addresses}; still trying, or add a peer with --peer, a tracker with \
         --tracker{first_node}",
        units::list(&sources)
    )
}

/// The host and port of a URL: what follows may be a pass key, which belongs in no log.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_key_never_reaches_the_screen() {
        assert_eq!(
            host("https://user:secret@tracker.example:443/a1b2c3/announce?k=1"),
            "tracker.example:443"
        );
        assert_eq!(host("udp://[2001:db8::1]:6969"), "[2001:db8::1]:6969");
        assert_eq!(host("http://tracker.example?passkey=1"), "tracker.example");
    }

    #[test]
    fn beside_a_bar_there_is_room_for_how_peers_are_looked_for() {
        let dht = Tried { trackers: 2, link_peers: 0, peers: 0, dht: Some(41), lsd: true };
        assert_eq!(dht.words(3), "asking the DHT: 41 nodes, 3 peers");
        assert_eq!(Tried { dht: None, ..dht }.words(1), "asking 2 trackers: 1 peer");
        assert_eq!(Tried { dht: None, trackers: 0, ..dht }.words(0), "looking for peers: 0 known");
    }

    #[test]
    fn help_names_what_is_tried_and_what_to_do() {
        let nothing = Tried { trackers: 0, link_peers: 0, peers: 0, dht: None, lsd: false };
        let alone = help(0, 0, &nothing);
        assert!(alone.contains("no tracker") && alone.contains("--peer"), "{alone}");
        let waiting = help(0, 3, &Tried { trackers: 2, peers: 1, ..nothing });
        assert!(waiting.contains("2 trackers and 1 peer given with --peer"), "{waiting}");
        assert!(waiting.contains("3 addresses known") && !waiting.contains("DHT"), "{waiting}");
        let all = help(0, 0, &Tried { trackers: 1, dht: Some(0), lsd: true, ..nothing });
        assert!(all.contains("asking 1 tracker, the DHT (0 nodes) and the local network"), "{all}");
        assert!(all.contains("--dht-bootstrap"), "{all}");
    }
}
