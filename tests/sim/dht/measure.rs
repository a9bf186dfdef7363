//! How well peers are found: announce some, let time go by, look for them from all over.

use std::fmt;
use std::time::Duration;

use pieceful_core::dht::Action;

use super::{Net, Profile};

/// Torrents that are announced, and peers that announce each.
const TORRENTS: u8 = 20;
const ANNOUNCERS: usize = 5;
/// Time between two searches.
const BETWEEN: Duration = Duration::from_secs(1);
/// A search that has found nobody by then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How well peers were found.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Searches.
    pub tries: usize,
    /// Those that found a peer.
    pub found: usize,
    /// Half of them had the first peer by then.
    pub median_time: Duration,
    /// Nineteen of twenty had.
    pub slow_time: Duration,
    /// Half of the searches asked no more nodes than so many.
    pub median_asked: u32,
    /// What a node sends while nobody looks for anything, on average, in bytes a second.
    pub idle_bytes: u64,
    /// Nodes that a node knows to answer, on average.
    pub good: usize,
}

impl Figures {
    /// Searches that found a peer, of a thousand.
    #[must_use]
    pub const fn per_mille(&self) -> usize {
        self.found * 1_000 / self.tries
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found by {} of {} searches, half of them within {:.1} s and 95 % within {:.1} s, asking {} nodes; \
             {} B/s sent by an idle node, which knows {} others",
            self.found,
            self.tries,
            self.median_time.as_secs_f64(),
            self.slow_time.as_secs_f64(),
            self.median_asked,
            self.idle_bytes,
            self.good,
        )
    }
}

/// Makes a DHT, lets it run for `age`, and looks for peers in it so many times.
#[must_use]
pub fn measure(seed: u64, profile: Profile, age: Duration, tries: usize) -> Figures {
    let mut net = Net::new(seed, profile);
    net.run_for(age / 2);
    let before = sent(&net);
    net.run_for(age / 2);
    let idle_bytes = (sent(&net) - before) / (age / 2).as_secs().max(1) / u64::from(profile.nodes);
    for number in 0..TORRENTS {
        for _ in 0..ANNOUNCERS {
            let place = net.anybody();
            net.announce(place, [number.wrapping_mul(37); 20]);
        }
    }
    net.run_for(Duration::from_secs(60));
    net.found.clear();

    let (mut found, mut asked) = (Vec::new(), Vec::new());
    let mut begun = Vec::new();
    for number in 0..tries {
        let place = net.anybody();
        let info_hash = [(number % usize::from(TORRENTS)) as u8; 20].map(|byte| byte.wrapping_mul(37));
        begun.push((place, info_hash, net.now()));
        net.find(place, info_hash);
        net.run_for(BETWEEN);
    }
    net.run_for(PATIENCE);
    for (place, hash, at) in begun {
        let own = net.found.iter().filter(|it| it.node == place && it.at >= at);
        let of_it = own.filter(|it| match &it.action {
            Action::Peers { info_hash, .. } | Action::Done { info_hash, .. } => *info_hash == hash,
            Action::Send { .. } => false,
        });
        let (mut first, mut done) = (None, None);
        for it in of_it {
            match &it.action {
                Action::Peers { .. } if it.at <= at + PATIENCE => first = first.or(Some(it.at.since(at))),
                Action::Done { outcome, .. } => done = done.or(Some(outcome.asked)),
                Action::Peers { .. } | Action::Send { .. } => {}
            }
        }
        found.extend(first);
        asked.extend(done);
    }
    found.sort_unstable();
    asked.sort_unstable();
    let good = (0..net.nodes.len()).map(|place| net.node(place).status(net.now()).good()).sum::<usize>();
    Figures {
        tries,
        found: found.len(),
        median_time: found.get(found.len() / 2).copied().unwrap_or_default(),
        slow_time: found.get(found.len() * 19 / 20).copied().unwrap_or_default(),
        median_asked: asked.get(asked.len() / 2).copied().unwrap_or_default(),
        idle_bytes,
        good: good / net.nodes.len(),
    }
}

fn sent(net: &Net) -> u64 {
    net.nodes.iter().map(|node| node.sent).sum()
}
