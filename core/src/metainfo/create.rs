//! How a new torrent is written: canonical, and only what every client can read back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::Metainfo;
use super::error::MetainfoError;
use crate::bencode::{self, DictEncoder};

/// What goes into a new .torrent file. Hashing the pieces is the caller's work.
///
/// ```
/// use pieceful_core::metainfo::{Content, Metainfo, NewTorrent, auto_piece_length};
///
/// let torrent = NewTorrent {
///     name: "hello.txt".into(),
///     content: Content::File { length: 5, executable: false },
///     piece_length: auto_piece_length(5),
///     pieces: vec![0xaa; 20].into(), // SHA-1 of its only piece
///     ..NewTorrent::default()
/// };
/// let metainfo = Metainfo::parse(torrent.to_bytes()?).unwrap();
/// assert_eq!(metainfo.info.files[0].path.to_string(), "hello.txt");
/// # Ok::<(), pieceful_core::metainfo::CreateError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTorrent {
    /// The name of the file, or of the folder around several.
    pub name: String,
    /// The file or the files.
    pub content: Content,
    /// Bytes in every piece but the last: see [`auto_piece_length`].
    pub piece_length: u32,
    /// 20 bytes of SHA-1 for each piece of the files laid end to end in their order.
    pub pieces: Bytes,
    /// Peers only from its own trackers (BEP 27).
    pub private: bool,
    /// Tracker URLs by tier (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Free text.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

/// What a new torrent has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One file, called as the torrent is.
    File {
        /// Bytes.
        length: u64,
        /// To be marked executable (BEP 47).
        executable: bool,
    },
    /// A folder, called as the torrent is: its files in the order in which they are hashed. Sorted by path is
    /// what makes two people who share the same folder get the same torrent.
    Folder(Vec<NewFile>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Folder(Vec::new())
    }
}

/// One file of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewFile {
    /// Components below the folder, outermost first.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// To be marked executable (BEP 47).
    pub executable: bool,
}

/// Longest .torrent file that is made, in bytes: libtorrent reads no longer ones.
pub const NEW_LEN_MAX: usize = 10_000_000;

/// Why a torrent is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A name that not every system can store, or that clashes with another one on some: whoever downloads it
    /// would have the file under another name.
    #[error("{path:?} would be called {becomes:?} on other systems, rename it first")]
    Name {
        /// The path, torrent's name first.
        path: String,
        /// What it would become.
        becomes: String,
    },
    /// What would be written is refused when it is read.
    #[error("the torrent would be of no use: {0}")]
    Invalid(#[from] MetainfoError),
    /// So many pieces or files that the .torrent file is too large to be read.
    #[error("the torrent file would have {len} bytes, many programs read at most {max}: use longer pieces")]
    TooLarge {
        /// Its length.
        len: usize,
        /// [`NEW_LEN_MAX`].
        max: usize,
    },
}

impl Metainfo {
    /// The .torrent file that says the same, its `info` byte for byte: what comes out of a magnet link and its metadata.
    /// Of its DHT nodes and its texts nothing is kept.
    #[must_use]
    pub fn to_torrent(&self) -> Vec<u8> {
        bencode::dict(|d| {
            put_trackers(d, &self.trackers);
            d.raw(b"info", &self.info.raw);
            put_web_seeds(d, &self.web_seeds);
        })
    }
}

