//! How to look into decoded input without copying it.

use core::fmt;
use core::iter::FusedIterator;

use super::decode::Token;

/// A value of a [`Document`](super::Document): a cursor that is cheap to copy and owns nothing.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    input: &'a [u8],
    /// All of the document's.
    tokens: &'a [Token],
    index: u32,
    /// The one at `index`.
    token: Token,
}

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `i42e`
    Int,
    /// `3:abc`
    Bytes,
    /// `l...e`
    List,
    /// `d...e`
    Dict,
}

impl<'a> Value<'a> {
    pub(super) fn root(input: &'a [u8], tokens: &'a [Token]) -> Self {
        let token = *tokens.first().expect("bencode: a decoded document has a value");
        Self { input, tokens, index: 0, token }
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.input.get(self.token.start as usize) {
            Some(b'i') => Kind::Int,
            Some(b'l') => Kind::List,
            Some(b'd') => Kind::Dict,
            _ => Kind::Bytes,
        }
    }

    /// The integer, when it is one.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        let digits = self.raw().strip_prefix(b"i")?.strip_suffix(b"e")?;
        core::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The string's bytes, when it is one.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.kind() {
            Kind::Bytes => self.input.get(self.token.link as usize..self.token.end as usize),
            Kind::Int | Kind::List | Kind::Dict => None,
        }
    }

    /// The string, when it is one and valid UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        core::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The value of `key`, when this is a dictionary that has it; of the first where it has several.
    ///
    /// Looks at one key after another: to read many keys of a large dictionary, walk its [`entries`](Self::entries).
    #[must_use]
    pub fn get(self, key: &[u8]) -> Option<Self> {
        self.entries().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The items of a list in order; none of anything else.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        self.inside(Kind::List)
    }

    /// Keys and values of a dictionary in the order they are written; none of anything else.
    #[must_use]
    pub fn entries(self) -> Entries<'a> {
        Entries(self.inside(Kind::Dict))
    }

    /// Its bytes as they came: the info-hash is taken over these.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.input.get(self.token.start as usize..self.token.end as usize).unwrap_or_default()
    }

    fn inside(self, kind: Kind) -> Items<'a> {
        let (next, end) = match self.kind() == kind {
            true => (self.index + 1, self.token.link),
            false => (0, 0),
        };
        Items { input: self.input, tokens: self.tokens, next, end }
    }
}

impl fmt::Debug for Value<'_> {
    /// The bytes as they came, escaped, the first 200 of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.raw();
        match raw.get(..200) {
            Some(start) => write!(f, "{}..", start.escape_ascii()),
            None => write!(f, "{}", raw.escape_ascii()),
        }
    }
}

/// The items of a list: [`Value::items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    input: &'a [u8],
    tokens: &'a [Token],
    /// Index of the next item's token.
    next: u32,
    /// Index of the first token after the list's.
    end: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        let token = *self.tokens.get(index as usize)?;
        let value = Value { input: self.input, tokens: self.tokens, index, token };
        self.next = match value.kind() {
            Kind::Int | Kind::Bytes => index + 1,
            Kind::List | Kind::Dict => token.link,
        };
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (usize::from(left > 0), Some(left as usize))
    }
}

impl FusedIterator for Items<'_> {}

/// The keys and values of a dictionary: [`Value::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a>(Items<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let key = self.0.next()?.as_bytes()?;
        Some((key, self.0.next()?))
    }
}

impl FusedIterator for Entries<'_> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use alloc::{format, vec};

    use super::super::{Limits, decode};
    use super::*;

    #[test]
    fn nested_values_are_found_and_told_apart() {
        let document = decode(b"d1:al2:xyi7eli1ei2eee1:bd1:ci-3ee1:d0:e", Limits::WIRE).unwrap();
        let root = document.root();
        let kinds: Vec<Kind> = root.entries().map(|(_, value)| value.kind()).collect();
        assert_eq!(kinds, [Kind::List, Kind::Dict, Kind::Bytes]);
        let raws: Vec<&[u8]> = root.get(b"a").unwrap().items().map(Value::raw).collect();
        assert_eq!(raws, [&b"2:xy"[..], b"i7e", b"li1ei2ee"]);
        assert_eq!(root.get(b"b").and_then(|b| b.get(b"c")).and_then(Value::as_int), Some(-3));
        assert_eq!(root.get(b"d").and_then(Value::as_str), Some(""));
        assert!(root.get(b"e").is_none());
        assert!(root.items().next().is_none(), "a dictionary has no items");
        assert_eq!(root.as_int(), None);
        assert_eq!(root.as_bytes(), None);
    }

    #[test]
    fn unsorted_keys_are_read_and_of_equal_keys_the_first_counts() {
        let document = decode(b"d1:bi1e1:ai2e1:bi3ee", Limits::WIRE).unwrap();
        let root = document.root();
        assert_eq!(root.get(b"a").and_then(Value::as_int), Some(2));
        assert_eq!(root.get(b"b").and_then(Value::as_int), Some(1));
        assert_eq!(root.entries().count(), 3);
    }

    #[test]
    fn a_list_never_has_more_items_than_it_says_it_may() {
        let document = decode(b"li1eli2ei3ee0:e", Limits::WIRE).unwrap();
        let mut items = document.root().items();
        let mut hints = vec![items.size_hint()];
        while items.next().is_some() {
            hints.push(items.size_hint());
        }
        assert_eq!(hints, [(1, Some(5)), (1, Some(4)), (1, Some(1)), (0, Some(0))]);
    }

    #[test]
    fn a_string_that_is_not_utf8_is_only_bytes() {
        let document = decode(b"2:\xff\xfe", Limits::WIRE).unwrap();
        assert_eq!(document.root().as_str(), None);
        assert_eq!(document.root().as_bytes(), Some(&b"\xff\xfe"[..]));
        assert_eq!(format!("{:?}", document.root()), r"2:\xff\xfe");
    }
}
