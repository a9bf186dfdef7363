//! Local service discovery (BEP 14): telling the neighbours which torrents are here, and hearing it from them.
//!
//! [`Announcement`] is what is said, [`Lsd`] decides when. It is told which torrents to announce, and says what to send
//! to which group, and who was found; that the datagrams reach no further than the local network is up to the driver.

mod announcement;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

pub use announcement::{Announcement, HASHES_MAX, PREFIX};

use crate::cx::Cx;
use crate::rng::Rng;
use crate::scope::{self, Scope};
use crate::time::Instant;

/// Where announcements are sent: organization-local for IPv4, site-local for IPv6.
pub const GROUPS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 192, 152, 143)), PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f)), PORT),
];

/// The port of both groups.
pub const PORT: u16 = 6771;

/// A torrent is announced this often.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// And no more often, whatever happens (BEP 14).
const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// What wants to be announced within this goes in one datagram.
const GATHER: Duration = Duration::from_secs(1);

/// Torrents that are announced on the local network.
#[derive(Debug)]
pub struct Lsd {
    /// Where we take connections.
    port: u16,
    /// Tells what we said ourselves from what others did.
    cookie: u64,
    torrents: BTreeMap<[u8; 20], Times>,
    /// The earliest of all times.
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    at: Instant,
    last: Option<Instant>,
}

/// What local discovery wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this to one of [`GROUPS`].
    Send {
        /// Which.
        to: SocketAddr,
        /// What.
        data: Bytes,
    },
    /// A neighbour has a torrent that is announced here.
    Found {
        /// The torrent.
        info_hash: [u8; 20],
        /// The neighbour.
        peer: SocketAddr,
    },
}

impl Lsd {
    /// Nothing to announce yet; connections are taken at `port`.
    #[must_use]
    pub fn new(port: u16, rng: &mut Rng) -> Self {
        let cookie = u64::from(rng.u32()) << 32 | u64::from(rng.u32());
        Self { port, cookie, torrents: BTreeMap::new(), next: None }
    }

    /// From now on this torrent is announced.
    pub fn announce(&mut self, info_hash: [u8; 20], now: Instant) {
        self.hurry(info_hash, now, true);
    }

    /// Somebody new is there: a torrent is announced again as soon as it may be.
    pub fn answer(&mut self, info_hash: [u8; 20], now: Instant) {
        self.hurry(info_hash, now, false);
    }

    fn hurry(&mut self, info_hash: [u8; 20], now: Instant, new: bool) {
        let soon = now + GATHER;
        if new {
            self.torrents.entry(info_hash).or_insert(Times { at: soon, last: None });
        }
        let Some(times) = self.torrents.get_mut(&info_hash) else { return };
        times.at = times.at.min(times.last.map_or(soon, |last| soon.max(last + INTERVAL_MIN)));
        self.next = Some(self.next.map_or(times.at, |next| next.min(times.at)));
    }

    /// When [`tick`](Self::tick) is next of use.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Time has passed: announces what is due, of that what `still` is to be, and forgets the rest of it.
    pub fn tick(&mut self, mut still: impl FnMut([u8; 20]) -> bool, cx: &mut Cx<'_, Action>) {
        if self.next.is_none_or(|at| at > cx.now) {
            return;
        }
        let due: Vec<[u8; 20]> =
            self.torrents.iter().filter(|(_, times)| times.at <= cx.now).map(|(hash, _)| *hash).collect();
        let mut hashes = Vec::new();
        for hash in due {
            if still(hash) {
                // Spread, so that torrents that began together do not go on together for ever.
                let spread = INTERVAL / 10 * cx.rng.below(1024) / 1024;
                let times = Times { at: cx.now + INTERVAL + spread, last: Some(cx.now) };
                self.torrents.insert(hash, times);
                hashes.push(hash);
            } else {
                self.torrents.remove(&hash);
            }
        }
        for some in hashes.chunks(HASHES_MAX) {
            for to in GROUPS {
                let announcement =
                    Announcement { port: self.port, hashes: some.to_vec(), cookie: Some(self.cookie()) };
                cx.out.push(Action::Send { to, data: announcement.encode(to).into() });
            }
        }
        self.next = self.torrents.values().map(|times| times.at).min();
    }

    /// A datagram that begins with [`PREFIX`]. What does not come from the local network is not heeded: whoever sends
    /// it from further away did not send it to the group.
    pub fn receive(&self, from: SocketAddr, data: &[u8], cx: &mut Cx<'_, Action>) {
        if !matches!(scope::scope(from.ip()), Some(Scope::LinkLocal | Scope::Private)) {
            return;
        }
        let Some(heard) = Announcement::parse(data) else { return };
        if heard.cookie.is_some_and(|cookie| cookie == self.cookie()) {
            return;
        }
        let mut peer = from;
        peer.set_port(heard.port);
        for info_hash in heard.hashes {
            if self.torrents.contains_key(&info_hash) {
                cx.out.push(Action::Found { info_hash, peer });
            }
        }
    }

