//! A node's disk: files in memory that take their time, answer out of order, and fail when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::disk::{
    DiskAction, DiskDone, DiskError, DiskErrorKind, Existing, Layout, Span, SyncedFile,
};
use pieceful_core::id::{BLOCK_LEN, Block, Digest, InfoHash, PieceIndex, TorrentId};
use pieceful_core::metainfo::SafePath;
use pieceful_core::rng::Rng;
use pieceful_core::time::Instant;
use sha1::{Digest as _, Sha1};

use crate::Data;
use crate::file::File;
use crate::queue::Step;

/// How a disk behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskProfile {
    /// Shortest and longest time for an action, before its bytes are counted.
    pub latency: (Duration, Duration),
    /// Bytes per second, of every action by itself.
    pub rate: u64,
    /// Bytes that fit; writes beyond fail with `NoSpace`.
    pub capacity: Option<u64>,
    /// Of a thousand reads, how many have one bit wrong.
    pub flips: u32,
    /// Of a thousand reads, writes and hashes, how many fail.
    pub failures: u32,
    /// Of a thousand reads, how many find less than there should be. Hashes do not: what is missing while files
    /// are checked stays missing for the engine, and nobody else may have it.
    pub short: u32,
    /// Of a thousand syncs, how many fail.
    pub sync_failures: u32,
    /// How long a sync takes beside all else.
    pub sync_time: Duration,
    /// It answers nothing.
    pub hangs: bool,
    /// A torrent all of whose reads, writes and hashes fail: its folder is on another device.
    pub broken: Option<TorrentId>,
}

impl Default for DiskProfile {
    fn default() -> Self {
        Self {
            latency: (Duration::from_micros(20), Duration::from_millis(3)),
            rate: 500 << 20,
            capacity: None,
            flips: 0,
            failures: 0,
            short: 0,
            sync_failures: 0,
            sync_time: Duration::ZERO,
            hangs: false,
            broken: None,
        }
    }
}

/// The files of one node; they outlive its engine.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) profile: DiskProfile,
    /// Whether any read gave wrong bytes.
    pub(crate) ever_flipped: bool,
    /// Whether somebody else has changed a file.
    pub(crate) meddled_with: bool,
    files: BTreeMap<String, File>,
    /// What a power failure leaves of them for certain: their state at the last sync.
    synced: BTreeMap<String, File>,
    /// What it has not answered because it hangs.
    pub(crate) hung: Vec<Step>,
    open: BTreeMap<TorrentId, Open>,
    /// What the bytes of a file will be when all goes well, so that many nodes can share them in memory.
    truths: BTreeMap<String, Bytes>,
    /// The torrents those are of: what lies in shared memory was hashed when its torrent was made.
    expected: BTreeMap<InfoHash, Data>,
}

#[derive(Debug)]
struct Open {
    layout: Arc<Layout>,
    /// Files whose bytes are kept in another, and the number of the action that last said so.
    aside: BTreeMap<u32, u32>,
    /// Actions that have said which those are, handed over and executed.
    prepares: (u32, u32),
    /// When the last action on a piece ends: those on the same piece stay in order.
    pieces: BTreeMap<u32, Instant>,
    /// When all actions so far have ended.
    all: Instant,
}

impl Open {
    fn aside(&self) -> BTreeSet<u32> {
        self.aside.keys().copied().collect()
    }
}

impl Disk {
    /// Puts `data`'s pieces on the disk before anything starts.
    pub(crate) fn preload(&mut self, data: &Data, pieces: impl IntoIterator<Item = u32>) {
        self.expect(data);
        let capacity = self.profile.capacity.take();
        for piece in pieces {
            let block = data.layout.whole(PieceIndex(piece));
            self.write(&data.layout, &BTreeSet::new(), block, [data.piece(piece)])
                .expect("there is room for what is there already");
        }
        self.profile.capacity = capacity;
        self.sync(&data.layout, &BTreeSet::new());
    }

