//! Which tracker to ask, and when (BEP 12).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use bytes::Bytes;

use super::timetable::Timetable;
use super::url::without_secrets;
use super::{
    ANNOUNCES_MAX, Action, Announce, AnnounceEvent, AnnounceTag, Answer, Numbers, Scheme, TIERS_MAX,
    TRACKERS_MAX, TrackerError, TrackerUrl, http, redacted, udp, words,
};
use crate::cx::Cx;
use crate::rng::Rng;
use crate::scope::{self, NamedBy};
use crate::time::Instant;

/// One torrent's trackers.
///
/// Of every tier one tracker is asked, all tiers at the same time. BEP 12 would have a second tier wait until
/// the first has failed; torrents of today list each tracker as a tier of its own, half of them dead, and a
/// minute's wait for each would be the slowest way to the first peer. Asking *all* trackers of a tier would be
/// unkind to those who share their load that way. Within a tier BEP 12 is followed: shuffled at first, one after
/// the other, and the one that answers moves to the front.
///
/// A tracker is asked again after its interval; on request ([`ask_now`](Self::ask_now)) after its minimum
/// interval; after a failure as [`Retry`](super::Retry) says, or else after 15 s that double with each failure
/// up to 30 min. `completed` and `stopped` are told at once.
#[derive(Debug)]
pub struct Trackers {
    info_hash: [u8; 20],
    /// By which trackers know us when our address changes.
    key: u32,
    tiers: Vec<Tier>,
    phase: Phase,
    tags_given: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    /// Telling trackers that we leave, no longer than until then.
    Leaving {
        until: Instant,
    },
}

impl Trackers {
    /// The trackers of the torrent `info_hash`: those the user named, each a tier of its own, before those the
    /// torrent names. Addresses we cannot speak to, and repeated ones, are left out.
    #[must_use]
    pub fn new(info_hash: [u8; 20], user: &[String], torrent: &[Vec<String>], rng: &mut Rng) -> Self {
        let user = user.iter().map(|url| (NamedBy::User, core::slice::from_ref(url)));
        let torrent = torrent.iter().map(|urls| (NamedBy::Torrent, urls.as_slice()));
        let mut seen = BTreeSet::new();
        let mut tiers = Vec::new();
        for (named_by, urls) in user.chain(torrent) {
            let mut trackers = Vec::new();
            for url in urls.iter().filter_map(|url| TrackerUrl::parse(url).ok()) {
                if seen.len() < TRACKERS_MAX && seen.insert(String::from(url.as_str())) {
                    trackers.push(Tracker::new(url, named_by));
                }
            }
            if !trackers.is_empty() && tiers.len() < TIERS_MAX {
                rng.shuffle(&mut trackers);
                tiers.push(Tier { trackers, due: Instant::NEVER });
            }
        }
        Self { info_hash, key: rng.u32(), tiers, phase: Phase::Idle, tags_given: 0 }
    }

    /// Begins, or begins again after [`stop`](Self::stop).
    pub fn start(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        if self.phase == Phase::Running {
            return;
        }
        self.cancel_all(cx);
        self.phase = Phase::Running;
        for tier in &mut self.tiers {
            tier.due = cx.now;
            for tracker in &mut tier.trackers {
                tracker.standing = Standing::Unknown;
                tracker.owed_stopped = false;
                tracker.timetable.begin(cx.now);
            }
        }
        self.announce_due(numbers, cx);
    }

    /// The last piece has come: the trackers we are known at are told.
    pub fn completed(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        if self.phase != Phase::Running {
            return;
        }
        for tier in &mut self.tiers {
            for tracker in &mut tier.trackers {
                // Who does not know us yet will be told that we have all of it when it is told of us at all.
                if tracker.standing == Standing::Known || tracker.flight.is_some() {
                    tracker.owed_completed = true;
                }
            }
            tier.hurry_completed(cx.now);
        }
        self.announce_due(numbers, cx);
    }

