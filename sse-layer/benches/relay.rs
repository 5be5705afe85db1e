//! A stream of 50,000 events through both layers, every clock, the cap and the meter on, beside what
//! `sse-core` needs merely to decode it, in the same run.
//!
//! `cargo bench -p sse-layer --bench relay`. The chunks are kept for the next run, so that to free
//! them is in nobody's time.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod common;

use common::{bare, cut, decoded_by_sse_core, every, stream, through_the_layers};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: usize = 50_000;

fn relay(c: &mut Criterion) {
    let (stream, ends) = stream(EVENTS);
    for (name, chunks) in [
        ("relay/one event per chunk", cut(&stream, ends)),
        ("relay/16 KiB chunks", every(16 << 10, &stream)),
    ] {
        assert_eq!(through_the_layers(chunks.clone()), stream.len());
        assert_eq!(decoded_by_sse_core(chunks.clone()), EVENTS + 2);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(EVENTS as u64));
        for (row, run) in [
            ("sse-layer", through_the_layers as fn(_) -> _),
            ("sse-core, decoding only", decoded_by_sse_core),
            ("bare", bare),
        ] {
            group.bench_function(row, |b| {
                b.iter_batched(|| chunks.clone(), run, BatchSize::LargeInput);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, relay);
criterion_main!(benches);
