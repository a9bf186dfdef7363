//! The hashes of pieces: taken along while blocks are written, completed from the files where blocks were
//! missed.

use std::collections::HashMap;

use pieceful_core::disk::{DiskError, PieceHasher};
use pieceful_core::id::{BLOCK_LEN, Block, Digest, PieceIndex, TorrentId};
use sha1::{Digest as _, Sha1};

use super::error;
use super::files::TorrentFiles;
use super::handles::Hand;
use super::read::read_span;

/// Pieces of one worker whose hash is under way at most. A hundred peers each on a piece of their own fit.
const LIVE_MAX: usize = 512;

/// Bytes read back at once: they stay in the L2 cache between the read and the hash.
pub(super) const CHUNK_LEN: usize = 128 * 1024;

/// The hashes under way on one worker.
#[derive(Default)]
pub(super) struct Live {
    hashers: HashMap<(TorrentId, PieceIndex), Entry>,
    uses: u64,
}

#[derive(Default)]
struct Entry {
    hasher: PieceHasher,
    used: u64,
}

impl Live {
    /// Sees a block on its way to the file.
    pub(super) fn absorb(&mut self, torrent: TorrentId, block: Block, data: &pieceful_core::chain::Chain) {
        let key = (torrent, block.piece);
        self.uses += 1;
        if let Some(entry) = self.hashers.get_mut(&key) {
            entry.used = self.uses;
            if block.offset < entry.hasher.position() {
                // Bytes that were hashed already are written anew: what was hashed no longer counts.
                self.hashers.remove(&key);
            } else {
                entry.hasher.absorb(block.offset, data);
                return;
            }
        }
        if block.offset != 0 {
            return;
        }
        if self.hashers.len() >= LIVE_MAX
            && let Some(oldest) = self.hashers.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
        {
            self.hashers.remove(&oldest); // it will be read back
        }
        let mut hasher = PieceHasher::new();
        hasher.absorb(0, data);
        self.hashers.insert(key, Entry { hasher, used: self.uses });
    }

    /// What is known of a piece's hash; a fresh hasher when that is nothing.
    pub(super) fn take(&mut self, torrent: TorrentId, piece: PieceIndex) -> PieceHasher {
        self.hashers.remove(&(torrent, piece)).map(|entry| entry.hasher).unwrap_or_default()
    }

    /// Forgets a piece: its file does not hold what was hashed.
    pub(super) fn forget(&mut self, torrent: TorrentId, piece: PieceIndex) {
        self.hashers.remove(&(torrent, piece));
    }

    /// Forgets a torrent.
    pub(super) fn forget_torrent(&mut self, torrent: TorrentId) {
        self.hashers.retain(|(of, _), _| *of != torrent);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.hashers.clear();
    }
}

/// The hash of `piece` as the files have it, from where `hasher` stands.
pub(super) fn complete(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    piece: PieceIndex,
    mut hasher: PieceHasher,
    chunk: &mut [u8],
) -> Result<Digest, DiskError> {
    let len = files.layout.piece_len(piece);
    let mut position = hasher.position();
    let rest = Block { piece, offset: position, len: len.saturating_sub(position) };
    for mut span in files.layout.spans(rest) {
        if files.path(span.file).is_none() {
            hasher.absorb_zeros(position, span.len);
            position += span.len;
            continue;
        }
        while span.len > 0 {
            let here = span.len.min(chunk.len() as u32);
            let bytes = &mut chunk[..here as usize];
            read_span(files, hand, pieceful_core::disk::Span { len: here, ..span }, bytes)?;
            hasher.absorb_slice(position, bytes);
            position += here;
            span.offset += u64::from(here);
            span.len -= here;
        }
    }
    if len == 0 {
        return Err(error::no_such_block());
    }
    hasher.finish(len).ok_or_else(error::no_such_block)
}

/// SHA-1 of each 16 KiB block of `piece` as the files have them.
pub(super) fn blocks(
    files: &TorrentFiles,
    hand: &mut Hand<'_>,
    piece: PieceIndex,
    chunk: &mut [u8],
) -> Result<Vec<[u8; 20]>, DiskError> {
    if files.layout.piece_len(piece) == 0 {
        return Err(error::no_such_block());
    }
    let bytes = &mut chunk[..BLOCK_LEN as usize];
    files
        .layout
        .blocks(piece)
        .map(|block| {
            let bytes = &mut bytes[..block.len as usize];
            super::read::read_into(files, hand, block, bytes)?;
            Ok(Sha1::digest(&*bytes).into())
        })
        .collect()
}
