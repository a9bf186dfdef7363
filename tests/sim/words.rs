//! The peer protocol in a few lines, written apart from the core's: scripted peers speak it, and the wiretap
//! reads it, so that an error in the core's codec cannot hide in both ends.

use std::fmt;

use bytes::{BufMut as _, Bytes};

/// 68 bytes: protocol name, reserved bits, info-hash, peer id (BEP 3). One that speaks the fast extension speaks
/// extension messages, too.
#[must_use]
pub fn handshake(info_hash: [u8; 20], peer_id: [u8; 20], fast: bool) -> Bytes {
    let mut out = Vec::from(*b"\x13BitTorrent protocol");
    out.put_slice(if fast { &[0, 0, 0, 0, 0, 0x10, 0, 4] } else { &[0; 8] });
    out.put_slice(&info_hash);
    out.put_slice(&peer_id);
    out.into()
}

/// A message of any id and body.
#[must_use]
pub fn message(id: u8, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(5 + body.len());
    out.put_u32(1 + body.len() as u32);
    out.put_u8(id);
    out.put_slice(body);
    out.into()
}

/// `choke`, `unchoke`, `interested`, `not interested`: ids 0 to 3.
#[must_use]
pub fn plain(id: u8) -> Bytes {
    message(id, &[])
}

/// `choke`.
pub const CHOKE: u8 = 0;
/// `unchoke`.
pub const UNCHOKE: u8 = 1;
/// `interested`.
pub const INTERESTED: u8 = 2;
/// `not interested`.
pub const NOT_INTERESTED: u8 = 3;

/// `have`.
#[must_use]
pub fn have(piece: u32) -> Bytes {
    message(4, &piece.to_be_bytes())
}

/// `bitfield` with these of `pieces` pieces set.
#[must_use]
pub fn bitfield(pieces: u32, has: impl Fn(u32) -> bool) -> Bytes {
    let mut bits = vec![0_u8; pieces.div_ceil(8) as usize];
    for piece in (0..pieces).filter(|&piece| has(piece)) {
        bits[piece as usize / 8] |= 0x80 >> (piece % 8);
    }
    message(5, &bits)
}

/// `request`.
#[must_use]
pub fn request(piece: u32, offset: u32, len: u32) -> Bytes {
    message(6, &[piece.to_be_bytes(), offset.to_be_bytes(), len.to_be_bytes()].concat())
}

/// `piece`.
#[must_use]
pub fn piece(piece: u32, offset: u32, data: &[u8]) -> Bytes {
    message(7, &[&piece.to_be_bytes(), &offset.to_be_bytes(), data].concat())
}

/// `cancel`.
#[must_use]
pub fn cancel(piece: u32, offset: u32, len: u32) -> Bytes {
    message(8, &[piece.to_be_bytes(), offset.to_be_bytes(), len.to_be_bytes()].concat())
}

/// `reject request` (BEP 6).
#[must_use]
pub fn reject(piece: u32, offset: u32, len: u32) -> Bytes {
    message(16, &[piece.to_be_bytes(), offset.to_be_bytes(), len.to_be_bytes()].concat())
}

/// An extension message (BEP 10).
#[must_use]
pub fn extended(number: u8, body: &[u8]) -> Bytes {
    message(20, &[&[number], body].concat())
}

/// The number that follows `key` in a bencoded dictionary.
#[must_use]
pub fn number_after(body: &[u8], key: &[u8]) -> Option<u32> {
    let place = body.windows(key.len()).position(|window| window == key)?;
    let digits = body[place + key.len()..].strip_prefix(b"i")?;
    let digits: Vec<u8> = digits.iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

/// What was said on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The first 68 bytes.
    Handshake {
        /// The reserved bits.
        reserved: [u8; 8],
        /// Which torrent.
        info_hash: [u8; 20],
    },
    /// Four zero bytes.
    KeepAlive,
    /// A message without a body.
    Plain(u8),
    /// `have`.
    Have(u32),
    /// `bitfield`: its bytes.
    Bitfield(Vec<u8>),
    /// `request`.
    Request(u32, u32, u32),
    /// `piece`: where, and how many bytes; they are not kept by a [`Listener`] that was told not to.
    Piece(u32, u32, u32, Vec<u8>),
    /// `cancel`.
    Cancel(u32, u32, u32),
    /// `reject request` (BEP 6).
    Reject(u32, u32, u32),
    /// `port` of a DHT node (BEP 5).
    Port(u16),
    /// `have all` (BEP 6).
    HaveAll,
    /// `have none` (BEP 6).
    HaveNone,
    /// `allowed fast` (BEP 6).
    AllowedFast(u32),
    /// An extended message (BEP 10): its number and its body.
    Extended(u8, Vec<u8>),
    /// Anything else: id and length.
    Other(u8, u32),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake { .. } => f.write_str("handshake"),
            Self::KeepAlive => f.write_str("keep-alive"),
            Self::Plain(CHOKE) => f.write_str("choke"),
            Self::Plain(UNCHOKE) => f.write_str("unchoke"),
            Self::Plain(INTERESTED) => f.write_str("interested"),
            Self::Plain(_) => f.write_str("not interested"),
            Self::Have(piece) => write!(f, "have #{piece}"),
            Self::Bitfield(bits) => {
                write!(f, "bitfield ({} set)", bits.iter().map(|byte| byte.count_ones()).sum::<u32>())
            }
            Self::Request(piece, offset, len) => write!(f, "request #{piece}+{offset}({len})"),
            Self::Piece(piece, offset, len, _) => write!(f, "piece #{piece}+{offset}({len})"),
            Self::Cancel(piece, offset, len) => write!(f, "cancel #{piece}+{offset}({len})"),
            Self::Reject(piece, offset, len) => write!(f, "reject #{piece}+{offset}({len})"),
            Self::AllowedFast(piece) => write!(f, "allowed fast #{piece}"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::HaveAll => f.write_str("have all"),
            Self::HaveNone => f.write_str("have none"),
            Self::Extended(number, body) => {
                write!(f, "extended {number} {}", body[..body.len().min(60)].escape_ascii())
            }
            Self::Other(id, len) => write!(f, "message {id} of {len} bytes"),
        }
    }
}

