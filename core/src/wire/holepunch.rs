//! The messages by which a peer introduces two others that cannot reach each other (BEP 55), inside `extended` messages
//! (BEP 10).

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::compact::{self, V4_LEN, V6_LEN};

/// A message about `peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolepunchMessage {
    /// What it says.
    pub kind: HolepunchKind,
    /// Whom it is about.
    pub peer: SocketAddr,
}

/// What a [`HolepunchMessage`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolepunchKind {
    /// The sender wants to be introduced to the peer.
    Rendezvous,
    /// The peer is being told to connect to the receiver, which is to do the same.
    Connect,
    /// The receiver's rendezvous failed.
    Error(HolepunchError),
}

/// Why a rendezvous failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolepunchError {
    /// There can be no peer at that address.
    NoSuchPeer,
    /// The sender is not connected to it.
    NotConnected,
    /// It does not speak this extension.
    NoSupport,
    /// It is the sender itself.
    NoSelf,
    /// Another number.
    Other(u32),
}

const RENDEZVOUS: u8 = 0;
const CONNECT: u8 = 1;
const ERROR: u8 = 2;
const IPV4: u8 = 0;
const IPV6: u8 = 1;
/// Bytes of type and address family, and of the error at the end.
const HEAD_LEN: usize = 2;
const CODE_LEN: usize = 4;

impl HolepunchMessage {
    /// Reads a payload; `None` if it is malformed, or of a type that BEP 55 does not know, which is to be ignored.
    /// The error may be missing where there is none, and bytes at the end are ignored, as with other clients.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&[kind, family], rest) = payload.split_first_chunk::<HEAD_LEN>()?;
        let (peer, rest) = match family {
            IPV4 => (compact::v4(rest.get(..V4_LEN)?).next()?, &rest[V4_LEN..]),
            IPV6 => (compact::v6(rest.get(..V6_LEN)?).next()?, &rest[V6_LEN..]),
            _ => return None,
        };
        let kind = match kind {
            RENDEZVOUS => HolepunchKind::Rendezvous,
            CONNECT => HolepunchKind::Connect,
            ERROR => {
                HolepunchKind::Error(HolepunchError::of(u32::from_be_bytes(*rest.first_chunk::<CODE_LEN>()?)))
            }
            _ => return None,
        };
        Some(Self { kind, peer })
    }

    /// The payload to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, code) = match self.kind {
            HolepunchKind::Rendezvous => (RENDEZVOUS, 0),
            HolepunchKind::Connect => (CONNECT, 0),
            HolepunchKind::Error(error) => (ERROR, error.code()),
        };
        let mut bytes = Vec::with_capacity(HEAD_LEN + V6_LEN + CODE_LEN);
        bytes.extend_from_slice(&[kind, if self.peer.is_ipv4() { IPV4 } else { IPV6 }]);
        compact::put(self.peer, &mut bytes);
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes
    }
}

impl HolepunchError {
    const fn of(code: u32) -> Self {
        match code {
            1 => Self::NoSuchPeer,
            2 => Self::NotConnected,
            3 => Self::NoSupport,
            4 => Self::NoSelf,
            other => Self::Other(other),
        }
    }

    const fn code(self) -> u32 {
        match self {
            Self::NoSuchPeer => 1,
            Self::NotConnected => 2,
            Self::NoSupport => 3,
            Self::NoSelf => 4,
            Self::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_lie_as_bep_55_says() {
        let peer = "1.2.3.4:6881".parse().unwrap();
        let rendezvous = HolepunchMessage { kind: HolepunchKind::Rendezvous, peer };
        assert_eq!(rendezvous.encode(), b"\0\0\x01\x02\x03\x04\x1a\xe1\0\0\0\0");
        let peer = "[2001:db8::1]:80".parse().unwrap();
        let error = HolepunchMessage { kind: HolepunchKind::Error(HolepunchError::NotConnected), peer };
        assert_eq!(error.encode(), b"\x02\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50\0\0\0\x02");
        for message in [rendezvous, error, HolepunchMessage { kind: HolepunchKind::Connect, peer }] {
            assert_eq!(HolepunchMessage::parse(&message.encode()), Some(message));
        }
        let short = HolepunchMessage::parse(b"\x01\0\x01\x02\x03\x04\x1a\xe1");
        assert_eq!(short.map(|message| message.kind), Some(HolepunchKind::Connect), "no error, none needed");
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_no_message() {
        let error = b"\x02\0\x01\x02\x03\x04\x1a\xe1\0\0\0\x02";
        for cut in 0..error.len() {
            assert_eq!(HolepunchMessage::parse(&error[..cut]), None, "{cut}");
        }
        assert_eq!(
            HolepunchMessage::parse(b"\0\x01\x01\x02\x03\x04\x1a\xe1\0\0\0\0"),
            None,
            "too short for IPv6"
        );
        assert_eq!(
            HolepunchMessage::parse(b"\0\x02\x01\x02\x03\x04\x1a\xe1\0\0\0\0"),
            None,
            "no such family"
        );
        assert_eq!(HolepunchMessage::parse(b"\x03\0\x01\x02\x03\x04\x1a\xe1\0\0\0\0"), None, "no such type");
    }
}
