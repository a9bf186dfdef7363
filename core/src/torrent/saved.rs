//! What a torrent keeps for its next run, as bytes.
//!
//! A line that names the format, the SHA-1 of the rest, and the rest as a bencoded dictionary. Whatever became of the
//! bytes meanwhile, they are read with the limits of network input, and believed only as far as the files are still what
//! they were: [`Stamps`].

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::bencode::{self, BencodeError, Limits, Value};
use crate::bitfield::Bitfield;
use crate::compact;
use crate::disk::{Existing, Layout, SyncedFile};
use crate::id::PieceIndex;
use crate::picker::Priority;

use super::selection::Selection;

/// What the bytes begin with. The number changes with the format.
const MAGIC: &[u8] = b"pieceful torrent 1\n";

/// Bytes of a SHA-1.
const SUM_LEN: usize = 20;

/// Bytes for the blocks of pieces that are not whole. What finds no room is fetched again.
const BLOCKS_MAX: usize = 16 * 1024;

/// Peers that are kept.
pub(super) const PEERS_MAX: usize = 64;

/// Files that are told apart; where there are more, neighbours share a stamp.
const STAMPS_MAX: usize = 8192;

/// Why saved bytes are of no use: the files are checked instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// They are of another program or another version of this one, or nothing is left of them.
    #[error("not a state this version has saved")]
    Format,
    /// They have been damaged.
    #[error("the saved state is damaged: its checksum is wrong")]
    Checksum,
    /// They are not bencoded.
    #[error("the saved state is damaged: {0}")]
    Bencode(#[from] BencodeError),
    /// A part is missing or has an impossible length.
    #[error("the saved state is damaged: no {0}")]
    Part(&'static str),
}

/// What is known of a torrent's files and its past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The pieces that are whole and durable, as on the wire.
    pub(super) have: Vec<u8>,
    /// Pieces of which some blocks are durable: which ones, as a bitfield.
    pub(super) blocks: Vec<(PieceIndex, Vec<u8>)>,
    /// What the files were like then.
    pub(super) stamps: Vec<u32>,
    /// Payload bytes received and sent, in all runs.
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    /// Peers that were of use.
    pub(super) peers: Vec<SocketAddr>,
    /// Which files were wanted.
    pub(super) selection: Selection,
    /// Which files some run has begun to write to.
    pub(super) begun: Selection,
    /// It was complete, so that nothing it has may be overwritten.
    pub(super) complete: bool,
    /// It stood still.
    pub(super) paused: bool,
}

impl Saved {
    /// Reads what an engine wanted to be saved. Drivers use this to tell what is damaged before an engine is given it.
    ///
    /// # Errors
    /// When the bytes are not what an engine of this version has saved, byte for byte.
    pub fn read(bytes: &[u8]) -> Result<Self, SavedError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(SavedError::Format)?;
        let (sum, body) = rest.split_first_chunk::<SUM_LEN>().ok_or(SavedError::Checksum)?;
        if Sha1::digest(body)[..] != sum[..] {
            return Err(SavedError::Checksum);
        }
        let document = bencode::decode(body, Limits::WIRE)?;
        let root = document.root();
        let part = |key: &'static str| {
            let value = root.get(key.as_bytes()).and_then(Value::as_bytes);
            value.ok_or(SavedError::Part(key))
        };
        let number = |key: &'static str| {
            let value = root.get(key.as_bytes()).and_then(Value::as_int);
            value.and_then(|value| u64::try_from(value).ok()).ok_or(SavedError::Part(key))
        };
        let stamps = part("files")?.as_chunks::<4>();
        if !stamps.1.is_empty() || stamps.0.len() > STAMPS_MAX {
            return Err(SavedError::Part("files"));
        }
        let peers = compact::v4(part("peers")?).chain(compact::v6(part("peers6")?));
        Ok(Self {
            have: part("have")?.to_vec(),
            blocks: read_blocks(part("blocks")?).ok_or(SavedError::Part("blocks"))?,
            stamps: stamps.0.iter().map(|stamp| u32::from_be_bytes(*stamp)).collect(),
            selection: read_selection(part("selection")?).ok_or(SavedError::Part("selection"))?,
            begun: read_selection(part("begun")?).ok_or(SavedError::Part("begun"))?,
            downloaded: number("downloaded")?,
            uploaded: number("uploaded")?,
            peers: peers.take(PEERS_MAX).collect(),
            complete: number("complete")? == 1,
            paused: number("paused")? == 1,
        })
    }

    /// Whether the torrent stood still when this was saved. Whether it is to do so again is for its owner to say.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn write(&self) -> Bytes {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for &peer in self.peers.iter().take(PEERS_MAX) {
            compact::put(peer, if peer.is_ipv4() { &mut v4 } else { &mut v6 });
        }
        let stamps: Vec<u8> = self.stamps.iter().flat_map(|stamp| stamp.to_be_bytes()).collect();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let body = bencode::dict(|d| {
            d.bytes(b"have", &self.have);
            d.bytes(b"blocks", &write_blocks(&self.blocks));
            d.bytes(b"files", &stamps);
            d.bytes(b"selection", &write_selection(&self.selection));
            d.bytes(b"begun", &write_selection(&self.begun));
            d.int(b"downloaded", number(self.downloaded));
            d.int(b"uploaded", number(self.uploaded));
            d.bytes(b"peers", &v4);
            d.bytes(b"peers6", &v6);
            d.int(b"complete", self.complete.into());
            d.int(b"paused", self.paused.into());
        });
        let mut bytes = Vec::with_capacity(MAGIC.len() + SUM_LEN + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&Sha1::digest(&body));
        bytes.extend_from_slice(&body);
        bytes.into()
    }

    /// The whole pieces, if there are as many pieces as the torrent has.
    pub(super) fn have(&self, pieces: u32) -> Option<Bitfield> {
        Bitfield::from_wire(&self.have, pieces).ok()
    }

    /// Keeps `blocks`, of a piece that is not whole, unless there is no more room.
    pub(super) fn keep_blocks(&mut self, piece: PieceIndex, blocks: Vec<u8>) {
        let taken: usize = self.blocks.iter().map(|(_, blocks)| ENTRY_LEN + blocks.len()).sum();
        if taken + ENTRY_LEN + blocks.len() <= BLOCKS_MAX {
            self.blocks.push((piece, blocks));
        }
    }
}