/// Turns one direction of a connection into what was said.
#[derive(Clone, Debug)]
pub struct Listener {
    buffer: Vec<u8>,
    greeted: bool,
    keep_payload: bool,
    /// Payload bytes of the current `piece` still to come, when they are not kept, and what it says then.
    skip: usize,
    skipped: Option<(u32, u32, u32)>,
}

impl Listener {
    /// Listens from the first byte on.
    #[must_use]
    pub const fn new(keep_payload: bool) -> Self {
        Self { buffer: Vec::new(), greeted: false, keep_payload, skip: 0, skipped: None }
    }

    /// Hears that many bytes of a block without seeing them.
    pub fn skip(&mut self, len: usize, said: &mut Vec<Said>) {
        self.skip = self.skip.saturating_sub(len);
        if self.skip == 0 {
            let skipped = self.skipped.take();
            said.extend(skipped.map(|(piece, offset, len)| Said::Piece(piece, offset, len, Vec::new())));
        }
    }

    /// Hears `bytes`.
    pub fn hear(&mut self, mut bytes: &[u8], said: &mut Vec<Said>) {
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip(skipped, said);
                bytes = &bytes[skipped..];
            }
            if bytes.is_empty() {
                return;
            }
            // Byte counts first: enough for a header, then enough for the message.
            let want = self.wanted();
            let take = want.saturating_sub(self.buffer.len()).min(bytes.len());
            self.buffer.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.buffer.len() >= self.wanted() {
                said.extend(self.understand());
            }
        }
    }

    fn wanted(&self) -> usize {
        if !self.greeted {
            return 68;
        }
        let Some(len) = self.buffer.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) else {
            return 4;
        };
        match self.buffer.get(4) {
            None if len > 0 => 5,
            Some(7) if !self.keep_payload => (4 + len).min(13),
            // What is longer than anything sensible is not waited for.
            _ => 4 + len.min(1 << 21),
        }
    }

    fn understand(&mut self) -> Option<Said> {
        let words = std::mem::take(&mut self.buffer);
        if !self.greeted {
            self.greeted = true;
            let reserved = words[20..28].try_into().ok()?;
            return Some(Said::Handshake { reserved, info_hash: words[28..48].try_into().ok()? });
        }
        let len = u32::from_be_bytes(*words.first_chunk()?);
        let Some((&id, body)) = words[4..].split_first() else { return Some(Said::KeepAlive) };
        let number = |place: usize| {
            body.get(place * 4..place * 4 + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
        };
        let triple = || Some((number(0)?, number(1)?, number(2)?));
        let understood = match id {
            0..=3 if len == 1 => Some(Said::Plain(id)),
            4 => number(0).map(Said::Have),
            5 => Some(Said::Bitfield(body.to_vec())),
            6 => triple().map(|(piece, offset, len)| Said::Request(piece, offset, len)),
            7 if len >= 9 => {
                let place = number(0).zip(number(1));
                self.skip = (len as usize + 4).saturating_sub(words.len());
                if self.skip > 0 && !self.keep_payload {
                    self.skipped = place.map(|(piece, offset)| (piece, offset, len - 9));
                    return None;
                }
                self.skip = 0;
                let kept = body.get(8..).unwrap_or_default().to_vec();
                place.map(|(piece, offset)| Said::Piece(piece, offset, len - 9, kept))
            }
            8 => triple().map(|(piece, offset, len)| Said::Cancel(piece, offset, len)),
            9 => <[u8; 2]>::try_from(body).ok().map(|port| Said::Port(u16::from_be_bytes(port))),
            14 => Some(Said::HaveAll),
            15 => Some(Said::HaveNone),
            16 => triple().map(|(piece, offset, len)| Said::Reject(piece, offset, len)),
            17 => number(0).map(Said::AllowedFast),
            20 => body.split_first().map(|(&number, body)| Said::Extended(number, body.to_vec())),
            _ => None,
        };
        Some(understood.unwrap_or(Said::Other(id, len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_however_it_is_cut() {
        let all = [
            handshake([1; 20], [2; 20], true),
            bitfield(12, |piece| piece % 2 == 0),
            plain(UNCHOKE),
            Bytes::from_static(&[0; 4]),
            request(3, 16_384, 16_384),
            piece(3, 16_384, &[9; 100]),
            have(7),
        ]
        .concat();
        for keep in [true, false] {
            let mut whole = Vec::new();
            Listener::new(keep).hear(&all, &mut whole);
            assert_eq!(whole.len(), 7, "{whole:?}");
            let (mut listener, mut bytewise) = (Listener::new(keep), Vec::new());
            all.iter().for_each(|&byte| listener.hear(&[byte], &mut bytewise));
            assert_eq!(whole, bytewise);
        }
    }
}
