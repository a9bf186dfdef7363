//! Running a scenario: the world it describes, its two phases, and what is told of it.

use std::fmt;
use std::time::Duration;

use pieceful_core::engine::{DhtConfig, Event, Traffic};

use super::panics::caught;
use super::{Scenario, Service};
use crate::{Data, DiskProfile, Fault, Has, Manner, Spec, Tape, World};

/// How long things settle after the last trouble, before all heals.
const SETTLE: Duration = Duration::from_secs(5);
/// How long an engine may take to shut down in good order.
const STOP_TIME: Duration = Duration::from_secs(10);
/// How often it is looked whether all have finished.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The node that the DHT begins at; no other is called so.
pub(super) const ROUTER: &str = "a node of the DHT";

/// What to keep of a run beside its end. Keeping costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Lines of trace.
    pub trace: usize,
    /// Whether every output goes into the transcript's hash.
    pub hashed: bool,
    /// Whether every call of every engine is kept for its tape.
    pub recorded: bool,
}

/// How a run went that broke no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Virtual time when all had healed.
    pub healed: Duration,
    /// Virtual time in the end.
    pub took: Duration,
    /// What all engines said, in outputs.
    pub outputs: u64,
    /// SHA-1 over all of that, if it was watched.
    pub transcript: [u8; 20],
    /// The engines, as in the scenario.
    pub members: Vec<Member>,
}

/// How one engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is called.
    pub name: String,
    /// When it first said that everything is there.
    pub completed: Option<Duration>,
    /// What its last engine sent and received.
    pub traffic: Traffic,
}

/// A rule that was broken, or an engine that panicked, or somebody who did not finish.
#[derive(Clone)]
pub struct Failure {
    /// What is wrong.
    pub why: String,
    /// The last things that happened, if it was watched.
    pub trace: String,
    /// What everybody's last engine was told, if it was watched.
    pub tapes: Vec<(String, Tape)>,
    /// What all engines had said until then, in outputs.
    pub outputs: u64,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.why, self.trace)
    }
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    /// What went wrong, as soon as it does.
    pub fn run(&self) -> Result<Report, Box<Failure>> {
        self.watched(Watch::default())
    }

    /// Runs it, and keeps something of it.
    ///
    /// # Errors
    /// What went wrong, as soon as it does.
    pub fn watched(&self, watch: Watch) -> Result<Report, Box<Failure>> {
        self.followed(watch, &mut |_| {})
    }

    /// Runs it, keeps something of it, and tells now and then how many nodes have finished, once all has healed.
    ///
    /// # Errors
    /// What went wrong, as soon as it does.
    pub fn followed(&self, watch: Watch, follow: &mut dyn FnMut(u64)) -> Result<Report, Box<Failure>> {
        let mut world = None;
        let run = format!("scenario {}", self.seed);
        caught(&run, || self.drive(world.insert(self.world(watch)), follow)).map_err(|why| {
            let names = self.nodes.iter().map(|node| &node.name);
            let tapes = |world: &World| {
                let tapes = names.filter_map(|name| Some((name.clone(), world.tape_if_any(name)?.clone())));
                tapes.collect()
            };
            Box::new(Failure {
                why: why.lines().next().unwrap_or_default().to_owned(),
                trace: world.as_ref().map(World::trace).unwrap_or_default(),
                tapes: world.as_ref().map(tapes).unwrap_or_default(),
                outputs: world.as_ref().map(World::outputs).unwrap_or_default(),
            })
        })
    }

    /// The world before anything happens.
    fn world(&self, watch: Watch) -> World {
        let services = self.trackers.iter().enumerate().map(|(number, service)| service.url(number));
        let urls: Vec<String> = services.map(|url| format!("{url}/announce")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let names: Vec<String> = (0..self.files.len()).map(|number| format!("folder/{number}")).collect();
        let files: Vec<(&str, u64)> =
            names.iter().map(String::as_str).zip(self.files.iter().copied()).collect();
        let data = Data::with_trackers(self.seed, &files, self.piece_length, &urls);
        let pieces = data.pieces();

        let world = World::new(self.seed);
        let world = if watch.hashed { world } else { world.unwatched() };
        let mut world = world
            .keep_trace(watch.trace)
            .data(data)
            .segmentation(self.segmentation)
            .buffer(self.buffer)
            .udp(self.udp);
        for (number, service) in self.trackers.iter().enumerate() {
            world.add_tracker(&service.url(number));
            world.tracker_mut(number).manner = service.manner.clone();
        }
        let strangers = || {
            let strangers = self.strangers.iter().enumerate();
            strangers.map(|(number, stranger)| (format!("stranger {number}"), stranger))
        };
        for (name, stranger) in strangers().filter(|(_, stranger)| stranger.dials.is_none()) {
            world = world.odd(&name, stranger.habits.clone());
        }
        let mut router = None;
        if self.nodes.iter().any(|node| node.dht) {
            world.add_node(ROUTER, |spec| {
                (spec.idle, spec.listens) = (true, false);
                spec.config.dht = Some(DhtConfig::default());
            });
            router = Some(world.address(ROUTER));
        }
        for (place, node) in self.nodes.iter().enumerate() {
            world.add_node(&node.name, |spec| {
                node.specify(spec, pieces);
                if let Some(router) = router.filter(|_| node.dht) {
                    let bootstrap = vec![(router.ip().to_string(), router.port())];
                    spec.config.dht = Some(DhtConfig { bootstrap, ..DhtConfig::default() });
                }
                if place == 0 {
                    spec.has = Has::Everything;
                }
                spec.recorded = watch.recorded;
            });
        }
        for (name, stranger) in strangers() {
            if let Some(whom) = &stranger.dials {
                world = world.caller(&name, stranger.habits.clone(), whom, stranger.calls);
            }
        }
        world
    }

    fn drive(&self, world: &mut World, follow: &mut dyn FnMut(u64)) -> Report {
        // Safety: whatever goes wrong, no rule is broken.
        for trouble in &self.troubles {
            world.run_for(trouble.after.saturating_sub(world.elapsed()));
            world.inflict(&trouble.node, &trouble.fault);
        }
        let started = self.nodes.iter().map(|node| node.starts).max().unwrap_or_default();
        world.run_for(SETTLE.max(started.saturating_sub(world.elapsed())));

        // Liveness: all is well again, and all finish.
        world.heal();
        (0..self.trackers.len()).for_each(|number| world.tracker_mut(number).manner = Manner::Up);
        for name in self.deceived() {
            world.restart(name);
        }
        let healed = world.elapsed();
        let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let is_done = |world: &World, name: &str| {
            world.is_up(name) && world.complete(name) && world.holds_everything(name)
        };
        let mut done = 0;
        loop {
            done += names[done..].iter().take_while(|name| is_done(world, name)).count();
            follow(names.iter().filter(|name| is_done(world, name)).count() as u64);
            let Some(name) = names.get(done) else { break };
            if world.elapsed() > healed + self.within {
                world.fail(&format!("{name} has not finished {:?} after all healed", self.within));
            }
            world.run_for(LOOK_EVERY);
        }
        let members = names.iter().map(|name| member(world, name)).collect();

        for name in &names {
            world.shutdown(name);
        }
        world.run_for(STOP_TIME);
        for name in &names {
            if !world.events(name).last().is_some_and(|(_, event)| *event == Event::Stopped) {
                world.fail(&format!("{name} has not stopped {STOP_TIME:?} after it was told to"));
            }
        }
        Report {
            healed,
            took: world.elapsed(),
            outputs: world.outputs(),
            transcript: world.transcript(),
            members,
        }
    }
}

