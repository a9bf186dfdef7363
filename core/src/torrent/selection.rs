//! Which files of a torrent are wanted, and how much; and what that makes of its pieces.

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use crate::disk::Layout;
use crate::id::PieceIndex;
use crate::picker::Priority;

/// How much each file of a torrent is wanted, by its number from 0 on. It can be made before anybody knows how
/// many files there are.
///
/// ```
/// use pieceful_core::engine::{Priority, Selection};
///
/// let mut selection = Selection::only([0..=0, 2..=5]);
/// assert_eq!(selection.priority(1), Priority::Skip);
/// selection.set(4..=4, Priority::High);
/// assert_eq!([3, 4, 5].map(|file| selection.priority(file)), [Priority::Normal, Priority::High, Priority::Normal]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Vec<(u32, Priority)>", into = "Vec<(u32, Priority)>"))]
pub struct Selection {
    /// Where each run of files of one priority begins, in order; two neighbours differ. Before the first, files
    /// are of the usual priority.
    runs: Vec<(u32, Priority)>,
}

impl Selection {
    /// Every file, as much as usual.
    #[must_use]
    pub const fn all() -> Self {
        Self { runs: Vec::new() }
    }

    /// These files as much as usual, and no others.
    #[must_use]
    pub fn only(files: impl IntoIterator<Item = RangeInclusive<u32>>) -> Self {
        let mut selection = Self::all();
        selection.set(0..=u32::MAX, Priority::Skip);
        files.into_iter().for_each(|files| selection.set(files, Priority::default()));
        selection
    }

    /// Wants `files` so much from now on.
    pub fn set(&mut self, files: RangeInclusive<u32>, priority: Priority) {
        if files.is_empty() {
            return;
        }
        let (first, last) = files.into_inner();
        let next = last.checked_add(1).map(|next| (next, self.priority(next)));
        let from = self.runs.partition_point(|(start, _)| *start < first);
        let until = self.runs.partition_point(|(start, _)| *start <= last);
        // What holds after them goes on to hold, also where a run of its own begins right there.
        let next = next.filter(|next| self.runs.get(until).is_none_or(|run| run.0 != next.0));
        self.runs.splice(from..until, [(first, priority)].into_iter().chain(next));
        self.runs.dedup_by_key(|run| run.1);
        if self.runs.first().is_some_and(|run| run.1 == Priority::default()) {
            self.runs.remove(0);
        }
    }

    /// Wants everything that `other` wants, too.
    pub(super) fn want_all_of(&mut self, other: &Self) {
        let firsts = core::iter::once(0).chain(other.runs.iter().map(|run| run.0));
        let ends = other.runs.iter().map(|run| run.0).chain([u32::MAX]);
        for (first, end) in firsts.zip(ends) {
            let last = if end == u32::MAX { end } else { end.saturating_sub(1) };
            if other.wants(first) && first <= last && (end > first || end == u32::MAX) {
                self.set(first..=last, Priority::default());
            }
        }
    }

    /// How much `file` is wanted.
    #[must_use]
    pub fn priority(&self, file: u32) -> Priority {
        let after = self.runs.partition_point(|(start, _)| *start <= file);
        after.checked_sub(1).and_then(|place| self.runs.get(place)).map_or(Priority::default(), |run| run.1)
    }

    /// Whether `file` is wanted at all.
    #[must_use]
    pub fn wants(&self, file: u32) -> bool {
        self.priority(file) != Priority::Skip
    }

    /// Whether every file is wanted as much as usual.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first file of each run of one priority, and that priority, in order. What comes before the first is of
    /// the usual one, and the last goes on to the last file. [`From`] makes a selection of them again.
    #[must_use]
    pub fn runs(&self) -> &[(u32, Priority)] {
        &self.runs
    }

    /// Bytes of the files that are wanted, padding left out.
    #[must_use]
    pub fn wanted(&self, layout: &Layout) -> u64 {
        let files = (0..).zip(layout.files());
        let wanted = files.filter(|(number, file)| file.path.is_some() && self.wants(*number));
        wanted.map(|(_, file)| file.len).sum()
    }

    /// The same of one piece.
    #[must_use]
    pub fn wanted_in(&self, layout: &Layout, piece: PieceIndex) -> u64 {
        let files = layout.files();
        let spans = layout.spans(layout.whole(piece));
        let wanted = |file: u32| files[file as usize].path.is_some() && self.wants(file);
        spans.filter(|span| wanted(span.file)).map(|span| u64::from(span.len)).sum()
    }

    /// How much each piece is wanted: as much as the file in it that is wanted most. Padding does not count; a piece
    /// of nothing else goes with the last file before it.
    #[must_use]
    pub fn of_pieces(&self, layout: &Layout) -> Vec<Priority> {
        let mut pieces = alloc::vec![Priority::Skip; layout.pieces() as usize];
        let (mut before, mut done) = (self.priority(0), 0);
        let mut want = |some: Range<u32>, priority: Priority| {
            for piece in some {
                let most = &mut pieces[piece as usize];
                *most = priority.max(*most);
            }
        };
        for (number, file) in (0..).zip(layout.files()) {
            if file.path.is_some() && file.len > 0 {
                let touched = layout.pieces_of(number);
                want(done..touched.start, before);
                before = self.priority(number);
                done = touched.end;
                want(touched, before);
            }
        }
        want(done..layout.pieces(), before);
        pieces
    }

