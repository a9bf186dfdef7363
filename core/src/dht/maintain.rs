//! What happens by itself: lookups go on, tables stay fresh, torrents are looked for when their time comes.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::bucket::{BUCKET_NODES, Health};
use super::lookup::{Goal, Lookup};
use super::queries::Overdue;
use super::searches::Outcome;
use super::{Action, CHECKS_MAX, Contact, Dht, Family, Method, NodeId, Purpose};
use crate::cx::Cx;
use crate::time::Instant;

/// The tables are seen to at most this often, and then one node of each is asked.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// The nodes nearest to us are looked for again after so long.
const OWN_LOOKUP_TIME: Duration = Duration::from_secs(15 * 60);
/// When there was next to nobody, after this; doubles with each further time.
const RETRY_TIME: Duration = Duration::from_secs(3);
/// The longest time until another try.
const RETRY_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// Nodes from the table that a lookup begins at.
const SEEDS: usize = 2 * BUCKET_NODES;

impl Dht {
    /// Sees to questions that were not answered in time.
    pub(super) fn give_up_waiting(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some(overdue) = self.queries.overdue(cx.now) {
            match overdue {
                Overdue::Slow(address, pending) => {
                    if let Purpose::Lookup(id) = pending.purpose {
                        if let Some(lookup) = self.lookups.get_mut(&id) {
                            lookup.slow(address);
                        }
                        self.advance(id, cx);
                    }
                }
                Overdue::Failed(address, pending) => {
                    self.side(Family::of(address)).table.failed(address, cx.now);
                    if let Purpose::Lookup(id) = pending.purpose {
                        self.fail(id, address, cx);
                    }
                }
            }
        }
    }

