//! Trackers: what is written is what is read, and nobody is asked more often than they allow.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pieceful_core::bencode;
use pieceful_core::cx::Cx;
use pieceful_core::id::PeerId;
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;
use pieceful_core::tracker::{Action, AnnounceTag, Numbers, TrackerError, Trackers, http, udp};
use proptest::collection::vec;
use proptest::prelude::*;

fn compact(peers: &[SocketAddr]) -> Vec<u8> {
    let mut out = Vec::new();
    for peer in peers {
        match peer.ip() {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
    out
}

fn peers_v4() -> impl Strategy<Value = Vec<SocketAddr>> {
    vec((any::<[u8; 4]>(), 1..=u16::MAX).prop_map(SocketAddr::from), 0..60)
}

fn peers_v6() -> impl Strategy<Value = Vec<SocketAddr>> {
    let address = any::<[u8; 16]>()
        .prop_filter("not IPv4 in disguise", |ip| IpAddr::from(*ip).to_canonical().is_ipv6());
    vec((address, 1..=u16::MAX).prop_map(SocketAddr::from), 0..60)
}

proptest! {
    #[test]
    fn compact_peers_come_back_as_they_were(v4 in peers_v4(), v6 in peers_v6(), tail in vec(any::<u8>(), 0..6)) {
        let peers = [compact(&v4), tail.clone()].concat();
        let body = bencode::dict(|d| {
            d.bytes(b"peers", &peers);
            d.bytes(b"peers6", &compact(&v6));
        });
        let answer = http::parse_announce(&body).unwrap();
        prop_assert_eq!(&answer.peers, &[v4.clone(), v6.clone()].concat());

        let header = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
        for (ipv6, peers) in [(false, &v4), (true, &v6)] {
            let datagram = [&header[..], &compact(peers), &tail].concat();
            let Ok(udp::Reply::Announce(answer)) = udp::parse(&datagram, ipv6) else { panic!("no answer") };
            prop_assert_eq!(&answer.peers, peers);
        }
    }

    #[test]
    fn a_regular_announce_never_comes_before_the_minimum_interval_or_the_end_of_a_pause(
        tiers in vec(1..4_usize, 1..5),
        steps in vec(step(), 1..80),
        seed: [u8; 32],
    ) {
        let mut world = World::new(&tiers, seed);
        for step in steps {
            world.step(step)?;
        }
        world.leave()?;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait { seconds: u64 },
    UntilDeadline,
    AskNow,
    Completed,
    Answer { which: usize, interval: i64, min_interval: i64 },
    Refuse { which: usize, minutes: u32 },
    Fail { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![Just(0), Just(1 << 31), Just(-5), 0..4_000_i64];
    prop_oneof![
        (0..2_000_u64).prop_map(|seconds| Step::Wait { seconds }),
        Just(Step::UntilDeadline),
        Just(Step::AskNow),
        Just(Step::Completed),
        (0..8_usize, seconds.clone(), seconds).prop_map(|(which, interval, min_interval)| Step::Answer {
            which,
            interval,
            min_interval
        }),
        (0..8_usize, 0..100_u32).prop_map(|(which, minutes)| Step::Refuse { which, minutes }),
        (0..8_usize).prop_map(|which| Step::Fail { which }),
    ]
}

const NUMBERS: Numbers =
    Numbers { peer_id: PeerId([b'p'; 20]), port: 6881, uploaded: 1, downloaded: 2, left: 3, numwant: 50 };

/// Trackers that answer as they are told to, and remember when they may be asked again.
struct World {
    trackers: Trackers,
    rng: Rng,
    now: Instant,
    under_way: Vec<(AnnounceTag, String)>,
    /// By tracker: no announce without news before this.
    not_before: BTreeMap<String, Instant>,
    completed: bool,
    told: bool,
}

impl World {
    fn new(tiers: &[usize], seed: [u8; 32]) -> Self {
        let mut rng = Rng::new(Seed(seed));
        let tiers: Vec<Vec<String>> = (0..tiers.len())
            .map(|tier| {
                (0..tiers[tier]).map(|place| format!("http://t{tier}-{place}.example/announce")).collect()
            })
            .collect();
        let trackers = Trackers::new([1; 20], &[], &tiers, &mut rng);
        let mut world = Self {
            trackers,
            rng,
            now: Instant::ZERO,
            under_way: Vec::new(),
            not_before: BTreeMap::new(),
            completed: false,
            told: false,
        };
        world.call(|t, cx| t.start(&NUMBERS, cx)).expect("nothing is forbidden at the start");
        world
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.call(|t, cx| t.tick(&NUMBERS, cx))
            }
            Step::UntilDeadline => {
                let Some(deadline) = self.trackers.deadline() else { return Ok(()) };
                self.now = self.now.max(deadline);
                self.call(|t, cx| t.tick(&NUMBERS, cx))?;
                let next = self.trackers.deadline();
                prop_assert!(next.is_none_or(|next| next > self.now), "a deadline that does not move");
                Ok(())
            }
            Step::AskNow => self.call(|t, cx| t.ask_now(&NUMBERS, cx)),
            Step::Completed if self.completed => Ok(()),
            Step::Completed => {
                self.completed = true;
                self.call(|t, cx| t.completed(&NUMBERS, cx))
            }
            Step::Answer { which, interval, min_interval } => {
                let body = bencode::dict(|d| {
                    d.int(b"interval", interval);
                    d.int(b"min interval", min_interval);
                });
                let pause = min_interval.clamp(60, 6 * 3600) as u64;
                self.end(which, Ok(&body), Duration::from_secs(pause))
            }
            Step::Refuse { which, minutes } => {
                let body = bencode::dict(|d| {
                    d.bytes(b"failure reason", b"no");
                    d.int(b"retry in", i64::from(minutes));
                });
                let pause = if minutes == 0 { 15 } else { 60 * u64::from(minutes) };
                self.end(which, Ok(&body), Duration::from_secs(pause))
            }
            Step::Fail { which } => self.end(which, Err(TrackerError::TimedOut), Duration::from_secs(15)),
        }
    }

    /// One announce under way ends, and its tracker may not be asked for `pause`.
    fn end(
        &mut self,
        which: usize,
        body: Result<&[u8], TrackerError>,
        pause: Duration,
    ) -> Result<(), TestCaseError> {
        let Some(place) = which.checked_rem(self.under_way.len()) else { return Ok(()) };
        let (tag, host) = self.under_way.swap_remove(place);
        self.not_before.insert(host, self.now + pause);
        let result = body.map(|body| (200, body, IpAddr::from([9, 9, 9, 9])));
        self.call(|t, cx| t.fetched(tag, result, cx))
    }

    fn leave(&mut self) -> Result<(), TestCaseError> {
        let until = self.now + Duration::from_secs(5);
        self.call(|t, cx| t.stop(&NUMBERS, cx))?;
        while !self.told {
            let deadline = self.trackers.deadline().expect("leaving has an end");
            prop_assert!(self.now < deadline && deadline <= until);
            self.now = deadline;
            self.call(|t, cx| t.tick(&NUMBERS, cx))?;
        }
        prop_assert!(self.told);
        prop_assert_eq!(self.trackers.deadline(), None);
        Ok(())
    }

    fn call(&mut self, run: impl FnOnce(&mut Trackers, &mut Cx<'_, Action>)) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        run(&mut self.trackers, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
        for action in out {
            match action {
                Action::Fetch { tag, url, .. } => {
                    let host = url.split('/').nth(2).expect("an absolute URL").to_owned();
                    prop_assert!(
                        !self.under_way.iter().any(|(_, other)| *other == host),
                        "asked twice at once"
                    );
                    // What is news may be told at once: the last piece, and that we leave.
                    let news = url.contains("event=completed") || url.contains("event=stopped");
                    let not_before = self.not_before.get(&host).copied().unwrap_or(Instant::ZERO);
                    prop_assert!(
                        news || self.now >= not_before,
                        "{} at {:?}, not before {:?}",
                        host,
                        self.now,
                        not_before
                    );
                    self.under_way.push((tag, host));
                }
                Action::Cancel { tag } => self.under_way.retain(|(other, _)| *other != tag),
                Action::Told => self.told = true,
                Action::Answered { .. } | Action::Failed { .. } => {}
                Action::Udp { .. } | Action::Scraped { .. } => panic!("no such tracker"),
            }
        }
        prop_assert!(self.under_way.len() <= 200);
        Ok(())
    }
}
