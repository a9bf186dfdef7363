//! Torrents made by hand, each with one thing wrong or odd. The letters and numbers are those of the incidents
//! in other clients that they repeat.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use sha1::Digest as _;

use super::*;
use crate::bencode::{BencodeError, DictEncoder, ListEncoder, dict};
use crate::disk::Layout;
use crate::id::{Digest, PieceIndex};

/// A torrent whose `info` is put by `info`.
fn torrent(info: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    dict(|d| d.dict(b"info", info))
}

/// A single file of 20,000 bytes in two pieces; what `change` puts comes first and so counts.
fn single(change: impl FnOnce(&mut DictEncoder<'_>)) -> Vec<u8> {
    torrent(|info| {
        change(info);
        info.int(b"length", 20_000);
        info.bytes(b"name", b"file.bin");
        info.int(b"piece length", 16_384);
        info.bytes(b"pieces", &[7; 40]);
    })
}

/// Several files in one piece of 1 MiB, below a folder called `t`.
fn folder(files: impl FnOnce(&mut ListEncoder<'_>)) -> Vec<u8> {
    torrent(|info| {
        info.list(b"files", files);
        info.bytes(b"name", b"t");
        info.int(b"piece length", 1 << 20);
        info.bytes(b"pieces", &[7; 20]);
    })
}

fn file(list: &mut ListEncoder<'_>, length: i64, path: &[&[u8]]) {
    list.dict(|d| {
        d.int(b"length", length);
        d.list(b"path", |parts| path.iter().for_each(|part| parts.bytes(part)));
    });
}

fn parse(bytes: Vec<u8>) -> Metainfo {
    Metainfo::parse(bytes).unwrap()
}

fn fails(bytes: Vec<u8>) -> MetainfoError {
    Metainfo::parse(bytes).expect_err("this is no torrent")
}

fn paths(bytes: Vec<u8>) -> Vec<String> {
    parse(bytes).info.files.iter().map(|file| file.path.to_string()).collect()
}

#[test]
fn a_single_file_is_read() {
    let bytes = single(|_| {});
    let info_hash = sha1::Sha1::digest(&bytes[b"d4:info".len()..bytes.len() - 1]);
    let Metainfo { info, trackers, .. } = parse(bytes);
    assert_eq!(info.info_hash.v1(), Some(info_hash.into()));
    assert_eq!((info.name.as_str(), info.total_length, info.piece_count()), ("file.bin", 20_000, 2));
    assert_eq!((info.piece_len(PieceIndex(0)), info.piece_len(PieceIndex(1))), (16_384, 3_616));
    assert_eq!(info.piece_hash(PieceIndex(1)), Some(Digest::Sha1([7; 20])));
    assert_eq!(info.piece_hash(PieceIndex(2)), None);
    assert_eq!(info.files[0].path.to_string(), "file.bin");
    assert!(trackers.is_empty() && !info.private);
    assert_eq!(Info::parse(info.raw.clone()), Ok(info), "alone it reads the same");
}

#[test]
fn several_files_are_read_below_the_name_with_padding_and_attributes() {
    let bytes = folder(|list| {
        file(list, 0, &[b"empty"]);
        list.dict(|d| {
            d.bytes(b"attr", b"xh");
            d.int(b"length", 10);
            d.list(b"path", |path| ["bin", "run"].iter().for_each(|part| path.bytes(part.as_bytes())));
        });
        list.dict(|d| {
            d.bytes(b"attr", b"p");
            d.int(b"length", 6);
        });
        file(list, 5, &[b"_____padding_file_0_if you see this file"]);
        list.dict(|d| {
            d.bytes(b"attr", b"l");
            d.list(b"path", |path| path.bytes(b"link"));
            d.list(b"symlink path", |path| path.bytes(b"/etc/passwd"));
        });
        file(list, 1, &[b"last"]);
    });
    let info = parse(bytes).info;
    assert_eq!((info.total_length, info.stored_length()), (22, 11));
    let stored: Vec<_> = info.stored_files().map(|f| (f.path.as_str(), f.length, f.executable)).collect();
    assert_eq!(stored, [("t/empty", 0, false), ("t/bin/run", 10, true), ("t/last", 1, false)]);
    assert_eq!(info.files[2].path.as_str(), "t/.pad/6");
    assert!(info.files[2].padding && info.files[3].padding && info.files[4].symlink);
    let layout = Layout::of(&info).unwrap();
    assert_eq!(layout.files().iter().filter(|file| file.path.is_some()).count(), 3);
}

#[test]
fn utf8_variants_come_first_when_they_are_what_they_say() {
    let bytes = folder(|list| {
        list.dict(|d| {
            d.int(b"length", 1);
            d.list(b"path", |path| path.bytes(b"na\xefve"));
            d.list(b"path.utf-8", |path| path.bytes("naïve".as_bytes()));
        });
        list.dict(|d| {
            d.int(b"length", 1);
            d.list(b"path", |path| path.bytes(b"plain"));
            d.list(b"path.utf-8", |path| path.bytes(b"\xff"));
        });
    });
    assert_eq!(paths(bytes), ["t/naïve", "t/plain"]);
    let name = |bytes| parse(bytes).info.name;
    assert_eq!(name(single(|info| info.bytes(b"name.utf-8", "☃".as_bytes()))), "☃");
    assert_eq!(name(single(|info| info.bytes(b"name.utf-8", b"\xff"))), "file.bin");
    assert_eq!(name(single(|info| info.bytes(b"name", b"caf\xe9"))), "caf_");
}

#[test]
fn a_name_of_which_nothing_is_left_becomes_the_info_hash() {
    for name in [&b".."[..], b".", b"/", b"", b". .", b"\x07"] {
        let info = parse(single(|info| info.bytes(b"name", name))).info;
        assert_eq!(info.name, info.info_hash.to_hex());
        assert_eq!(info.files[0].path.as_str(), info.name);
    }
}

#[test]
fn what_is_around_the_info_is_read_leniently() {
    let info = single(|info| info.int(b"private", 1));
    let info = &info[b"d4:info".len()..info.len() - 1];
    let metainfo = parse(dict(|d| {
        d.bytes(b"announce", b"http://ignored/");
        d.list(b"announce-list", |tiers| {
            tiers.list(|tier| tier.bytes(b" http://a/ "));
            tiers.list(|tier| {
                tier.bytes(b"");
                tier.int(7);
                tier.bytes(b"http://a/");
                tier.bytes(b"bad\r\nHost: evil");
            });
            tiers.bytes(b"udp://b:1");
            tiers.list(|tier| {
                tier.bytes(b"http://c/");
                tier.bytes(b"http://d/");
            });
        });
        d.bytes(b"comment", b"caf\xe9");
        d.bytes(b"created by", b"someone");
        d.bytes(b"creation date", b"yesterday");
        d.raw(b"info", info);
        d.list(b"nodes", |nodes| {
            nodes.list(|node| {
                node.bytes(b"router.example");
                node.int(6881);
            });
            nodes.list(|node| {
                node.bytes(b"router.example");
                node.int(65_536);
            });
            nodes.list(|node| node.bytes(b"2001:db8::1"));
            nodes.int(1);
        });
        d.bytes(b"url-list", b"http://w/");
    }));
    assert_eq!(metainfo.trackers, [vec!["http://a/"], vec!["udp://b:1"], vec!["http://c/", "http://d/"]]);
    assert_eq!(metainfo.web_seeds, ["http://w/"]);
    assert_eq!(metainfo.nodes, [("router.example".to_string(), 6881)]);
    assert_eq!(
        (metainfo.comment.as_deref(), metainfo.created_by.as_deref()),
        (Some("caf\u{fffd}"), Some("someone"))
    );
    assert_eq!(metainfo.creation_date, None);
    assert!(metainfo.info.private);
    let magnet = metainfo.to_magnet();
    assert_eq!(magnet.trackers, ["http://a/", "udp://b:1", "http://c/", "http://d/"]);
    assert_eq!(magnet.to_string().parse(), Ok(magnet));
}

#[test]
fn an_empty_announce_list_leaves_the_announce() {
    let info = single(|_| {});
    let metainfo = parse(dict(|d| {
        d.bytes(b"announce", b"http://t/");
        d.list(b"announce-list", |tiers| tiers.list(|tier| tier.bytes(b"")));
        d.raw(b"info", &info[b"d4:info".len()..info.len() - 1]);
        d.list(b"url-list", |urls| {
            urls.bytes(b"http://w/1");
            urls.bytes(b"http://w/2");
        });
    }));
    assert_eq!(metainfo.trackers, [["http://t/"]]);
    assert_eq!(metainfo.web_seeds, ["http://w/1", "http://w/2"]);
}

#[test]
fn unsorted_keys_are_read_and_hashed_as_they_came() {
    let info = b"d6:pieces20:aaaaaaaaaaaaaaaaaaaa4:name1:f12:piece lengthi16384e6:lengthi5ee";
    let metainfo = parse([b"d1:zi0e4:info", &info[..], b"e"].concat());
    assert_eq!(metainfo.info.raw, &info[..]);
    assert_eq!(metainfo.info.info_hash.v1(), Some(sha1::Sha1::digest(info).into()));
}

#[test]
fn white_space_after_the_end_is_no_part_of_a_torrent_and_anything_else_is_an_error() {
    let plain = single(|_| ());
    for end in ["\n", "\r\n", " \n\n"] {
        let odd = [&plain[..], end.as_bytes()].concat();
        assert_eq!(parse(odd).info.info_hash, parse(plain.clone()).info.info_hash);
    }
    let more = [&plain[..], b"\nx"].concat();
    assert_eq!(fails(more), MetainfoError::Bencode(BencodeError::Trailing { left: 2 }));
}

#[test]
fn a_hybrid_is_read_as_v1_with_both_hashes_and_v2_alone_is_refused() {
    let v2 = |info: &mut DictEncoder<'_>| {
        info.dict(b"file tree", |_| {});
        info.int(b"meta version", 2);
    };
    let info = parse(single(v2)).info;
    assert_eq!(info.info_hash.v1(), Some(sha1::Sha1::digest(&info.raw).into()));
    assert_eq!(info.info_hash.v2(), Some(sha2::Sha256::digest(&info.raw).into()));
    let only_v2 = torrent(|info| {
        v2(info);
        info.bytes(b"name", b"x");
        info.int(b"piece length", 16_384);
    });
    let error = fails(only_v2);
    assert_eq!(error, MetainfoError::OnlyV2);
    assert!(error.to_string().contains("v2"));
}

#[test]
fn e1_deep_nesting_is_refused() {
    assert!(matches!(fails(vec![b'l'; 1_000_000]), MetainfoError::Bencode(BencodeError::Depth { .. })));
    let nested = b"d4:info".iter().copied().chain(b"d1:a".repeat(100_000)).collect();
    assert!(matches!(fails(nested), MetainfoError::Bencode(BencodeError::Depth { .. })));
}

#[test]
fn e4_a_piece_length_of_nothing_or_too_much_is_refused() {
    for got in [0, -1, i64::MIN, i64::from(PIECE_LENGTH_MAX) + 1, i64::MAX] {
        let bytes = single(|info| info.int(b"piece length", got));
        assert_eq!(fails(bytes), MetainfoError::PieceLength { got, max: PIECE_LENGTH_MAX });
    }
    let bytes = single(|info| info.bytes(b"piece length", b"16384"));
    assert_eq!(fails(bytes), MetainfoError::WrongType("piece length"));
    let odd = single(|info| info.int(b"piece length", 10_001));
    assert_eq!(parse(odd).info.piece_len(PieceIndex(1)), 9_999, "v1 needs no power of two");
}

#[test]
fn e5_there_are_exactly_as_many_hashes_as_pieces() {
    for (len, error) in [
        (0, MetainfoError::PieceCount { got: 0, want: 2 }),
        (20, MetainfoError::PieceCount { got: 1, want: 2 }),
        (60, MetainfoError::PieceCount { got: 3, want: 2 }),
        (41, MetainfoError::PieceHashes { len: 41 }),
    ] {
        assert_eq!(fails(single(|info| info.bytes(b"pieces", &vec![0; len]))), error);
    }
    assert_eq!(fails(single(|info| info.int(b"pieces", 40))), MetainfoError::WrongType("pieces"));
    let many = single(|info| {
        info.int(b"piece length", 1);
        info.int(b"length", i64::from(PIECES_MAX) + 1);
    });
    assert_eq!(fails(many), MetainfoError::TooManyPieces { got: u64::from(PIECES_MAX) + 1, max: PIECES_MAX });
}

#[test]
fn e6_lengths_that_overflow_or_are_negative_are_refused() {
    let long = MetainfoError::TotalLength { max: TOTAL_LENGTH_MAX };
    assert_eq!(fails(single(|info| info.int(b"length", i64::MAX))), long);
    assert_eq!(fails(folder(|list| (0..3).for_each(|n| file(list, i64::MAX, &[&[b'a' + n]])))), long);
    assert_eq!(fails(single(|info| info.int(b"length", -1))), MetainfoError::FileLength { file: 0 });
    let second = folder(|list| [1, -5].iter().for_each(|&length| file(list, length, &[b"x"])));
    assert_eq!(fails(second), MetainfoError::FileLength { file: 1 });
}

#[test]
fn a_torrent_without_data_is_refused() {
    assert_eq!(fails(folder(|_| {})), MetainfoError::Empty);
    assert_eq!(fails(folder(|list| file(list, 0, &[b"a"]))), MetainfoError::Empty);
    let empty = single(|info| {
        info.int(b"length", 0);
        info.bytes(b"pieces", b"");
    });
    assert_eq!(fails(empty), MetainfoError::Empty);
}

#[test]
fn e8_no_path_leads_out_of_the_folder() {
    let bytes = folder(|list| {
        file(list, 1, &[b"..", b"..", b"etc", b"passwd"]);
        file(list, 1, &[b"../../etc/shadow"]);
        file(list, 1, &[b"/absolute"]);
        file(list, 1, &[b"c:\\windows\\x"]);
        file(list, 1, &[b"", b"empty"]);
        file(list, 1, &[b"nul\0byte"]);
        file(list, 1, &[b".."]);
    });
    let want = [
        "t/_/_/etc/passwd",
        "t/....etcshadow",
        "t/absolute",
        "t/c:windowsx",
        "t/_/empty",
        "t/nul_byte",
        "t/_.1", // `_` is the folder of others
    ];
    assert_eq!(paths(bytes), want);
}

#[test]
fn e10_collisions_and_depth_have_a_limit() {
    let twins = folder(|list| (0..3).for_each(|_| file(list, 1, &[b"a", b"b.txt"])));
    assert_eq!(paths(twins), ["t/a/b.txt", "t/a/b.1.txt", "t/a/b.2.txt"]);
    let swarm = folder(|list| (0..2_000).for_each(|_| file(list, 1, &[b"a"])));
    assert!(matches!(fails(swarm), MetainfoError::TooManyCollisions { .. }));
    let deep = |depth| folder(|list| file(list, 1, &vec![&b"d"[..]; depth]));
    assert_eq!(parse(deep(63)).info.files[0].path.components().len(), 64);
    assert_eq!(fails(deep(64)), MetainfoError::TooDeep { file: 0, depth: 65, max: 64 });
}

#[test]
fn what_is_missing_or_of_the_wrong_type_is_named() {
    let without = |left_out: &str| {
        let put = |info: &mut DictEncoder<'_>, key: &str, value: &[u8]| {
            if key != left_out {
                info.raw(key.as_bytes(), value);
            }
        };
        torrent(|info| {
            put(info, "length", b"i1e");
            put(info, "name", b"1:f");
            put(info, "piece length", b"i1e");
            put(info, "pieces", &[b"20:", &[0; 20][..]].concat());
        })
    };
    assert!(Metainfo::parse(without("nothing")).is_ok());
    for key in ["length", "name", "piece length", "pieces"] {
        assert_eq!(fails(without(key)).to_string(), format!("the torrent has no {key:?}"));
    }
    assert_eq!(fails(b"de".to_vec()), MetainfoError::Missing("info"));
    assert_eq!(fails(b"le".to_vec()), MetainfoError::WrongType("torrent"));
    assert_eq!(fails(b"d4:infoi1ee".to_vec()), MetainfoError::WrongType("info"));
    assert_eq!(fails(single(|info| info.int(b"name", 1))), MetainfoError::WrongType("name"));
    assert_eq!(fails(single(|info| info.int(b"files", 1))), MetainfoError::WrongType("files"));
    assert_eq!(fails(folder(|list| list.dict(|d| d.int(b"length", 1)))), MetainfoError::FilePath { file: 0 });
    assert_eq!(fails(folder(|list| file(list, 1, &[]))), MetainfoError::FilePath { file: 0 });
    assert_eq!(fails(folder(|list| list.int(1))), MetainfoError::FileLength { file: 0 });
}

#[test]
fn a_file_beyond_the_size_limit_is_not_even_decoded() {
    let error = MetainfoError::TooLarge { len: FILE_LEN_MAX + 1, max: FILE_LEN_MAX };
    assert_eq!(fails(vec![b'l'; FILE_LEN_MAX + 1]), error);
    let error = MetainfoError::TooLarge { len: METADATA_LEN_MAX + 1, max: METADATA_LEN_MAX };
    assert_eq!(Info::parse(vec![0; METADATA_LEN_MAX + 1].into()), Err(error));
    assert!(matches!(fails(single(|_| {}).repeat(2)), MetainfoError::Bencode(BencodeError::Trailing { .. })));
}
