//! How long a large torrent takes to read: 100,000 pieces and 10,000 files, 2.8 MB.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pieceful_core::bencode::{self, Limits};
use pieceful_core::metainfo::{Content, Metainfo, NewFile, NewTorrent};

fn large_torrent() -> Bytes {
    const PIECES: u64 = 100_000;
    const FILES: u64 = 10_000;
    const PIECE_LENGTH: u32 = 256 << 10;
    let file = |n: u64| NewFile {
        path: vec![
            format!("Disc {:02}", n / 100),
            format!("Chapter {}", n / 10),
            format!("{n:05} - Träck name.flac"),
        ],
        length: PIECES * u64::from(PIECE_LENGTH) / FILES,
        executable: false,
    };
    let torrent = NewTorrent {
        name: "A large collection of many files".into(),
        content: Content::Folder((0..FILES).map(file).collect()),
        piece_length: PIECE_LENGTH,
        pieces: (0..PIECES * 20).map(|n| ((n * 31) >> 3) as u8).collect::<Vec<u8>>().into(),
        trackers: vec![vec!["http://tracker.example/announce".into()]],
        ..NewTorrent::default()
    };
    torrent.to_bytes().expect("the torrent is valid").into()
}

fn parse(c: &mut Criterion) {
    let torrent = large_torrent();
    let metainfo = Metainfo::parse(torrent.clone()).expect("the torrent is valid");
    assert_eq!((metainfo.info.piece_count(), metainfo.info.files.len()), (100_000, 10_000));
    let mut group = c.benchmark_group("100k pieces, 10k files");
    group.throughput(Throughput::Bytes(torrent.len() as u64));
    group.bench_function("metainfo", |b| b.iter(|| Metainfo::parse(black_box(torrent.clone()))));
    group.bench_function("bencode alone", |b| {
        b.iter(|| bencode::decode(black_box(&torrent), Limits::METAINFO).is_ok());
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