    /// Has the first and the last piece of each wanted file come before the rest: players look there before anything
    /// else.
    pub(super) fn raise_ends(&self, layout: &Layout, pieces: &mut [Priority]) {
        let wanted =
            (0..).zip(layout.files()).filter(|(number, file)| file.path.is_some() && self.wants(*number));
        for (number, _) in wanted {
            let of_file = layout.pieces_of(number);
            let raised = match self.priority(number) {
                Priority::Low => Priority::Normal,
                _ => Priority::High,
            };
            for piece in of_file.clone().take(1).chain(of_file.last()) {
                if let Some(priority) = pieces.get_mut(piece as usize) {
                    *priority = raised.max(*priority);
                }
            }
        }
    }
}

impl From<Vec<(u32, Priority)>> for Selection {
    /// Of [runs](Self::runs), in whatever order they come; of two that begin at one file the later counts.
    fn from(mut runs: Vec<(u32, Priority)>) -> Self {
        runs.sort_by_key(|run| run.0);
        let mut selection = Self::all();
        for (first, priority) in runs {
            selection.set(first..=u32::MAX, priority);
        }
        selection
    }
}

impl From<Selection> for Vec<(u32, Priority)> {
    fn from(selection: Selection) -> Self {
        selection.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::LayoutFile;
    use crate::metainfo::SafePath;
    use crate::rng::{Rng, Seed};
    use Priority::{High, Low, Normal, Skip};

    const ALL: [Priority; 4] = [Skip, Low, Normal, High];

    fn stored(len: u64) -> LayoutFile {
        LayoutFile { path: Some(SafePath::single("file")), ..LayoutFile::unnamed(len) }
    }

    #[test]
    fn any_changes_leave_each_file_as_a_list_of_them_would() {
        let mut rng = Rng::new(Seed([7; 32]));
        for _ in 0..200 {
            let (mut selection, mut model) = (Selection::all(), [Normal; 12]);
            for _ in 0..10 {
                let (first, priority) = (rng.below(12), ALL[rng.below(4) as usize]);
                let last = first + rng.below(12 - first);
                selection.set(first..=if last == 11 { u32::MAX } else { last }, priority);
                model[first as usize..=last as usize].fill(priority);
                assert_eq!(core::array::from_fn(|file| selection.priority(file as u32)), model);
                assert!(selection.runs().is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1), "{selection:?}");
                assert_eq!(selection.is_all(), model == [Normal; 12]);
                assert_eq!(Selection::from(selection.runs().to_vec()), selection);
                let mut both = Selection::only([2..=3]);
                both.want_all_of(&selection);
                assert!(
                    (0..12)
                        .all(|file| both.wants(file) == (selection.wants(file) || (2..=3).contains(&file)))
                );
            }
        }
    }

    #[test]
    fn a_piece_is_wanted_as_much_as_the_file_in_it_that_is_wanted_most() {
        let mut rng = Rng::new(Seed([8; 32]));
        for _ in 0..500 {
            let file = |rng: &mut Rng| match rng.below(4) {
                0 => LayoutFile::unnamed(rng.below(20).into()),
                1 => stored(0),
                _ => stored(rng.below(20).into()),
            };
            let count = 1 + rng.below(6);
            let files: Vec<_> = (0..count).map(|_| file(&mut rng)).collect();
            let layout = Layout::new(1 + rng.below(8), files).unwrap();
            let mut selection = Selection::all();
            (0..count).for_each(|file| selection.set(file..=file, ALL[rng.below(4) as usize]));
            let pieces = selection.of_pieces(&layout);
            assert_eq!(pieces.len(), layout.pieces() as usize);
            for (piece, &priority) in (0..).map(PieceIndex).zip(&pieces) {
                let is_stored = |file: u32| {
                    let file = &layout.files()[file as usize];
                    file.path.is_some() && file.len > 0
                };
                let spans = || layout.spans(layout.whole(piece));
                let in_it =
                    spans().filter(|span| is_stored(span.file)).map(|span| selection.priority(span.file));
                let before = || (0..spans().next().unwrap().file).rev().find(|file| is_stored(*file));
                let expected = in_it.max().unwrap_or_else(|| selection.priority(before().unwrap_or(0)));
                assert_eq!(priority, expected, "{piece:?} of {layout:?}, {selection:?}");
            }
            let sum: u64 =
                (0..layout.pieces()).map(|piece| selection.wanted_in(&layout, PieceIndex(piece))).sum();
            assert_eq!(sum, selection.wanted(&layout));
        }
    }
}
