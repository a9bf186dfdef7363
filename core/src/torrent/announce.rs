//! The torrent's trackers: when they are told what, and what becomes of their answers.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Action, Event, Source, Stage, Torrent, Turn};
use crate::cx::Cx;
use crate::tracker::{self, AnnounceTag, Answer, Numbers, TrackerError, Trackers};

/// Peers asked for in an announce.
const PEERS_WANTED: u32 = 200;

impl Torrent {
    pub(super) fn start_announcing(&mut self, turn: &mut Turn<'_>) {
        if !core::mem::replace(&mut self.announcing, true) {
            self.with_trackers(turn, Trackers::start);
            self.tick_link_hosts(turn);
            if self.may_be_found_near() {
                turn.out.push(Action::AnnounceNear);
            }
        }
    }

    /// Says whether there is anybody to tell, in which case [`tracker::Action::Told`] follows.
    pub(super) fn stop_announcing(&mut self, turn: &mut Turn<'_>) -> bool {
        let was = core::mem::replace(&mut self.announcing, false);
        if was {
            self.told = false;
            self.with_trackers(turn, Trackers::stop);
        }
        !self.told
    }

    pub(super) fn announce_completed(&mut self, turn: &mut Turn<'_>) {
        if self.announcing {
            self.with_trackers(turn, Trackers::completed);
        }
    }

    pub(super) fn tick_trackers(&mut self, turn: &mut Turn<'_>) {
        if self.trackers.deadline().is_some_and(|at| at <= turn.now) {
            self.with_trackers(turn, Trackers::tick);
        }
    }

    /// A tracker's HTTP answer.
    pub fn fetched(
        &mut self,
        tag: AnnounceTag,
        result: Result<(u16, &[u8], IpAddr), TrackerError>,
        turn: &mut Turn<'_>,
    ) {
        self.with_trackers(turn, |trackers, _, cx| trackers.fetched(tag, result, cx));
    }

    /// A UDP tracker's answer.
    pub fn udp_answered(
        &mut self,
        tag: AnnounceTag,
        result: Result<(Answer, IpAddr), TrackerError>,
        turn: &mut Turn<'_>,
    ) {
        self.with_trackers(turn, |trackers, _, cx| trackers.udp_answered(tag, result, cx));
    }

    /// Whether neighbours may hear of it (BEP 14): it takes part, and is not private.
    #[must_use]
    pub fn may_be_found_near(&self) -> bool {
        self.announcing && self.wants_peers() && !self.known.is_private()
    }

    fn numbers(&self) -> Numbers {
        let totals = self.traffic_totals();
        Numbers {
            peer_id: self.hello.peer_id,
            port: self.settings.listen_port.unwrap_or(0),
            uploaded: totals.payload_up,
            downloaded: totals.payload_down,
            left: self.left_to_tell(),
            // A seed that nobody can dial has to dial those who want something of it.
            numwant: if self.wants_peers() { PEERS_WANTED } else { 0 },
        }
    }

    pub(super) fn with_trackers(
        &mut self,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Trackers, &Numbers, &mut Cx<'_, tracker::Action>),
    ) {
        let numbers = self.numbers();
        let mut actions = Vec::new();
        act(&mut self.trackers, &numbers, &mut Cx { now: turn.now, rng: turn.rng, out: &mut actions });
        for action in actions {
            self.on_tracker(action, turn);
        }
    }

    fn on_tracker(&mut self, action: tracker::Action, turn: &mut Turn<'_>) {
        let torrent = self.id;
        match action {
            tracker::Action::Fetch { tag, url, named_by } => {
                turn.out.push(Action::Fetch { tag, url, named_by });
            }
            tracker::Action::Udp { tag, host, port, named_by, announce } => {
                turn.out.push(Action::Udp { tag, host, port, named_by, announce });
            }
            tracker::Action::Cancel { tag } => turn.out.push(Action::CancelAnnounce { tag }),
            tracker::Action::Answered { url, answer, .. } => {
                let peers = answer.peers.len() as u32;
                turn.out.push(Action::Event(Event::TrackerAnswered { torrent, url: url.clone(), peers }));
                if let Some(warning) = answer.warning {
                    turn.out.push(Action::Event(Event::TrackerWarned { torrent, url, warning }));
                }
                for peer in answer.peers {
                    self.known.add(peer, Source::Tracker, turn.now, turn.rng);
                }
            }
            tracker::Action::Scraped { .. } => {}
            tracker::Action::Failed { url, error } => {
                turn.out.push(Action::Event(Event::TrackerFailed { torrent, url, error }));
            }
            tracker::Action::Told => {
                self.told = true;
                if let Stage::Leaving { .. } = self.stage {
                    self.leave_on(turn);
                }
            }
        }
    }
}
