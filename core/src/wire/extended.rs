//! The extension handshake: which extensions a peer speaks, and what it says about itself (BEP 10).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::WireError;

/// The payload of an [`Extended`](super::Message::Extended) message with id [`HANDSHAKE_ID`].
///
/// A peer may send it again to change what it said; [`ExtensionIds::update`] applies that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// The ids the sender wants to receive each extension under (`m`).
    pub ids: ExtensionIds,
    /// Name and version of the sender (`v`), without control characters and at most
    /// [`CLIENT_CHARS_MAX`] characters.
    pub client: Option<String>,
    /// The sender's listening port (`p`).
    pub port: Option<u16>,
    /// How many requests the sender queues before it drops some (`reqq`).
    pub request_queue: Option<u32>,
    /// The receiver's address as the sender sees it (`yourip`).
    pub your_ip: Option<IpAddr>,
    /// An IPv4 address of the sender's.
    pub ipv4: Option<Ipv4Addr>,
    /// An IPv6 address of the sender's.
    pub ipv6: Option<Ipv6Addr>,
    /// Bytes of the `info` dictionary (BEP 9).
    pub metadata_size: Option<u32>,
    /// The sender will not download anything more: a seed, or a partial one (BEP 21).
    pub upload_only: bool,
}

/// The ids under which a peer receives the extensions we know; `None` where it did not say, 0 where it
/// switched one off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// Metadata exchange (BEP 9).
    pub ut_metadata: Option<u8>,
    /// Peer exchange (BEP 11).
    pub ut_pex: Option<u8>,
    /// "I no longer have this piece" (BEP 54).
    pub lt_donthave: Option<u8>,
    /// Introductions between peers behind NATs (BEP 55).
    pub ut_holepunch: Option<u8>,
    /// Changes of [`ExtendedHandshake::upload_only`] (BEP 21).
    pub upload_only: Option<u8>,
}

/// The extended message id of the handshake itself.
pub const HANDSHAKE_ID: u8 = 0;

/// Longer names are cut: they are for people to read.
pub const CLIENT_CHARS_MAX: usize = 64;

impl ExtensionIds {
    /// Applies a later handshake's ids: what it does not name stays as it was.
    pub fn update(&mut self, later: &Self) {
        self.ut_metadata = later.ut_metadata.or(self.ut_metadata);
        self.ut_pex = later.ut_pex.or(self.ut_pex);
        self.lt_donthave = later.lt_donthave.or(self.lt_donthave);
        self.ut_holepunch = later.ut_holepunch.or(self.ut_holepunch);
        self.upload_only = later.upload_only.or(self.upload_only);
    }
}

impl ExtendedHandshake {
    /// Reads a payload. Fields that are missing, of the wrong type or out of range are left out, as other
    /// clients do; only what is not a dictionary fails, with [`WireError::ExtendedHandshake`].
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let _ = payload;
        Ok(Self::default())
    }

    /// The payload to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        b"de".to_vec()
    }
}