    /// A lookup will not hear from this node.
    pub(super) fn fail(&mut self, id: u64, address: SocketAddr, cx: &mut Cx<'_, Action>) {
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.fail(address);
        }
        self.advance(id, cx);
    }

    /// Goes on with a lookup, and ends it when there is nobody left to ask.
    pub(super) fn advance(&mut self, id: u64, cx: &mut Cx<'_, Action>) {
        while let Some(lookup) = self.lookups.get_mut(&id) {
            let Some((address, name)) = lookup.next() else {
                if lookup.is_over() {
                    self.end(id, cx);
                }
                return;
            };
            let target = lookup.target;
            let method = match lookup.goal {
                Goal::Nodes => Method::FindNode { target },
                Goal::Peers => Method::GetPeers { info_hash: target.0, noseed: false, scrape: false },
            };
            if !self.ask(address, name, method, Purpose::Lookup(id), true, cx)
                && let Some(lookup) = self.lookups.get_mut(&id)
            {
                lookup.fail(address);
            }
        }
    }

    fn end(&mut self, id: u64, cx: &mut Cx<'_, Action>) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        if lookup.goal == Goal::Peers {
            self.end_search(id, &lookup, cx);
            return;
        }
        let side = self.side(lookup.family);
        if side.own_lookup != Some(id) {
            return;
        }
        side.own_lookup = None;
        let wait = if side.table.has(BUCKET_NODES, cx.now) {
            side.failures = 0;
            OWN_LOOKUP_TIME
        } else {
            side.failures += 1;
            RETRY_TIME.saturating_mul(1 << (side.failures - 1).min(10)).min(RETRY_TIME_MAX)
        };
        side.own_lookup_at = cx.now + wait;
        self.maintain_by(cx.now + wait);
    }

    /// A lookup for a torrent is over: the closest nodes are told what we announce.
    fn end_search(&mut self, id: u64, lookup: &Lookup, cx: &mut Cx<'_, Action>) {
        let info_hash = lookup.target.0;
        let mut announced = 0;
        if let Some(announce) = self.searches.announce_of(&info_hash) {
            for (address, name, token) in lookup.closest_with_tokens() {
                let port = (!announce.implied_port).then_some(announce.port);
                let method = Method::AnnouncePeer { info_hash, port, token, seed: announce.seed };
                announced += usize::from(self.ask(address, Some(name), method, Purpose::Announce, true, cx));
            }
        }
        let (peers, asked, answered) = (lookup.found(), lookup.asked(), lookup.answered());
        let brought = Outcome { peers, asked, answered, announced };
        self.search_ended(info_hash, Some(id), brought, cx);
    }

    fn search_ended(
        &mut self,
        info_hash: [u8; 20],
        id: Option<u64>,
        brought: Outcome,
        cx: &mut Cx<'_, Action>,
    ) {
        if let Some(outcome) = self.searches.ended(&info_hash, id, brought, cx.now, cx.rng) {
            cx.out.push(Action::Done { info_hash, outcome });
        }
    }

    /// Looks for the torrents whose time has come, as far as that may be.
    pub(super) fn search(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some(info_hash) = self.searches.next(cx.now) {
            let peers = self.store.all(&info_hash, cx.now);
            if !peers.is_empty() {
                cx.out.push(Action::Peers { info_hash, peers });
            }
            let target = NodeId(info_hash);
            let begun: Vec<u64> = Family::ALL
                .into_iter()
                .filter_map(|family| self.begin(target, family, Goal::Peers, cx))
                .collect();
            self.searches.started(&info_hash, begun.clone());
            if begun.is_empty() {
                self.search_ended(info_hash, None, Outcome::default(), cx);
            }
            for id in begun {
                self.advance(id, cx);
            }
        }
    }

    /// A lookup that begins at the nodes we know, or else where the user said; nobody is asked yet.
    fn begin(&mut self, target: NodeId, family: Family, goal: Goal, cx: &Cx<'_, Action>) -> Option<u64> {
        if !self.takes_part(family) {
            return None;
        }
        let mut lookup = Lookup::new(target, family, goal);
        let table = &self.side(family).table;
        let seeds = table.closest(&target, SEEDS, |node| node.health(cx.now) != Health::Bad);
        let few = seeds.len() < BUCKET_NODES;
        for contact in seeds {
            lookup.add(contact, None);
        }
        if few {
            // It may be we who were cut off from them.
            let bad = table.closest(&target, SEEDS, |node| node.health(cx.now) == Health::Bad);
            for router in self.routers.iter().filter(|router| Family::of(**router) == family) {
                lookup.add_unnamed(*router);
            }
            for contact in bad {
                lookup.add(contact, None);
            }
        }
        if !lookup.has_candidates() {
            return None;
        }
        self.lookups_begun += 1;
        self.lookups.insert(self.lookups_begun, lookup);
        Some(self.lookups_begun)
    }

    /// The tables are to be seen to at `at`, if not before.
    pub(super) fn maintain_by(&mut self, at: Instant) {
        self.maintain_at = Some(self.maintain_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn maintain(&mut self, cx: &mut Cx<'_, Action>) {
        self.maintain_at = None;
        for family in Family::ALL {
            self.see_to(family, cx);
        }
        self.ask_newcomers(cx);
        self.store.sweep(cx.now);

        let idle = |side: &super::Side| side.own_lookup.is_none().then_some(side.own_lookup_at);
        let known = |side: &super::Side| side.table.nodes().next().is_some();
        let anybody = !self.routers.is_empty() || known(&self.v4) || known(&self.v6);
        let own_lookups = [&self.v4, &self.v6].into_iter().filter_map(idle).filter(|_| anybody);
        let tables = [self.v4.table.deadline(), self.v6.table.deadline()].into_iter().flatten();
        let newcomer = self.newcomers.front().map(|(at, _)| *at);
        if let Some(next) = own_lookups.chain(tables).chain(newcomer).min() {
            self.maintain_by(next.max(cx.now + PAUSE));
        }
    }

    fn see_to(&mut self, family: Family, cx: &mut Cx<'_, Action>) {
        let side = self.side(family);
        if side.own_lookup.is_none() && side.own_lookup_at <= cx.now {
            let own = side.table.own();
            let id = self.begin(own, family, Goal::Nodes, cx);
            let side = self.side(family);
            side.own_lookup = id;
            match id {
                Some(id) => self.advance(id, cx),
                None => side.own_lookup_at = cx.now + RETRY_TIME_MAX,
            }
            return;
        }
        let refreshing = self.lookups.values().any(|it| it.goal == Goal::Nodes && it.family == family);
        if !refreshing
            && let Some(target) = self.side(family).table.refresh(cx.now, cx.rng)
            && let Some(id) = self.begin(target, family, Goal::Nodes, cx)
        {
            self.advance(id, cx);
        } else if self.queries.len() < CHECKS_MAX
            && let Some((contact, target)) = self.side(family).table.stalest(cx.now, cx.rng)
        {
            let method = Method::FindNode { target };
            self.ask(contact.address, Some(contact.id), method, Purpose::Check, true, cx);
        }
    }

    /// Asks one of those that may be new in the table whether it is there.
    fn ask_newcomers(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some((at, Contact { id, address })) = self.newcomers.front().copied() {
            if at > cx.now || self.queries.len() >= CHECKS_MAX {
                return;
            }
            self.newcomers.pop_front();
            if self.side(Family::of(address)).table.has_room_for(Contact { id, address }, cx.now) {
                self.ask(address, Some(id), Method::Ping, Purpose::Check, true, cx);
                return;
            }
        }
    }
}