impl Scenario {
    /// Those whose disks gave back wrong bytes. They may have banned the one peer that has all, for as long as they run.
    fn deceived(&self) -> impl Iterator<Item = &str> {
        let flips = self.troubles.iter().filter(|trouble| matches!(trouble.fault, Fault::DiskFlips { .. }));
        flips.map(|trouble| trouble.node.as_str())
    }
}

fn member(world: &World, name: &str) -> Member {
    let completed = world.events(name).iter().find_map(|(at, event)| match event {
        Event::Finished { .. } => Some(*at),
        Event::Checked { pieces, .. } if *pieces == world.torrent().pieces() => Some(*at),
        _ => None,
    });
    Member {
        name: name.to_owned(),
        completed: completed.map(|at| at.since(pieceful_core::time::Instant::ZERO)),
        traffic: world.status(name).traffic,
    }
}

impl super::Node {
    fn specify(&self, spec: &mut Spec, pieces: u32) {
        spec.has = match &self.has {
            Has::Pieces(some) => Has::Pieces(some.iter().copied().filter(|piece| *piece < pieces).collect()),
            other => other.clone(),
        };
        spec.starts = self.starts;
        spec.link = self.link;
        spec.disk = DiskProfile {
            latency: (spec.disk.latency.0.min(self.disk_latency), self.disk_latency),
            rate: self.disk_rate,
            ..DiskProfile::default()
        };
        spec.wants = self.wants.clone();
        spec.order = self.order;
        spec.allocation = self.allocation;
        spec.rates = self.rates;
        spec.config.rates = self.engine_rates;
        spec.config.upload_slots = self.upload_slots;
        spec.seeding = self.seeding;
        spec.config.direct_blocks = self.direct_blocks;
        spec.config.limits = self.limits;
        spec.introduced = self.introduced;
        spec.listens = self.listens;
        spec.nat = self.nat;
        spec.ipv6 = self.ipv6;
        spec.magnet = self.magnet;
    }
}

impl Service {
    /// The beginning of the URLs of the `number`th tracker.
    fn url(&self, number: usize) -> String {
        if self.udp { format!("udp://tracker{number}.sim:80") } else { format!("http://tracker{number}.sim") }
    }
}
