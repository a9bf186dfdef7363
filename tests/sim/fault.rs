//! What may go wrong, as values: they can be printed, compared, made smaller, and inflicted again.

use std::time::Duration;

use crate::queue::Step;
use crate::{DiskProfile, World};

/// One thing that goes wrong at one node. What lasts is over after its span, or at [`World::heal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its engine is killed, and another starts at once on what its disk holds.
    Restart,
    /// Its engine is killed, and another starts this much later.
    Off {
        /// How long.
        lasts: Duration,
    },
    /// Its user pauses its first torrent, and resumes it this much later.
    Paused {
        /// How long.
        lasts: Duration,
    },
    /// Some of its disk's reads, writes and hashes fail.
    DiskFails {
        /// How many of a thousand.
        of_thousand: u32,
        /// How long.
        lasts: Duration,
    },
    /// Its disk is full.
    DiskFull {
        /// Bytes that fit all the same.
        capacity: u64,
        /// How long.
        lasts: Duration,
    },
    /// Its disk takes its time.
    DiskSlow {
        /// The longest that an action takes, before its bytes are counted.
        latency: Duration,
        /// How long it is so.
        lasts: Duration,
    },
    /// Some of its disk's reads have a wrong bit.
    DiskFlips {
        /// How many of a thousand.
        of_thousand: u32,
        /// How long.
        lasts: Duration,
    },
}

impl Fault {
    /// How long it lasts; `None` for what is over at once.
    #[must_use]
    pub const fn lasts(&self) -> Option<Duration> {
        match *self {
            Self::Restart => None,
            Self::Off { lasts }
            | Self::Paused { lasts }
            | Self::DiskFails { lasts, .. }
            | Self::DiskFull { lasts, .. }
            | Self::DiskSlow { lasts, .. }
            | Self::DiskFlips { lasts, .. } => Some(lasts),
        }
    }

    /// What it makes of a disk.
    const fn spoil(&self, disk: &mut DiskProfile) {
        match *self {
            Self::DiskFails { of_thousand, .. } => disk.failures = of_thousand,
            Self::DiskFull { capacity, .. } => disk.capacity = Some(capacity),
            Self::DiskSlow { latency, .. } => disk.latency.1 = latency,
            Self::DiskFlips { of_thousand, .. } => disk.flips = of_thousand,
            Self::Restart | Self::Off { .. } | Self::Paused { .. } => {}
        }
    }
}

/// The faults that last.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    next: u64,
    /// By number, oldest first: of two of the same kind at a node the younger one counts.
    faults: Vec<(u64, usize, Fault)>,
}

impl World {
    /// Makes something go wrong at a node from now on. A machine that is off, or has not started, or is a scripted
    /// peer, is spared what only a running engine can suffer.
    pub fn inflict(&mut self, name: &str, fault: &Fault) {
        self.begin();
        let node = self.index(name);
        self.note(node, format_args!("suffers: {fault:?}"));
        match fault {
            Fault::Restart if self.is_on(node) => self.restart(name),
            Fault::Off { .. } if self.is_on(node) => self.kill(name),
            Fault::Paused { .. } if self.is_on(node) => self.pause(name),
            Fault::Restart | Fault::Off { .. } | Fault::Paused { .. } => return,
            _ => {}
        }
        if let Some(span) = fault.lasts() {
            self.lasting.next += 1;
            let number = self.lasting.next;
            self.lasting.faults.push((number, node, fault.clone()));
            self.queue.after(span, Step::FaultEnds { number });
            self.spoil(node);
        }
    }

    /// Ends every fault that lasts: machines are switched on, and whatever was paused or has failed is resumed.
    pub fn heal(&mut self) {
        while let Some(&(number, ..)) = self.lasting.faults.first() {
            self.end_fault(number);
        }
        for node in 0..self.nodes.len() {
            self.resume_first(node);
        }
    }

    /// The span of a fault is over, unless it was ended before.
    pub(crate) fn end_fault(&mut self, number: u64) {
        let Some(place) = self.lasting.faults.iter().position(|(other, ..)| *other == number) else { return };
        let (_, node, fault) = self.lasting.faults.remove(place);
        self.note(node, format_args!("suffers no more: {fault:?}"));
        match fault {
            Fault::Off { .. } => self.queue.at(self.queue.now, Step::SwitchedOn(node)),
            Fault::Paused { .. } => self.resume_first(node),
            _ => self.spoil(node),
        }
    }

    /// Makes a node's disk what its faults leave of it.
    pub(crate) fn spoil(&mut self, node: usize) {
        let mut disk = self.nodes[node].spec.disk.clone();
        let faults = self.lasting.faults.iter().filter(|(_, at, _)| *at == node);
        faults.for_each(|(.., fault)| fault.spoil(&mut disk));
        if let Some(engine) = self.nodes[node].engine_mut() {
            engine.disk.profile = disk;
        }
    }

    fn resume_first(&mut self, node: usize) {
        let Some(owner) = self.nodes[node].engine() else { return };
        if owner.engine.is_some() && !owner.torrents.is_empty() {
            let name = self.nodes[node].name.clone();
            self.resume(&name);
        }
    }
}
