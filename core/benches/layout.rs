//! What it costs to find the files of a block, in a torrent of one file and of many.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pieceful_core::disk::{Layout, LayoutFile};
use pieceful_core::id::PieceIndex;

fn spans(c: &mut Criterion) {
    let mut group = c.benchmark_group("layout/spans");
    for (files, len) in [(1, 1 << 30), (10_000, 100 << 10), (1_000_000, 1 << 10)] {
        let layout =
            Layout::new(1 << 20, (0..files).map(|_| LayoutFile::unnamed(len))).expect("a valid layout");
        let blocks: Vec<_> = (0..layout.pieces())
            .step_by(layout.pieces() as usize / 16)
            .flat_map(|piece| layout.blocks(PieceIndex(piece)).take(4))
            .collect();
        group.throughput(Throughput::Elements(blocks.len() as u64));
        group.bench_with_input(BenchmarkId::new("files", files), &blocks, |b, blocks| {
            b.iter(|| {
                for block in blocks {
                    for span in layout.spans(black_box(*block)) {
                        black_box(span);
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, spans);
criterion_main!(benches);
