//! Addresses that peers mention to each other: in the extension handshake (BEP 10).

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};

use super::super::Part;
use super::super::payload::Follower;

/// What stands before an address, and the bytes of one.
const BEFORE: [(&[u8], usize); 4] =
    [(b"6:yourip4:", 4), (b"6:yourip16:", 16), (b"4:ipv44:", 4), (b"4:ipv616:", 16)];

/// The longest of them.
const BEFORE_MAX: usize = 11;

/// Follows one direction of one connection.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    follower: Follower,
    /// The last bytes that were no payload.
    recent: Vec<u8>,
    /// Bytes of an address that are still to come.
    hidden: usize,
}

impl Mentions {
    /// Puts `other` addresses in place of those in the next bytes. One that comes in two halves becomes zeros.
    pub(super) fn replace(&mut self, data: Bytes, other: impl Fn(IpAddr) -> IpAddr) -> Bytes {
        let mut changed = BytesMut::new();
        let mut at = 0;
        for part in self.follower.cut(&data) {
            let end = match part {
                Part::Payload(len) => {
                    self.recent.clear();
                    at + len as usize
                }
                Part::Bytes(bytes) => {
                    let end = at + bytes.len();
                    while at < end {
                        at += self.step(&data, at..end, &mut changed, &other);
                    }
                    end
                }
            };
            at = end;
        }
        if changed.is_empty() { data } else { changed.freeze() }
    }

    /// Looks at the byte at the start of `range`, or at the address there; says how many bytes those are.
    fn step(
        &mut self,
        data: &Bytes,
        range: std::ops::Range<usize>,
        changed: &mut BytesMut,
        other: impl Fn(IpAddr) -> IpAddr,
    ) -> usize {
        if self.hidden == 0 {
            self.recent.push(data[range.start]);
            if self.recent.len() > BEFORE_MAX {
                self.recent.remove(0);
            }
            let found = BEFORE.iter().find(|(before, _)| self.recent.ends_with(before));
            self.hidden = found.map_or(0, |(_, len)| *len);
            return 1;
        }
        if changed.is_empty() {
            changed.extend_from_slice(data);
        }
        self.recent.clear();
        let here = self.hidden.min(range.len());
        let place = &mut changed[range.start..range.start + here];
        match address(place).filter(|_| here == self.hidden).map(other) {
            Some(IpAddr::V4(v4)) if here == 4 => place.copy_from_slice(&v4.octets()),
            Some(IpAddr::V6(v6)) if here == 16 => place.copy_from_slice(&v6.octets()),
            _ => place.fill(0),
        }
        self.hidden -= here;
        here
    }
}

/// An address of either family as it is written in messages.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_wherever_the_stream_is_cut_but_never_in_payload() {
        let said = b"d4:ipv44:\x01\x02\x03\x041:v1:x6:yourip4:\x05\x06\x07\x08e";
        let payload = b"6:yourip4:\x09\x09\x09\x09";
        let mut stream = vec![1; 68];
        stream.extend((said.len() as u32 + 2).to_be_bytes());
        stream.extend([20, 0]);
        stream.extend(said);
        stream.extend((payload.len() as u32 + 9).to_be_bytes());
        stream.extend([7, 0, 0, 0, 0, 0, 0, 0, 0]);
        stream.extend(payload);
        let stream = Bytes::from(stream);
        let other = |_| IpAddr::from([9, 8, 7, 6]);
        for size in 1..=stream.len() {
            let mut mentions = Mentions::default();
            let parts =
                (0..stream.len()).step_by(size).map(|at| stream.slice(at..stream.len().min(at + size)));
            let whole: Vec<u8> = parts.flat_map(|part| mentions.replace(part, other).to_vec()).collect();
            assert_eq!(whole.len(), stream.len());
            let count = |what: &[u8]| whole.windows(what.len()).filter(|window| *window == what).count();
            assert_eq!(count(&[1, 2, 3, 4]) + count(&[5, 6, 7, 8]), 0, "cut every {size} bytes");
            assert_eq!(count(payload), 1, "cut every {size} bytes");
            if size == stream.len() {
                assert_eq!(count(&[9, 8, 7, 6]), 2);
            }
        }
    }
}
