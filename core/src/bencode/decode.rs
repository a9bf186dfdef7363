//! What is bencode and what is not: one pass over the input, no recursion, no allocation a length asked for.

use alloc::vec::Vec;

use super::error::BencodeError;
use super::value::Value;

/// How much structure a reader accepts. Two numbers bound time and memory, whatever the input says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lists and dictionaries inside one another.
    pub depth: u32,
    /// Values in all, dictionary keys included.
    pub tokens: u32,
}

impl Limits {
    /// For .torrent files and metadata from peers. A torrent of 100,000 files has under a million values; real
    /// ones nest 5 deep (v2 file trees as deep as their folders).
    pub const METAINFO: Self = Self { depth: 64, tokens: 3_000_000 };
    /// For extension messages, tracker answers and the DHT: libtorrent's limits for the DHT, which every known
    /// message stays far below.
    pub const WIRE: Self = Self { depth: 10, tokens: 500 };
}

/// Decoded input: the bytes, and where each value lies in them.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    input: &'a [u8],
    tokens: Vec<Token>,
}

impl Document<'_> {
    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::root(self.input, &self.tokens)
    }
}

/// Decodes `input`, all of which has to be one value.
///
/// Strict: integers and lengths only in their one canonical form, and nothing after the value. Lenient in one
/// point, because real torrents need it: dictionary keys may come in any order. Of equal keys the first counts
/// (see [`Value::get`]), as libtorrent has it.
///
/// # Errors
/// When `input` is not exactly one value, or has more of it than `limits` allow.
pub fn decode(input: &[u8], limits: Limits) -> Result<Document<'_>, BencodeError> {
    let (document, taken) = decode_prefix(input, limits)?;
    match input.len() - taken {
        0 => Ok(document),
        left => Err(BencodeError::Trailing { left }),
    }
}

/// Decodes the value that `input` begins with, and says how many bytes it takes: a `ut_metadata` message has a
/// piece of metadata after its dictionary (BEP 9).
///
/// # Errors
/// When no value begins `input`, or it has more than `limits` allow.
pub fn decode_prefix(input: &[u8], limits: Limits) -> Result<(Document<'_>, usize), BencodeError> {
    if u32::try_from(input.len()).is_err() {
        return Err(BencodeError::Size { len: input.len() });
    }
    let mut decoder = Decoder::new(input, limits);
    decoder.run()?;
    let taken = decoder.at;
    Ok((Document { input, tokens: decoder.tokens }, taken))
}

/// Where a value lies. Its kind is told by the byte at `start`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) start: u32,
    /// One past its last byte.
    pub(super) end: u32,
    /// List or dictionary: the index of the first token after everything inside (while it is still open: the
    /// index of the one around it, so that the open ones need no stack of their own). String: where its first
    /// byte is. Integer: unused.
    pub(super) link: u32,
}

/// No container around this one.
const OUTERMOST: u32 = u32::MAX;

struct Decoder<'a> {
    input: &'a [u8],
    limits: Limits,
    at: usize,
    tokens: Vec<Token>,
    /// The innermost container that is still open, or [`OUTERMOST`].
    open: u32,
    depth: u32,
}

impl<'a> Decoder<'a> {
    fn new(input: &'a [u8], limits: Limits) -> Self {
        // A value takes at least two bytes. Starting at a power of two below that, doubling ends there and not
        // above: never more than 12 bytes of tokens for 2 of input.
        let tokens = Vec::with_capacity((input.len() / 64 + 8).min(limits.tokens as usize));
        Self { input, limits, at: 0, tokens, open: OUTERMOST, depth: 0 }
    }

