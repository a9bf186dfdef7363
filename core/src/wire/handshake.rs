//! The first 68 bytes of every connection (BEP 3), and the reserved bits that say what else a peer speaks.

use super::error::WireError;
use crate::id::PeerId;

/// The greeting both sides send before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Which extensions the sender speaks.
    pub reserved: Reserved,
    /// The torrent, as [`InfoHash::on_the_wire`](crate::id::InfoHash::on_the_wire) names it.
    pub info_hash: [u8; 20],
    /// The sender's name.
    pub peer_id: PeerId,
}

impl Handshake {
    /// Length in bytes.
    pub const LEN: usize = 68;

    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(&self.info_hash);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Reads what [`encode`](Self::encode) writes. Fails with [`WireError::ProtocolString`] only.
    pub fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, WireError> {
        if !bytes.starts_with(PROTOCOL) {
            return Err(WireError::ProtocolString);
        }
        let mut handshake = Self { reserved: Reserved([0; 8]), info_hash: [0; 20], peer_id: PeerId([0; 20]) };
        handshake.reserved.0.copy_from_slice(&bytes[20..28]);
        handshake.info_hash.copy_from_slice(&bytes[28..48]);
        handshake.peer_id.0.copy_from_slice(&bytes[48..]);
        Ok(handshake)
    }
}

/// What every handshake begins with: the length of the protocol's name, and the name.
pub(super) const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Eight bytes of which BEP 4 keeps the register. Bits we do not know are kept as they came.
///
/// ```
/// use pieceful_core::wire::Reserved;
///
/// let ours = Reserved::NONE.with_extended().with_fast();
/// assert!(ours.extended() && ours.fast() && !ours.dht());
/// assert_eq!(ours.0, [0, 0, 0, 0, 0, 0x10, 0, 0x04]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// BEP 3 and nothing else.
    pub const NONE: Self = Self([0; 8]);

    /// Extension messages (BEP 10).
    #[must_use]
    pub const fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// The fast extension (BEP 6).
    #[must_use]
    pub const fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// Has a DHT node (BEP 5), whose port a `port` message tells.
    #[must_use]
    pub const fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }

    /// Speaks v2 although it greets with the v1 hash of a hybrid torrent (BEP 52).
    #[must_use]
    pub const fn v2(self) -> bool {
        self.0[7] & 0x10 != 0
    }

    /// The same with [`extended`](Self::extended) set.
    #[must_use]
    pub const fn with_extended(mut self) -> Self {
        self.0[5] |= 0x10;
        self
    }

    /// The same with [`fast`](Self::fast) set.
    #[must_use]
    pub const fn with_fast(mut self) -> Self {
        self.0[7] |= 0x04;
        self
    }

    /// The same with [`dht`](Self::dht) set.
    #[must_use]
    pub const fn with_dht(mut self) -> Self {
        self.0[7] |= 0x01;
        self
    }

    /// The same with [`v2`](Self::v2) set.
    #[must_use]
    pub const fn with_v2(mut self) -> Self {
        self.0[7] |= 0x10;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_has_its_own_bit_among_those_unknown() {
        let every_other = Reserved([0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0xea]);
        for reserved in [Reserved::NONE, every_other] {
            let spoken = |r: Reserved| [r.extended(), r.fast(), r.dht(), r.v2()];
            assert_eq!(spoken(reserved), [false; 4]);
            assert_eq!(spoken(reserved.with_extended()), [true, false, false, false]);
            assert_eq!(spoken(reserved.with_fast()), [false, true, false, false]);
            assert_eq!(spoken(reserved.with_dht()), [false, false, true, false]);
            assert_eq!(spoken(reserved.with_v2()), [false, false, false, true]);
            assert_eq!(spoken(reserved.with_v2().with_dht().with_fast().with_extended()), [true; 4]);
        }
    }

    #[test]
    fn the_bytes_are_those_of_bep_3_and_bep_4() {
        let handshake = Handshake {
            reserved: Reserved::NONE.with_extended().with_fast().with_dht().with_v2(),
            info_hash: [0xaa; 20],
            peer_id: PeerId(*b"-PF0100-abcdefghijkl"),
        };
        let bytes = handshake.encode();
        assert_eq!(&bytes[..28], b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x15");
        assert_eq!(&bytes[48..], b"-PF0100-abcdefghijkl");
        assert_eq!(Handshake::parse(&bytes), Ok(handshake));
    }

    #[test]
    fn another_protocol_is_refused() {
        let mut bytes = [0; Handshake::LEN];
        bytes[..20].copy_from_slice(b"\x13BitTorrent protocoL");
        assert_eq!(Handshake::parse(&bytes), Err(WireError::ProtocolString));
    }
}
