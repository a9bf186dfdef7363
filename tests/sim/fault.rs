//! What may go wrong, as values: they can be printed, compared, made smaller, and inflicted again.

use std::time::Duration;

use pieceful_core::engine::{Call, Selection, StreamEnd};

use crate::queue::Step;
use crate::services::Services;
use crate::{DiskProfile, Manner, Names, UdpProfile, World};

/// One thing that goes wrong at one node. What lasts is over after its span, or at [`World::heal`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Fault {
    /// Its engine is killed, and another starts at once on what its disk holds.
    Restart,
    /// Its engine is killed, and another starts this much later.
    Off {
        /// How long.
        lasts: Duration,
    },
    /// Its power fails: its connections are never ended, its disk loses writes that were not synced, and another
    /// engine starts when the power is back.
    PowerLoss {
        /// Of a thousand blocks that were written and not synced, how many are lost, wholly or in part.
        lost: u32,
        /// How long it is off.
        lasts: Duration,
    },
    /// Its user pauses its first torrent, and resumes it this much later.
    Paused {
        /// How long.
        lasts: Duration,
    },
    /// Its user wants other files of its first torrent from now on.
    Chooses {
        /// Which, and how much.
        files: Selection,
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
    /// Some of its disk's reads find less than there should be.
    DiskShort {
        /// How many of a thousand.
        of_thousand: u32,
        /// How long.
        lasts: Duration,
    },
    /// Its disk answers nothing.
    DiskHangs {
        /// How long.
        lasts: Duration,
    },
    /// Its disk's syncs take their time, or fail.
    Sync {
        /// How many of a thousand fail.
        of_thousand: u32,
        /// How long each takes.
        takes: Duration,
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
    /// Its connections, or those with one other node, are cut off: both sides are told.
    Reset {
        /// With whom; with everybody if nobody is named.
        with: Option<String>,
    },
    /// It loses its connections, or those with one other node, and the other side is not told: what that one sends
    /// is lost for ever.
    HalfOpen {
        /// With whom; with everybody if nobody is named.
        with: Option<String>,
    },
    /// Its connections, or those with one other node, stay, but nothing gets through any more, as when a router on
    /// the way has forgotten them.
    Severed {
        /// With whom; with everybody if nobody is named.
        with: Option<String>,
    },
    /// No packet gets to it or from it.
    BlackHole {
        /// How long.
        lasts: Duration,
    },
    /// No packet gets to it, but what it sends arrives.
    Deaf {
        /// How long.
        lasts: Duration,
    },
    /// Nothing that it sends arrives.
    Mute {
        /// How long.
        lasts: Duration,
    },
    /// Packets get lost on its link.
    Loss {
        /// How many of a thousand, beside those that always do.
        of_thousand: u32,
        /// How long.
        lasts: Duration,
    },
    /// No packet gets from it, and those it is together with, to any other, or back.
    Partition {
        /// Who is on the same side.
        with: Vec<String>,
        /// How long.
        lasts: Duration,
    },
    /// It is suspended: it does nothing, nothing gets to it, and when it goes on it finds that much later.
    Asleep {
        /// How long.
        lasts: Duration,
    },
    /// Its clock leaps ahead, while nothing else changes.
    ClockLeaps {
        /// By how much.
        by: Duration,
    },
    /// Its engine is woken later than it asked for.
    WakesLate {
        /// By up to so much.
        by: Duration,
        /// How long.
        lasts: Duration,
    },
    /// Its engine is woken when there is no reason, over and over at the same instant.
    WakesInVain {
        /// So often after everything that happens.
        times: u32,
        /// How long.
        lasts: Duration,
    },
    /// Trackers behave in another way towards it.
    Tracker {
        /// How.
        manner: Manner,
        /// How long.
        lasts: Duration,
    },
    /// Its name servers behave in another way.
    Names {
        /// How.
        how: Names,
        /// How long.
        lasts: Duration,
    },
    /// Other things happen to its datagrams.
    Datagrams {
        /// What.
        profile: UdpProfile,
        /// How long.
        lasts: Duration,
    },
    /// The router before it forgets all it knows: no connection that it has carries anything any more.
    NatForgets,
}

impl Fault {
    /// How long it lasts; `None` for what is over at once.
    #[must_use]
    pub const fn lasts(&self) -> Option<Duration> {
        match *self {
            Self::Restart
            | Self::Chooses { .. }
            | Self::Reset { .. }
            | Self::HalfOpen { .. }
            | Self::Severed { .. }
            | Self::ClockLeaps { .. }
            | Self::NatForgets => None,
            Self::Off { lasts }
            | Self::PowerLoss { lasts, .. }
            | Self::Paused { lasts }
            | Self::DiskFails { lasts, .. }
            | Self::DiskFull { lasts, .. }
            | Self::DiskSlow { lasts, .. }
            | Self::DiskShort { lasts, .. }
            | Self::DiskHangs { lasts }
            | Self::Sync { lasts, .. }
            | Self::DiskFlips { lasts, .. }
            | Self::BlackHole { lasts }
            | Self::Deaf { lasts }
            | Self::Mute { lasts }
            | Self::Loss { lasts, .. }
            | Self::Asleep { lasts }
            | Self::WakesLate { lasts, .. }
            | Self::WakesInVain { lasts, .. }
            | Self::Tracker { lasts, .. }
            | Self::Names { lasts, .. }
            | Self::Datagrams { lasts, .. }
            | Self::Partition { lasts, .. } => Some(lasts),
        }
    }

    /// What it makes of a disk.
    const fn spoil(&self, disk: &mut DiskProfile) {
        match *self {
            Self::DiskFails { of_thousand, .. } => disk.failures = of_thousand,
            Self::DiskFull { capacity, .. } => disk.capacity = Some(capacity),
            Self::DiskSlow { latency, .. } => disk.latency.1 = latency,
            Self::DiskFlips { of_thousand, .. } => disk.flips = of_thousand,
            Self::DiskShort { of_thousand, .. } => disk.short = of_thousand,
            Self::DiskHangs { .. } => disk.hangs = true,
            Self::Sync { of_thousand, takes, .. } => {
                (disk.sync_failures, disk.sync_time) = (of_thousand, takes);
            }
            _ => {}
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
        let (is_on, has_torrent) = (self.is_on(node), self.has_torrent(node));
        match fault {
            Fault::Restart if is_on => self.restart(name),
            Fault::Off { .. } if is_on => self.kill(name),
            Fault::PowerLoss { lost, .. } if is_on => self.lose_power(node, *lost),
            Fault::Paused { .. } if has_torrent => self.pause(name),
            Fault::Chooses { files } if has_torrent => {
                self.command(name, |torrent| Call::SetFiles(torrent, files.clone()));
            }
            Fault::Restart | Fault::Off { .. } | Fault::PowerLoss { .. } | Fault::Paused { .. } => return,
            Fault::ClockLeaps { by } => self.leap(node, *by),
            Fault::Reset { with } => {
                self.ends_between(node, with.as_ref()).into_iter().for_each(|end| self.reset(end));
            }
            Fault::HalfOpen { with } if !self.sleeps(node) => {
                for end in self.ends_between(node, with.as_ref()) {
                    self.sever(end);
                    self.tcp.end_mut(end).fin_sent = true;
                    self.told_closed(end, StreamEnd::Reset);
                }
            }
            Fault::NatForgets => {
                self.nodes[node].mappings.forget();
                self.ends_between(node, None).into_iter().for_each(|end| self.sever(end));
            }
            Fault::Severed { with } => {
                self.ends_between(node, with.as_ref()).into_iter().for_each(|end| self.sever(end));
            }
            _ => {}
        }
        if let Some(span) = fault.lasts() {
            self.lasting.next += 1;
            let number = self.lasting.next;
            self.lasting.faults.push((number, node, fault.clone()));
            self.queue.after(span, Step::FaultEnds { number });
            self.cuts.extend(self.cut_of(node, fault).map(|cut| (number, cut)));
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
        self.cuts.retain(|(of, _)| *of != number);
        self.note(node, format_args!("suffers no more: {fault:?}"));
        match fault {
            Fault::Off { .. } | Fault::PowerLoss { .. } => {
                self.queue.at(self.queue.now, Step::SwitchedOn(node));
            }
            Fault::Paused { .. } => self.resume_first(node),
            _ => self.spoil(node),
        }
    }

    /// Makes a node's disk, link and clock what its faults leave of them.
    pub(crate) fn spoil(&mut self, node: usize) {
        let mut disk = self.nodes[node].spec.disk.clone();
        let mut loss = self.nodes[node].spec.link.loss;
        let (mut late, mut again, mut asleep) = (Duration::ZERO, 0, false);
        let mut services = Services::default();
        for (_, _, fault) in self.lasting.faults.iter().filter(|(_, at, _)| *at == node) {
            fault.spoil(&mut disk);
            match fault {
                Fault::Loss { of_thousand, .. } => loss += of_thousand,
                Fault::WakesLate { by, .. } => late = *by,
                Fault::WakesInVain { times, .. } => again = *times,
                Fault::Tracker { manner, .. } => services.manner = Some(manner.clone()),
                Fault::Names { how, .. } => services.names = Some(how.clone()),
                Fault::Datagrams { profile, .. } => services.datagrams = Some(*profile),
                Fault::Asleep { .. } => asleep = true,
                _ => {}
            }
        }
        self.links[node].link.loss = loss.min(1000);
        if let Some(engine) = self.nodes[node].engine_mut() {
            engine.disk.profile = disk;
            engine.services = services;
            if !engine.disk.profile.hangs {
                let hung = std::mem::take(&mut engine.disk.hung);
                hung.into_iter().for_each(|step| self.queue.at(self.queue.now, step));
            }
            (engine.clock.late, engine.clock.again) = (late, again);
        }
        self.set_asleep(node, asleep);
    }

    fn resume_first(&mut self, node: usize) {
        if self.has_torrent(node) {
            let name = self.nodes[node].name.clone();
            self.resume(&name);
        }
    }

    /// A machine is off from one moment to the next: nobody is told, and its disk has lost what was not synced.
    fn lose_power(&mut self, node: usize, lost: u32) {
        for end in self.tcp.ends_of(node) {
            self.tcp.vanish(end);
        }
        let name = self.nodes[node].name.clone();
        self.kill(&name);
        let Some(owner) = self.nodes[node].engine_mut() else { return };
        owner.disk.lose(lost, &mut self.rng);
    }

    fn has_torrent(&self, node: usize) -> bool {
        self.is_on(node)
            && !self.sleeps(node)
            && self.nodes[node].engine().is_some_and(|engine| !engine.torrents.is_empty())
    }
}
