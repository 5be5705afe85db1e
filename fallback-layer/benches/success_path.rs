//! What the layer adds to a call that its first target serves at once, beside its peers in the same
//! run.
//!
//! `cargo bench -p fallback-layer --bench success_path`. Requests are made outside of the measured
//! part; the answer is dropped within it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../../retry-layer/benches/common/mod.rs"]
mod common;
mod services;

use common::{PROVIDER, drive, full, payload};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use services::{ours, peer, tower_retry};

fn success_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("fallback, one call served at once");
    let batch = BatchSize::SmallInput;

    let mut service = PROVIDER;
    group.bench_function(BenchmarkId::new("bare", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });
    let mut service = ours();
    group.bench_function(BenchmarkId::new("fallback-layer", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });
    let mut service = tower_retry();
    group.bench_function(BenchmarkId::new("tower::retry", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });

    let mut service = PROVIDER;
    group.bench_function(BenchmarkId::new("bare", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    let mut service = tower_retry();
    group.bench_function(BenchmarkId::new("tower::retry", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    let mut service = peer();
    group.bench_function(BenchmarkId::new("tower-resilience-fallback", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    group.finish();
}

criterion_group!(benches, success_path);
criterion_main!(benches);
