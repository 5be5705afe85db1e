//! What the layer adds to a call: over the bare service, for an answer of 1 KB to a request of 2 KB; for each
//! event of a stream; and what it costs two threads to record into one model.

#![allow(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::{
    hint::black_box,
    task::{Context, Poll},
};

use bytes::Bytes;
use cost_layer::{Cost, CostLayer, Prices};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use llm_exchange::{BoxError, Payload};
use tower::{Layer, Service, ServiceExt};

/// Answers at once.
#[derive(Clone)]
struct Provider(Bytes);

impl<B> Service<Request<B>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(response.body(Full::new(self.0.clone())).map_err(Into::into))
    }
}

fn request_body() -> Bytes {
    let text = "All happy families are alike. ".repeat(64);
    format!(r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"{text}"}}]}}"#).into()
}

fn answer_body() -> Bytes {
    let text = "Every unhappy family is unhappy in its own way. ".repeat(16);
    format!(r#"{{"id":"chatcmpl-1","model":"gpt-6-sol-2026-09-22","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{{"cached_tokens":500}}}}}}"#).into()
}

fn request(body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-of-somebody");
    for number in 0..10 {
        request = request.header(format!("x-header-{number}"), "value");
    }
    request.body(Full::new(body.clone())).unwrap()
}

fn layer() -> CostLayer {
    CostLayer::new(Prices::builtin()).alert_hour(llm_exchange::Money::usd(1_000_000))
}

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
            let response = provider.clone().oneshot(request(&body)).await.unwrap();
            black_box(response.into_body().collect().await.unwrap())
        });
    });
    group.bench_function("cost-layer", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let response = costed.clone().oneshot(request(&body)).await.unwrap();
            black_box(response.into_body().collect().await.unwrap())
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
            let request = Payload::read(request(&body), 1 << 20).await;
            let response = provider.clone().oneshot(request).await.unwrap();
            drain(response.into_body()).await
        });
    });
    let costed = layer().layer(provider.clone());
    group.bench_function("cost-layer", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let response = costed.clone().oneshot(request(&body)).await.unwrap();
            drain(response.into_body()).await
        });
    });
    group.finish();
}

async fn drain<B: http_body::Body + Unpin>(mut body: B) -> u64 {
    let mut frames = 0;
    while let Some(Ok(_)) = body.frame().await {
        frames += 1;
    }
    frames
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
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError> + Clone + Sync,
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
                        let response = service.clone().oneshot(request(body)).await.unwrap();
                        black_box(drain(response.into_body()).await);
                    }
                });
            });
        }
    });
}

criterion_group!(benches, unstreamed, streamed, threads);
criterion_main!(benches);
