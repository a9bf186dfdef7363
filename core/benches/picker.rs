//! What picking costs: a block on the hot path, a `have`, and a peer that comes with a bitfield.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pieceful_core::bitfield::Bitfield;
use pieceful_core::id::{BLOCK_LEN, Block, PeerKey, PieceIndex};
use pieceful_core::picker::{Has, PickOptions, Picker, Received};
use pieceful_core::rng::{Rng, Seed};
use slotmap::SlotMap;

const PIECES: u32 = 100_000;
const BLOCKS: u32 = 16;

fn picker() -> Picker {
    let length = BLOCKS * BLOCK_LEN;
    Picker::new(PIECES, length, u64::from(PIECES) * u64::from(length))
}

/// Every other piece, a third of them, ...: a swarm whose availabilities differ.
fn swarm() -> Vec<Bitfield> {
    let mut rng = Rng::new(Seed([3; 32]));
    (2..30)
        .map(|share| {
            let mut has = Bitfield::new(PIECES);
            for piece in 0..PIECES {
                if rng.below(share) == 0 {
                    has.set(PieceIndex(piece));
                }
            }
            has
        })
        .collect()
}

/// Downloads `blocks` blocks: picked in batches, each received, written, and judged at the end of its piece.
fn stream(picker: &mut Picker, peer: PeerKey, has: Has<'_>, batch: u32, blocks: u64) -> Duration {
    let mut rng = Rng::new(Seed([1; 32]));
    let options = PickOptions { fast_peer: true, ..PickOptions::default() };
    let mut asked: Vec<Block> = Vec::new();
    // A full pipeline stands before it, as in life.
    picker.pick(peer, has, 256, &options, &mut rng, &mut asked);
    let start = Instant::now();
    let mut next = Vec::new();
    let mut done = 0;
    while done < blocks {
        next.clear();
        picker.pick(peer, has, batch, &options, &mut rng, &mut next);
        asked.extend_from_slice(&next);
        for block in asked.drain(..next.len()) {
            let Received::Wanted { piece_complete, .. } = picker.received(block, peer) else { panic!() };
            picker.written(block);
            if piece_complete {
                black_box(picker.passed(block.piece));
                picker.lost(block.piece); // so that the download never ends
            }
        }
        done += next.len() as u64;
        if next.is_empty() {
            break;
        }
    }
    start.elapsed() * blocks as u32 / done.max(1) as u32
}

fn blocks(criterion: &mut Criterion) {
    let mut keys: SlotMap<PeerKey, ()> = SlotMap::with_key();
    let peer = keys.insert(());
    let swarm = swarm();
    let mut group = criterion.benchmark_group("picker block");
    group.throughput(Throughput::Elements(1));
    for batch in [1, 16, 64] {
        group.bench_function(format!("from a seed, {batch} a call"), |bencher| {
            let mut picker = picker();
            picker.saw_seed();
            bencher.iter_custom(|count| {
                picker.give_back_all(peer);
                stream(&mut picker, peer, Has::All, batch, count)
            });
        });
    }
    group.bench_function("from a peer with a tenth, in a swarm", |bencher| {
        let mut picker = picker();
        swarm.iter().for_each(|has| picker.saw_bitfield(has));
        bencher.iter_custom(|count| {
            picker.give_back_all(peer);
            stream(&mut picker, peer, Has::Some(&swarm[8]), 16, count)
        });
    });
    group.finish();
}

fn availability(criterion: &mut Criterion) {
    let swarm = swarm();
    let mut picker = picker();
    swarm.iter().for_each(|has| picker.saw_bitfield(has));
    // Sorts, once.
    let mut keys: SlotMap<PeerKey, ()> = SlotMap::with_key();
    let mut rng = Rng::new(Seed([1; 32]));
    (0..8).for_each(|_| {
        let mut out = Vec::new();
        picker.pick(keys.insert(()), Has::All, 64, &PickOptions::default(), &mut rng, &mut out);
    });
    let mut group = criterion.benchmark_group("picker availability, 100,000 pieces");
    group.bench_function("have", |bencher| {
        let mut piece = 0;
        bencher.iter(|| {
            piece = (piece + 7_919) % PIECES;
            picker.saw_have(PieceIndex(piece));
        });
    });
    group.bench_function("bitfield of a half comes, next piece is begun, it goes", |bencher| {
        bencher.iter(|| {
            picker.saw_bitfield(&swarm[0]);
            let mut out = Vec::new();
            let peer = keys.insert(());
            picker.pick(peer, Has::All, 64, &PickOptions::default(), &mut rng, &mut out);
            picker.gone_bitfield(&swarm[0]);
            picker.give_back_all(peer);
            keys.remove(peer);
        });
    });
    group.bench_function("bitfield of a thirtieth comes and goes", |bencher| {
        bencher.iter(|| {
            picker.saw_bitfield(&swarm[27]);
            picker.gone_bitfield(&swarm[27]);
        });
    });
    group.bench_function("interest in a peer that has nothing new", |bencher| {
        let nothing = Bitfield::new(PIECES);
        bencher.iter(|| picker.is_interesting(black_box(Has::Some(&nothing))));
    });
    group.finish();
}

criterion_group!(benches, blocks, availability);
criterion_main!(benches);