    /// Tells every tracker we may be known at that we leave. Ends with [`Action::Told`], after 5 s at the latest.
    ///
    /// A tracker that is being told something else, such as that we are complete, may answer that first: two
    /// requests under way may arrive in either order, and it would take us in again. One that was asked for the
    /// first time and has not answered yet may know us, too, but is more likely dead: it gets less time to
    /// answer, and less to hear that we leave. All others are told at the same time, however many. Nobody who
    /// counts completed downloads misses ours because it was a short one: that is told before the end.
    pub fn stop(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        if self.phase != Phase::Running {
            if self.phase == Phase::Idle {
                cx.out.push(Action::Told);
            }
            return;
        }
        self.phase = Phase::Leaving { until: cx.now + LEAVING_TIME };
        for tracker in self.trackers_mut() {
            let known = tracker.standing == Standing::Known;
            tracker.owed_stopped = known || tracker.flight.is_some();
            tracker.patience = match tracker.flight {
                Some(_) if known => cx.now + LAST_ANSWER_TIME,
                Some(flight) => cx.now.max(flight.sent + FIRST_ANSWER_TIME),
                None => cx.now,
            };
        }
        self.tell_stopped(numbers, cx);
        self.leave_when_told(cx);
    }

    /// More peers are wanted: asks as soon as the trackers' minimum intervals allow.
    pub fn ask_now(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        if self.phase != Phase::Running {
            return;
        }
        for tier in &mut self.tiers {
            if let Some(first) = tier.trackers.first() {
                tier.due = tier.due.min(first.timetable.earliest().max(cx.now));
            }
        }
        self.announce_due(numbers, cx);
    }