    /// What was written to the files of a layout survives a power failure.
    fn sync(&mut self, layout: &Layout, aside: &BTreeSet<u32>) -> Vec<SyncedFile> {
        let mut all = Vec::new();
        if let Some(name) = layout.parts().map(ToString::to_string)
            && let Some(parts) = self.files.get(&name)
        {
            let stamp = parts.stamp();
            self.synced.insert(name, parts.clone());
            all.extend(aside.iter().map(|&file| SyncedFile { file, len: 0, stamp }));
        }
        for (number, place) in (0..).zip(layout.files()) {
            let Some(path) = place.path.as_ref().map(ToString::to_string) else { continue };
            if let Some(file) = self.files.get(&path).filter(|_| !aside.contains(&number)) {
                self.synced.insert(path, file.clone());
                all.push(SyncedFile { file: number, len: file.len(), stamp: file.stamp() });
            }
        }
        all
    }

    /// The power fails: of a thousand blocks that were written and not synced so many are lost, one in four of
    /// them only in part, and a file may be as short as before.
    pub(crate) fn lose(&mut self, lost: u32, rng: &mut Rng) {
        for (path, file) in &mut self.files {
            let before = self.synced.get(path).cloned().unwrap_or_default();
            let mut all_lost = true;
            for from in (0..file.len()).step_by(BLOCK_LEN as usize) {
                let until = file.len().min(from + u64::from(BLOCK_LEN));
                if file.is_as(&before, from, until) {
                    continue;
                }
                if rng.below(1000) >= lost {
                    all_lost = false;
                } else if rng.below(4) > 0 {
                    file.restore(&before, from, until);
                } else {
                    all_lost = false;
                    let torn = from + u64::from(SECTOR * rng.below(BLOCK_LEN / SECTOR));
                    file.restore(&before, torn.min(until), until);
                }
            }
            if all_lost && rng.below(2) == 0 {
                file.cut(before.len());
            }
            // Data may reach the disk before the news that there is any.
            if rng.below(2) == 0 {
                file.date_back(&before);
            }
        }
        let kept = |path: &String, file: &File| file.len() > 0 || self.synced.contains_key(path);
        self.files.retain(|path, file| kept(path, file));
        self.synced = self.files.clone();
    }

    /// Puts a file on the disk before anything starts.
    pub(crate) fn put(&mut self, path: &str, contents: Bytes) {
        let mut file = File::default();
        file.write(0, &contents, &Bytes::new());
        self.files.insert(path.to_owned(), file);
    }

    /// Tells the disk which bytes to expect. Only memory depends on it.
    pub(crate) fn expect(&mut self, data: &Data) {
        self.expected.entry(data.info_hash()).or_insert_with(|| data.clone());
        for (index, file) in data.layout.files().iter().enumerate() {
            if let Some(path) = &file.path {
                self.truths.entry(path.to_string()).or_insert_with(|| data.file(index));
            }
        }
        if let Some(parts) = data.layout.parts() {
            self.truths.entry(parts.to_string()).or_insert_with(|| data.contents.clone());
        }
    }

    /// The bytes of a file; `None` when it is not there.
    pub(crate) fn contents(&self, path: &str) -> Option<Bytes> {
        let file = self.files.get(path)?;
        Some(file.read(0, file.len(), &self.truth(path)))
    }

    /// Whether the disk has the right bytes of this piece.
    pub(crate) fn holds(&self, data: &Data, piece: u32) -> bool {
        let block = data.layout.whole(PieceIndex(piece));
        let open = self
            .open
            .values()
            .find(|open| Arc::ptr_eq(&open.layout, &data.layout) || open.layout == data.layout);
        let aside = open.map_or_else(|| self.absent(&data.layout), Open::aside);
        let Ok(found) = self.read(&data.layout, &aside, block) else { return false };
        let right = data.piece(piece);
        found.as_ptr() == right.as_ptr() && found.len() == right.len() || found == right
    }

    /// Bytes stored.
    pub(crate) fn used(&self) -> u64 {
        self.files.values().map(File::stored).sum()
    }

