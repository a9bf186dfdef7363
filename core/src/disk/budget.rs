//! How many payload bytes storage may hold for us at once.

/// Bytes handed to the disk workers and not yet answered. This, not the speed of the disk, bounds the memory of
/// a download: at the high mark no more is read from the network until the low mark is reached again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    writing: u64,
    reading: u64,
    writing_max: u64,
    reading_max: u64,
}

impl Budget {
    /// Room for so many bytes on their way to the disk, and from it.
    #[must_use]
    pub const fn new(writing_max: u32, reading_max: u32) -> Self {
        Self { writing: 0, reading: 0, writing_max: writing_max as u64, reading_max: reading_max as u64 }
    }

    /// A write is handed over.
    pub const fn begin_write(&mut self, bytes: u32) {
        self.writing += bytes as u64;
    }

    /// A write was answered: its buffers are free.
    pub const fn end_write(&mut self, bytes: u32) {
        self.writing = self.writing.saturating_sub(bytes as u64);
    }

    /// Takes room for a read, if there is any. One read is always let through, however large.
    pub const fn begin_read(&mut self, bytes: u32) -> bool {
        let fits = self.reading == 0 || self.reading + bytes as u64 <= self.reading_max;
        if fits {
            self.reading += bytes as u64;
        }
        fits
    }

    /// A read was answered.
    pub const fn end_read(&mut self, bytes: u32) {
        self.reading = self.reading.saturating_sub(bytes as u64);
    }

    /// Whether reading from the network has to stop.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.writing >= self.writing_max
    }

    /// Whether reading from the network may go on after it stopped: a quarter below the high mark, so that it
    /// does not stop and start with every block.
    #[must_use]
    pub const fn has_eased(&self) -> bool {
        self.writing <= self.writing_max / 4 * 3
    }

    /// Bytes on their way to the disk.
    #[must_use]
    pub const fn writing(&self) -> u64 {
        self.writing
    }

    /// Bytes on their way from the disk.
    #[must_use]
    pub const fn reading(&self) -> u64 {
        self.reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_at_the_high_mark_and_eases_at_the_low_one() {
        let mut budget = Budget::new(100, 10);
        budget.begin_write(99);
        assert!(!budget.is_full());
        budget.begin_write(30);
        assert!(budget.is_full() && !budget.has_eased());
        budget.end_write(50);
        assert!(!budget.is_full() && !budget.has_eased(), "between the marks nothing changes");
        budget.end_write(10);
        assert!(budget.has_eased());
        assert_eq!((budget.writing(), budget.reading()), (69, 0));
    }

    #[test]
    fn reads_are_let_through_while_they_fit_together() {
        let mut budget = Budget::new(100, 10);
        assert!(budget.begin_read(4) && budget.begin_read(6));
        assert!(!budget.begin_read(1));
        assert_eq!((budget.writing(), budget.reading()), (0, 10), "one that has to wait takes nothing");
        budget.end_read(4);
        assert!(budget.begin_read(1) && budget.begin_read(3) && !budget.begin_read(1));
    }

    #[test]
    fn a_read_larger_than_the_whole_budget_still_happens_alone() {
        let mut budget = Budget::new(100, 10);
        assert!(budget.begin_read(25));
        assert!(!budget.begin_read(1));
        budget.end_read(25);
        assert!(budget.begin_read(1));
    }
}