    /// Asks one HTTP tracker of every tier how many peers there are (BEP 48). UDP trackers say so with every
    /// announce, as most others do.
    pub fn scrape(&mut self, cx: &mut Cx<'_, Action>) {
        for tracker in self.tiers.iter_mut().filter_map(|tier| tier.trackers.first_mut()) {
            if tracker.scraping.is_some() || tracker.url.scheme() == Scheme::Udp {
                continue;
            }
            if let Some(url) = http::scrape_url(tracker.url.as_str(), self.info_hash) {
                self.tags_given += 1;
                let tag = AnnounceTag(self.tags_given);
                tracker.scraping = Some(tag);
                cx.out.push(Action::Fetch { tag, url, named_by: tracker.named_by });
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        match self.phase {
            Phase::Idle => {}
            Phase::Running => self.announce_due(numbers, cx),
            Phase::Leaving { until } => {
                if until <= cx.now {
                    self.cancel_all(cx);
                } else {
                    self.tell_stopped(numbers, cx);
                    self.lose_patience(cx.now);
                }
                self.leave_when_told(cx);
            }
        }
    }

    /// When to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Leaving { until } => {
                let awaited = self.trackers().filter(|tracker| tracker.is_awaited());
                Some(awaited.map(|tracker| tracker.patience).fold(until, Instant::min))
            }
            Phase::Running => {
                if self.under_way() >= ANNOUNCES_MAX {
                    return None; // every one of them is answered some time
                }
                let waiting = self.tiers.iter().filter(|tier| !tier.is_busy());
                waiting.map(|tier| tier.due).min().filter(|due| *due < Instant::NEVER)
            }
        }
    }

    /// An [`Action::Fetch`] ended: with a status code, a body and the address it came from, or not.
    pub fn fetched(
        &mut self,
        tag: AnnounceTag,
        result: Result<(u16, &[u8], IpAddr), TrackerError>,
        cx: &mut Cx<'_, Action>,
    ) {
        let info_hash = self.info_hash;
        if let Some(tracker) = self.trackers_mut().find(|tracker| tracker.scraping == Some(tag)) {
            tracker.scraping = None;
            let url = redacted(tracker.url.as_str());
            let scrape = result
                .and_then(|(status, body, _)| http::checked(status, http::parse_scrape(body, info_hash)));
            cx.out.push(match scrape {
                Ok(scrape) => Action::Scraped { url, scrape },
                Err(error) => Action::Failed { url, error },
            });
            return;
        }
        let answer = result
            .and_then(|(status, body, from)| Ok((http::checked(status, http::parse_announce(body))?, from)));
        self.announced(tag, answer, cx);
    }

    /// An [`Action::Udp`] ended: with an answer and the address it came from, or not.
    pub fn udp_answered(
        &mut self,
        tag: AnnounceTag,
        result: Result<(Answer, IpAddr), TrackerError>,
        cx: &mut Cx<'_, Action>,
    ) {
        self.announced(tag, result, cx);
    }

    /// An announce ended. What follows from it is left to [`tick`](Self::tick), which is due at once then.
    fn announced(
        &mut self,
        tag: AnnounceTag,
        result: Result<(Answer, IpAddr), TrackerError>,
        cx: &mut Cx<'_, Action>,
    ) {
        let Some((tier, place, flight)) = self.tiers.iter_mut().find_map(|tier| {
            let place =
                tier.trackers.iter().position(|t| t.flight.is_some_and(|flight| flight.tag == tag))?;
            let flight = tier.trackers.get_mut(place)?.flight.take()?;
            Some((tier, place, flight))
        }) else {
            return; // cancelled
        };
        match result {
            Ok((answer, from)) => tier.succeeded(place, flight, answer, from, cx),
            Err(error) => tier.failed(place, flight, error, cx),
        }
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.leave_when_told(cx);
        }
    }

    /// Tells those who are yet to be told that we leave, unless they have a moment left to answer something else.
    fn tell_stopped(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let Phase::Leaving { until } = self.phase else { return };
        let numbers = Numbers { numwant: 0, ..*numbers };
        let (info_hash, key) = (self.info_hash, self.key);
        for tracker in self.tiers.iter_mut().flat_map(|tier| &mut tier.trackers) {
            if !tracker.owed_stopped || tracker.flight.is_some() && tracker.patience > cx.now {
                continue;
            }
            let known = tracker.standing == Standing::Known;
            let event = if tracker.flight.is_none() && known && tracker.owed_completed {
                tracker.owed_completed = false; // there is no time to say it twice
                tracker.patience = cx.now + LAST_ANSWER_TIME;
                AnnounceEvent::Completed
            } else {
                tracker.owed_stopped = false;
                tracker.patience = if known { until } else { cx.now + GOODBYE_TIME };
                AnnounceEvent::Stopped
            };
            tracker.cancel(cx);
            self.tags_given += 1;
            tracker.announce(AnnounceTag(self.tags_given), &Announce { info_hash, key, event, numbers }, cx);
        }
    }

    /// Those who had their time to hear that we leave are not waited for any longer.
    fn lose_patience(&mut self, now: Instant) {
        for tracker in self.trackers_mut() {
            if !tracker.owed_stopped && tracker.patience <= now {
                tracker.patience = Instant::NEVER;
            }
        }
    }

    /// Sends the announces that are due, as far as there is room.
    fn announce_due(&mut self, numbers: &Numbers, cx: &mut Cx<'_, Action>) {
        let mut room = ANNOUNCES_MAX.saturating_sub(self.under_way());
        while room > 0 {
            // Who has waited longest comes first, or the dead among many tiers would keep out the rest.
            let due = self.tiers.iter_mut().filter(|tier| tier.due <= cx.now && !tier.is_busy());
            let Some(tier) = due.min_by_key(|tier| tier.due) else { return };
            let Some(tracker) = tier.next(cx.now) else { continue };
            self.tags_given += 1;
            let (info_hash, key, event) = (self.info_hash, self.key, tracker.event());
            let announce = Announce { info_hash, key, event, numbers: *numbers };
            tracker.announce(AnnounceTag(self.tags_given), &announce, cx);
            room -= 1;
        }
    }

    fn under_way(&self) -> usize {
        self.tiers.iter().filter(|tier| tier.is_busy()).count()
    }

    fn leave_when_told(&mut self, cx: &mut Cx<'_, Action>) {
        if self.trackers().any(Tracker::is_awaited) {
            return;
        }
        self.phase = Phase::Idle;
        cx.out.push(Action::Told);
    }

    fn cancel_all(&mut self, cx: &mut Cx<'_, Action>) {
        for tracker in self.trackers_mut() {
            tracker.owed_stopped = false;
            tracker.cancel(cx);
        }
    }

    fn trackers(&self) -> impl Iterator<Item = &Tracker> {
        self.tiers.iter().flat_map(|tier| &tier.trackers)
    }

    fn trackers_mut(&mut self) -> impl Iterator<Item = &mut Tracker> {
        self.tiers.iter_mut().flat_map(|tier| &mut tier.trackers)
    }
}

