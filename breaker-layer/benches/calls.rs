//! What the layer adds to a call, beside its peer in the same run: closed, with windows of several sizes,
//! and open.
//!
//! `cargo bench -p breaker-layer --bench calls`. Requests are made outside of the measured part; the answer
//! is read to its end within it.
#![allow(missing_docs, clippy::unwrap_used)]

use breaker_layer::{BreakerLayer, Window};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::Request;
use http_body_util::Full;
use llm_exchange::Payload;
use testkit::shaped::{AtOnce, call, drive};
use tower::Layer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

fn payload() -> Request<Payload> {
    Payload::read(call(), 1 << 20).now_or_never().unwrap()
}

fn full() -> Request<Full<Bytes>> {
    call()
}

const BATCH: BatchSize = BatchSize::SmallInput;

fn closed(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, one successful call");
    let mut bare = AtOnce(200);
    group.bench_function(BenchmarkId::new("bare", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut bare, request), BATCH);
    });
    let mut service = BreakerLayer::new().layer(AtOnce(200));
    group.bench_function(BenchmarkId::new("breaker-layer", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), BATCH);
    });
    for calls in [10, 1_000, 100_000] {
        let layer = BreakerLayer::new()
            .failure_rate(50)
            .unwrap()
            .window(Window::calls(calls).unwrap());
        let mut service = layer.layer(AtOnce(200));
        let name = format!("breaker-layer, window of {calls}");
        group.bench_function(BenchmarkId::new(name, "payload"), |b| {
            b.iter_batched(payload, |request| drive(&mut service, request), BATCH);
        });
    }
    let mut bare = AtOnce(200);
    group.bench_function(BenchmarkId::new("bare", "full"), |b| {
        b.iter_batched(full, |request| drive(&mut bare, request), BATCH);
    });
    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut service = layer.layer(AtOnce(200));
    group.bench_function(
        BenchmarkId::new("tower-resilience-circuitbreaker", "full"),
        |b| {
            b.iter_batched(full, |request| drive(&mut service, request), BATCH);
        },
    );
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, one refused call");
    let layer = BreakerLayer::new();
    let mut service = layer.layer(AtOnce(200));
    drive(&mut service, payload());
    assert!(layer.handle().force_open("gpt-6-sol@api.example.com"));
    group.bench_function(BenchmarkId::new("breaker-layer", "payload"), |b| {
        b.iter_batched(payload, |request| drive(&mut service, request), BATCH);
    });
    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut service = layer.layer(AtOnce(200));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(service.force_open());
    group.bench_function(
        BenchmarkId::new("tower-resilience-circuitbreaker", "full"),
        |b| {
            b.iter_batched(full, |request| drive(&mut service, request), BATCH);
        },
    );
    group.finish();
}

criterion_group!(benches, closed, open);
criterion_main!(benches);
