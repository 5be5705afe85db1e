//! What the layer adds to a call that succeeds at once, beside its peers in the same run.
//!
//! `cargo bench -p retry-layer --bench success_path`. Requests are made outside of the measured
//! part; the answer is dropped within it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod common;

use common::{ClonePolicy, PROVIDER, drive, full, payload};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use retry_layer::RetryLayer;
use tower::{Layer, retry};

fn success_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry, one successful call");
    let batch = BatchSize::SmallInput;

    let mut service = PROVIDER;
    group.bench_function(BenchmarkId::new("bare", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });
    let mut service = RetryLayer::new().layer(PROVIDER);
    group.bench_function(BenchmarkId::new("retry-layer", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });
    let mut service = retry::RetryLayer::new(ClonePolicy(5)).layer(PROVIDER);
    group.bench_function(BenchmarkId::new("tower::retry", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), batch);
    });

    let mut service = PROVIDER;
    group.bench_function(BenchmarkId::new("bare", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    let mut service = retry::RetryLayer::new(ClonePolicy(5)).layer(PROVIDER);
    group.bench_function(BenchmarkId::new("tower::retry", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    let layer = tower_resilience_retry::RetryLayer::builder()
        .max_attempts(6)
        .build();
    let mut service = layer.layer(PROVIDER);
    group.bench_function(BenchmarkId::new("tower-resilience-retry", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut service, request), batch);
    });
    group.finish();
}

criterion_group!(benches, success_path);
criterion_main!(benches);
