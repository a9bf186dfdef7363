//! What a .torrent file or a magnet link says, and which of it is believed.
//!
//! ```
//! use pieceful_core::metainfo::{Metainfo, MetainfoError};
//!
//! let torrent = b"d8:announce17:http://t.example/4:infod6:lengthi5e4:name5:hello12:piece lengthi16384e\
//!     6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
//! let metainfo = Metainfo::parse(&torrent[..])?;
//! assert_eq!(metainfo.info.name, "hello");
//! assert_eq!(metainfo.info.piece_count(), 1);
//! assert_eq!(metainfo.trackers, [["http://t.example/"]]);
//!
//! let v2_only = b"d4:infod12:meta versioni2e4:name5:hello12:piece lengthi16384eee";
//! assert_eq!(Metainfo::parse(&v2_only[..]), Err(MetainfoError::OnlyV2));
//! # Ok::<(), MetainfoError>(())
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::bencode::{self, Kind, Limits, Value};

mod create;
mod error;
mod files;
mod fold;
mod info;
mod magnet;
mod url;

pub use create::{Content, CreateError, NEW_LEN_MAX, NewFile, NewTorrent, auto_piece_length};
pub use error::MetainfoError;
pub use files::{COLLISIONS_MAX, COMPONENT_LEN_MAX, SafePath};
pub use info::{
    File, Info, METADATA_LEN_MAX, PATH_DEPTH_MAX, PIECE_LENGTH_MAX, PIECES_MAX, TOTAL_LENGTH_MAX,
};
pub use magnet::{MAGNET_LEN_MAX, MAGNET_LIST_MAX, Magnet, MagnetError};

/// A .torrent file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metainfo {
    /// What is hashed: names, lengths, piece hashes.
    pub info: Info,
    /// Tracker URLs by tier (BEP 12); a lone `announce` is one tier of one. No tier is empty, no URL comes twice.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5): host and port.
    pub nodes: Vec<(String, u16)>,
    /// Free text: not fit for a terminal as it is.
    pub comment: Option<String>,
    /// The program that made it. Free text, too.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

/// Longest .torrent file that is read, in bytes: one that was made of the longest metadata that peers are asked for, with a
/// megabyte for what lies beside it.
pub const FILE_LEN_MAX: usize = METADATA_LEN_MAX + (1 << 20);

/// Trackers, web seeds and nodes that are kept, of each; what follows is ignored.
pub const URLS_MAX: usize = 256;

/// Bytes that are kept of a comment and of the creating program's name.
pub const TEXT_LEN_MAX: usize = 16 * 1024;

impl Metainfo {
    /// Reads a .torrent file. The piece hashes stay where they are in `bytes`; nothing of it is copied but
    /// names and URLs.
    ///
    /// Strict in what says which bytes are downloaded. Lenient in the rest, as real torrents are odd: optional
    /// keys with values of a wrong type, malformed URLs and nodes count as absent, bad UTF-8 becomes U+FFFD.
    /// White space after the end, which editors and web sites leave there, is no part of the torrent. For paths
    /// see [`SafePath`].
    ///
    /// # Errors
    /// When there is no telling which data is meant, or it is beyond a limit of this module.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, MetainfoError> {
        let bytes: Bytes = bytes.into();
        if bytes.len() > FILE_LEN_MAX {
            return Err(MetainfoError::TooLarge { len: bytes.len(), max: FILE_LEN_MAX });
        }
        let document = bencode::decode(bytes.trim_ascii_end(), Limits::METAINFO)?;
        let root = document.root();
        if root.kind() != Kind::Dict {
            return Err(MetainfoError::WrongType("torrent"));
        }
        let info = root.get(b"info").ok_or(MetainfoError::Missing("info"))?;
        Ok(Self {
            info: Info::read(info, &bytes)?,
            trackers: read_trackers(root),
            web_seeds: read_web_seeds(root),
            nodes: read_nodes(root),
            comment: read_text(root, b"comment.utf-8", b"comment"),
            created_by: read_text(root, b"created by.utf-8", b"created by"),
            creation_date: root.get(b"creation date").and_then(Value::as_int).filter(|&date| date >= 0),
        })
    }

    /// The magnet link that names the same torrent and gives the same trackers and web seeds.
    #[must_use]
    pub fn to_magnet(&self) -> Magnet {
        Magnet {
            info_hash: self.info.info_hash,
            name: Some(self.info.name.clone()),
            trackers: self.trackers.iter().flatten().cloned().collect(),
            web_seeds: self.web_seeds.clone(),
            peers: Vec::new(),
            select: Vec::new(),
        }
    }
}

/// `announce-list` (BEP 12), or else `announce`. A list of bare strings, which some programs write, is read as
/// one tier each.
fn read_trackers(root: Value<'_>) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    let mut ends = Vec::new();
    for tier in root.get(b"announce-list").into_iter().flat_map(Value::items) {
        for tracker in tier.items().chain((tier.kind() == Kind::Bytes).then_some(tier)) {
            url::push(&mut kept, tracker.as_str().unwrap_or_default(), URLS_MAX);
        }
        if ends.last() != Some(&kept.len()) {
            ends.push(kept.len());
        }
    }
    if kept.is_empty() {
        ends.clear();
        url::push(&mut kept, root.get(b"announce").and_then(Value::as_str).unwrap_or_default(), URLS_MAX);
        ends.push(kept.len());
    }
    let mut start = 0;
    let mut kept = kept.into_iter();
    let tiers =
        ends.into_iter().map(|end| kept.by_ref().take(end - core::mem::replace(&mut start, end)).collect());
    tiers.filter(|tier: &Vec<String>| !tier.is_empty()).collect()
}

/// `url-list` (BEP 19): one URL or a list of them.
fn read_web_seeds(root: Value<'_>) -> Vec<String> {
    let mut kept = Vec::new();
    if let Some(value) = root.get(b"url-list") {
        for web_seed in value.items().chain((value.kind() == Kind::Bytes).then_some(value)) {
            url::push(&mut kept, web_seed.as_str().unwrap_or_default(), URLS_MAX);
        }
    }
    kept
}

/// `nodes` (BEP 5): a list of pairs.
fn read_nodes(root: Value<'_>) -> Vec<(String, u16)> {
    let read_node = |node: Value<'_>| {
        let mut pair = node.items();
        let host = pair.next()?.as_str()?;
        let port = u16::try_from(pair.next()?.as_int()?).ok()?;
        (port > 0 && url::is_host(host)).then(|| (host.into(), port))
    };
    root.get(b"nodes").into_iter().flat_map(Value::items).filter_map(read_node).take(URLS_MAX).collect()
}

/// Free text, from `utf8` when that is so, else from `plain`.
fn read_text(root: Value<'_>, utf8: &[u8], plain: &[u8]) -> Option<String> {
    let bytes = match root.get(utf8).and_then(Value::as_str) {
        Some(text) => text.as_bytes(),
        None => root.get(plain)?.as_bytes()?,
    };
    let bytes = bytes.get(..TEXT_LEN_MAX).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
