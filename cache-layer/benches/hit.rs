//! A hit beside its peers in the same run, a streamed hit by its events, and what a miss adds.
//!
//! `cargo bench -p cache-layer --bench hit`. Requests are made outside of the measured part; the answer's
//! body is read to its end within it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod common;

use std::hint::black_box;

use bytes::Bytes;
use cache_layer::CacheLayer;
use common::{Provider, bare, drive, full, payload};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Request;
use quick_cache::sync::Cache;
use tower::Layer;

const BATCH: BatchSize = BatchSize::SmallInput;

fn hits(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache, a hit of a 2 KB request with a 1 KB answer");
    let mut service = CacheLayer::new().layer(Provider(false));
    drive(&mut service, full(false));
    group.bench_function(BenchmarkId::new("cache-layer", "facts read"), |b| {
        b.iter_batched(
            || payload(false),
            |request| drive(&mut service, request),
            BATCH,
        );
    });
    group.bench_function(BenchmarkId::new("cache-layer", "request unread"), |b| {
        b.iter_batched(
            || full(false),
            |request| drive(&mut service, request),
            BATCH,
        );
    });

    // the body is the key as it stands: no tenant, no order, no form
    let peer = tower_resilience_cache::CacheLayer::<Request<Bytes>, Bytes>::builder()
        .max_size(1000)
        .key_extractor(|request: &Request<Bytes>| request.body().clone())
        .build();
    let mut peer = peer.unwrap().layer(Provider(false));
    drive(&mut peer, bare(false));
    group.bench_function(
        BenchmarkId::new("tower-resilience-cache", "body as key"),
        |b| {
            b.iter_batched(|| bare(false), |request| drive(&mut peer, request), BATCH);
        },
    );

    let cache: Cache<[u8; 32], Bytes> = Cache::new(1000);
    let key = |request: &Request<Bytes>| *blake3::hash(request.body()).as_bytes();
    cache.insert(key(&bare(false)), Bytes::from(vec![0; 1024]));
    group.bench_function(BenchmarkId::new("quick_cache", "hash of the body"), |b| {
        b.iter_batched(
            || bare(false),
            |request| black_box(cache.get(&key(&request))),
            BATCH,
        );
    });
    group.finish();
}

fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache, a stream of 100 events");
    let mut bare_provider = Provider(true);
    group.bench_function(BenchmarkId::new("bare", "no layer"), |b| {
        b.iter_batched(
            || payload(true),
            |request| drive(&mut bare_provider, request),
            BATCH,
        );
    });
    let mut service = CacheLayer::new().layer(Provider(true));
    drive(&mut service, full(true));
    group.bench_function(BenchmarkId::new("cache-layer", "hit"), |b| {
        b.iter_batched(
            || payload(true),
            |request| drive(&mut service, request),
            BATCH,
        );
    });
    let mut service = CacheLayer::new().write_only().layer(Provider(true));
    group.bench_function(BenchmarkId::new("cache-layer", "miss, stored"), |b| {
        b.iter_batched(
            || payload(true),
            |request| drive(&mut service, request),
            BATCH,
        );
    });
    group.finish();
}

fn misses(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache, a miss of a 2 KB request with a 1 KB answer");
    let mut bare_provider = Provider(false);
    group.bench_function(BenchmarkId::new("bare", "no layer"), |b| {
        b.iter_batched(
            || payload(false),
            |request| drive(&mut bare_provider, request),
            BATCH,
        );
    });
    let mut service = CacheLayer::new().write_only().layer(Provider(false));
    group.bench_function(BenchmarkId::new("cache-layer", "miss, stored"), |b| {
        b.iter_batched(
            || payload(false),
            |request| drive(&mut service, request),
            BATCH,
        );
    });
    group.finish();
}

criterion_group!(benches, hits, streams, misses);
criterion_main!(benches);
