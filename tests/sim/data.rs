//! Generated torrents: contents that follow from a number, and the .torrent that describes them.

use std::sync::Arc;

use bytes::Bytes;
use pieceful_core::disk::Layout;
use pieceful_core::engine::{Priority, Selection};
use pieceful_core::id::{InfoHash, PieceIndex};
use pieceful_core::metainfo::Metainfo;
use sha1::{Digest as _, Sha1};

use crate::seeded;

/// A torrent with its contents.
#[derive(Clone, Debug)]
pub struct Data {
    /// The .torrent file.
    pub torrent: Bytes,
    /// What it says.
    pub metainfo: Arc<Metainfo>,
    /// Where its blocks lie.
    pub layout: Arc<Layout>,
    /// All files end to end.
    pub contents: Bytes,
}

impl Data {
    /// Files of these names (`/` separates folders) and lengths, filled with bytes that follow from `seed`.
    /// A single file without a folder makes a single-file torrent.
    #[must_use]
    pub fn random(seed: u64, files: &[(&str, u64)], piece_length: u32) -> Self {
        Self::with_trackers(seed, files, piece_length, &[])
    }

    /// One file of `len` bytes.
    #[must_use]
    pub fn single(seed: u64, len: u64, piece_length: u32) -> Self {
        Self::random(seed, &[("data.bin", len)], piece_length)
    }

    /// As [`random`](Self::random), with one tier for each tracker.
    #[must_use]
    pub fn with_trackers(seed: u64, files: &[(&str, u64)], piece_length: u32, trackers: &[&str]) -> Self {
        let total: u64 = files.iter().map(|(_, len)| len).sum();
        let mut contents = vec![0; usize::try_from(total).expect("a test's data fits into memory")];
        seeded(seed, "contents").fill(&mut contents);
        Self::of(&format!("data-{seed}"), files, contents.into(), piece_length, trackers)
    }

    /// These contents, cut into files.
    #[must_use]
    pub fn of(
        name: &str,
        files: &[(&str, u64)],
        contents: Bytes,
        piece_length: u32,
        trackers: &[&str],
    ) -> Self {
        let torrent = Bytes::from(torrent(name, files, &contents, piece_length, trackers));
        let metainfo = Metainfo::parse(torrent.clone()).expect("the simulator writes valid torrents");
        let layout = Layout::of(&metainfo.info).expect("a valid torrent has a layout");
        Self { torrent, metainfo: Arc::new(metainfo), layout: Arc::new(layout), contents }
    }

    /// The same, for nobody but those whom its trackers and its users name (BEP 27).
    #[must_use]
    pub fn private(self) -> Self {
        let info = &self.metainfo.info.raw;
        let at = self.torrent.len() - 1 - info.len();
        let private = [&info[..info.len() - 1], b"7:privatei1ee"].concat();
        let torrent = Bytes::from([&self.torrent[..at], &private, b"e"].concat());
        let metainfo = Metainfo::parse(torrent.clone()).expect("a valid torrent may be private");
        assert!(metainfo.info.private);
        Self { torrent, metainfo: Arc::new(metainfo), ..self }
    }

    /// What names the torrent.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.metainfo.info.info_hash
    }

    /// How many pieces.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.layout.pieces()
    }

    /// The pieces that have bytes of a file that `files` wants, found the simplest way.
    pub fn wanted<'a>(&'a self, files: &'a Selection) -> impl Iterator<Item = u32> + 'a {
        let layout = &self.layout;
        (0..layout.pieces()).filter(move |&piece| {
            layout
                .spans(layout.whole(PieceIndex(piece)))
                .any(|span| files.priority(span.file) != Priority::Skip)
        })
    }

    /// The right bytes of one piece.
    #[must_use]
    pub fn piece(&self, piece: u32) -> Bytes {
        let start = u64::from(piece) * u64::from(self.layout.piece_length());
        let end = start + u64::from(self.layout.piece_len(PieceIndex(piece)));
        self.contents.slice(start as usize..end as usize)
    }

    /// The right bytes of one file of the layout.
    #[must_use]
    pub fn file(&self, file: usize) -> Bytes {
        let place = &self.layout.files()[file];
        self.contents.slice(place.start as usize..(place.start + place.len) as usize)
    }
}

/// Bencode by hand: the core's own encoder is among what is being tested.
fn torrent(
    name: &str,
    files: &[(&str, u64)],
    contents: &[u8],
    piece_length: u32,
    trackers: &[&str],
) -> Vec<u8> {
    let pieces: Vec<u8> =
        contents.chunks(piece_length as usize).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut info = Vec::from(*b"d");
    match files {
        [(single, len)] if !single.contains('/') => {
            info.extend_from_slice(format!("6:lengthi{len}e").as_bytes());
            text(&mut info, "name");
            text(&mut info, single);
        }
        _ => {
            info.extend_from_slice(b"5:filesl");
            for (path, len) in files {
                info.extend_from_slice(format!("d6:lengthi{len}e4:pathl").as_bytes());
                path.split('/').for_each(|component| text(&mut info, component));
                info.extend_from_slice(b"ee");
            }
            info.push(b'e');
            text(&mut info, "name");
            text(&mut info, name);
        }
    }
    info.extend_from_slice(format!("12:piece lengthi{piece_length}e6:pieces{}:", pieces.len()).as_bytes());
    info.extend_from_slice(&pieces);
    info.push(b'e');

    let mut all = Vec::from(*b"d");
    if let Some(first) = trackers.first() {
        text(&mut all, "announce");
        text(&mut all, first);
        text(&mut all, "announce-list");
        all.push(b'l');
        for tracker in trackers {
            all.push(b'l');
            text(&mut all, tracker);
            all.push(b'e');
        }
        all.push(b'e');
    }
    text(&mut all, "info");
    all.extend_from_slice(&info);
    all.push(b'e');
    all
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{}:{text}", text.len()).as_bytes());
}
