//! Bencode: what is accepted says exactly what it was written as.

use pieceful_core::bencode::{self, DictEncoder, Kind, Limits, ListEncoder, Value};

/// Decodes `data`; what it yields has to fill the input exactly, and to survive being written canonically.
pub fn run(data: &[u8]) {
    for limits in [Limits::METAINFO, Limits::WIRE] {
        let prefix = bencode::decode_prefix(data, limits);
        let whole = bencode::decode(data, limits);
        match (&prefix, &whole) {
            (Ok((document, taken)), Ok(_)) => assert_eq!((document.root().raw(), *taken), (data, data.len())),
            (Ok((_, taken)), Err(_)) => assert!(*taken < data.len(), "only what follows may be wrong"),
            (Err(one), Err(two)) => assert_eq!(one, two),
            (Err(error), Ok(_)) => panic!("decoded whole, but not as a prefix: {error}"),
        }
    }
    let Ok((document, taken)) = bencode::decode_prefix(data, Limits::METAINFO) else { return };
    let mut same = Vec::new();
    concatenate(document.root(), &mut same);
    assert_eq!(same, data[..taken], "there is one way to write what was read");

    let canonical = canonical(document.root());
    let again = bencode::decode(&canonical, Limits::METAINFO).expect("what we write can be read");
    assert_eq!(self::canonical(again.root()), canonical, "canonical stays canonical");
}

/// Writes a value as it came, from the outside of the cursor only. Recursion is bounded by the depth limit.
fn concatenate(value: Value<'_>, out: &mut Vec<u8>) {
    let string = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    };
    match value.kind() {
        Kind::Int => out.extend_from_slice(format!("i{}e", value.as_int().expect("an integer")).as_bytes()),
        Kind::Bytes => string(value.as_bytes().expect("a string"), out),
        Kind::List => {
            out.push(b'l');
            value.items().for_each(|item| concatenate(item, out));
            out.push(b'e');
        }
        Kind::Dict => {
            out.push(b'd');
            for (key, value) in value.entries() {
                string(key, out);
                concatenate(value, out);
            }
            out.push(b'e');
        }
    }
}

/// Writes a value through the encoder: keys sorted, each once.
pub fn canonical(value: Value<'_>) -> Vec<u8> {
    match value.kind() {
        Kind::Int | Kind::Bytes => value.raw().to_vec(),
        Kind::List => bencode::list(|list| put_items(value, list)),
        Kind::Dict => bencode::dict(|dict| put_entries(value, dict)),
    }
}

fn put_items(value: Value<'_>, out: &mut ListEncoder<'_>) {
    for item in value.items() {
        match item.kind() {
            Kind::Int => out.int(item.as_int().expect("an integer")),
            Kind::Bytes => out.bytes(item.as_bytes().expect("a string")),
            Kind::List => out.list(|list| put_items(item, list)),
            Kind::Dict => out.dict(|dict| put_entries(item, dict)),
        }
    }
}

fn put_entries(value: Value<'_>, out: &mut DictEncoder<'_>) {
    for (key, item) in value.entries() {
        match item.kind() {
            Kind::Int => out.int(key, item.as_int().expect("an integer")),
            Kind::Bytes => out.bytes(key, item.as_bytes().expect("a string")),
            Kind::List => out.list(key, |list| put_items(item, list)),
            Kind::Dict => out.dict(key, |dict| put_entries(item, dict)),
        }
    }
}
