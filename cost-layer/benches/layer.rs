//! What the layer adds to a call: over the bare service, for an answer of 1 KB to a request of 2 KB; for each
//! event of a stream; and what it costs two threads to record into one model. The request is read as a
//! `Payload` in both rows, as any first layer does it.

#![allow(clippy::unwrap_used, reason = "a bench that fails is to stop")]

mod common;

use std::hint::black_box;

use bytes::Bytes;
use common::{Provider, answer_body, drain, layer, payload, request_body};
use cost_layer::Cost;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::StreamBody;
use llm_exchange::{BoxError, Payload};
use tower::{Layer, Service, ServiceExt};

fn unstreamed(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (body, provider) = (request_body(), Provider(answer_body()));
    let costed: Cost<Provider> = layer().layer(provider.clone());
    let mut group = criterion.benchmark_group("unstreamed call, 2 KB in, 1 KB out");
    group.bench_function("bare", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let request = payload(&body).await;
            let response = provider.clone().oneshot(request).await.unwrap();
            black_box(drain(response.into_body()).await)
        });
    });
    group.bench_function("cost-layer", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let request = payload(&body).await;
            let response = costed.clone().oneshot(request).await.unwrap();
            black_box(drain(response.into_body()).await)
        });
    });
    group.finish();
}

fn streamed(criterion: &mut Criterion) {
    const EVENTS: u64 = 1_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let event = "data: {\"id\":\"c\",\"model\":\"gpt-6-sol\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" family\"}}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1000}}\n\ndata: [DONE]\n\n";
    let events: Vec<Bytes> = (0..EVENTS)
        .map(|_| event.into())
        .chain([end.into()])
        .collect();
    let provider = tower::service_fn(move |_: Request<Payload>| {
        let frames = events
            .clone()
            .into_iter()
            .map(|event| Ok::<_, BoxError>(http_body::Frame::data(event)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let response = Response::builder().header("content-type", "text/event-stream");
        std::future::ready(response.body(body).map_err(BoxError::from))
    });
    let body = Bytes::from(
        r#"{"model":"gpt-6-sol","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
    );
    let mut group = criterion.benchmark_group("each event of a stream");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("bare", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let request = payload(&body).await;
            let response = provider.clone().oneshot(request).await.unwrap();
            drain(response.into_body()).await
        });
    });
    let costed = layer().layer(provider.clone());
    group.bench_function("cost-layer", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let request = payload(&body).await;
            let response = costed.clone().oneshot(request).await.unwrap();
            drain(response.into_body()).await
        });
    });
    group.finish();
}

/// The same calls of one model, by one thread and by two at the same time.
fn threads(criterion: &mut Criterion) {
    const CALLS: u64 = 2_000;
    let (body, provider) = (request_body(), Provider(answer_body()));
    let costed = layer().layer(provider.clone());
    let mut group = criterion.benchmark_group("calls of one model");
    group.sample_size(20);
    for threads in [1, 2] {
        group.throughput(Throughput::Elements(CALLS * threads));
        group.bench_function(BenchmarkId::new("bare", threads), |bencher| {
            bencher.iter(|| call_from(threads, CALLS, &provider, &body));
        });
        group.bench_function(BenchmarkId::new("cost-layer", threads), |bencher| {
            bencher.iter(|| call_from(threads, CALLS, &costed, &body));
        });
    }
    group.finish();
}

fn call_from<S, B>(threads: u64, calls: u64, service: &S, body: &Bytes)
where
    S: Service<Request<Payload>, Response = Response<B>, Error = BoxError> + Clone + Sync,
    B: http_body::Body + Unpin,
{
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for _ in 0..calls {
                        let request = payload(body).await;
                        let response = service.clone().oneshot(request).await.unwrap();
                        black_box(drain(response.into_body()).await);
                    }
                });
            });
        }
    });
}

criterion_group!(benches, unstreamed, streamed, threads);
criterion_main!(benches);
