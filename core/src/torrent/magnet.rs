//! A torrent that begins as a magnet link: what is known of it, how its metadata is fetched, and what becomes of the
//! peers that were there before.
//!
//! They stay. What they say they have is kept by each [`Peer`](crate::peer::Peer) until the files have been looked at,
//! and only then is anything asked of them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::{
    Action, Event, MetadataFetch, MetadataStatus, Source, Stage, Torrent, TorrentError, Turn, What, Whole,
};
use crate::disk::Layout;
use crate::id::{BLOCK_LEN, PeerKey};
use crate::metainfo::{Info, Magnet, Metainfo};
use crate::peer::CloseReason;
use crate::scope::{self, NamedBy};
use crate::time::Instant;

/// A peer that was there before the metadata is told of so many pieces one by one, if they turn out to be on disk
/// already. With more it is dialled anew: a bitfield is shorter, and comes only at the start.
const HAVES_MAX: u32 = 1_000;

/// What is known of a torrent at the start: all of it, if that was ever saved, or a link.
pub(super) fn known(what: What, saved: Option<Bytes>) -> (Option<Arc<Metainfo>>, Option<Box<Magnet>>) {
    match what {
        What::Metainfo(metainfo) => (Some(metainfo), None),
        What::Magnet(magnet) => {
            let is_it = |info: &Bytes| Some(Sha1::digest(info).into()) == magnet.info_hash.v1();
            // What is of no use is as good as not there: whoever sends it again makes that known.
            let metainfo = saved.filter(is_it).and_then(|info| complete(&magnet, info).ok());
            (metainfo.map(Arc::new), Some(magnet))
        }
    }
}

/// The trackers of a link, each a tier of its own.
pub(super) fn tiers(magnet: &Magnet) -> Vec<Vec<String>> {
    magnet.trackers.iter().map(|tracker| Vec::from([tracker.clone()])).collect()
}

/// What a link and the metadata it names make together.
fn complete(magnet: &Magnet, info: Bytes) -> Result<Metainfo, TorrentError> {
    let info = Info::parse(info)?;
    if magnet.info_hash.v2().is_some_and(|named| info.info_hash.v2() != Some(named)) {
        return Err(TorrentError::TwoTorrents);
    }
    Ok(Metainfo {
        info,
        trackers: tiers(magnet),
        web_seeds: magnet.web_seeds.clone(),
        nodes: Vec::new(),
        comment: None,
        created_by: None,
        creation_date: None,
    })
}

impl Torrent {
    /// Learns of the peers a link names by address (`x.pe`), as far as a link may name them: it was opened by the user
    /// and written by a stranger.
    pub(super) fn know_peers_of_link(&mut self, turn: &mut Turn<'_>) {
        let Some(magnet) = &self.magnet else { return };
        for (host, port) in &magnet.peers {
            if let Ok(ip) = host.parse::<IpAddr>()
                && scope::may_name(NamedBy::Torrent, ip)
            {
                self.known.add(SocketAddr::new(ip, *port), Source::User, turn.now, turn.rng);
            }
        }
    }

    /// Nothing but the info-hash is known.
    pub(super) fn begin_metadata(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Metadata(Box::new(MetadataFetch::new(self.hello.info_hash)));
        self.start_announcing(turn);
    }

