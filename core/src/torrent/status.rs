//! A torrent's numbers at one instant.

use alloc::string::{String, ToString};

use super::{PeerStatus, Stage, Torrent, TorrentState, TorrentStatus, Traffic, Wanted};
use crate::peer;
use crate::time::Instant;

impl Torrent {
    /// How it stands.
    #[must_use]
    pub fn status(&self, now: Instant) -> TorrentStatus {
        let open = || self.peers.values().filter(|slot| slot.peer.is_open());
        let totals = self.traffic_totals();
        let (downloaded_ever, uploaded_ever) = self.traffic_of_all_runs();
        TorrentStatus {
            downloaded_ever,
            uploaded_ever,
            state: self.state(),
            metadata: self.metadata_status(),
            bytes_done: self.layout.stored() - self.missing,
            bytes_total: self.layout.stored(),
            wanted: Wanted {
                bytes_done: self.wanted - self.left,
                bytes_total: self.wanted,
                pieces_done: self.wanted_pieces - self.picker.needed().count(),
                pieces_total: self.wanted_pieces,
            },
            pieces_done: self.picker.have().count(),
            pieces_total: self.layout.pieces(),
            pieces_checked: match &self.stage {
                Stage::Metadata(_) | Stage::Opening | Stage::Reopening => 0,
                Stage::Checking(check) => check.looked_at,
                _ => self.layout.pieces(),
            },
            peers: open().count() as u32,
            seeds: open().filter(|slot| slot.peer.has_told() && slot.peer.has().is_full()).count() as u32,
            known_peers: self.known.len() as u32,
            known_from: self.known.counts(),
            peers_from: open().map(|slot| self.source_of(slot)).collect(),
            traffic: Traffic {
                payload_down: totals.payload_down,
                payload_up: totals.payload_up,
                protocol_down: totals.protocol_down,
                protocol_up: totals.protocol_up,
                wasted: self.past.wasted,
                hash_failures: self.past.hash_failures,
                down_rate: self.down.rate(now),
                up_rate: self.up.rate(now),
            },
        }
    }

    fn state(&self) -> TorrentState {
        match self.stage {
            Stage::Failed => TorrentState::Failed,
            Stage::Leaving { .. } => TorrentState::Leaving,
            _ if self.paused => TorrentState::Paused,
            Stage::Metadata(_) => TorrentState::FetchingMetadata,
            Stage::Reopening if self.metainfo.is_none() => TorrentState::FetchingMetadata,
            Stage::Reopening | Stage::Opening | Stage::Checking(_) | Stage::Preparing => {
                TorrentState::Checking
            }
            Stage::Active if self.is_finished() => TorrentState::Seeding,
            Stage::Active => TorrentState::Downloading,
        }
    }

    /// Bytes of wanted files in missing pieces.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Bytes over the wire since the start.
    pub(super) fn traffic_totals(&self) -> peer::Totals {
        let mut sum = self.past.peers;
        for slot in self.peers.values() {
            add(&mut sum, slot.peer.totals());
        }
        sum
    }

    /// The connected peers.
    pub fn peers(&self, now: Instant) -> impl Iterator<Item = PeerStatus> + '_ {
        self.peers.values().filter(|slot| slot.peer.is_open()).map(move |slot| {
            let totals = slot.peer.totals();
            let client = slot.peer.extension().and_then(|theirs| theirs.client.clone());
            PeerStatus {
                address: slot.address,
                client: client
                    .or_else(|| slot.peer_id.as_ref().and_then(crate::wire::client_name))
                    .map_or_else(String::new, |name| name.to_string()),
                incoming: slot.incoming,
                source: self.source_of(slot),
                pieces: slot.peer.has().count(),
                choking_us: slot.peer.is_choking_us(),
                interested: slot.peer.is_interested(),
                choked: slot.peer.is_choked(),
                interesting: slot.peer.is_interesting(),
                asked: slot.peer.asked().len() as u32,
                down_rate: slot.peer.down_rate(now),
                up_rate: slot.peer.up_rate(now),
                downloaded: totals.payload_down,
                uploaded: totals.payload_up,
            }
        })
    }
}

/// Adds `more` to `sum`.
pub(super) fn add(sum: &mut peer::Totals, more: peer::Totals) {
    sum.payload_down += more.payload_down;
    sum.payload_up += more.payload_up;
    sum.protocol_down += more.protocol_down;
    sum.protocol_up += more.protocol_up;
    sum.unasked += more.unasked;
}
