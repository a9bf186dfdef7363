//! What the core asks of storage, and what storage answers.
//!
//! The core owns no file. It names blocks of pieces; [`Layout`] says which bytes of which files those are, and
//! a driver's disk workers do the rest. Every action is answered exactly once, also when it fails, because the
//! core counts what is outstanding and that count is what bounds the driver's memory.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::chain::Chain;
use crate::id::{Block, Digest, PieceIndex};

mod budget;
mod hasher;
mod layout;
pub use budget::Budget;
pub use hasher::PieceHasher;
pub use layout::{Layout, LayoutError, LayoutFile, Span};

/// One thing for a disk worker to do.
///
/// Actions on the same piece are executed in the order they are issued, so a `Hash` may follow the piece's last
/// `Write` at once. Actions on different pieces may be executed in any order and answered in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskAction {
    /// Look at what is there. Comes first, creates and changes nothing.
    Open {
        /// Which files, how long, in which order.
        layout: Arc<Layout>,
    },
    /// Make the files named ready to be written: create them with their folders where they are missing, cut
    /// those that are longer than the layout says, and reserve their space if asked to.
    ///
    /// Files that are not named here are created by the first `Write` that touches them. Comes when what is there
    /// has been checked, and again when other files are wanted, and when the last piece has come. It is executed when
    /// everything is done that was handed over before it.
    Prepare {
        /// Whether blocks will be written. Then no other torrent and no other process is to use any of the
        /// torrent's files; else others may read them, too, but not write.
        writes: bool,
        /// Indices into the layout's files.
        files: Vec<u32>,
        /// Files that are aside from now on, as indices into the layout's files: they are neither created nor
        /// touched, and what is written to or read from them goes to, or comes from, the file of
        /// [parts](Layout::parts). A file that is absent is so from its `Open` on until this says that it is not.
        ///
        /// Of a file that is aside and not named here, all bytes that are kept are moved to where they belong. They
        /// are there, and durable, before they are forgotten, so that at no instant they are in neither place. The
        /// file of parts is removed once no file is aside.
        aside: Vec<u32>,
        /// Sparse files, or space reserved at once.
        allocation: Allocation,
    },
    /// Write one block. The buffers behind `data` are released before this is answered.
    Write {
        /// Where it belongs.
        block: Block,
        /// `block.len` bytes.
        data: Chain,
    },
    /// Read one block.
    Read {
        /// Which bytes; may span files.
        block: Block,
    },
    /// Hash a whole piece, padding files as zeros.
    Hash {
        /// Which piece.
        piece: PieceIndex,
    },
    /// Hash each 16 KiB block of a piece by itself, to find out which of them is wrong.
    HashBlocks {
        /// Which piece.
        piece: PieceIndex,
    },
    /// Make durable everything written so far, and of files that were there when they were looked at what an earlier run
    /// may have written. Other actions may go on meanwhile.
    Sync,
    /// Forget the torrent's files. Comes last.
    Close,
}

/// How much of a file's space is taken before its bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Allocation {
    /// Space is taken as blocks arrive; what is missing reads as zeros.
    #[default]
    Sparse,
    /// All of it is reserved at the start, so that a full disk is noticed then.
    Full,
}

/// What came of a [`DiskAction`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DiskDone {
    /// What is there already, one entry a file of the layout.
    Opened(Vec<Existing>),
    /// The files are ready.
    Prepared,
    /// The block is in the file (not necessarily durable), its buffers are free again.
    Written,
    /// The block's bytes, exactly as many as were asked for.
    Read(Bytes),
    /// The piece's hash as it stands in the files.
    Hashed(Digest),
    /// SHA-1 of each 16 KiB block of the piece, in order; the last may be of a shorter block.
    BlocksHashed(Vec<[u8; 20]>),
    /// All earlier writes are durable. Names the files that were made so since the last time, as they are now; one that
    /// is left out counts as not durable.
    Synced(Vec<SyncedFile>),
    /// The files are closed.
    Closed,
}

/// A file of the layout as the disk has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Existing {
    /// Nothing there, or a padding file, which is never stored.
    Absent,
    /// Nothing there, and some of its bytes may be kept in the file of [parts](Layout::parts).
    Aside {
        /// So many at its beginning.
        head: u64,
        /// And so many at its end.
        tail: u64,
        /// As [`SyncedFile::stamp`], of the file of parts.
        stamp: u64,
    },
    /// A regular file.
    Present {
        /// Its length in bytes, which may differ from the layout's.
        len: u64,
        /// Whether any byte of it was ever written. A sparse file that is one hole has none.
        has_data: bool,
        /// As [`SyncedFile::stamp`].
        stamp: u64,
    },
}

/// A file whose bytes are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SyncedFile {
    /// Index into the layout's files.
    pub file: u32,
    /// Its length in bytes; 0 of a file that is aside.
    pub len: u64,
    /// A number that is another one whenever the file's bytes have been written to, such as the time of that. Only ever
    /// compared, also with those of earlier runs. All files that are aside have that of the file of parts.
    pub stamp: u64,
}

/// Why a disk action failed. `file` is an index into the layout's files, where one file is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiskError {
    /// What to do about it.
    pub kind: DiskErrorKind,
    /// Which file.
    pub file: Option<u32>,
    /// The path and the system's words, for people.
    pub message: String,
}

/// The kinds of storage failure that call for different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DiskErrorKind {
    /// The disk is full, or a quota is used up: space may come back.
    #[error("no space left")]
    NoSpace,
    /// The system would not let us.
    #[error("permission denied")]
    Denied,
    /// A symbolic link, a folder or a device stands where a file should be: never written through.
    #[error("something else is in the way")]
    InTheWay,
    /// Another torrent, or another process, uses the file: two cannot write to it.
    #[error("in use")]
    InUse,
    /// The file is shorter than what was to be read, or is gone.
    #[error("data missing")]
    Missing,
    /// Too many open files: worth another try.
    #[error("too many open files")]
    TooManyOpen,
    /// Any other failure of the device or the system.
    #[error("input/output error")]
    Io,
}
