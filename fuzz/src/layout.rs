//! The spans of a block are those of a model that knows the file of every byte.
//!
//! Input: piece length, block as piece, offset and length, then the length of each file; a byte each, so that
//! edges meet often.

use pieceful_core::disk::{Layout, LayoutFile};
use pieceful_core::id::{Block, PieceIndex};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let [piece_length, piece, offset, len, files @ ..] = data else { return };
    let files = &files[..files.len().min(64)];
    let block = Block { piece: PieceIndex((*piece).into()), offset: (*offset).into(), len: (*len).into() };
    let lens: Vec<u64> = files.iter().map(|&len| len.into()).collect();
    compare((*piece_length).into(), &lens, block);
}

/// Panics when the layout of `lens` says anything else than a byte by byte model of it.
pub fn compare(piece_length: u32, lens: &[u64], block: Block) {
    let layout = Layout::new(piece_length, lens.iter().map(|&len| LayoutFile::unnamed(len)));
    assert_eq!(layout.is_err(), piece_length == 0);
    let Ok(layout) = layout else { return };

    // The file and the place in it of every byte of the torrent.
    let bytes: Vec<(u32, u64)> =
        (0..).zip(lens).flat_map(|(file, &len)| (0..len).map(move |place| (file, place))).collect();
    let pieces: Vec<&[(u32, u64)]> = bytes.chunks(piece_length as usize).collect();
    assert_eq!(layout.total(), bytes.len() as u64);
    assert_eq!(layout.pieces() as usize, pieces.len());

    let piece = pieces.get(block.piece.0 as usize).copied().unwrap_or_default();
    let from = (block.offset as usize).min(piece.len());
    let until = (block.offset as usize).saturating_add(block.len as usize).min(piece.len());
    let spans: Vec<_> = layout.spans(block).collect();
    let spanned: Vec<_> = spans
        .iter()
        .flat_map(|span| (0..u64::from(span.len)).map(|byte| (span.file, span.offset + byte)))
        .collect();
    assert_eq!(spanned, piece[from..until], "{block} of {piece_length} byte pieces of {lens:?}");
    assert!(spans.iter().all(|span| span.len > 0));
    assert!(spans.windows(2).all(|two| two[0].file < two[1].file), "one span a file");

    assert_eq!(layout.piece_len(block.piece) as usize, piece.len());
    assert_eq!(layout.contains(block), block.len > 0 && spanned.len() == block.len as usize);
    let mut end = 0;
    for part in layout.blocks(block.piece) {
        assert!(layout.contains(part) && part.offset == end);
        end += part.len;
    }
    assert_eq!(end as usize, piece.len());

    for file in 0..=lens.len() as u32 {
        let holding = (0..).zip(&pieces).filter(|(_, piece)| piece.iter().any(|byte| byte.0 == file));
        assert!(layout.pieces_of(file).eq(holding.map(|(index, _)| index)), "the pieces of file {file}");
    }
}
