//! Which bytes of which files a block is.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{BLOCK_LEN, Block, PieceIndex};
use crate::metainfo::{Info, SafePath};

/// A torrent's files end to end, cut into pieces.
///
/// ```
/// use pieceful_core::disk::{Layout, LayoutFile};
/// use pieceful_core::id::{Block, PieceIndex};
///
/// // Two files of 3 and 5 bytes in pieces of 4: piece 0 holds all of the first and 1 byte of the second.
/// let layout = Layout::new(4, [LayoutFile::unnamed(3), LayoutFile::unnamed(5)]).unwrap();
/// let block = Block { piece: PieceIndex(0), offset: 0, len: 4 };
/// let spans: Vec<_> = layout.spans(block).map(|s| (s.file, s.offset, s.len)).collect();
/// assert_eq!(spans, [(0, 0, 3), (1, 0, 1)]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Layout {
    piece_length: u32,
    total: u64,
    files: Vec<LayoutFile>,
    parts: Option<SafePath>,
}

/// One file's place in a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutFile {
    /// Where it is stored; `None` for padding (BEP 47) and whatever else is hashed but never stored.
    pub path: Option<SafePath>,
    /// Bytes.
    pub len: u64,
    /// Bytes of all files before it.
    pub start: u64,
    /// To be marked executable once it is created.
    pub executable: bool,
}

impl LayoutFile {
    /// A file of `len` bytes that is never stored; its place is set by [`Layout::new`].
    #[must_use]
    pub const fn unnamed(len: u64) -> Self {
        Self { path: None, len, start: 0, executable: false }
    }
}

/// A run of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index into [`Layout::files`].
    pub file: u32,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Length in bytes, at least 1.
    pub len: u32,
}

/// Why there is no such layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A piece has to have bytes.
    #[error("piece length is 0")]
    PieceLength,
    /// The lengths add up to more than 64 bits hold, or to more pieces than 32 bits count.
    #[error("the files are too long in all")]
    TooLong,
}

impl Layout {
    /// The layout of `files` in their order; each one's `start` is worked out here.
    pub fn new(piece_length: u32, files: impl IntoIterator<Item = LayoutFile>) -> Result<Self, LayoutError> {
        if piece_length == 0 {
            return Err(LayoutError::PieceLength);
        }
        let mut total: u64 = 0;
        let mut placed: Vec<LayoutFile> = Vec::new();
        for mut file in files {
            file.start = total;
            total = total.checked_add(file.len).ok_or(LayoutError::TooLong)?;
            placed.push(file);
        }
        if total.div_ceil(u64::from(piece_length)) > u64::from(u32::MAX) {
            return Err(LayoutError::TooLong);
        }
        Ok(Self { piece_length, total, files: placed, parts: None })
    }

    /// The layout of a torrent's files. Padding and symbolic links have no path.
    pub fn of(info: &Info) -> Result<Self, LayoutError> {
        let layout = Self::new(
            info.piece_length,
            info.files.iter().map(|file| LayoutFile {
                path: (!file.padding && !file.symlink).then(|| file.path.clone()),
                len: file.length,
                start: 0,
                executable: file.executable,
            }),
        )?;
        let parts = SafePath::single(&format!(".{}.parts", info.info_hash.to_hex()));
        Ok(layout.with_parts(parts))
    }

    /// The same, with a file of [parts](Self::parts).
    #[must_use]
    pub fn with_parts(self, parts: SafePath) -> Self {
        Self { parts: Some(parts), ..self }
    }

    /// Where the bytes of files are kept that are [aside](super::DiskAction::Prepare): in a file beside the torrent's
    /// own, named after its info-hash, each byte at [its place in the torrent](Self::offset_in_parts). `None` for a
    /// layout made by hand, of which no file may be aside.
    #[must_use]
    pub const fn parts(&self) -> Option<&SafePath> {
        self.parts.as_ref()
    }

    /// Where `span` begins in the file of [parts](Self::parts): as far from its start as from that of the torrent.
    #[must_use]
    pub fn offset_in_parts(&self, span: Span) -> u64 {
        self.files.get(span.file as usize).map_or(0, |file| file.start) + span.offset
    }

