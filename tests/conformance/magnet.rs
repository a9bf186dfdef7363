//! What every host must do with a magnet link.

use std::sync::Arc;

use pieceful_core::engine::{AddTorrent, Event};
use pieceful_core::id::TorrentId;

use super::host::Host;
use super::suite::{PIECE, finished, has_all, one_file, seeds};
use crate::Data;
use crate::words::{self, Said};

/// Bob has a link, and perhaps somebody to ask.
fn begins(host: &mut impl Host, data: &Arc<Data>, asks: bool) -> TorrentId {
    host.start("bob", false);
    let peers = if asks { vec![host.address("alice")] } else { Vec::new() };
    host.add("bob", data, AddTorrent { peers, ..AddTorrent::new(data.metainfo.to_magnet()) })
}

pub fn a_magnet_link_and_a_seed_are_enough(mut host: impl Host) {
    let data = one_file(40);
    host.start("alice", false);
    seeds(&mut host, "alice", &data, &[]);
    let torrent = begins(&mut host, &data, true);
    host.wait("bob", &|event| matches!(event, Event::MetadataReceived { .. }));
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}

pub fn metadata_that_is_wrong_is_had_of_somebody_else(mut host: impl Host) {
    let data = Arc::new(Data::random(41, &[("41.bin", 500_001)], PIECE));
    let torrent = begins(&mut host, &data, false);
    let liar = host.connect("bob");
    let size = data.metainfo.info.raw.len();
    host.say(liar, words::handshake(data.info_hash().on_the_wire(), *b"-LY0001-............", true));
    let extension = format!("d1:md11:ut_metadatai7ee13:metadata_sizei{size}ee");
    host.say(liar, words::extended(0, extension.as_bytes()));
    host.hear(liar, &|said| said.iter().any(|said| matches!(said, Said::Extended(7, _))));
    let head = format!("d8:msg_typei1e5:piecei0e10:total_sizei{size}ee");
    host.say(liar, words::extended(2, &[head.as_bytes(), &vec![b'x'; size]].concat()));
    host.wait("bob", &|event| matches!(event, Event::MetadataFailed { .. }));
    host.wait("bob", &|event| matches!(event, Event::PeerBanned { .. }));
    let bob = host.address("bob");
    host.start("alice", false);
    seeds(&mut host, "alice", &data, &[bob]);
    host.wait("bob", &finished(torrent));
    has_all(&host, "bob", &data);
}
