//! UDP trackers under any sequence of requests, datagrams and timers: datagrams go only to addresses that were
//! asked for, every announce ends exactly once, and nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pieceful_core::cx::Cx;
use pieceful_core::id::PeerId;
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::scope::NamedBy;
use pieceful_core::time::Instant;
use pieceful_core::tracker::{
    ANSWER_PEERS_MAX, Announce, AnnounceEvent, Numbers, QueryTag, TrackerError, UdpAction, UdpTrackers, udp,
};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    for ipv6 in [false, true] {
        if let Ok(udp::Reply::Announce(answer)) = udp::parse(data, ipv6) {
            assert!(answer.peers.len() <= ANSWER_PEERS_MAX.min(data.len() / 6));
        }
    }
    let mut input = Unstructured::new(data);
    let mut world = World::new();
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(step);
    }
    world.wind_up();
}

#[derive(Arbitrary, Debug)]
enum Step {
    Ask {
        token: u8,
        host: u8,
        user: bool,
    },
    Cancel {
        token: u8,
    },
    Resolved {
        query: u8,
        addresses: Vec<u8>,
    },
    /// A reply in the right place with the right transaction id, otherwise arbitrary.
    Reply {
        sent: u8,
        action: u8,
        rest: Vec<u8>,
    },
    /// The same from somewhere else.
    Spoofed {
        sent: u8,
        from: u8,
        rest: Vec<u8>,
    },
    Noise {
        from: u8,
        data: Vec<u8>,
    },
    Wait {
        seconds: u8,
    },
}

struct World {
    trackers: UdpTrackers,
    rng: Rng,
    now: Instant,
    /// Announces under way, by token.
    pending: BTreeSet<u64>,
    queries: Vec<QueryTag>,
    /// Every address anybody named as a tracker's.
    named: BTreeSet<IpAddr>,
    sent: Vec<(SocketAddr, Bytes)>,
    /// Datagrams sent for want of an answer, to bound them.
    asked: usize,
}

impl World {
    fn new() -> Self {
        Self {
            trackers: UdpTrackers::new(),
            rng: Rng::new(Seed([9; 32])),
            now: Instant::ZERO,
            pending: BTreeSet::new(),
            queries: Vec::new(),
            named: BTreeSet::new(),
            sent: Vec::new(),
            asked: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { token, host, user } => {
                self.asked += 1;
                let token = u64::from(token);
                self.pending.insert(token); // one under way with the same token is cancelled
                let named_by = if user { NamedBy::User } else { NamedBy::Torrent };
                let host = match host % 4 {
                    0 => format!("host{host}.example"),
                    _ => {
                        self.named.insert(address(host));
                        address(host).to_string()
                    }
                };
                self.call(|t, cx| t.ask(token, named_by, &host, 6969, announce(), cx));
            }
            Step::Cancel { token } => {
                self.pending.remove(&u64::from(token));
                self.trackers.cancel(u64::from(token));
            }
            Step::Resolved { query, addresses } => {
                if self.queries.is_empty() {
                    return;
                }
                let query = self.queries.swap_remove(usize::from(query) % self.queries.len());
                let addresses: Vec<IpAddr> = addresses.into_iter().map(address).collect();
                self.named.extend(&addresses);
                let result = if addresses.is_empty() { Err(TrackerError::NoSuchHost) } else { Ok(addresses) };
                self.call(|t, cx| t.resolved(query, result, cx));
            }
            Step::Reply { sent, action, rest } => {
                let Some((from, transaction)) = self.earlier(sent) else { return };
                let data = [&[0, 0, 0, action % 5], transaction.as_ref(), &rest].concat();
                self.call(|t, cx| t.receive(from, &data, cx));
            }
            Step::Spoofed { sent, from, rest } => {
                let Some((to, transaction)) = self.earlier(sent) else { return };
                let from = SocketAddr::new(address(from), 6968);
                let data = [&[0, 0, 0, 1], transaction.as_ref(), &rest].concat();
                assert_ne!(from, to);
                let before = self.sent.len();
                assert!(!self.call(|t, cx| t.receive(from, &data, cx)), "a third party was believed");
                assert_eq!(self.sent.len(), before, "a third party was answered");
            }
            Step::Noise { from, data } => {
                let from = SocketAddr::new(address(from), 6969);
                self.call(|t, cx| t.receive(from, &data, cx));
            }
            Step::Wait { seconds } => {
                self.now += Duration::from_secs(seconds.into());
                self.call(UdpTrackers::tick);
            }
        }
        assert!(
            self.sent.len() <= 8 * self.asked,
            "{} datagrams for {} requests",
            self.sent.len(),
            self.asked
        );
    }

    /// Nobody answers any more: everything ends within the promised time.
    fn wind_up(&mut self) {
        let end = self.now + Duration::from_secs(106);
        while let Some(deadline) = self.trackers.deadline() {
            assert!(deadline <= end, "an announce goes on for ever");
            self.now = self.now.max(deadline);
            self.call(UdpTrackers::tick);
            assert!(
                self.trackers.deadline().is_none_or(|next| next > self.now),
                "a deadline that does not move"
            );
        }
        assert_eq!(self.pending, BTreeSet::new(), "an announce without an end");
    }

    fn earlier(&self, sent: u8) -> Option<(SocketAddr, [u8; 4])> {
        let place = usize::from(sent).checked_rem(self.sent.len())?;
        let (to, data) = self.sent.get(place)?;
        Some((*to, *data.get(12..)?.first_chunk()?))
    }

    fn call<R>(&mut self, run: impl FnOnce(&mut UdpTrackers, &mut Cx<'_, UdpAction>) -> R) -> R {
        let mut out = Vec::new();
        let result = run(&mut self.trackers, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
        let mut ended: BTreeMap<u64, u32> = BTreeMap::new();
        for action in out {
            match action {
                UdpAction::Resolve { query, host } => {
                    assert!(host.parse::<IpAddr>().is_err(), "a literal address is no name");
                    self.queries.push(query);
                }
                UdpAction::Send { to, data } => {
                    assert!(self.named.contains(&to.ip()) && to.port() == 6969, "{to} is a third party");
                    assert!(data.len() <= 1_232);
                    self.sent.push((to, data));
                }
                UdpAction::Answered { token, .. } => {
                    assert!(self.pending.remove(&token), "an end without a beginning");
                    *ended.entry(token).or_default() += 1;
                }
            }
        }
        assert!(ended.values().all(|times| *times == 1));
        result
    }
}

fn address(number: u8) -> IpAddr {
    match number % 8 {
        0 => IpAddr::from([127, 0, 0, number]),
        1 => IpAddr::from([0; 4]),
        2 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)]),
        _ => IpAddr::from([9, 9, 9, number]),
    }
}

fn announce() -> udp::Announce {
    let numbers =
        Numbers { peer_id: PeerId([0; 20]), port: 6881, uploaded: 0, downloaded: 0, left: 1, numwant: 50 };
    let announce = Announce { info_hash: [1; 20], key: 2, event: AnnounceEvent::Started, numbers };
    udp::Announce { announce, url_data: String::from("/announce") }
}