/// Trackers of which one is enough; the one to ask first is in front. Never empty.
#[derive(Debug)]
struct Tier {
    trackers: Vec<Tracker>,
    /// When to ask again.
    due: Instant,
}

impl Tier {
    fn is_busy(&self) -> bool {
        self.trackers.iter().any(|tracker| tracker.flight.is_some())
    }

    /// The tracker to ask now: the first that may be asked. If there is none, the tier waits for the first that
    /// will be.
    fn next(&mut self, now: Instant) -> Option<&mut Tracker> {
        self.due = self.earliest();
        self.trackers.iter_mut().find(|tracker| tracker.timetable.earliest() <= now)
    }

    fn earliest(&self) -> Instant {
        let earliest = self.trackers.iter().map(|tracker| tracker.timetable.earliest());
        earliest.min().unwrap_or(Instant::NEVER)
    }

    fn succeeded(
        &mut self,
        place: usize,
        flight: Flight,
        mut answer: Answer,
        from: IpAddr,
        cx: &mut Cx<'_, Action>,
    ) {
        let Some(tracker) = self.trackers.get_mut(place) else { return };
        tracker.patience = cx.now;
        match flight.event {
            AnnounceEvent::Stopped => tracker.standing = Standing::Unknown,
            AnnounceEvent::Completed => tracker.owed_completed = false,
            AnnounceEvent::Started | AnnounceEvent::Regular => {}
        }
        if flight.event != AnnounceEvent::Stopped {
            tracker.standing = Standing::Known;
            self.due = tracker.timetable.succeeded(&answer, cx.now);
            if answer.tracker_id.is_some() {
                tracker.id.clone_from(&answer.tracker_id);
            }
            let url = tracker.url.as_str();
            answer.warning = answer.warning.map(|words| without_secrets(&words, url));
            answer.drop_out_of_scope(from);
            let from = NamedBy::Host(scope::scope(from).unwrap_or(scope::Scope::Global));
            cx.out.push(Action::Answered { url: redacted(url), answer, from });
            if let Some(upto) = self.trackers.get_mut(..=place) {
                upto.rotate_right(1);
            }
            self.hurry_completed(cx.now);
        }
    }

    fn failed(&mut self, place: usize, flight: Flight, error: TrackerError, cx: &mut Cx<'_, Action>) {
        let Some(tracker) = self.trackers.get_mut(place) else { return };
        tracker.patience = cx.now;
        if flight.event == AnnounceEvent::Stopped {
            tracker.standing = Standing::Unknown;
        } else {
            // One that says no has not taken us in; of all others that is not known.
            let refused = matches!(error, TrackerError::Failure { .. });
            tracker.owed_stopped &= tracker.standing == Standing::Known || !refused;
            tracker.timetable.failed(&error, cx.now, cx.rng);
            tracker.owed_completed &= tracker.standing == Standing::Known;
        }
        let url = tracker.url.as_str();
        let error = match error {
            TrackerError::Fetch(text) => TrackerError::Fetch(words(without_secrets(&text, url).as_bytes())),
            TrackerError::Failure { reason, retry } => {
                TrackerError::Failure { reason: without_secrets(&reason, url), retry }
            }
            other => other,
        };
        cx.out.push(Action::Failed { url: redacted(url), error });
        self.due = self.earliest().max(cx.now); // now, where the tier has another one
    }