    fn run(&mut self) -> Result<(), BencodeError> {
        // Inside a dictionary keys and values take turns; which one is next has to survive a nested value, and
        // it does: after a nested value a key comes next, always.
        let mut in_dict = false;
        let mut key_next = false;
        loop {
            let at = self.at;
            let byte = self.peek()?;
            match byte {
                b'e' if self.open != OUTERMOST => {
                    if in_dict && !key_next {
                        return Err(BencodeError::NoValue { at });
                    }
                    self.at += 1;
                    in_dict = self.close();
                    key_next = true;
                }
                b'0'..=b'9' => {
                    self.string()?;
                    key_next = !key_next;
                }
                _ if in_dict && key_next => return Err(BencodeError::Key { at }),
                b'i' => {
                    self.integer()?;
                    key_next = true;
                }
                b'l' | b'd' => {
                    self.open()?;
                    in_dict = byte == b'd';
                    key_next = true;
                    continue;
                }
                _ => return Err(BencodeError::Unexpected { at, byte }),
            }
            if self.open == OUTERMOST {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.input.get(self.at).copied().ok_or(BencodeError::Truncated { at: self.input.len() })
    }

    fn push(&mut self, start: usize, link: u32) -> Result<(), BencodeError> {
        if self.tokens.len() >= self.limits.tokens as usize {
            return Err(BencodeError::Tokens { max: self.limits.tokens });
        }
        self.tokens.push(Token { start: start as u32, end: self.at as u32, link });
        Ok(())
    }

    fn open(&mut self) -> Result<(), BencodeError> {
        if self.depth >= self.limits.depth {
            return Err(BencodeError::Depth { at: self.at, max: self.limits.depth });
        }
        let index = self.tokens.len() as u32;
        let start = self.at;
        self.at += 1;
        self.push(start, self.open)?;
        self.open = index;
        self.depth += 1;
        Ok(())
    }

    /// Closes the innermost container; says whether the one around it is a dictionary.
    fn close(&mut self) -> bool {
        let next = self.tokens.len() as u32;
        let end = self.at as u32;
        let Some(token) = self.tokens.get_mut(self.open as usize) else { return false };
        token.end = end;
        self.open = core::mem::replace(&mut token.link, next);
        self.depth -= 1;
        let around = self.tokens.get(self.open as usize);
        around.is_some_and(|token| self.input.get(token.start as usize) == Some(&b'd'))
    }

    fn string(&mut self) -> Result<(), BencodeError> {
        let start = self.at;
        let mut len: u64 = 0;
        loop {
            let byte = self.peek()?;
            let digits = self.at - start;
            self.at += 1;
            match byte {
                b':' if digits > 0 => break,
                // Ten digits hold every length that the input can have.
                b'0'..=b'9' if digits < 10 && (len > 0 || digits == 0) => {
                    len = len * 10 + u64::from(byte - b'0');
                }
                b'0'..=b'9' if len > 0 => {
                    return Err(BencodeError::TooLong { at: start, left: self.input.len() - self.at });
                }
                _ => return Err(BencodeError::Length { at: start }),
            }
        }
        let body = self.at;
        let left = self.input.len() - body;
        if len > left as u64 {
            return Err(BencodeError::TooLong { at: start, left });
        }
        self.at += len as usize;
        self.push(start, body as u32)
    }

    fn integer(&mut self) -> Result<(), BencodeError> {
        let start = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let first = self.at;
        let mut value: i64 = 0;
        loop {
            let byte = self.peek()?;
            let digits = self.at - first;
            self.at += 1;
            match byte {
                b'e' if digits > 0 && !(negative && value == 0) => break,
                b'0'..=b'9' if digits == 0 || value != 0 => {
                    let digit = i64::from(byte - b'0');
                    value = value
                        .checked_mul(10)
                        // Counted below zero when negative, so that the least i64 is read too.
                        .and_then(|v| if negative { v.checked_sub(digit) } else { v.checked_add(digit) })
                        .ok_or(BencodeError::IntegerRange { at: start })?;
                }
                _ => return Err(BencodeError::Integer { at: start }),
            }
        }
        self.push(start, 0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn fails(input: &[u8]) -> BencodeError {
        decode(input, Limits::METAINFO).expect_err("this is not bencode")
    }

    #[test]
    fn integers_are_read_in_their_one_canonical_form() {
        for (text, value) in [
            ("i0e", 0),
            ("i-1e", -1),
            ("i42e", 42),
            ("i9223372036854775807e", i64::MAX),
            ("i-9223372036854775808e", i64::MIN),
        ] {
            let document = decode(text.as_bytes(), Limits::WIRE).unwrap();
            assert_eq!(document.root().as_int(), Some(value), "{text}");
        }
        for text in ["ie", "i-e", "i-0e", "i00e", "i01e", "i-01e", "i+1e", "i 1e", "i1.0e", "i0x1e", "i--1e"]
        {
            assert_eq!(fails(text.as_bytes()), BencodeError::Integer { at: 0 }, "{text}");
        }
        for text in ["i9223372036854775808e", "i-9223372036854775809e", "i184467440737095516154e"] {
            assert_eq!(fails(text.as_bytes()), BencodeError::IntegerRange { at: 0 }, "{text}");
        }
    }

    #[test]
    fn a_length_is_canonical_and_checked_against_what_is_left() {
        let document = decode(b"0:", Limits::WIRE).unwrap();
        assert_eq!(document.root().as_bytes(), Some(&b""[..]));
        assert_eq!(fails(b"01:a"), BencodeError::Length { at: 0 });
        assert_eq!(fails(b"00:"), BencodeError::Length { at: 0 });
        assert_eq!(fails(b"1;a"), BencodeError::Length { at: 0 });
        assert_eq!(fails(b"199999999:x"), BencodeError::TooLong { at: 0, left: 1 });
        assert_eq!(fails(b"2:x"), BencodeError::TooLong { at: 0, left: 1 });
        assert!(matches!(fails(b"18446744073709551615:x"), BencodeError::TooLong { at: 0, .. }));
        assert!(matches!(fails(b"4294967297:x"), BencodeError::TooLong { at: 0, .. }));
        assert_eq!(fails(b"5"), BencodeError::Truncated { at: 1 });
        let eleven = BencodeError::TooLong { at: 0, left: 3 };
        assert_eq!(fails(b"10000000000abc"), eleven, "whatever follows so many digits");
    }

    #[test]
    fn a_million_open_lists_or_dictionaries_are_refused_at_the_depth_limit() {
        assert_eq!(fails(&vec![b'l'; 1_000_000]), BencodeError::Depth { at: 64, max: 64 });
        assert_eq!(fails(&b"d1:a".repeat(1_000_000)), BencodeError::Depth { at: 256, max: 64 });
        let mut deepest = vec![b'l'; 64];
        deepest.extend([b'e'; 64]);
        assert!(decode(&deepest, Limits::METAINFO).is_ok());
    }

    #[test]
    fn what_is_closed_again_does_not_count_as_depth() {
        let siblings = [&b"l"[..], &b"le".repeat(1_000), &b"de".repeat(1_000), b"e"].concat();
        assert!(decode(&siblings, Limits::METAINFO).is_ok());
    }

    #[test]
    fn one_value_more_than_the_limit_is_refused() {
        let list = |values: usize| [b"l".to_vec(), b"0:".repeat(values), b"e".to_vec()].concat();
        assert!(decode(&list(499), Limits::WIRE).is_ok());
        let refused = decode(&list(500), Limits::WIRE).map(|_| ());
        assert_eq!(refused, Err(BencodeError::Tokens { max: 500 }));
    }

    #[test]
    fn a_dictionary_has_string_keys_each_with_a_value() {
        assert_eq!(fails(b"di1ei2ee"), BencodeError::Key { at: 1 });
        assert_eq!(fails(b"dlei2ee"), BencodeError::Key { at: 1 });
        assert_eq!(fails(b"d1:ae"), BencodeError::NoValue { at: 4 });
        assert_eq!(fails(b"d1:a1:b1:ce"), BencodeError::NoValue { at: 10 });
        assert_eq!(fails(b"d1:alei2ee"), BencodeError::Key { at: 6 });
        assert!(decode(b"d1:ade1:bi2e1:cle1:d0:e", Limits::WIRE).is_ok());
        assert!(decode(b"li1e1:a1:b1:ci2elee", Limits::WIRE).is_ok());
    }

    #[test]
    fn what_follows_the_value_is_refused_by_decode_and_left_by_decode_prefix() {
        assert_eq!(fails(b"i1ei2e"), BencodeError::Trailing { left: 3 });
        let (document, taken) = decode_prefix(b"d1:ai1eepayload", Limits::WIRE).unwrap();
        assert_eq!((document.root().raw(), taken), (&b"d1:ai1ee"[..], 8));
    }

    #[test]
    fn every_prefix_of_a_value_is_truncated() {
        let whole = b"d1:ad3:keyi-12ee4:listl2:xyi0eee";
        assert!(decode(whole, Limits::WIRE).is_ok());
        for len in 0..whole.len() {
            let error = fails(&whole[..len]);
            assert!(
                matches!(error, BencodeError::Truncated { .. } | BencodeError::TooLong { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn what_begins_no_value_is_named() {
        assert_eq!(fails(b"e"), BencodeError::Unexpected { at: 0, byte: b'e' });
        assert_eq!(fails(b"lxe"), BencodeError::Unexpected { at: 1, byte: b'x' });
        assert_eq!(fails(b"-1:a"), BencodeError::Unexpected { at: 0, byte: b'-' });
    }
}
