//! What the layer adds to a call, beside its peer in the same run, and what a refusal takes.
//!
//! `cargo bench -p breaker-layer`. Requests are made outside of the measured part; each answer is read to
//! its end within it.
#![allow(missing_docs, clippy::unwrap_used)]

use breaker_layer::BreakerLayer;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::Request;
use llm_exchange::Payload;
use testkit::shaped::{AtOnce, call, drive};
use tower::Layer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

/// A call whose facts are read already.
fn payload() -> Request<Payload> {
    Payload::read(call(), Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
}

fn calls(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let batch = BatchSize::SmallInput;

    let mut group = c.benchmark_group("breaker, closed");
    let mut bare = AtOnce(200);
    group.bench_function("bare", |b| {
        b.iter_batched(payload, |request| drive(&mut bare, request), batch);
    });
    let mut ours = BreakerLayer::new().layer(AtOnce(200));
    group.bench_function("breaker-layer", |b| {
        b.iter_batched(payload, |request| drive(&mut ours, request), batch);
    });
    let mut peer = CircuitBreakerLayer::builder()
        .build()
        .unwrap()
        .layer(AtOnce(200));
    group.bench_function("tower-resilience-circuitbreaker", |b| {
        b.iter_batched(payload, |request| drive(&mut peer, request), batch);
    });
    group.finish();

    let mut group = c.benchmark_group("breaker, open");
    let layer = BreakerLayer::new();
    let handle = layer.handle();
    let mut ours = layer.layer(AtOnce(200));
    drive(&mut ours, payload());
    let key = handle.circuits()[0].key.clone();
    assert!(handle.force_open(&key));
    group.bench_function("breaker-layer", |b| {
        b.iter_batched(payload, |request| drive(&mut ours, request), batch);
    });
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
