//! How fast a stream becomes messages: blocks in 256 KiB reads as on a fast download, and small messages.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pieceful_core::id::{BLOCK_LEN, Block, PieceIndex};
use pieceful_core::wire::{Decoder, DecoderLimits, Message, encode};

const READ: usize = 256 << 10;

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/decode");
    let blocks = stream(|out, count| {
        let block = Block { piece: PieceIndex(count / 64), offset: count % 64 * BLOCK_LEN, len: BLOCK_LEN };
        encode::piece_header(block, out);
        out.resize(out.len() + BLOCK_LEN as usize, count as u8);
    });
    let haves = stream(|out, count| Message::Have(PieceIndex(count)).encode(out));
    let requests = stream(|out, count| {
        encode::request(Block { piece: PieceIndex(count), offset: 0, len: BLOCK_LEN }, out);
    });
    for (name, reads) in [("blocks", blocks), ("have", haves), ("request", requests)] {
        let mut messages = 0;
        drain(&reads, |_| messages += 1);
        group.throughput(Throughput::ElementsAndBytes {
            elements: messages,
            bytes: reads.iter().map(|read| read.len() as u64).sum(),
        });
        group.bench_function(name, |b| b.iter(|| drain(&reads, |message| drop(black_box(message)))));
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/encode");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("request", |b| {
        b.iter_batched_ref(
            || Vec::with_capacity(17_000),
            |out| {
                for piece in 0..1000 {
                    encode::request(black_box(Block { piece: PieceIndex(piece), offset: 0, len: 1 }), out);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// 16 reads' worth of messages, which the reads cut wherever they end.
fn stream(mut one: impl FnMut(&mut Vec<u8>, u32)) -> Vec<Bytes> {
    let mut bytes = Vec::new();
    for count in 0.. {
        if bytes.len() >= 16 * READ {
            break;
        }
        one(&mut bytes, count);
    }
    bytes.chunks(READ).map(Bytes::copy_from_slice).collect()
}

fn drain(reads: &[Bytes], mut each: impl FnMut(Message)) {
    let mut decoder = Decoder::new(DecoderLimits::default());
    for read in reads {
        decoder.push(read.clone());
        while let Some(message) = decoder.next().expect("a valid stream") {
            each(message);
        }
    }
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
