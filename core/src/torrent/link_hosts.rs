//! Peers that a magnet link names by host (`x.pe`): when those names are looked up, and what comes of it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Action, Source, Torrent, Turn};
use crate::metainfo::Magnet;
use crate::scope::{self, NamedBy};
use crate::time::Instant;

/// Names of one link that are looked up; what more it has is left out.
const HOSTS_MAX: usize = 32;
/// Addresses of one host that are called.
const ADDRESSES_MAX: usize = 8;
/// What was not found is looked up again after so long: the machine may not have been on the network. Twice as long
/// each time.
const AGAIN: Duration = Duration::from_secs(60);
/// The longest time until another try.
const AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// Hosts that have yet to be found.
#[derive(Debug)]
pub(super) struct LinkHosts {
    /// Each in a place that stays its own.
    hosts: Vec<Host>,
    at: Instant,
    wait: Duration,
}

#[derive(Debug)]
struct Host {
    name: String,
    port: u16,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Wanted,
    UnderWay,
    Found,
}

impl LinkHosts {
    /// Those of a link, if there are any.
    pub(super) fn of(magnet: &Magnet) -> Option<Box<Self>> {
        let names = magnet.peers.iter().filter(|(host, _)| host.parse::<IpAddr>().is_err());
        let host =
            |(name, port): &(String, u16)| Host { name: name.clone(), port: *port, state: State::Wanted };
        let hosts: Vec<Host> = names.take(HOSTS_MAX).map(host).collect();
        (!hosts.is_empty()).then(|| Box::new(Self { hosts, at: Instant::ZERO, wait: AGAIN }))
    }

    fn deadline(&self) -> Option<Instant> {
        self.hosts.iter().any(|host| host.state == State::Wanted).then_some(self.at)
    }
}

impl Torrent {
    /// When names are next to be looked up.
    pub(super) fn link_hosts_deadline(&self) -> Option<Instant> {
        self.link_hosts.as_ref().filter(|_| self.announcing).and_then(|hosts| hosts.deadline())
    }

    /// Looks up what is to be, while it takes part.
    pub(super) fn tick_link_hosts(&mut self, turn: &mut Turn<'_>) {
        if self.link_hosts_deadline().is_none_or(|at| at > turn.now) {
            return;
        }
        let Some(hosts) = &mut self.link_hosts else { return };
        hosts.at = turn.now + hosts.wait;
        hosts.wait = (hosts.wait * 2).min(AGAIN_MAX);
        for (place, host) in (0..).zip(&mut hosts.hosts) {
            if host.state == State::Wanted {
                host.state = State::UnderWay;
                turn.out.push(Action::LookUp { place, host: host.name.clone() });
            }
        }
    }

    /// A host that the link names was looked up: it is called where a link may name somebody, and was written by a
    /// stranger.
    pub fn link_host_resolved(&mut self, place: u32, addresses: &[IpAddr], turn: &mut Turn<'_>) {
        let Some(host) = self.link_hosts.as_mut().and_then(|it| it.hosts.get_mut(place as usize)) else {
            return;
        };
        host.state = if addresses.is_empty() { State::Wanted } else { State::Found };
        let may = |ip: &&IpAddr| scope::may_name(NamedBy::Torrent, **ip);
        for ip in addresses.iter().filter(may).take(ADDRESSES_MAX) {
            self.known.add(SocketAddr::new(*ip, host.port), Source::User, turn.now, turn.rng);
        }
    }
}
