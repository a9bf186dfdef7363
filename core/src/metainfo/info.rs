//! Which data a torrent is: the `info` dictionary, checked (BEP 3, BEP 47, BEP 52 as far as hybrids go).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::Bytes;
use sha1::Digest as _;

use super::error::MetainfoError;
use super::files::{self, PathBuilder, SafePath};
use crate::bencode::{self, Kind, Limits, Value};
use crate::id::{Digest, InfoHash, PieceIndex};

/// The `info` dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its bytes as they came: the info-hash is taken over these.
    pub raw: Bytes,
    /// Its hash or hashes.
    pub info_hash: InfoHash,
    /// The name of the file, or of the folder around several: a safe path component, and fit to be printed.
    pub name: String,
    /// Bytes in every piece but the last.
    pub piece_length: u32,
    /// 20 bytes of SHA-1 for each piece (v1).
    pub pieces: Bytes,
    /// In the order of the data, padding included.
    pub files: Vec<File>,
    /// All files' bytes, padding included; at least 1.
    pub total_length: u64,
    /// Peers only from its own trackers (BEP 27).
    pub private: bool,
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it goes below the download folder: safe components only, the torrent's name first where there are
    /// several files. No two files that are stored have the same one.
    pub path: SafePath,
    /// Bytes.
    pub length: u64,
    /// Zeros that align the next file to a piece (BEP 47): hashed, never stored.
    pub padding: bool,
    /// A symbolic link (BEP 47): never created. It has no bytes.
    pub symlink: bool,
    /// To be marked executable (BEP 47).
    pub executable: bool,
}

/// Longest piece. Real ones have at most 64 MiB; this is where others stop, too, and it fits every counter.
pub const PIECE_LENGTH_MAX: u32 = 256 << 20;

/// Most pieces, as in libtorrent. It bounds bitfields to 256 KiB.
pub const PIECES_MAX: u32 = 2_097_152;

/// Most bytes in all. It keeps every offset far away from what 64 bits hold.
pub const TOTAL_LENGTH_MAX: u64 = (1 << 48) - 1;

/// Most components of a file's path, the torrent's name included.
pub const PATH_DEPTH_MAX: usize = 64;

/// Longest `info` that is taken from peers (BEP 9).
pub const METADATA_LEN_MAX: usize = 16 << 20;

impl Info {
    /// Reads an `info` dictionary that stands alone, as peers send it for a magnet link (BEP 9).
    ///
    /// That it has the info-hash that was asked for is for the caller to compare.
    ///
    /// # Errors
    /// When it is not bencode, or does not say in a consistent way which bytes belong to which file and piece.
    pub fn parse(raw: Bytes) -> Result<Self, MetainfoError> {
        if raw.len() > METADATA_LEN_MAX {
            return Err(MetainfoError::TooLarge { len: raw.len(), max: METADATA_LEN_MAX });
        }
        let document = bencode::decode(&raw, Limits::METAINFO)?;
        Self::read(document.root(), &raw)
    }

    /// Reads `info`, a value decoded from `source`.
    pub(super) fn read(info: Value<'_>, source: &Bytes) -> Result<Self, MetainfoError> {
        let keys = Keys::of(info)?;
        let is_v2 = keys.meta_version.and_then(Value::as_int).is_some_and(|version| version >= 2);
        let Some(pieces) = keys.pieces else {
            let only_v2 = is_v2 || keys.file_tree.is_some();
            return Err(if only_v2 { MetainfoError::OnlyV2 } else { MetainfoError::Missing("pieces") });
        };
        let pieces = source.slice_ref(pieces.as_bytes().ok_or(MetainfoError::WrongType("pieces"))?);
        let raw = source.slice_ref(info.raw());
        let info_hash = match is_v2 && keys.file_tree.is_some_and(|tree| tree.kind() == Kind::Dict) {
            true => InfoHash::hybrid(sha1::Sha1::digest(&raw).into(), sha2::Sha256::digest(&raw).into()),
            false => InfoHash::from_v1(sha1::Sha1::digest(&raw).into()),
        };
        let raw_name = keys.name()?;
        let name = match files::component(raw_name) {
            name if name == "_" && raw_name != b"_" => info_hash.to_hex(), // it is as good as none
            name => name,
        };
        let mut files = match keys.files {
            Some(list) => read_files(list, &name)?,
            None => Vec::from([keys.only_file(&name)?]),
        };
        files::keep_apart(&mut files)?;
        let total_length = total_length(&files)?;
        let piece_length = piece_length(keys.piece_length)?;
        check_count(&pieces, total_length, piece_length)?;
        let private = keys.private.and_then(Value::as_int).is_some_and(|private| private != 0);
        Ok(Self { raw, info_hash, name, piece_length, pieces, files, total_length, private })
    }

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