    /// The files in order.
    #[must_use]
    pub fn files(&self) -> &[LayoutFile] {
        &self.files
    }

    /// Bytes in every piece but the last.
    #[must_use]
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Bytes of all files, padding included.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many pieces.
    #[must_use]
    pub const fn pieces(&self) -> u32 {
        self.total.div_ceil(self.piece_length as u64) as u32
    }

    /// Bytes in `piece`; 0 when there is no such piece.
    #[must_use]
    pub fn piece_len(&self, piece: PieceIndex) -> u32 {
        let start = u64::from(piece.0) * u64::from(self.piece_length);
        self.total.saturating_sub(start).min(u64::from(self.piece_length)) as u32
    }

    /// The whole of `piece` as one block.
    #[must_use]
    pub fn whole(&self, piece: PieceIndex) -> Block {
        Block { piece, offset: 0, len: self.piece_len(piece) }
    }

    /// The 16 KiB blocks of `piece` in order; the last may be shorter.
    pub fn blocks(&self, piece: PieceIndex) -> impl Iterator<Item = Block> + use<> {
        let len = self.piece_len(piece);
        (0..len).step_by(BLOCK_LEN as usize).map(move |offset| Block {
            piece,
            offset,
            len: BLOCK_LEN.min(len - offset),
        })
    }

    /// Whether `block` has bytes and lies inside its piece.
    #[must_use]
    pub fn contains(&self, block: Block) -> bool {
        let end = block.offset.checked_add(block.len);
        block.len > 0 && end.is_some_and(|end| end <= self.piece_len(block.piece))
    }