impl NewTorrent {
    /// The .torrent file.
    ///
    /// # Errors
    /// When it could not be read back as it is meant: hashes that do not fit the lengths, names that would
    /// change, anything beyond the limits for reading.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CreateError> {
        let bytes = bencode::dict(|d| self.put(d));
        if bytes.len() > NEW_LEN_MAX {
            return Err(CreateError::TooLarge { len: bytes.len(), max: NEW_LEN_MAX });
        }
        let bytes = Bytes::from(bytes);
        let read = Metainfo::parse(bytes.clone())?;
        self.check_names(&read)?;
        drop(read);
        Ok(bytes.into())
    }

    fn put(&self, d: &mut DictEncoder<'_>) {
        put_trackers(d, &self.trackers);
        if let Some(comment) = &self.comment {
            d.bytes(b"comment", comment.as_bytes());
        }
        if let Some(created_by) = &self.created_by {
            d.bytes(b"created by", created_by.as_bytes());
        }
        if let Some(date) = self.creation_date {
            d.int(b"creation date", date);
        }
        d.dict(b"info", |info| self.put_info(info));
        put_web_seeds(d, &self.web_seeds);
    }

    fn put_info(&self, d: &mut DictEncoder<'_>) {
        match &self.content {
            Content::File { length, executable } => put_file(d, *length, *executable),
            Content::Folder(files) => d.list(b"files", |list| {
                for file in files {
                    list.dict(|d| {
                        put_file(d, file.length, file.executable);
                        d.list(b"path", |path| file.path.iter().for_each(|part| path.bytes(part.as_bytes())));
                    });
                }
            }),
        }
        d.bytes(b"name", self.name.as_bytes());
        d.int(b"piece length", i64::from(self.piece_length));
        d.bytes(b"pieces", &self.pieces);
        if self.private {
            d.int(b"private", 1);
        }
    }

    fn check_names(&self, read: &Metainfo) -> Result<(), CreateError> {
        let same = |path: String, becomes: &str| match path == becomes {
            true => Ok(()),
            false => Err(CreateError::Name { path, becomes: becomes.to_string() }),
        };
        same(self.name.clone(), &read.info.name)?;
        if let Content::Folder(files) = &self.content {
            for (file, read) in files.iter().zip(&read.info.files) {
                same([&[self.name.clone()][..], &file.path].concat().join("/"), read.path.as_str())?;
            }
        }
        Ok(())
    }
}

fn put_trackers(d: &mut DictEncoder<'_>, trackers: &[Vec<String>]) {
    if let Some(first) = trackers.iter().flatten().next() {
        d.bytes(b"announce", first.as_bytes());
    }
    if trackers.iter().map(Vec::len).sum::<usize>() > 1 {
        d.list(b"announce-list", |tiers| {
            for tier in trackers.iter().filter(|tier| !tier.is_empty()) {
                tiers.list(|trackers| tier.iter().for_each(|tracker| trackers.bytes(tracker.as_bytes())));
            }
        });
    }
}

fn put_web_seeds(d: &mut DictEncoder<'_>, web_seeds: &[String]) {
    if !web_seeds.is_empty() {
        d.list(b"url-list", |urls| web_seeds.iter().for_each(|url| urls.bytes(url.as_bytes())));
    }
}

fn put_file(d: &mut DictEncoder<'_>, length: u64, executable: bool) {
    if executable {
        d.bytes(b"attr", b"x");
    }
    // What does not fit is beyond the limit for reading, and refused there.
    d.int(b"length", i64::try_from(length).unwrap_or(i64::MAX));
}

