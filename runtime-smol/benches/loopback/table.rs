//! The figures, for people: least and median of each over the rounds.

use std::fmt;

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) wall: f64,
    pub(crate) cpu_per_gib: f64,
    /// From the start of a leecher's process to its first request at a seed; from the first of several leechers
    /// that has everything to the last.
    pub(crate) ms: f64,
    pub(crate) anon_mib: f64,
}

/// One case: the first leecher is what the others are held against.
pub(crate) struct Table {
    title: String,
    /// What [`Row::ms`] is.
    ms: &'static str,
    rows: Vec<(&'static str, Vec<Row>)>,
}

impl Table {
    pub(crate) fn new(title: String, ms: &'static str) -> Self {
        Self { title, ms, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, who: &'static str, row: Row) {
        match self.rows.iter_mut().find(|(name, _)| *name == who) {
            Some((_, rows)) => rows.push(row),
            None => self.rows.push((who, vec![row])),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        writeln!(
            f,
            "{:<14} {:>13} {:>13} {:>15} {:>11} {:>9}",
            "", "wall s", "CPU s/GiB", "CPU / floor", self.ms, "anon MiB"
        )?;
        writeln!(
            f,
            "{:<14} {:>13} {:>13} {:>15} {:>11} {:>9}",
            "", "min   median", "min   median", "min   median", "median", "max"
        )?;
        let floor = self.rows.first().map(|(_, rows)| rows.as_slice()).unwrap_or_default();
        for (who, rows) in &self.rows {
            let (wall, wall_median) = least_and_median(rows.iter().map(|row| row.wall));
            let (cpu, cpu_median) = least_and_median(rows.iter().map(|row| row.cpu_per_gib));
            // Round by round: its runs had the same machine.
            let ratios = rows.iter().zip(floor).map(|(row, floor)| row.cpu_per_gib / floor.cpu_per_gib);
            let (ratio, ratio_median) = least_and_median(ratios);
            let (_, first) = least_and_median(rows.iter().map(|row| row.ms));
            let anon = rows.iter().map(|row| row.anon_mib).fold(0.0, f64::max);
            writeln!(
                f,
                "{who:<14} {wall:>6.2} {wall_median:>6.2} {cpu:>6.2} {cpu_median:>6.2} {ratio:>7.2} {ratio_median:>7.2} {first:>11.1} {anon:>9.1}",
            )?;
        }
        Ok(())
    }
}

fn least_and_median(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values.first().copied().unwrap_or(f64::NAN), values.get(values.len() / 2).copied().unwrap_or(f64::NAN))
}
