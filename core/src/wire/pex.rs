//! Peer exchange: the messages by which peers tell each other whom they are connected to (BEP 11), inside `extended`
//! messages (BEP 10).

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::bencode::{self, Kind, Limits, Value};
use crate::compact;

/// Most addresses that are read of each list, and most that are sent as added, and as dropped, in one message (BEP 11).
pub const PEX_PEERS_MAX: usize = 50;

/// Longest message that is taken in, in bytes: many times what so many addresses need.
pub const PEX_LEN_MAX: usize = 64 * 1024;

/// Whom the sender is connected to, as far as that changed since its last message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PexMessage {
    /// Those that came.
    pub added: Vec<(SocketAddr, PexFlags)>,
    /// Those that are gone.
    pub dropped: Vec<SocketAddr>,
}

/// What the sender knows of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It prefers encrypted connections.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It has everything, or will not download anything more.
    pub const UPLOAD_ONLY: Self = Self(0x02);
    /// It speaks uTP.
    pub const UTP: Self = Self(0x04);
    /// It can be introduced to others (BEP 55).
    pub const HOLEPUNCH: Self = Self(0x08);
    /// The sender has connected to it, so others can.
    pub const CONNECTABLE: Self = Self(0x10);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// With `flags` set as well, if `on`.
    #[must_use]
    pub const fn with(self, flags: Self, on: bool) -> Self {
        if on { Self(self.0 | flags.0) } else { self }
    }
}

impl PexMessage {
    /// Reads a payload, [`PEX_PEERS_MAX`] addresses of each list; `None` if it is not a bencoded dictionary.
    ///
    /// Lists that are missing or odd are empty, and flags that are missing are none, as with other clients.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (document, _) = bencode::decode_prefix(payload, Limits::WIRE).ok()?;
        let root = document.root();
        if root.kind() != Kind::Dict {
            return None;
        }
        let list = |key: &[u8]| root.get(key).and_then(Value::as_bytes).unwrap_or_default();
        let flags = |key: &[u8]| list(key).iter().copied().chain(core::iter::repeat(0)).map(PexFlags);
        let v4 = compact::v4(list(b"added")).zip(flags(b"added.f")).take(PEX_PEERS_MAX);
        let v6 = compact::v6(list(b"added6")).zip(flags(b"added6.f")).take(PEX_PEERS_MAX);
        let gone4 = compact::v4(list(b"dropped")).take(PEX_PEERS_MAX);
        let gone6 = compact::v6(list(b"dropped6")).take(PEX_PEERS_MAX);
        Some(Self { added: v4.chain(v6).collect(), dropped: gone4.chain(gone6).collect() })
    }

    /// The payload to send. All lists are there, also where they are empty: some clients want them to be.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let addresses = |v4: bool, of: &mut dyn Iterator<Item = SocketAddr>| {
            let mut bytes = Vec::new();
            of.filter(|address| address.is_ipv4() == v4)
                .for_each(|address| compact::put(address, &mut bytes));
            bytes
        };
        let added = |v4| addresses(v4, &mut self.added.iter().map(|(address, _)| *address));
        let dropped = |v4| addresses(v4, &mut self.dropped.iter().copied());
        let flags = |v4: bool| -> Vec<u8> {
            let of = self.added.iter().filter(|(address, _)| address.is_ipv4() == v4);
            of.map(|(_, flags)| flags.0).collect()
        };
        bencode::dict(|d| {
            d.bytes(b"added", &added(true));
            d.bytes(b"added.f", &flags(true));
            d.bytes(b"added6", &added(false));
            d.bytes(b"added6.f", &flags(false));
            d.bytes(b"dropped", &dropped(true));
            d.bytes(b"dropped6", &dropped(false));
        })
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_written_is_what_bep_11_shows_and_is_read_again() {
        let message = PexMessage {
            added: vec![
                ("1.2.3.4:6881".parse().unwrap(), PexFlags::CONNECTABLE.with(PexFlags::UPLOAD_ONLY, true)),
                ("[2001:db8::1]:80".parse().unwrap(), PexFlags::default()),
            ],
            dropped: vec!["5.6.7.8:1".parse().unwrap()],
        };
        let bytes = message.encode();
        assert_eq!(
            bytes,
            b"d5:added6:\x01\x02\x03\x04\x1a\xe17:added.f1:\x126:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
              \0\x508:added6.f1:\0\
              7:dropped6:\x05\x06\x07\x08\0\x018:dropped60:e"
        );
        assert_eq!(PexMessage::parse(&bytes), Some(message));
    }

    #[test]
    fn what_is_missing_or_cut_short_is_left_out() {
        let read = PexMessage::parse(
            b"d5:added13:\x01\x02\x03\x04\0\x01\x01\x02\x03\x04\0\x02x7:added.f1:\x1f7:droppedi3ee",
        );
        let read = read.unwrap();
        assert_eq!(
            read.added,
            [("1.2.3.4:1".parse().unwrap(), PexFlags(0x1f)), ("1.2.3.4:2".parse().unwrap(), PexFlags(0))]
        );
        assert!(read.dropped.is_empty());
        assert!(read.added[0].1.has(PexFlags::UTP) && !read.added[1].1.has(PexFlags::UTP));
        assert!(PexMessage::parse(b"de").unwrap().is_empty());
        assert_eq!(PexMessage::parse(b"le"), None);
        assert_eq!(PexMessage::parse(b""), None);
    }

    #[test]
    fn of_a_list_without_end_only_the_beginning_is_read() {
        let payload = bencode::dict(|d| {
            for (key, len) in [(&b"added"[..], 6), (b"added6", 18), (b"dropped", 6), (b"dropped6", 18)] {
                d.bytes(key, &vec![7; len * 1_000]);
            }
        });
        let read = PexMessage::parse(&payload).unwrap();
        assert_eq!((read.added.len(), read.dropped.len()), (2 * PEX_PEERS_MAX, 2 * PEX_PEERS_MAX));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let payload = b"d6:added618:\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01\0\x50e";
        assert_eq!(PexMessage::parse(payload).unwrap().added[0].0, "10.0.0.1:80".parse().unwrap());
    }
}
