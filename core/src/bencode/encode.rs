//! How values are written: canonically (BEP 3), because two programs hash what they write and must agree.

use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;

/// A dictionary as bytes: `build` puts the entries, in any order.
#[must_use]
pub fn dict(build: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    dict_into(&mut out, build);
    out
}

/// Appends a dictionary to `out`.
pub fn dict_into(out: &mut Vec<u8>, build: impl FnOnce(&mut DictEncoder<'_>)) {
    out.push(b'd');
    let mut dict = DictEncoder { out, entries: Vec::new(), sorted: true };
    build(&mut dict);
    dict.finish();
}

/// A list as bytes: `build` puts the items.
#[must_use]
pub fn list(build: impl FnOnce(&mut ListEncoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    list_into(&mut out, build);
    out
}

fn list_into(out: &mut Vec<u8>, build: impl FnOnce(&mut ListEncoder<'_>)) {
    out.push(b'l');
    build(&mut ListEncoder { out });
    out.push(b'e');
}

/// A list being written.
#[derive(Debug)]
pub struct ListEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl ListEncoder<'_> {
    /// Appends an integer.
    pub fn int(&mut self, value: i64) {
        int_into(self.out, value);
    }

    /// Appends a string.
    pub fn bytes(&mut self, value: &[u8]) {
        bytes_into(self.out, value);
    }

    /// Appends a list.
    pub fn list(&mut self, build: impl FnOnce(&mut ListEncoder<'_>)) {
        list_into(self.out, build);
    }

    /// Appends a dictionary.
    pub fn dict(&mut self, build: impl FnOnce(&mut DictEncoder<'_>)) {
        dict_into(self.out, build);
    }

    /// Appends a value that is encoded already, such as [`Value::raw`](super::Value::raw).
    pub fn raw(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }
}

/// A dictionary being written. Entries may be put in any order: they end up sorted by key, and of equal keys the
/// first is kept.
#[derive(Debug)]
pub struct DictEncoder<'a> {
    out: &'a mut Vec<u8>,
    entries: Vec<Entry>,
    sorted: bool,
}

/// Where an entry lies in the output.
#[derive(Debug)]
struct Entry {
    whole: Range<usize>,
    key: Range<usize>,
}

impl DictEncoder<'_> {
    /// Puts an integer.
    pub fn int(&mut self, key: &[u8], value: i64) {
        self.put(key, |out| int_into(out, value));
    }

    /// Puts a string.
    pub fn bytes(&mut self, key: &[u8], value: &[u8]) {
        self.put(key, |out| bytes_into(out, value));
    }

    /// Puts a list.
    pub fn list(&mut self, key: &[u8], build: impl FnOnce(&mut ListEncoder<'_>)) {
        self.put(key, |out| list_into(out, build));
    }

    /// Puts a dictionary.
    pub fn dict(&mut self, key: &[u8], build: impl FnOnce(&mut DictEncoder<'_>)) {
        self.put(key, |out| dict_into(out, build));
    }

    /// Puts a value that is encoded already, such as [`Value::raw`](super::Value::raw): the `info` of a torrent
    /// has to stay as it came.
    pub fn raw(&mut self, key: &[u8], value: &[u8]) {
        self.put(key, |out| out.extend_from_slice(value));
    }

    fn put(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        if let Some(last) = self.entries.last() {
            self.sorted &= self.out.get(last.key.clone()).is_some_and(|last| last < key);
        }
        let start = self.out.len();
        bytes_into(self.out, key);
        let key_end = self.out.len();
        value(self.out);
        let key = key_end - key.len()..key_end;
        self.entries.push(Entry { whole: start..self.out.len(), key });
    }

    fn finish(mut self) {
        if !self.sorted {
            self.sort();
        }
        self.out.push(b'e');
    }

    fn sort(&mut self) {
        let Some(start) = self.entries.first().map(|first| first.whole.start) else { return };
        let written = self.out.split_off(start);
        let of =
            |range: &Range<usize>| written.get(range.start - start..range.end - start).unwrap_or_default();
        self.entries.sort_by(|one, other| of(&one.key).cmp(of(&other.key))); // stable: equal keys stay in order
        self.entries.dedup_by(|later, first| of(&later.key) == of(&first.key));
        for entry in &self.entries {
            self.out.extend_from_slice(of(&entry.whole));
        }
    }
}

fn int_into(out: &mut Vec<u8>, value: i64) {
    decimal_into(out, format_args!("i{value}e"));
}

fn bytes_into(out: &mut Vec<u8>, value: &[u8]) {
    decimal_into(out, format_args!("{}:", value.len()));
    out.extend_from_slice(value);
}

fn decimal_into(out: &mut Vec<u8>, text: core::fmt::Arguments<'_>) {
    struct Appending<'a>(&'a mut Vec<u8>);
    impl core::fmt::Write for Appending<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    Appending(out).write_fmt(text).expect("bencode: appending to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_sorted_and_once_whatever_the_order_they_are_put_in() {
        let out = dict(|d| {
            d.bytes(b"b", b"two");
            d.dict(b"a", |d| {
                d.int(b"z", 1);
                d.int(b"y", -2);
            });
            d.bytes(b"b", b"again");
            d.list(b"", |l| {
                l.int(0);
                l.bytes(b"x");
                l.list(|_| {});
                l.dict(|_| {});
            });
        });
        assert_eq!(out, b"d0:li0e1:xledee1:ad1:yi-2e1:zi1ee1:b3:twoe");
    }

    #[test]
    fn of_equal_keys_in_a_row_the_first_is_kept() {
        let out = dict(|d| {
            d.int(b"a", 1);
            d.int(b"a", 2);
            d.int(b"b", 3);
        });
        assert_eq!(out, b"d1:ai1e1:bi3ee");
    }

    #[test]
    fn keys_sort_as_bytes_not_as_numbers_or_letters() {
        let out = dict(|d| {
            d.int(b"a", 1);
            d.int(b"B", 2);
            d.int(b"aa", 3);
            d.int(b"\xff", 4);
            d.int(b"10", 5);
            d.int(b"9", 6);
        });
        assert_eq!(out, b"d2:10i5e1:9i6e1:Bi2e1:ai1e2:aai3e1:\xffi4ee");
    }

    #[test]
    fn raw_values_stay_as_they_are_and_lists_stand_alone() {
        assert_eq!(list(|l| l.raw(b"i7e")), b"li7ee");
        assert_eq!(dict(|d| d.raw(b"info", b"d1:b0:1:a0:e")), b"d4:infod1:b0:1:a0:ee");
        let mut out = b"before".to_vec();
        dict_into(&mut out, |d| d.int(b"n", i64::MIN));
        assert_eq!(out, b"befored1:ni-9223372036854775808ee");
    }
}