    /// The tracker in front is told of the last piece at once, if it has to be told and is not failing.
    fn hurry_completed(&mut self, now: Instant) {
        if let Some(first) = self.trackers.first_mut()
            && first.owed_completed
            && first.timetable.hurry(now)
        {
            self.due = now;
        }
    }
}

/// One tracker.
#[derive(Debug)]
struct Tracker {
    url: TrackerUrl,
    named_by: NamedBy,
    standing: Standing,
    /// It has to be told that the last piece has come.
    owed_completed: bool,
    /// It has to be told that we leave.
    owed_stopped: bool,
    /// While we leave: how long it may take to answer what is under way.
    patience: Instant,
    /// What it wants to be told with every announce.
    id: Option<Bytes>,
    flight: Option<Flight>,
    scraping: Option<AnnounceTag>,
    timetable: Timetable,
}

/// Whether a tracker has us on its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unknown,
    Known,
}

/// An announce under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    tag: AnnounceTag,
    event: AnnounceEvent,
    sent: Instant,
}

impl Tracker {
    fn new(url: TrackerUrl, named_by: NamedBy) -> Self {
        Self {
            url,
            named_by,
            standing: Standing::Unknown,
            owed_completed: false,
            owed_stopped: false,
            patience: Instant::ZERO,
            id: None,
            flight: None,
            scraping: None,
            timetable: Timetable::default(),
        }
    }

    fn event(&self) -> AnnounceEvent {
        match (self.standing, self.owed_completed) {
            (Standing::Unknown, _) => AnnounceEvent::Started,
            (Standing::Known, true) => AnnounceEvent::Completed,
            (Standing::Known, false) => AnnounceEvent::Regular,
        }
    }

    fn announce(&mut self, tag: AnnounceTag, announce: &Announce, cx: &mut Cx<'_, Action>) {
        self.flight = Some(Flight { tag, event: announce.event, sent: cx.now });
        let named_by = self.named_by;
        cx.out.push(match (self.url.scheme(), self.url.port()) {
            (Scheme::Udp, Some(port)) => {
                let host = String::from(self.url.host());
                let url_data = String::from(self.url.path_and_query());
                Action::Udp {
                    tag,
                    host,
                    port,
                    named_by,
                    announce: udp::Announce { announce: *announce, url_data },
                }
            }
            _ => {
                let url = http::announce_url(self.url.as_str(), announce, self.id.as_deref());
                Action::Fetch { tag, url, named_by }
            }
        });
    }

    /// Whether leaving has to wait for it.
    fn is_awaited(&self) -> bool {
        self.owed_stopped || self.flight.is_some() && self.patience < Instant::NEVER
    }

    /// Forgets the announce under way.
    fn cancel(&mut self, cx: &mut Cx<'_, Action>) {
        if let Some(flight) = self.flight.take() {
            cx.out.push(Action::Cancel { tag: flight.tag });
        }
    }
}

/// How long leaving may take.
const LEAVING_TIME: Duration = Duration::from_secs(5);

/// How much of it a tracker has to answer what it was told before.
const LAST_ANSWER_TIME: Duration = Duration::from_secs(2);

/// How long a first announce may have been under way when we leave, before it is no longer waited for.
const FIRST_ANSWER_TIME: Duration = Duration::from_secs(1);

/// How long a tracker that never answered has to hear that we leave.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
