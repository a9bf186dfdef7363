//! Torrent files and magnet links: no accepted input leads anywhere unsafe, and reading undoes writing.

use pieceful_core::bencode;
use pieceful_core::metainfo::{Content, Magnet, Metainfo, NewFile, NewTorrent, SafePath};
use proptest::collection::vec;
use proptest::prelude::*;

/// Components as hostile and as ordinary torrents have them.
fn component() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(
            &["", ".", "..", "...", "a", "A", "a.txt", "CON", "com1.x", " ", "a ", "b."][..]
        )
        .prop_map(|name| name.as_bytes().to_vec()),
        "[a-cA-C./\\\\ \u{202e}\0\n]{0,6}".prop_map(String::into_bytes),
        "\\PC{0,90}\\.[a-z]{0,20}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..20),
        "[x語]{0,300}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn files_of_any_name_get_safe_paths_of_their_own(files in vec((vec(component(), 1..5), 0..3_i64), 1..30)) {
        let total: i64 = files.iter().map(|(_, length)| length).sum();
        let torrent = bencode::dict(|d| d.dict(b"info", |info| {
            info.list(b"files", |list| for (path, length) in &files {
                list.dict(|file| {
                    file.int(b"length", *length);
                    file.list(b"path", |parts| path.iter().for_each(|part| parts.bytes(part)));
                });
            });
            info.bytes(b"name", &files[0].0[0]);
            info.int(b"piece length", 1);
            info.bytes(b"pieces", &vec![0; total as usize * 20]);
        }));
        pieceful_fuzz::metainfo::run(&torrent);
        let read = Metainfo::parse(torrent.clone());
        prop_assert_eq!(read.is_ok(), total > 0, "only a torrent without data is refused: {:?}", read);
        prop_assert_eq!(read, Metainfo::parse(torrent), "the same file gives the same names");
    }

    #[test]
    fn a_mapped_path_is_left_alone_by_a_second_mapping(components in vec(component(), 0..6)) {
        let path = SafePath::mapped(&components);
        prop_assert_eq!(&SafePath::mapped(path.components()), &path);
        prop_assert_eq!(path.components().collect::<Vec<_>>().join("/"), path.to_string());
    }

    #[test]
    fn what_is_created_is_read_back(
        name in "[a-z]{1,12}",
        lengths in vec(0..100_000_u64, 1..20),
        piece_length in 1..200_000_u32,
        private: bool,
        hash in any::<u8>(),
    ) {
        let total: u64 = lengths.iter().sum();
        prop_assume!(total > 0);
        let file = |(place, &length): (usize, &u64)| {
            NewFile { path: vec!["sub".into(), place.to_string()], length, executable: place % 3 == 0 }
        };
        let new = NewTorrent {
            name,
            content: Content::Folder(lengths.iter().enumerate().map(file).collect()),
            piece_length,
            pieces: vec![hash; total.div_ceil(u64::from(piece_length)) as usize * 20].into(),
            private,
            ..NewTorrent::default()
        };
        let info = Metainfo::parse(new.to_bytes().unwrap()).unwrap().info;
        prop_assert_eq!(&info.name, &new.name);
        prop_assert_eq!((info.piece_length, info.private), (piece_length, private));
        prop_assert_eq!(info.files.iter().map(|file| file.length).collect::<Vec<_>>(), lengths);
        prop_assert_eq!(info.pieces, new.pieces);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_harm(data in vec(any::<u8>(), 0..300)) {
        pieceful_fuzz::metainfo::run(&data);
        pieceful_fuzz::magnet::run(&data);
    }

    #[test]
    fn a_magnet_link_says_the_same_after_printing(
        info_hash in "[0-9a-fA-F]{40}",
        name in "\\PC{0,20}",
        hints in "(&(tr|ws|x\\.pe|so|dn|tr\\.1)=[a-z0-9:/%\\[\\]+,.-]{0,12}){0,6}",
    ) {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let link = format!("magnet:?xt=urn:btih:{info_hash}&dn={escaped}{hints}");
        pieceful_fuzz::magnet::run(link.as_bytes());
        if let Ok(magnet) = link.parse::<Magnet>() {
            prop_assert_eq!(magnet.info_hash.to_hex(), info_hash.to_lowercase());
            prop_assert!(name.is_empty() || magnet.name == Some(name));
        }
    }
}
