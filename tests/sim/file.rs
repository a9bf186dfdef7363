//! One file in memory. Bytes that are what they are going to be are not stored but shared, so that a hundred
//! nodes with a hundred megabytes each fit into one process.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

/// A sparse file.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    len: u64,
    /// Counts what changed it.
    stamp: u64,
    /// Runs of bytes by their start; they neither overlap nor are empty.
    runs: BTreeMap<u64, Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    /// This many bytes of the file's truth.
    Truth(u64),
    Other(Bytes),
}

impl Run {
    fn len(&self) -> u64 {
        match self {
            Self::Truth(len) => *len,
            Self::Other(bytes) => bytes.len() as u64,
        }
    }

    fn part(&self, from: u64, until: u64) -> Self {
        match self {
            Self::Truth(_) => Self::Truth(until - from),
            Self::Other(bytes) => Self::Other(bytes.slice(from as usize..until as usize)),
        }
    }
}

impl File {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Another number after each change, unless a power failure took what is known of the last ones.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The device remembers to have been changed for the last time when `before` was.
    pub(crate) fn date_back(&mut self, before: &Self) {
        self.stamp = before.stamp;
    }

    /// Bytes that were written.
    pub(crate) fn stored(&self) -> u64 {
        self.runs.values().map(Run::len).sum()
    }

    /// Where bytes were written between `from` and `until`, in order; what touches is one run.
    pub(crate) fn stored_in(&self, from: u64, until: u64) -> Vec<Range<u64>> {
        let mut stored: Vec<Range<u64>> = Vec::new();
        for (start, run) in self.parts(from, until) {
            let end = start + run.len();
            match stored.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => stored.push(start..end),
            }
        }
        stored
    }

    /// Makes the file no longer than `len`.
    pub(crate) fn cut(&mut self, len: u64) {
        if len < self.len {
            self.stamp += 1;
            self.clear(len, self.len);
            self.len = len;
        }
    }

    /// `truth` is what the whole file will be one day, or nothing.
    pub(crate) fn write(&mut self, offset: u64, bytes: &Bytes, truth: &Bytes) {
        let end = offset + bytes.len() as u64;
        self.stamp += 1;
        self.clear(offset, end);
        self.len = self.len.max(end);
        if bytes.is_empty() {
            return;
        }
        let right = truth.get(offset as usize..end as usize);
        // Most were read from there, and need not be looked at.
        if !right.is_some_and(|right| right.as_ptr() == bytes.as_ptr() || right == bytes) {
            self.runs.insert(offset, Run::Other(bytes.clone()));
            return;
        }
        let (mut start, mut stop) = (offset, end);
        if let Some((&before, Run::Truth(len))) = self.runs.range(..offset).next_back()
            && before + len == offset
        {
            start = before;
        }
        if let Some(Run::Truth(len)) = self.runs.get(&end) {
            stop = end + len;
            self.runs.remove(&end);
        }
        self.runs.insert(start, Run::Truth(stop - start));
    }

    /// The bytes `from..until`, which lie within the file; what was never written is zeros.
    pub(crate) fn read(&self, from: u64, until: u64, truth: &Bytes) -> Bytes {
        let first = self.runs.range(..=from).next_back().map_or(from, |(&start, _)| start);
        if let Some(run) = self.runs.get(&first)
            && first + run.len() >= until
        {
            return match run {
                Run::Truth(_) => truth.slice(from as usize..until as usize),
                Run::Other(bytes) => bytes.slice((from - first) as usize..(until - first) as usize),
            };
        }
        let mut all = vec![0; (until - from) as usize];
        for (&start, run) in self.runs.range(first..until) {
            let (begin, end) = (start.max(from), (start + run.len()).min(until));
            if begin < end {
                let bytes = match run {
                    Run::Truth(_) => &truth[begin as usize..end as usize],
                    Run::Other(bytes) => &bytes[(begin - start) as usize..(end - start) as usize],
                };
                all[(begin - from) as usize..(end - from) as usize].copy_from_slice(bytes);
            }
        }
        all.into()
    }

    /// Whether the bytes `from..until` are kept as they are in `other`.
    pub(crate) fn is_as(&self, other: &Self, from: u64, until: u64) -> bool {
        self.parts(from, until) == other.parts(from, until)
    }

    /// Makes the bytes `from..until` what they are in `other`; the file stays as long as it is.
    pub(crate) fn restore(&mut self, other: &Self, from: u64, until: u64) {
        self.clear(from, until);
        self.runs.extend(other.parts(from, until));
    }

    /// The runs between `from` and `until`.
    fn parts(&self, from: u64, until: u64) -> Vec<(u64, Run)> {
        let first = self.runs.range(..=from).next_back().map_or(from, |(&start, _)| start);
        let touched = self.runs.range(first..until).filter_map(|(&start, run)| {
            let (begin, end) = (start.max(from), (start + run.len()).min(until));
            (begin < end).then(|| (begin, run.part(begin - start, end - start)))
        });
        touched.collect()
    }

    fn clear(&mut self, from: u64, until: u64) {
        let first = self.runs.range(..=from).next_back().map_or(from, |(&start, _)| start);
        let touched: Vec<u64> = self.runs.range(first..until).map(|(&start, _)| start).collect();
        for start in touched {
            let end = start + self.runs[&start].len();
            if end <= from {
                continue;
            }
            let run = self.runs.remove(&start).expect("it was found above");
            if start < from {
                self.runs.insert(start, run.part(0, from - start));
            }
            if end > until {
                self.runs.insert(until, run.part(until - start, end - start));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded;

    #[test]
    fn any_sequence_of_writes_reads_as_a_plain_buffer_would() {
        let mut rng = seeded(7, "file");
        let mut truth = vec![0; 300];
        rng.fill(&mut truth);
        let truth = Bytes::from(truth);
        let (mut file, mut model) = (File::default(), Vec::new());
        for _ in 0..2_000 {
            let from = rng.below(250) as usize;
            let until = from + rng.below(50) as usize;
            let mut bytes = truth[from..until].to_vec();
            if rng.below(3) == 0 {
                rng.fill(&mut bytes);
            }
            if rng.below(50) == 0 {
                file.cut(from as u64);
                model.truncate(from);
            } else {
                model.resize(model.len().max(until), 0);
                model[from..until].copy_from_slice(&bytes);
                file.write(from as u64, &bytes.into(), &truth);
            }
            assert_eq!(file.len(), model.len() as u64);
            assert_eq!(file.read(0, file.len(), &truth), model);
        }
    }
}
