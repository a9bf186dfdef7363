//! Deadlines that have come.

use super::Engine;
use super::deadlines::Owner;
use crate::torrent::Torrent;
use crate::tracker::UdpTrackers;

/// Deadlines served in one call: an owner that keeps asking for "now" cannot hang the caller.
const DUE_MAX: usize = 10_000;

impl Engine {
    pub(super) fn on_timer(&mut self) {
        for _ in 0..DUE_MAX {
            let Some(owner) = self.deadlines.take_due(self.now) else { return };
            match owner {
                Owner::Conn(conn) => self.tick_conn(conn),
                Owner::Torrent(id) => {
                    self.with_torrent(id, Torrent::tick);
                }
                Owner::Dial(id) => self.dial(id),
                Owner::Udp => self.with_udp(UdpTrackers::tick),
                Owner::Throttle => self.read_throttled(),
            }
        }
    }
}
