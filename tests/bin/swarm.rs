//! A swarm of seeds and leechers, and a table of how each fared.

use std::fmt;
use std::time::Duration;

use pieceful_tests::scenario::{Member, Node, Report, Watch};
use pieceful_tests::{Has, Link, Scenario, Segmentation, seeded};

use crate::progress;

/// What everything is hashed for: two runs that show the same number are the same.
pub(crate) const HASHED: Watch = Watch { trace: 0, hashed: true, recorded: false };

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) seed: u64,
    pub(crate) nodes: u32,
    /// Of a hundred packets.
    pub(crate) loss: u32,
    /// MiB.
    pub(crate) size: u32,
}

/// How many of the slowest leechers the table shows, and of the fastest.
const SHOWN: usize = 5;

impl Swarm {
    fn scenario(&self) -> Scenario {
        let mut rng = seeded(self.seed, "swarm");
        let nodes = (0..self.nodes).map(|number| Node {
            name: format!("{} {number}", if number % 20 == 0 { "seed" } else { "leecher" }),
            has: if number % 20 == 0 { Has::Everything } else { Has::Nothing },
            starts: Duration::from_millis(if number == 0 { 0 } else { rng.below(10_000).into() }),
            link: Link {
                up: u64::from(128 + rng.below(1_920)) << 10,
                down: u64::from(512 + rng.below(7_680)) << 10,
                delay: Duration::from_millis(u64::from(5 + rng.below(75))),
                loss: 10 * self.loss,
            },
            ..Node::default()
        });
        Scenario {
            seed: self.seed,
            files: vec![u64::from(self.size) << 20],
            piece_length: 256 << 10,
            segmentation: Segmentation::Natural,
            nodes: nodes.collect(),
            ..Scenario::default()
        }
    }
}

/// Runs it, and shows the table.
pub(crate) fn run(swarm: &Swarm) -> bool {
    let cpu = CpuTime::now();
    let scenario = swarm.scenario();
    let bar = progress::bar(swarm.nodes.into(), "nodes have finished");
    let result = scenario.followed(HASHED, &mut |finished| bar.set_position(finished));
    bar.finish_and_clear();
    match result {
        Ok(report) => {
            show(&report, cpu);
            true
        }
        Err(failure) => {
            println!("{failure:?}");
            false
        }
    }
}

/// Prints the table of a run.
pub(crate) fn show(report: &Report, cpu: CpuTime) {
    println!("{:<12} {:>12} {:>10} {:>10} {:>7} {:>10}", "", "complete at", "down", "up", "ratio", "wasted");
    let mut members: Vec<&Member> = report.members.iter().collect();
    members.sort_by_key(|member| member.completed);
    let few = members.len() <= 4 * SHOWN;
    for (place, member) in members.iter().enumerate() {
        if few || place < 2 * SHOWN || place >= members.len() - 2 * SHOWN {
            println!("{}", Line(member));
        } else if place == 2 * SHOWN {
            println!("... {} more", members.len() - 4 * SHOWN);
        }
    }
    let hash: String = report.transcript.iter().map(|byte| format!("{byte:02x}")).collect();
    println!(
        "{} outputs in {:.3} s of virtual time and {} of CPU time; transcript {hash}",
        report.outputs,
        report.took.as_secs_f64(),
        cpu.since()
    );
}

struct Line<'a>(&'a Member);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Member { name, completed, traffic } = self.0;
        let at = completed.map_or("never".to_owned(), |at| format!("{:.3} s", at.as_secs_f64()));
        let ratio = match traffic.payload_down {
            0 => "-".to_owned(),
            down => format!("{:.2}", traffic.payload_up as f64 / down as f64),
        };
        let [down, up, wasted] = [traffic.payload_down, traffic.payload_up, traffic.wasted].map(kib);
        write!(f, "{name:<12} {at:>12} {down:>10} {up:>10} {ratio:>7} {wasted:>10}")
    }
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes >> 10)
}

/// CPU time of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    pub(crate) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    pub(crate) fn since(self) -> String {
        format!("{:.2} s", (Self::now().0 - self.0).as_secs_f64())
    }
}
