//! Torrent files: whatever is accepted can be laid out, and leads to no unsafe path.

use std::collections::BTreeSet;

use bytes::Bytes;
use pieceful_core::disk::Layout;
use pieceful_core::metainfo::{
    COMPONENT_LEN_MAX, Info, Metainfo, PATH_DEPTH_MAX, PIECE_LENGTH_MAX, PIECES_MAX, SafePath,
    TOTAL_LENGTH_MAX,
};

/// Reads `data` as a .torrent file and as bare metadata, and as the components of a path.
pub fn run(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let path = SafePath::mapped(data.split(|&b| b == b'\n'));
    assert_safe(&path);
    assert_eq!(SafePath::new(path.components()), Some(path.clone()), "what is safe stays as it is");

    if let Ok(metainfo) = Metainfo::parse(bytes.clone()) {
        check(&metainfo.info);
        assert_eq!(
            Info::parse(metainfo.info.raw.clone()).as_ref(),
            Ok(&metainfo.info),
            "alone it is the same"
        );
        assert!(metainfo.trackers.iter().all(|tier| !tier.is_empty()));
        assert_eq!(metainfo.to_magnet().info_hash, metainfo.info.info_hash);
    }
    if let Ok(info) = Info::parse(bytes) {
        check(&info);
    }
}

fn check(info: &Info) {
    assert!((1..=PIECE_LENGTH_MAX).contains(&info.piece_length));
    assert!((1..=TOTAL_LENGTH_MAX).contains(&info.total_length));
    assert!(info.piece_count() <= PIECES_MAX);
    assert_eq!(u64::from(info.piece_count()), info.total_length.div_ceil(u64::from(info.piece_length)));
    assert_eq!(info.files.iter().map(|file| file.length).sum::<u64>(), info.total_length);
    let layout = Layout::of(info).expect("what was checked can be laid out");
    assert_eq!(layout.total(), info.total_length);

    let mut stored = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for file in info.stored_files() {
        assert_safe(&file.path);
        assert!(file.path.components().len() <= PATH_DEPTH_MAX);
        let path = file.path.as_str().to_ascii_lowercase();
        for (end, _) in path.match_indices('/') {
            folders.insert(path[..end].to_string());
        }
        assert!(stored.insert(path), "{} is there twice", file.path);
    }
    assert!(stored.is_disjoint(&folders), "a file is in the way of a folder");
}

fn assert_safe(path: &SafePath) {
    assert!(path.components().len() > 0);
    for component in path.components() {
        assert!(!matches!(component, "" | "." | ".."), "{path:?}");
        assert!(component.len() <= COMPONENT_LEN_MAX, "{path:?}");
        assert!(!component.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')), "{path:?}");
    }
}
