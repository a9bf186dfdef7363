//! What can be wrong with a .torrent file.

use alloc::string::String;

use crate::bencode::BencodeError;

/// Why a .torrent file, or metadata from a peer, is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Larger than any that is read.
    #[error("a torrent file of {len} bytes is too large, at most {max} are read")]
    TooLarge {
        /// Its length.
        len: usize,
        /// [`FILE_LEN_MAX`](super::FILE_LEN_MAX) or [`METADATA_LEN_MAX`](super::METADATA_LEN_MAX).
        max: usize,
    },
    /// Not bencode.
    #[error("not a torrent file: {0}")]
    Bencode(#[from] BencodeError),
    /// A key without which nothing can be downloaded is not there.
    #[error("the torrent has no {0:?}")]
    Missing(&'static str),
    /// A key has a value of another type than it should.
    #[error("{0:?} in the torrent is not of the right type")]
    WrongType(&'static str),
    /// The torrent has only what BitTorrent v2 needs (BEP 52).
    #[error("this is a BitTorrent v2 torrent, and only v1 and hybrid torrents can be downloaded so far")]
    OnlyV2,
    /// `piece length` outside what is accepted.
    #[error("a piece length of {got} bytes, it has to be from 1 to {max}")]
    PieceLength {
        /// What it says.
        got: i64,
        /// [`PIECE_LENGTH_MAX`](super::PIECE_LENGTH_MAX).
        max: u32,
    },
    /// The length of `pieces` is not a multiple of 20.
    #[error("{len} bytes of piece hashes are no multiple of 20")]
    PieceHashes {
        /// Its length.
        len: usize,
    },
    /// There are not as many piece hashes as the files have pieces.
    #[error("{got} piece hashes for {want} pieces")]
    PieceCount {
        /// Hashes.
        got: u64,
        /// Pieces that the files' length takes.
        want: u64,
    },
    /// More pieces than accepted.
    #[error("{got} pieces are too many, at most {max} are accepted")]
    TooManyPieces {
        /// How many.
        got: u64,
        /// [`PIECES_MAX`](super::PIECES_MAX).
        max: u32,
    },
    /// A file without a length, or with a negative one. A single file counts as file 0.
    #[error("file {file} has no length, or a negative one")]
    FileLength {
        /// Its place in the list, from 0.
        file: usize,
    },
    /// A file without a path.
    #[error("file {file} has no path")]
    FilePath {
        /// Its place in the list, from 0.
        file: usize,
    },
    /// A file inside more folders than accepted.
    #[error("file {file} lies {depth} folders deep, at most {max} are accepted")]
    TooDeep {
        /// Its place in the list, from 0.
        file: usize,
        /// Components of its path.
        depth: usize,
        /// [`PATH_DEPTH_MAX`](super::PATH_DEPTH_MAX).
        max: usize,
    },
    /// The files are longer in all than accepted.
    #[error("the files are longer than {max} bytes in all")]
    TotalLength {
        /// [`TOTAL_LENGTH_MAX`](super::TOTAL_LENGTH_MAX).
        max: u64,
    },
    /// No files, or none with any bytes in it: nothing to download, and no piece to verify.
    #[error("the torrent has no data")]
    Empty,
    /// More files with the same path than are renamed.
    #[error("too many files have the same path, among them {path:?}")]
    TooManyCollisions {
        /// One of them.
        path: String,
    },
}