    fn cookie(&self) -> alloc::string::String {
        alloc::format!("{:016x}", self.cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    struct Scene {
        lsd: Lsd,
        now: Instant,
        rng: Rng,
    }

    impl Scene {
        fn new(seed: u8) -> Self {
            let mut rng = Rng::new(Seed([seed; 32]));
            Self { lsd: Lsd::new(6881, &mut rng), now: Instant::from_micros(1), rng }
        }

        fn act(&mut self, act: impl FnOnce(&mut Lsd, &mut Cx<'_, Action>)) -> Vec<Action> {
            let mut out = Vec::new();
            act(&mut self.lsd, &mut Cx { now: self.now, rng: &mut self.rng, out: &mut out });
            out
        }

        /// What is sent when it is next due, and after how many seconds.
        fn next(&mut self) -> (u64, Vec<Bytes>) {
            let at = self.lsd.deadline().expect("something to announce");
            let waited = at.since(self.now).as_secs();
            self.now = at;
            let sent = self.act(|lsd, cx| lsd.tick(|_| true, cx));
            let data = |action| match action {
                Action::Send { data, .. } => data,
                Action::Found { .. } => panic!("nobody spoke"),
            };
            (waited, sent.into_iter().map(data).collect())
        }
    }

    #[test]
    fn neighbours_find_each_other_and_nobody_finds_himself() {
        let (mut here, mut there) = (Scene::new(1), Scene::new(2));
        here.lsd.announce([7; 20], here.now);
        there.lsd.announce([7; 20], there.now);
        let (_, said) = here.next();
        assert_eq!(said.len(), 2, "one for each address family");
        let from = "192.168.1.5:6771".parse().unwrap();
        let found = there.act(|lsd, cx| lsd.receive(from, &said[0], cx));
        let peer = "192.168.1.5:6881".parse().unwrap();
        assert_eq!(found, [Action::Found { info_hash: [7; 20], peer }]);
        assert_eq!(here.act(|lsd, cx| lsd.receive(from, &said[0], cx)), [], "it said so itself");
        for stranger in ["93.184.1.1:6771", "127.0.0.1:6771", "[2001:db8::1]:6771"] {
            let heard = there.act(|lsd, cx| lsd.receive(stranger.parse().unwrap(), &said[0], cx));
            assert_eq!(heard, [], "{stranger} is no neighbour");
        }
        there.lsd.torrents.clear();
        assert_eq!(there.act(|lsd, cx| lsd.receive(from, &said[0], cx)), [], "of no concern there");
    }

    #[test]
    fn a_torrent_is_announced_every_five_minutes_and_never_twice_in_one() {
        let mut scene = Scene::new(3);
        scene.lsd.announce([1; 20], scene.now);
        assert_eq!(scene.next().0, 1);
        let (waited, _) = scene.next();
        assert!((300..=330).contains(&waited), "{waited}");
        scene.now += Duration::from_secs(10);
        for _ in 0..100 {
            scene.lsd.answer([1; 20], scene.now);
            scene.lsd.announce([1; 20], scene.now);
        }
        assert_eq!(scene.next().0, 50);
        scene.lsd.answer([2; 20], scene.now);
        assert!(scene.next().0 >= 300, "that one is not announced at all");
    }

    #[test]
    fn many_torrents_share_datagrams_that_fit_into_a_packet() {
        let mut scene = Scene::new(4);
        for n in 0..50 {
            scene.lsd.announce([n; 20], scene.now);
        }
        let (_, said) = scene.next();
        let heard: Vec<_> = said.iter().map(|data| Announcement::parse(data).unwrap()).collect();
        assert_eq!(heard.iter().map(|heard| heard.hashes.len()).sum::<usize>(), 2 * 50);
        assert!(said.iter().all(|data| data.len() < 1_400) && said.len() == 2 * 3, "{}", said.len());
    }

    #[test]
    fn what_is_not_to_be_announced_any_more_is_forgotten() {
        let mut scene = Scene::new(5);
        scene.lsd.announce([1; 20], scene.now);
        scene.now = scene.lsd.deadline().unwrap();
        assert_eq!(scene.act(|lsd, cx| lsd.tick(|_| false, cx)), []);
        assert_eq!(scene.lsd.deadline(), None);
    }
}