    /// Whether only its trackers and the user may name peers (BEP 27). Not known before the metadata is.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.metainfo.as_ref().is_some_and(|metainfo| metainfo.info.private)
    }

    /// What trackers are told is left. As long as nobody knows, it is something: who has nothing left is a seed.
    pub(super) fn left_to_tell(&self) -> u64 {
        if self.metainfo.is_some() { self.left() } else { BLOCK_LEN.into() }
    }

    pub(super) fn metadata_status(&self) -> Option<MetadataStatus> {
        let Stage::Metadata(fetch) = &self.stage else { return None };
        let (pieces_done, pieces_total) = fetch.progress();
        Some(MetadataStatus { pieces_done, pieces_total, peers: fetch.sources() })
    }

    pub(super) fn metadata_deadline(&self, now: Instant) -> Option<Instant> {
        match &self.stage {
            Stage::Metadata(fetch) => fetch.deadline(now),
            _ => None,
        }
    }

    /// A peer can be asked for the metadata.
    pub(super) fn offered_metadata(&mut self, key: PeerKey, size: u32) {
        if let (Stage::Metadata(fetch), Some(slot)) = (&mut self.stage, self.peers.get(key)) {
            fetch.offered(key, slot.address, size);
        }
    }

    pub(super) fn lost_source(&mut self, key: PeerKey, turn: &mut Turn<'_>) {
        if let Stage::Metadata(fetch) = &mut self.stage {
            fetch.gone(key);
            self.ask_metadata(turn);
        }
    }

    pub(super) fn tick_metadata(&mut self, turn: &mut Turn<'_>) {
        if let Stage::Metadata(fetch) = &mut self.stage {
            fetch.tick(turn.now);
            self.ask_metadata(turn);
        }
    }

    /// Asks peers for what is missing of the metadata.
    pub(super) fn ask_metadata(&mut self, turn: &mut Turn<'_>) {
        let Stage::Metadata(fetch) = &mut self.stage else { return };
        let mut asks = Vec::new();
        fetch.ask(turn.now, &mut asks);
        for (key, piece) in asks {
            if let Some(slot) = self.peers.get_mut(key) {
                slot.peer.request_metadata(piece);
                self.flush(key, turn);
            }
        }
    }

    pub(super) fn rejected_metadata(&mut self, key: PeerKey, piece: u32, turn: &mut Turn<'_>) {
        let Stage::Metadata(fetch) = &mut self.stage else { return };
        if let Err(reason) = fetch.rejected(key, piece, turn.now) {
            self.close(key, reason, turn);
        }
    }

    /// A peer sent a piece of the metadata.
    pub(super) fn got_metadata(
        &mut self,
        key: PeerKey,
        piece: u32,
        total: u32,
        data: &Bytes,
        turn: &mut Turn<'_>,
    ) {
        let Stage::Metadata(fetch) = &mut self.stage else { return };
        match fetch.got(key, piece, total, data, turn.now) {
            Ok(None) => {}
            Ok(Some(Whole::Right { info, liars })) => {
                liars.into_iter().for_each(|liar| self.ban(liar, turn));
                self.learn(info, turn);
            }
            Ok(Some(Whole::Wrong { liar })) => {
                turn.out.push(Action::Event(Event::MetadataFailed { torrent: self.id }));
                liar.into_iter().for_each(|liar| self.ban(liar, turn));
            }
            Err(reason) => self.close(key, reason, turn),
        }
    }

    /// Now it is known what the torrent is.
    fn learn(&mut self, info: Bytes, turn: &mut Turn<'_>) {
        let Some(magnet) = &self.magnet else { return };
        let metainfo = match complete(magnet, info.clone()) {
            Ok(metainfo) => metainfo,
            Err(error) => return self.fail(error, turn),
        };
        // What can be read has a layout: it has limits of its own.
        let Ok(layout) = Layout::of(&metainfo.info) else { return };
        self.layout = Arc::new(layout);
        self.choose_anew();
        let private = metainfo.info.private;
        self.metainfo = Some(Arc::new(metainfo));
        if private {
            self.turned_private(turn);
            self.hello.dht_port = None;
        }
        turn.out.push(Action::SaveMetadata(info));
        self.has_metadata(turn);
        if self.paused {
            return;
        }
        self.begin(turn);
        // Others may have it of us from now on.
        let mut extension = self.extension();
        if private {
            extension.ids.ut_pex = Some(0); // switched off
        }
        let all: Vec<PeerKey> = self.peers.keys().collect();
        for key in all {
            if let Some(slot) = self.peers.get_mut(key) {
                slot.peer.extend(&extension);
                self.flush(key, turn);
            }
        }
    }

    /// The metadata is there: that may be all that was wanted.
    pub(super) fn has_metadata(&mut self, turn: &mut Turn<'_>) {
        turn.out.push(Action::Event(Event::MetadataReceived { torrent: self.id }));
        if core::mem::take(&mut self.metadata_only) {
            self.stage = Stage::Reopening;
            self.pause(turn);
        }
    }

    /// The files have been looked at, and blocks may be asked for: peers that were there before the metadata are held to
    /// what they said, and told what there is.
    pub(super) fn know_pieces(&mut self, turn: &mut Turn<'_>) {
        let pieces = self.layout.pieces();
        if self.hello.pieces.replace(pieces).is_some() {
            return;
        }
        let have = self.picker.have().clone();
        let early = self.peers.iter().filter(|(_, slot)| slot.peer.is_early()).map(|(key, _)| key);
        let early: Vec<PeerKey> = early.collect();
        for key in early {
            if have.count() > HAVES_MAX {
                self.close(key, CloseReason::Anew, turn);
                continue;
            }
            self.with_peer(key, turn, |peer, cx| {
                peer.know_pieces(pieces, cx)?;
                have.iter().for_each(|piece| peer.announce(piece));
                Ok(())
            });
        }
    }
}