/// A piece length for `total` bytes: a power of two from 16 KiB to 16 MiB that makes about 1,000 to 2,000 pieces.
///
/// Fewer, and peers wait longer for a first piece to share; more, and the .torrent file and `have` messages grow.
#[must_use]
pub fn auto_piece_length(total: u64) -> u32 {
    const PIECES_AIMED_AT: u64 = 2_000;
    const SHORTEST: u64 = 16 << 10;
    const LONGEST: u64 = 16 << 20;
    let fitting = total.div_ceil(PIECES_AIMED_AT).clamp(SHORTEST, LONGEST);
    fitting.next_power_of_two() as u32
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_torrent_made_of_a_link_and_its_metadata_says_the_same_again() {
        let info =
            b"d6:lengthi5e4:name5:hello12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa7:unknowni1ee";
        let said = [
            b"d8:announce11:http://a/1/13:announce-listll11:http://a/1/el11:http://b/2/ee4:info".as_slice(),
            info,
            b"8:url-listl11:http://c/3/ee",
        ];
        let metainfo = Metainfo::parse(said.concat()).unwrap();
        assert_eq!(metainfo.to_torrent(), said.concat());
        let bare = Metainfo { trackers: Vec::new(), web_seeds: Vec::new(), ..metainfo };
        assert_eq!(bare.to_torrent(), [b"d4:info".as_slice(), info, b"e"].concat());
    }

    fn folder() -> NewTorrent {
        let file = |path: &[&str], length, executable| NewFile {
            path: path.iter().map(ToString::to_string).collect(),
            length,
            executable,
        };
        NewTorrent {
            name: "folder".into(),
            content: Content::Folder(vec![
                file(&["a"], 0, false),
                file(&["b", "c.sh"], 20_000, true),
                file(&["b", "日本.txt"], 1, false),
            ]),
            piece_length: 16_384,
            pieces: vec![7; 40].into(),
            ..NewTorrent::default()
        }
    }

    #[test]
    fn what_is_written_is_canonical_and_read_back_the_same() {
        let new = NewTorrent {
            private: true,
            trackers: vec![vec!["http://a/".into(), "http://b/".into()], vec!["udp://c:1".into()]],
            web_seeds: vec!["http://w/".into()],
            comment: Some("words".into()),
            created_by: Some("pieceful".into()),
            creation_date: Some(1_700_000_000),
            ..folder()
        };
        let read = Metainfo::parse(new.to_bytes().unwrap()).unwrap();
        assert_eq!((read.trackers, read.web_seeds), (new.trackers, new.web_seeds));
        assert_eq!((read.comment, read.created_by), (new.comment, new.created_by));
        assert_eq!(read.creation_date, new.creation_date);
        assert!(read.info.private);
        let files: Vec<_> =
            read.info.files.iter().map(|f| (f.path.as_str(), f.length, f.executable)).collect();
        let want = [("folder/a", 0, false), ("folder/b/c.sh", 20_000, true), ("folder/b/日本.txt", 1, false)];
        assert_eq!(files, want);
    }

    #[test]
    fn the_smallest_torrent_is_written_to_the_byte() {
        let new = NewTorrent {
            name: "f".into(),
            content: Content::File { length: 1, executable: true },
            piece_length: 16_384,
            pieces: vec![b'h'; 20].into(),
            trackers: vec![vec!["udp://t:1".into()]],
            ..NewTorrent::default()
        };
        let want = "d8:announce9:udp://t:14:infod4:attr1:x6:lengthi1e4:name1:f12:piece lengthi16384e\
            6:pieces20:hhhhhhhhhhhhhhhhhhhhee";
        assert_eq!(String::from_utf8(new.to_bytes().unwrap()).unwrap(), want);
    }

    #[test]
    fn names_that_would_change_on_the_way_are_refused_by_name() {
        for name in ["..", "a/b", "aux.c", "tab\there", ""] {
            let new = NewTorrent { name: name.into(), ..folder() };
            assert!(matches!(new.to_bytes(), Err(CreateError::Name { .. })), "{name:?}");
        }
        let mut new = folder();
        let Content::Folder(files) = &mut new.content else { unreachable!() };
        files[0].path = vec!["B".into()];
        let error = CreateError::Name { path: "folder/B".into(), becomes: "folder/B.1".into() };
        assert_eq!(new.to_bytes(), Err(error));
    }

    #[test]
    fn hashes_that_do_not_fit_and_torrents_without_data_are_refused() {
        let new = NewTorrent { pieces: vec![7; 20].into(), ..folder() };
        assert_eq!(new.to_bytes(), Err(MetainfoError::PieceCount { got: 1, want: 2 }.into()));
        let new = NewTorrent { content: Content::Folder(vec![]), pieces: Bytes::new(), ..folder() };
        assert_eq!(new.to_bytes(), Err(MetainfoError::Empty.into()));
        let content = Content::File { length: u64::MAX, executable: false };
        assert!(NewTorrent { content, ..folder() }.to_bytes().is_err());
    }

    #[test]
    fn the_piece_length_grows_with_the_data_within_bounds() {
        assert_eq!(auto_piece_length(0), 16 << 10);
        assert_eq!(auto_piece_length(1 << 20), 16 << 10);
        assert_eq!(auto_piece_length(1 << 30), 1 << 20);
        assert_eq!(auto_piece_length(8 << 30), 8 << 20);
        assert_eq!(auto_piece_length(u64::MAX), 16 << 20);
        for total in [40_u64 << 20, 700 << 20, 4_700_000_000, 20 << 30] {
            let count = total.div_ceil(u64::from(auto_piece_length(total)));
            assert!((1_000..=2_000).contains(&count), "{total} bytes in {count} pieces");
        }
    }
}
