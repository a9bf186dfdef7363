//! What always holds of a torrent between two calls.

use super::Torrent;

impl Torrent {
    /// Panics unless the picker agrees with itself, and with the peers about who was asked for what. Looks at every
    /// piece: for tests, simulations and fuzzing.
    pub fn check(&self) {
        self.picker.check();
        let mut asked = 0;
        for (key, slot) in &self.peers {
            for &block in slot.peer.asked() {
                assert!(
                    self.picker.is_asked_of(block, key),
                    "the picker does not know that {block} is asked for"
                );
                asked += 1;
            }
        }
        assert_eq!(asked, self.picker.asked_in_all(), "requests of peers, and of the picker");
    }
}
