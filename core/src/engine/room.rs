//! Connections of all torrents together: who may have more of them, and who gives way when there are as many as
//! there may be.
//!
//! Every torrent that has or wants peers has an equal share. Nobody is held to it while there is room; where there
//! is none, a torrent with less than its share gets a place from the one with most.

use core::time::Duration;

use super::Engine;
use crate::id::TorrentId;
use crate::torrent::Torrent;

/// A connection that is to make room ends so soon that another need not end for the same; and where there is none,
/// nobody looks again before.
const GIVE_WAY_TIME: Duration = Duration::from_millis(100);

impl Engine {
    /// With how many connections a torrent may dial now; `None` if none may. The last places are for those who
    /// have less than their share.
    pub(super) fn dial_share(&mut self) -> Option<u32> {
        let max = self.config.limits.connections_max;
        if (self.conns.len() as u32) < max - max / 16 {
            return Some(u32::MAX);
        }
        if self.now < self.look_for_room || self.dial_waiting.is_empty() {
            return None;
        }
        self.look_for_room = self.now + GIVE_WAY_TIME;
        let all = self.torrents.iter();
        let sharers = all.filter(|(id, torrent)| torrent.connections() > 0 || self.dial_waiting.contains(id));
        Some(max / (sharers.count() as u32).max(1))
    }

    /// Whether a torrent that may have so many connections may dial now.
    pub(super) fn may_dial(&mut self, id: TorrentId, share: u32) -> bool {
        let (there, max) = (self.conns.len() as u32, self.config.limits.connections_max);
        if self.torrents.get(id).is_some_and(|torrent| torrent.connections() >= share) {
            return false;
        }
        if share == u32::MAX && there >= max - max / 16 {
            return false; // not worked out for so many: the next to come or go has a look
        }
        if there >= max {
            self.make_room_for(id);
        }
        there < max
    }

    /// Whether a peer that came to this torrent may stay: if there are too many connections, one of a torrent that
    /// has more of them goes instead.
    pub(super) fn may_stay(&mut self, id: TorrentId) -> bool {
        let taken = (self.conns.len() - self.greeting.len()) as u32;
        taken <= self.config.limits.connections_max || self.make_room_for(id)
    }

    /// Ends the connection of least use of the torrent with most of them, if that is more than this one has.
    fn make_room_for(&mut self, id: TorrentId) -> bool {
        let Some(own) = self.torrents.get(id).map(Torrent::connections) else { return false };
        if self.now < self.gave_way + GIVE_WAY_TIME {
            return false;
        }
        let most = self.torrents.iter().map(|(id, torrent)| (torrent.connections(), id)).max();
        let Some((_, largest)) = most.filter(|(most, _)| *most > own + 1) else { return false };
        self.gave_way = self.now;
        self.let_torrent(largest, Torrent::give_way);
        true
    }
}
