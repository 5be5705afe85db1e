//! A hit beside its peers in the same run, a streamed hit by its events, and what a miss adds.
//!
//! `cargo bench -p cache-layer --bench hit`. Requests are made outside of the measured part; the answer's
//! body is read to its end within it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod common;

use std::{convert::Infallible, hint::black_box};

use bytes::Bytes;
use cache_layer::CacheLayer;
use common::{EVENTS, Provider, another, bare, drive, full, payload};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use quick_cache::sync::Cache;
use tower::{Layer, Service, service_fn};

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
    // what is printed as elements are events
    group.throughput(Throughput::Elements(EVENTS as u64));
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
    for (name, streams) in [("hit", true), ("hit, put together to JSON", false)] {
        group.bench_function(BenchmarkId::new("cache-layer", name), |b| {
            b.iter_batched(
                || payload(streams),
                |request| drive(&mut service, request),
                BATCH,
            );
        });
    }
    let mut service = CacheLayer::new().layer(Provider(true));
    let mut number = 0;
    group.bench_function(BenchmarkId::new("cache-layer", "miss, stored"), |b| {
        let another = || {
            number += 1;
            another(true, number)
        };
        b.iter_batched(another, |request| drive(&mut service, request), BATCH);
    });
    group.finish();
}

/// What a miss adds: the call beside it is the same without a layer.
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
    let mut service = CacheLayer::new().layer(Provider(false));
    let mut asked = 0;
    group.bench_function(BenchmarkId::new("cache-layer", "miss, stored"), |b| {
        let another = || {
            asked += 1;
            another(false, asked)
        };
        b.iter_batched(another, |request| drive(&mut service, request), BATCH);
    });
    let mut number = 0_u64;
    // it does not keep bodies that are read once, so that its answer is bytes
    let peer = tower_resilience_cache::CacheLayer::<(u64, Request<Bytes>), (u64, Bytes)>::builder()
        .max_size(1000)
        .key_extractor(|(number, request): &(u64, Request<Bytes>)| {
            (*number, request.body().clone())
        })
        .build();
    let provider = service_fn(|(_, request)| async {
        let response = Provider(false).call(request).await?;
        let body = response.into_body().collect().await?;
        Ok::<_, Infallible>(Response::new(Full::new(body.to_bytes())))
    });
    let mut peer = peer.unwrap().layer(provider);
    group.bench_function(
        BenchmarkId::new("tower-resilience-cache", "miss, stored"),
        |b| {
            let another = || {
                number += 1;
                (number, bare(false))
            };
            b.iter_batched(another, |request| drive(&mut peer, request), BATCH);
        },
    );
    group.finish();
}

criterion_group!(benches, hits, streams, misses);
criterion_main!(benches);