    /// The runs of bytes that `block` is, in order, padding included; empty files have none.
    ///
    /// Bytes past the end of the piece are left out, so the lengths of the spans of a block that has bytes add
    /// up to `block.len` exactly when [`contains`](Self::contains) holds.
    pub fn spans(&self, block: Block) -> impl Iterator<Item = Span> + '_ {
        let start = u64::from(block.piece.0) * u64::from(self.piece_length);
        let from = start + u64::from(block.offset);
        let until =
            start + u64::from(block.offset.saturating_add(block.len).min(self.piece_len(block.piece)));
        let first = self.files.partition_point(|file| file.start + file.len <= from);
        self.files[first..]
            .iter()
            .enumerate()
            .take_while(move |(_, file)| from.max(file.start) < until)
            .filter(|(_, file)| file.len > 0)
            .map(move |(place, file)| {
                let begin = from.max(file.start);
                let end = until.min(file.start + file.len);
                Span { file: (first + place) as u32, offset: begin - file.start, len: (end - begin) as u32 }
            })
    }

    /// The pieces that hold bytes of `file`, as a range of indices; empty for an empty file.
    #[must_use]
    pub fn pieces_of(&self, file: u32) -> core::ops::Range<u32> {
        let Some(file) = self.files.get(file as usize).filter(|file| file.len > 0) else { return 0..0 };
        let length = u64::from(self.piece_length);
        (file.start / length) as u32..(file.start + file.len).div_ceil(length) as u32
    }

    /// Bytes that are stored, that is without padding.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.files.iter().filter(|file| file.path.is_some()).map(|file| file.len).sum()
    }

    /// Bytes of `piece` that are stored.
    #[must_use]
    pub fn stored_in(&self, piece: PieceIndex) -> u64 {
        self.spans(self.whole(piece))
            .filter(|span| self.files[span.file as usize].path.is_some())
            .map(|span| u64::from(span.len))
            .sum()
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({} files, {} pieces of {})", self.files.len(), self.pieces(), self.piece_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::{ListEncoder, dict};

    fn layout(piece_length: u32, lens: &[u64]) -> Layout {
        Layout::new(piece_length, lens.iter().map(|&len| LayoutFile::unnamed(len))).unwrap()
    }

    fn spans(layout: &Layout, piece: u32, offset: u32, len: u32) -> Vec<(u32, u64, u32)> {
        let block = Block { piece: PieceIndex(piece), offset, len };
        layout.spans(block).map(|span| (span.file, span.offset, span.len)).collect()
    }

    #[test]
    fn empty_files_take_no_bytes_wherever_they_stand() {
        let layout = layout(4, &[0, 3, 0, 0, 5, 0]);
        assert_eq!(spans(&layout, 0, 0, 4), [(1, 0, 3), (4, 0, 1)]);
        assert_eq!(spans(&layout, 1, 0, 4), [(4, 1, 4)]);
        assert_eq!(layout.pieces_of(2), 0..0);
        assert_eq!(layout.pieces_of(4), 0..2);
    }

    #[test]
    fn the_last_piece_is_what_is_left() {
        let layout = layout(10, &[25]);
        assert_eq!(layout.pieces(), 3);
        assert_eq!(layout.piece_len(PieceIndex(2)), 5);
        assert_eq!(layout.piece_len(PieceIndex(3)), 0);
        assert!(!layout.contains(Block { piece: PieceIndex(2), offset: 4, len: 2 }));
        assert!(!layout.contains(Block { piece: PieceIndex(0), offset: u32::MAX, len: 2 }));
        assert!(!layout.contains(Block { piece: PieceIndex(0), offset: 0, len: 0 }));
        assert_eq!(spans(&layout, 2, 0, 9), [(0, 20, 5)]);
    }

    #[test]
    fn a_block_has_no_bytes_outside_its_piece_and_an_empty_one_has_none() {
        let layout = layout(10, &[4, 21]);
        assert_eq!(spans(&layout, 0, 2, 9), [(0, 2, 2), (1, 0, 6)]);
        assert_eq!(spans(&layout, 0, 2, u32::MAX), [(0, 2, 2), (1, 0, 6)]);
        assert_eq!(spans(&layout, 0, 12, 3), []);
        assert_eq!(spans(&layout, 0, 2, 0), [], "not a run of 0 bytes");
        assert_eq!(spans(&layout, u32::MAX, u32::MAX, u32::MAX), []);
    }

    #[test]
    fn blocks_are_16_kib_but_the_last() {
        let layout = layout(40_000, &[100_000]);
        let lens: Vec<_> = layout.blocks(PieceIndex(0)).map(|block| (block.offset, block.len)).collect();
        assert_eq!(lens, [(0, 16_384), (16_384, 16_384), (32_768, 7_232)]);
        assert_eq!(layout.blocks(PieceIndex(2)).count(), 2);
        assert_eq!(layout.blocks(PieceIndex(9)).count(), 0);
    }

    #[test]
    fn padding_and_links_have_bytes_or_a_name_but_are_not_stored() {
        let file = |length: u64, attr: &[u8], name: &[u8], list: &mut ListEncoder<'_>| {
            list.dict(|d| {
                d.bytes(b"attr", attr);
                d.int(b"length", length as i64);
                d.list(b"path", |path| path.bytes(name));
                d.list(b"symlink path", |path| path.bytes(b"a"));
            });
        };
        let info = dict(|d| {
            d.list(b"files", |list| {
                file(20_000, b"x", b"a", list);
                file(12_768, b"p", b"12768", list);
                file(5, b"", b"b", list);
                file(0, b"l", b"link", list);
            });
            d.bytes(b"name", b"t");
            d.int(b"piece length", 32_768);
            d.bytes(b"pieces", &[0; 40]);
        });
        let layout = Layout::of(&Info::parse(info.into()).unwrap()).unwrap();
        let names = layout.files().iter().map(|file| file.path.as_ref().map(SafePath::as_str));
        assert_eq!(names.collect::<Vec<_>>(), [Some("t/a"), None, Some("t/b"), None]);
        assert_eq!(
            layout.files().iter().map(|file| file.executable).collect::<Vec<_>>(),
            [true, false, false, false]
        );
        assert_eq!((layout.piece_length(), layout.total(), layout.stored()), (32_768, 32_773, 20_005));
        assert_eq!([0, 1, 2].map(|piece| layout.stored_in(PieceIndex(piece))), [20_000, 5, 0]);
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let file = LayoutFile::unnamed(u64::MAX);
        assert_eq!(Layout::new(1, [file.clone(), file.clone()]), Err(LayoutError::TooLong));
        assert_eq!(Layout::new(1, [file]), Err(LayoutError::TooLong));
        assert_eq!(Layout::new(0, []), Err(LayoutError::PieceLength));
    }
}
