//! Bencode: reading is the inverse of writing, for every value.

use pieceful_core::bencode::{self, DictEncoder, Kind, Limits, ListEncoder, Value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A value as a plain tree.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    /// In the order in which it is written.
    Dict(Vec<(Vec<u8>, Self)>),
}

impl Tree {
    fn any() -> impl Strategy<Value = Self> {
        let leaf =
            prop_oneof![any::<i64>().prop_map(Self::Int), vec(any::<u8>(), 0..40).prop_map(Self::Bytes),];
        leaf.prop_recursive(6, 100, 8, |inner| {
            let entries = btree_map(vec(any::<u8>(), 0..6), inner.clone(), 0..8);
            prop_oneof![
                vec(inner, 0..8).prop_map(Self::List),
                entries.prop_map(|entries| Self::Dict(entries.into_iter().collect())),
            ]
        })
    }

    fn read(value: Value<'_>) -> Self {
        match value.kind() {
            Kind::Int => Self::Int(value.as_int().expect("an integer")),
            Kind::Bytes => Self::Bytes(value.as_bytes().expect("a string").to_vec()),
            Kind::List => Self::List(value.items().map(Self::read).collect()),
            Kind::Dict => {
                Self::Dict(value.entries().map(|(key, value)| (key.to_vec(), Self::read(value))).collect())
            }
        }
    }

    fn put_in(&self, list: &mut ListEncoder<'_>) {
        match self {
            Self::Int(value) => list.int(*value),
            Self::Bytes(value) => list.bytes(value),
            Self::List(items) => list.list(|list| items.iter().for_each(|item| item.put_in(list))),
            Self::Dict(entries) => list.dict(|dict| put_all(entries, dict)),
        }
    }

    fn put_under(&self, key: &[u8], dict: &mut DictEncoder<'_>) {
        match self {
            Self::Int(value) => dict.int(key, *value),
            Self::Bytes(value) => dict.bytes(key, value),
            Self::List(items) => dict.list(key, |list| items.iter().for_each(|item| item.put_in(list))),
            Self::Dict(entries) => dict.dict(key, |dict| put_all(entries, dict)),
        }
    }
}

fn put_all(entries: &[(Vec<u8>, Tree)], dict: &mut DictEncoder<'_>) {
    // Backwards, so that the encoder has to sort.
    entries.iter().rev().for_each(|(key, value)| value.put_under(key, dict));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_whatever_the_order_of_putting(tree in Tree::any()) {
        let written = bencode::list(|list| tree.put_in(list));
        let document = bencode::decode(&written, Limits::METAINFO).unwrap();
        let read: Vec<Tree> = document.root().items().map(Tree::read).collect();
        prop_assert_eq!(read, [tree]);
    }

    #[test]
    fn every_key_of_a_dictionary_is_found(
        entries in btree_map(vec(any::<u8>(), 0..6), any::<i64>(), 0..50),
        follows in vec(any::<u8>(), 0..9),
    ) {
        let mut written = bencode::dict(|d| entries.iter().for_each(|(key, value)| d.int(key, *value)));
        let len = written.len();
        written.extend(follows);
        let (document, taken) = bencode::decode_prefix(&written, Limits::WIRE).unwrap();
        prop_assert_eq!(taken, len);
        for (key, value) in &entries {
            prop_assert_eq!(document.root().get(key).and_then(Value::as_int), Some(*value));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_consistently(data in vec(any::<u8>(), 0..300)) {
        pieceful_fuzz::bencode::run(&data);
    }

    #[test]
    fn a_flipped_byte_is_read_or_refused_consistently(
        tree in Tree::any(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(&b"0123456789:ilde-"[..]),
    ) {
        let mut written = bencode::list(|list| tree.put_in(list));
        let at = at.index(written.len());
        written[at] = byte;
        pieceful_fuzz::bencode::run(&written);
    }
}
