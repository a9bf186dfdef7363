//! What a .torrent file says.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::id::{Digest, InfoHash, PieceIndex};

/// A .torrent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metainfo {
    /// What is hashed: names, lengths, piece hashes.
    pub info: Info,
    /// Tracker URLs by tier (BEP 12); a lone `announce` is one tier of one.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5): host and port.
    pub nodes: Vec<(String, u16)>,
    /// Free text.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

/// The `info` dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its bytes as they came: the info-hash is taken over these.
    pub raw: Bytes,
    /// Its hash or hashes.
    pub info_hash: InfoHash,
    /// The name of the file, or of the folder around several.
    pub name: String,
    /// Bytes in every piece but the last.
    pub piece_length: u32,
    /// 20 bytes of SHA-1 for each piece (v1).
    pub pieces: Bytes,
    /// In the order of the data, padding included.
    pub files: Vec<File>,
    /// All files' bytes, padding included.
    pub total_length: u64,
    /// Peers only from its own trackers (BEP 27).
    pub private: bool,
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it goes below the download folder: safe components only, the torrent's name first where there are
    /// several files.
    pub path: SafePath,
    /// Bytes.
    pub length: u64,
    /// Zeros that align the next file to a piece (BEP 47): hashed, never stored.
    pub padding: bool,
    /// A symbolic link (BEP 47): never created.
    pub symlink: bool,
    /// To be marked executable (BEP 47).
    pub executable: bool,
}

/// A relative path each of whose components is safe to create on any common system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Vec<String>);

impl SafePath {
    /// The path of these components, unless there is none, or one is empty, `.` or `..`, or holds a separator
    /// or a control character.
    pub fn new<C: Into<String>>(components: impl IntoIterator<Item = C>) -> Option<Self> {
        let components: Vec<String> = components.into_iter().map(Into::into).collect();
        let safe = |name: &String| {
            !matches!(name.as_str(), "" | "." | "..")
                && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
        };
        (!components.is_empty() && components.iter().all(safe)).then_some(Self(components))
    }

    /// Its components, outermost first; at least one.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl core::fmt::Display for SafePath {
    /// Components joined by `/`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (place, component) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("/")?;
            }
            f.write_str(component)?;
        }
        Ok(())
    }
}

impl Info {
    /// How many pieces.
    #[must_use]
    pub fn piece_count(&self) -> u32 {
        (self.pieces.len() / 20) as u32
    }

    /// Bytes in `piece`.
    #[must_use]
    pub fn piece_len(&self, piece: PieceIndex) -> u32 {
        let start = u64::from(piece.0) * u64::from(self.piece_length);
        self.total_length.saturating_sub(start).min(u64::from(self.piece_length)) as u32
    }

    /// What `piece` has to hash to.
    #[must_use]
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<Digest> {
        let start = piece.0 as usize * 20;
        let hash = self.pieces.get(start..start + 20)?;
        hash.try_into().ok().map(Digest::Sha1)
    }
}