    /// When an action handed over now is executed and answered.
    pub(crate) fn schedule(
        &mut self,
        now: Instant,
        torrent: TorrentId,
        action: &DiskAction,
        rng: &mut Rng,
    ) -> Instant {
        let (least, most) = self.profile.latency;
        let spread = most.saturating_sub(least).as_micros() as u32;
        let latency = least + Duration::from_micros(rng.below(spread.saturating_add(1)).into());
        let latency = if *action == DiskAction::Sync { latency + self.profile.sync_time } else { latency };
        let mut open = self.open.get_mut(&torrent);
        if let (Some(open), DiskAction::Prepare { aside, .. }) = (&mut open, action) {
            // What is handed over from now on finds them so, also if it is done sooner.
            open.prepares.0 += 1;
            open.aside.extend(aside.iter().map(|file| (*file, open.prepares.0)));
        }
        let (len, piece) = match action {
            DiskAction::Write { block, .. } | DiskAction::Read { block } => (block.len, Some(block.piece)),
            DiskAction::Hash { piece } | DiskAction::HashBlocks { piece } => {
                (open.as_ref().map_or(0, |open| open.layout.piece_len(*piece)), Some(*piece))
            }
            DiskAction::Open { .. } | DiskAction::Prepare { .. } | DiskAction::Sync | DiskAction::Close => {
                (0, None)
            }
        };
        let mut at =
            now + latency + Duration::from_micros(u64::from(len) * 1_000_000 / self.profile.rate.max(1));
        if let Some(open) = open {
            match piece {
                Some(piece) => {
                    let last = open.pieces.entry(piece.0).or_default();
                    at = at.max(*last);
                    *last = at;
                }
                None => at = at.max(open.all),
            }
            open.all = open.all.max(at);
        }
        at
    }

    /// Does what the engine asked.
    pub(crate) fn execute(&mut self, torrent: TorrentId, action: DiskAction, rng: &mut Rng) -> Answer {
        if let DiskAction::Open { layout } = action {
            let files = layout.files().len() as u32;
            let existing = (0..files).map(|file| self.existing(&layout, file)).collect();
            let aside = self.absent(&layout).into_iter().map(|file| (file, 0)).collect();
            self.open.insert(
                torrent,
                Open { layout, aside, prepares: (0, 0), pieces: BTreeMap::new(), all: Instant::ZERO },
            );
            return Ok(DiskDone::Opened(existing));
        }
        let (layout, aside) = match self.open.get(&torrent) {
            Some(open) => (Arc::clone(&open.layout), open.aside()),
            None => return Err(error(DiskErrorKind::Missing, None, "the torrent's files are not open")),
        };
        let counts = !matches!(action, DiskAction::Sync | DiskAction::Close | DiskAction::Prepare { .. });
        let broken = self.profile.broken == Some(torrent);
        if counts && (broken || rng.below(1000) < self.profile.failures) {
            return Err(error(DiskErrorKind::Io, None, "the simulated device failed"));
        }
        let reads = matches!(action, DiskAction::Read { .. });
        if reads && self.profile.short > 0 && rng.below(1000) < self.profile.short {
            return Err(error(DiskErrorKind::Missing, None, "the simulated file was shorter for a moment"));
        }
        match action {
            DiskAction::Open { .. } => unreachable!("handled above"),
            DiskAction::Prepare { files, aside: stay, .. } => {
                self.place(torrent, &layout, &stay);
                for file in files {
                    let Some(place) = layout.files().get(file as usize) else { continue };
                    let Some(path) = &place.path else { continue };
                    self.files.entry(path.to_string()).or_default().cut(place.len);
                }
                Ok(DiskDone::Prepared)
            }
            DiskAction::Write { block, data } => {
                self.write(&layout, &aside, block, data.parts().cloned()).map(|()| DiskDone::Written)
            }
            DiskAction::Read { block } => {
                let read = self.read(&layout, &aside, block)?;
                Ok(DiskDone::Read(self.perhaps_flip(read, rng)))
            }
            DiskAction::Hash { piece } => {
                let read = self.read(&layout, &aside, layout.whole(piece))?;
                let read = self.perhaps_flip(read, rng);
                let known = self.known_hash(piece, &read);
                Ok(DiskDone::Hashed(known.unwrap_or_else(|| Digest::Sha1(Sha1::digest(&read).into()))))
            }
            DiskAction::HashBlocks { piece } => {
                let read = self.read(&layout, &aside, layout.whole(piece))?;
                let hashes =
                    read.chunks(BLOCK_LEN as usize).map(|block| Sha1::digest(block).into()).collect();
                Ok(DiskDone::BlocksHashed(hashes))
            }
            DiskAction::Sync
                if self.profile.sync_failures > 0 && rng.below(1000) < self.profile.sync_failures =>
            {
                Err(error(DiskErrorKind::Io, None, "the simulated device could not sync"))
            }
            DiskAction::Sync => Ok(DiskDone::Synced(self.sync(&layout, &aside))),
            DiskAction::Close => {
                self.open.remove(&torrent);
                Ok(DiskDone::Closed)
            }
        }
    }