    /// The files a user gets: no padding, no symbolic links.
    pub fn stored_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| !file.padding && !file.symlink)
    }

    /// Bytes of the files a user gets.
    #[must_use]
    pub fn stored_length(&self) -> u64 {
        self.stored_files().map(|file| file.length).sum()
    }
}

/// As its bytes: everything else follows from them.
#[cfg(feature = "serde")]
impl serde::Serialize for Info {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Info {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Bytes::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The values of the keys that count, found in one pass.
#[derive(Default)]
struct Keys<'a> {
    attr: Option<Value<'a>>,
    file_tree: Option<Value<'a>>,
    files: Option<Value<'a>>,
    length: Option<Value<'a>>,
    meta_version: Option<Value<'a>>,
    name: Option<Value<'a>>,
    name_utf8: Option<Value<'a>>,
    piece_length: Option<Value<'a>>,
    pieces: Option<Value<'a>>,
    private: Option<Value<'a>>,
}

impl<'a> Keys<'a> {
    fn of(info: Value<'a>) -> Result<Self, MetainfoError> {
        if info.kind() != Kind::Dict {
            return Err(MetainfoError::WrongType("info"));
        }
        let mut keys = Self::default();
        for (key, value) in info.entries() {
            let slot = match key {
                b"attr" => &mut keys.attr,
                b"file tree" => &mut keys.file_tree,
                b"files" => &mut keys.files,
                b"length" => &mut keys.length,
                b"meta version" => &mut keys.meta_version,
                b"name" => &mut keys.name,
                b"name.utf-8" => &mut keys.name_utf8,
                b"piece length" => &mut keys.piece_length,
                b"pieces" => &mut keys.pieces,
                b"private" => &mut keys.private,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        Ok(keys)
    }

    /// `name.utf-8` when it is that, else `name`.
    fn name(&self) -> Result<&'a [u8], MetainfoError> {
        let utf8 = self.name_utf8.and_then(Value::as_str).filter(|name| !name.is_empty());
        if let Some(name) = utf8 {
            return Ok(name.as_bytes());
        }
        let name = self.name.ok_or(MetainfoError::Missing("name"))?;
        name.as_bytes().ok_or(MetainfoError::WrongType("name"))
    }

    fn only_file(&self, name: &str) -> Result<File, MetainfoError> {
        if self.length.is_none() {
            return Err(MetainfoError::Missing("length"));
        }
        let attributes = Attributes::of(self.attr);
        Ok(File {
            path: SafePath::single(name),
            length: file_length(self.length, attributes, 0)?,
            padding: false,
            symlink: attributes.symlink,
            executable: attributes.executable,
        })
    }
}

/// What `attr` says of a file (BEP 47).
#[derive(Clone, Copy, Default)]
struct Attributes {
    padding: bool,
    symlink: bool,
    executable: bool,
}

impl Attributes {
    fn of(attr: Option<Value<'_>>) -> Self {
        let letters = attr.and_then(Value::as_bytes).unwrap_or_default();
        Self {
            padding: letters.contains(&b'p'),
            symlink: letters.contains(&b'l'),
            executable: letters.contains(&b'x'),
        }
    }
}

fn read_files(list: Value<'_>, root: &str) -> Result<Vec<File>, MetainfoError> {
    if list.kind() != Kind::List {
        return Err(MetainfoError::WrongType("files"));
    }
    let mut files = Vec::new();
    let mut path = PathBuilder::default();
    for (index, file) in list.items().enumerate() {
        path.restart(root);
        files.push(read_file(file, index, &mut path)?);
    }
    Ok(files)
}

fn read_file(file: Value<'_>, index: usize, path: &mut PathBuilder) -> Result<File, MetainfoError> {
    let (mut length, mut attr, mut plain, mut utf8) = (None, None, None, None);
    for (key, value) in file.entries() {
        let slot = match key {
            b"length" => &mut length,
            b"attr" => &mut attr,
            b"path" => &mut plain,
            b"path.utf-8" => &mut utf8,
            _ => continue,
        };
        slot.get_or_insert(value);
    }
    let mut attributes = Attributes::of(attr);
    let length = file_length(length, attributes, index)?;
    let has_path = |list: &Value<'_>| list.items().next().is_some();
    let utf8 = utf8.filter(has_path).filter(|list| list.items().all(|part| part.as_str().is_some()));
    match utf8.or(plain.filter(has_path)) {
        Some(parts) => {
            push_path(path, parts).ok_or(MetainfoError::FilePath { file: index })?;
            let last = parts.items().last().and_then(Value::as_bytes).unwrap_or_default();
            attributes.padding |= last.starts_with(BITCOMET_PADDING);
        }
        // BEP 47 does not ask for one.
        None if attributes.padding => {
            let mut name = String::new();
            write!(name, "{length}").expect("metainfo: writing to a String does not fail");
            path.push(b".pad");
            path.push(name.as_bytes());
        }
        None => return Err(MetainfoError::FilePath { file: index }),
    }
    let depth = path.depth();
    if depth > PATH_DEPTH_MAX {
        return Err(MetainfoError::TooDeep { file: index, depth, max: PATH_DEPTH_MAX });
    }
    let Attributes { padding, symlink, executable } = attributes;
    Ok(File { path: path.finish(), length, padding, symlink, executable })
}

/// How BitComet named its padding before there was BEP 47.
const BITCOMET_PADDING: &[u8] = b"_____padding_file_";

/// Puts the path that `parts` make below the torrent's name; `None` when they are not all strings.
fn push_path(path: &mut PathBuilder, parts: Value<'_>) -> Option<()> {
    for part in parts.items() {
        path.push(part.as_bytes()?);
    }
    Some(())
}

fn file_length(
    length: Option<Value<'_>>,
    attributes: Attributes,
    index: usize,
) -> Result<u64, MetainfoError> {
    if attributes.symlink {
        return Ok(0);
    }
    let length = length.and_then(Value::as_int).and_then(|length| u64::try_from(length).ok());
    length.ok_or(MetainfoError::FileLength { file: index })
}

fn total_length(files: &[File]) -> Result<u64, MetainfoError> {
    let mut total: u64 = 0;
    for file in files {
        total = total
            .checked_add(file.length)
            .filter(|&total| total <= TOTAL_LENGTH_MAX)
            .ok_or(MetainfoError::TotalLength { max: TOTAL_LENGTH_MAX })?;
    }
    if total == 0 { Err(MetainfoError::Empty) } else { Ok(total) }
}

fn piece_length(value: Option<Value<'_>>) -> Result<u32, MetainfoError> {
    let value = value.ok_or(MetainfoError::Missing("piece length"))?;
    let got = value.as_int().ok_or(MetainfoError::WrongType("piece length"))?;
    match u32::try_from(got) {
        Ok(length) if (1..=PIECE_LENGTH_MAX).contains(&length) => Ok(length),
        _ => Err(MetainfoError::PieceLength { got, max: PIECE_LENGTH_MAX }),
    }
}

fn check_count(pieces: &[u8], total_length: u64, piece_length: u32) -> Result<(), MetainfoError> {
    let want = total_length.div_ceil(u64::from(piece_length));
    if want > u64::from(PIECES_MAX) {
        return Err(MetainfoError::TooManyPieces { got: want, max: PIECES_MAX });
    }
    if !pieces.len().is_multiple_of(20) {
        return Err(MetainfoError::PieceHashes { len: pieces.len() });
    }
    let got = (pieces.len() / 20) as u64;
    if got == want { Ok(()) } else { Err(MetainfoError::PieceCount { got, want }) }
}
