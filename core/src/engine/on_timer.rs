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
                Owner::Dht => self.tick_dht(),
                Owner::Lsd => self.tick_lsd(),
                Owner::Throttle => self.read_throttled(),
                Owner::Uplink => self.serve_in_turn(),
            }
        }
    }

    /// The upload limit allows more: torrents that wait for it take turns.
    fn serve_in_turn(&mut self) {
        while let Some(id) = self.common.upload.next(self.now) {
            let had = self.common.upload.had();
            self.with_torrent(id, Torrent::serve_on);
            if self.common.upload.had() == had {
                self.common.upload.pass(id);
            }
        }
        self.deadlines.arm(Owner::Uplink, self.common.upload.deadline(self.now));
    }
}