    /// The engine is gone, and with it what it had open.
    pub(crate) fn abandon(&mut self) {
        self.open.clear();
        self.hung.clear();
    }

    /// Reads for a driver that fetches blocks itself.
    pub(crate) fn read_for_sending(
        &mut self,
        torrent: TorrentId,
        block: Block,
        rng: &mut Rng,
    ) -> Result<Bytes, DiskError> {
        if self.profile.failures > 0 && rng.below(1000) < self.profile.failures {
            return Err(error(DiskErrorKind::Io, None, "the simulated device failed"));
        }
        let open = self.open.get(&torrent).ok_or_else(|| error(DiskErrorKind::Missing, None, "not open"))?;
        let read = self.read(&open.layout, &open.aside(), block)?;
        Ok(if self.profile.flips > 0 { self.perhaps_flip(read, rng) } else { read })
    }

    fn existing(&self, layout: &Layout, number: u32) -> Existing {
        let file = &layout.files()[number as usize];
        let Some(path) = &file.path else { return Existing::Absent };
        if let Some(file) = self.files.get(path.as_str()) {
            let (len, stamp) = (file.len(), file.stamp());
            return Existing::Present { len, has_data: file.stored() > 0, stamp };
        }
        match layout.parts().and_then(|parts| self.files.get(parts.as_str())) {
            Some(parts) => {
                let kept = parts.stored_in(file.start, file.start + file.len);
                let at_start = |run: &&Range<u64>| run.start == file.start;
                let at_end = |run: &&Range<u64>| run.end == file.start + file.len;
                let len = |run: &Range<u64>| run.end - run.start;
                let head = kept.first().filter(at_start).map_or(0, len);
                let tail = kept.last().filter(at_end).map_or(0, len);
                Existing::Aside { head, tail: tail.min(file.len - head), stamp: parts.stamp() }
            }
            None => Existing::Absent,
        }
    }

    /// Files that are not there.
    fn absent(&self, layout: &Layout) -> BTreeSet<u32> {
        let files = (0..).zip(layout.files());
        let is_there = |path: &SafePath| self.files.contains_key(path.as_str());
        let absent = files.filter(|(_, file)| file.path.as_ref().is_some_and(|path| !is_there(path)));
        let kept = layout.parts().is_some_and(|parts| self.files.contains_key(parts.as_str()));
        absent.filter(|_| kept).map(|(number, _)| number).collect()
    }

    /// Moves what is kept aside of all files but those that `stay` to where it belongs, for good.
    fn place(&mut self, torrent: TorrentId, layout: &Layout, stay: &[u32]) {
        let Some(open) = self.open.get_mut(&torrent) else { return };
        open.prepares.1 += 1;
        let done = open.prepares.1;
        let placed = open.aside.extract_if(.., |file, said| *said <= done && !stay.contains(file));
        let placed: Vec<u32> = placed.map(|(file, _)| file).collect();
        let Some(name) = layout.parts().map(ToString::to_string) else { return };
        let Some(parts) = self.files.get(&name).cloned() else { return };
        let truth = self.truth(&name);
        for number in placed {
            let place = &layout.files()[number as usize];
            let Some(path) = place.path.as_ref().map(ToString::to_string) else { continue };
            let truth_there = self.truth(&path);
            for run in parts.stored_in(place.start, place.start + place.len) {
                let bytes = parts.read(run.start, run.end, &truth);
                let file = self.files.entry(path.clone()).or_default();
                file.write(run.start - place.start, &bytes, &truth_there);
                self.synced.insert(path.clone(), file.clone());
            }
        }
        if self.open[&torrent].aside.is_empty() {
            self.files.remove(&name);
            self.synced.remove(&name);
        }
    }