/// Bytes of a piece's number and of the length of its bitfield.
const ENTRY_LEN: usize = 4 + 2;

fn write_blocks(blocks: &[(PieceIndex, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (piece, blocks) in blocks {
        // Of the longest piece there may be it is 2 KiB.
        let Ok(len) = u16::try_from(blocks.len()) else { continue };
        out.extend_from_slice(&piece.0.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(blocks);
    }
    out
}

fn read_blocks(mut bytes: &[u8]) -> Option<Vec<(PieceIndex, Vec<u8>)>> {
    let mut all = Vec::new();
    if bytes.len() > BLOCKS_MAX {
        return None;
    }
    while let Some((piece, rest)) = bytes.split_first_chunk::<4>() {
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (blocks, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        all.push((PieceIndex(u32::from_be_bytes(*piece)), blocks.to_vec()));
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

/// Runs of files that are remembered. Whoever chooses a greater muddle is asked for it again.
const RUNS_MAX: usize = 1024;

fn write_selection(selection: &Selection) -> Vec<u8> {
    let runs = selection.runs();
    let kept = if runs.len() > RUNS_MAX { &[] } else { runs };
    let run = |&(first, priority): &(u32, Priority)| {
        let [a, b, c, d] = first.to_be_bytes();
        let place = PRIORITIES.iter().position(|one| *one == priority);
        [a, b, c, d, place.map_or(u8::MAX, |place| place as u8)]
    };
    kept.iter().flat_map(run).collect()
}

/// As they are numbered in a saved state.
const PRIORITIES: [Priority; 4] = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];

fn read_selection(bytes: &[u8]) -> Option<Selection> {
    let (runs, rest) = bytes.as_chunks::<5>();
    if runs.len() > RUNS_MAX || !rest.is_empty() {
        return None;
    }
    let run = |&[a, b, c, d, place]: &[u8; 5]| {
        Some((u32::from_be_bytes([a, b, c, d]), *PRIORITIES.get(usize::from(place))?))
    };
    runs.iter().map(run).collect::<Option<Vec<_>>>().map(Selection::from)
}

/// By what each file of a torrent is known again: a number made of its length and of when it was written to.
///
/// Four bytes a file. That two states of one file have the same number is as likely as one in four thousand million.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<u32>);

/// What the file is like is not known.
const UNKNOWN: u32 = 0;
/// There is no file.
const ABSENT: u32 = 1;

impl Stamps {
    /// Those of files as they were found.
    pub(super) fn of(existing: &[Existing]) -> Self {
        let stamp = |existing: &Existing| match *existing {
            Existing::Absent => ABSENT,
            Existing::Aside { stamp, .. } => mixed(0, stamp),
            Existing::Present { len, stamp, .. } => mixed(len, stamp),
        };
        Self(existing.iter().map(stamp).collect())
    }

    /// A file is durable as it is now.
    pub(super) fn set(&mut self, synced: &SyncedFile) {
        if let Some(stamp) = self.0.get_mut(synced.file as usize) {
            *stamp = mixed(synced.len, synced.stamp);
        }
    }

    /// What a file is like is known no longer.
    pub(super) fn forget(&mut self, file: u32) {
        if let Some(stamp) = self.0.get_mut(file as usize) {
            *stamp = UNKNOWN;
        }
    }

    /// The same for groups of neighbours, so many that they can be saved.
    pub(super) fn grouped(&self) -> Vec<u32> {
        let groups = self.0.chunks(group_len(self.0.len()));
        let one = |group: &[u32]| match *group {
            [stamp] => stamp,
            _ if group.contains(&UNKNOWN) => UNKNOWN,
            _ => group.iter().fold(ABSENT, |sum, &stamp| mixed(sum.into(), stamp.into())),
        };
        groups.map(one).collect()
    }

    /// Which files are as they were when `saved` was.
    pub(super) fn same_as(&self, saved: &[u32]) -> Vec<bool> {
        let len = group_len(self.0.len());
        let now = self.grouped();
        let same = |file| {
            now.len() == saved.len() && now[file / len] == saved[file / len] && now[file / len] != UNKNOWN
        };
        (0..self.0.len()).map(same).collect()
    }
}

fn group_len(files: usize) -> usize {
    files.div_ceil(STAMPS_MAX).max(1)
}

/// Never one of the two that mean something else.
fn mixed(len: u64, stamp: u64) -> u32 {
    let mut x = len.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stamp;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) as u32).max(ABSENT + 1)
}

/// The pieces all of whose files are as they were.
pub(super) fn trusted_pieces(layout: &Layout, same: &[bool]) -> Bitfield {
    let mut trusted = Bitfield::full(layout.pieces());
    for (number, (file, same)) in layout.files().iter().zip(same).enumerate() {
        if file.path.is_some() && !same {
            for piece in layout.pieces_of(number as u32) {
                trusted.clear(PieceIndex(piece));
            }
        }
    }
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn some() -> Saved {
        let mut saved = Saved {
            have: vec![0b1010_0000],
            stamps: vec![7, UNKNOWN, u32::MAX],
            downloaded: 1 << 40,
            uploaded: 5,
            peers: vec!["1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:6".parse().unwrap()],
            selection: Selection::only([1..=3, 9..=9]),
            begun: Selection::only([2..=9]),
            complete: false,
            paused: true,
            ..Saved::default()
        };
        saved.keep_blocks(PieceIndex(1), vec![0b0100_0000]);
        saved
    }

    #[test]
    fn what_is_saved_is_read_again() {
        assert_eq!(Saved::read(&some().write()), Ok(some()));
    }

    #[test]
    fn any_byte_that_changed_is_noticed_and_so_is_any_that_is_missing() {
        let good = some().write();
        for at in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[at] ^= 4;
            assert!(Saved::read(&bytes).is_err(), "byte {at}");
            assert!(Saved::read(&good[..at]).is_err(), "the first {at}");
        }
        assert_eq!(Saved::read(b""), Err(SavedError::Format));
    }

    #[test]
    fn blocks_beyond_the_room_for_them_are_left_out() {
        let mut saved = Saved::default();
        for piece in 0..100 {
            saved.keep_blocks(PieceIndex(piece), vec![0xff; 2048]);
        }
        assert_eq!(saved.blocks.len(), 7);
        assert_eq!(Saved::read(&saved.write()), Ok(saved));
    }

    #[test]
    fn a_file_is_known_again_by_its_length_and_stamp() {
        let present = |len, stamp| Existing::Present { len, has_data: true, stamp };
        let stamps = Stamps::of(&[present(1, 1), Existing::Absent, present(5, 5)]);
        let other = Stamps::of(&[present(1, 1), present(0, 3), present(5, 6)]);
        assert_eq!(stamps.same_as(&stamps.grouped()), [true; 3]);
        assert_eq!(other.same_as(&stamps.grouped()), [true, false, false]);
        assert_eq!(stamps.same_as(&[]), [false; 3]);
    }

    #[test]
    fn what_is_not_known_is_never_the_same() {
        let mut stamps = Stamps::of(&[Existing::Absent]);
        stamps.forget(0);
        assert_eq!(stamps.same_as(&stamps.grouped()), [false]);
        stamps.set(&SyncedFile { file: 0, len: 3, stamp: 9 });
        assert_eq!(stamps.same_as(&stamps.grouped()), [true]);
    }

    #[test]
    fn of_very_many_files_neighbours_share_a_stamp() {
        let mut stamps = Stamps::of(&vec![Existing::Absent; STAMPS_MAX * 2]);
        let saved = stamps.grouped();
        assert_eq!(saved.len(), STAMPS_MAX);
        stamps.set(&SyncedFile { file: 3, len: 1, stamp: 1 });
        let same = stamps.same_as(&saved);
        assert_eq!(same.iter().filter(|same| !**same).count(), 2);
        assert!(!same[2] && !same[3]);
    }
}