    /// Writes bytes that lie in one or more parts.
    fn write(
        &mut self,
        layout: &Layout,
        aside: &BTreeSet<u32>,
        block: Block,
        parts: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), DiskError> {
        let mut parts: VecDeque<Bytes> = parts.into_iter().collect();
        if parts.iter().map(Bytes::len).sum::<usize>() != block.len as usize {
            return Err(error(DiskErrorKind::Io, None, "a write of another length than its block"));
        }
        for span in layout.spans(block) {
            let of_span = first(&mut parts, span.len as usize);
            let Some((path, mut offset)) = located(layout, aside, span) else { continue };
            if self.profile.capacity.is_some_and(|capacity| self.used() + u64::from(span.len) > capacity) {
                return Err(error(DiskErrorKind::NoSpace, Some(span.file), "the simulated disk is full"));
            }
            let truth = self.truth(&path);
            let file = self.files.entry(path).or_default();
            for part in of_span {
                file.write(offset, &part, &truth);
                offset += part.len() as u64;
            }
        }
        Ok(())
    }

    fn read(&self, layout: &Layout, aside: &BTreeSet<u32>, block: Block) -> Result<Bytes, DiskError> {
        let mut parts = Vec::new();
        for span in layout.spans(block) {
            let Some((path, offset)) = located(layout, aside, span) else {
                parts.push(Bytes::from(vec![0; span.len as usize]));
                continue;
            };
            let end = offset + u64::from(span.len);
            match self.files.get(&path) {
                Some(file) if file.len() >= end => {
                    parts.push(file.read(offset, end, &self.truth(&path)));
                }
                _ => {
                    return Err(error(
                        DiskErrorKind::Missing,
                        Some(span.file),
                        "shorter than what was to be read",
                    ));
                }
            }
        }
        Ok(joined(&parts))
    }

    fn truth(&self, path: &str) -> Bytes {
        self.truths.get(path).cloned().unwrap_or_default()
    }

    /// The hash of bytes that are, not only equal, the right ones of a piece.
    fn known_hash(&self, piece: PieceIndex, read: &Bytes) -> Option<Digest> {
        let is_same = |data: &&Data| {
            let right = (piece.0 < data.pieces()).then(|| data.piece(piece.0));
            right.is_some_and(|right| right.as_ptr() == read.as_ptr() && right.len() == read.len())
        };
        self.expected.values().find(is_same)?.metainfo.info.piece_hash(piece)
    }

    fn perhaps_flip(&mut self, read: Bytes, rng: &mut Rng) -> Bytes {
        if read.is_empty() || rng.below(1000) >= self.profile.flips {
            return read;
        }
        self.ever_flipped = true;
        let mut wrong = read.to_vec();
        let place = rng.below(wrong.len() as u32) as usize;
        wrong[place] ^= 1 << rng.below(8);
        wrong.into()
    }
}

/// The file that a span lies in, and where; nothing, if it is padding.
fn located(layout: &Layout, aside: &BTreeSet<u32>, span: Span) -> Option<(String, u64)> {
    let path = layout.files()[span.file as usize].path.as_ref()?;
    match layout.parts().filter(|_| aside.contains(&span.file)) {
        Some(parts) => Some((parts.to_string(), layout.offset_in_parts(span))),
        None => Some((path.to_string(), span.offset)),
    }
}

/// What a device writes wholly or not at all.
const SECTOR: u32 = 512;

/// What comes of an action.
pub(crate) type Answer = Result<DiskDone, DiskError>;

fn error(kind: DiskErrorKind, file: Option<u32>, message: &str) -> DiskError {
    DiskError { kind, file, message: message.to_owned() }
}

/// Takes the first `len` bytes.
fn first(parts: &mut VecDeque<Bytes>, len: usize) -> Vec<Bytes> {
    let (mut taken, mut left) = (Vec::new(), len);
    while left > 0
        && let Some(mut part) = parts.pop_front()
    {
        if part.len() > left {
            parts.push_front(part.split_off(left));
        }
        left -= part.len();
        taken.push(part);
    }
    taken
}

/// The parts as one; without a copy when there is but one.
fn joined(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        several => several.concat().into(),
    }
}
