//! What the layer adds to a call of 2 KB with an answer of 1 KB: under one limit and three, with the caller's
//! own cap and with one that is set. In each row the usage is read, as any stack that keeps books does it: the
//! bare row has a meter.

#![allow(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::{hint::black_box, sync::Arc};

use budget_layer::{BudgetLayer, Limit};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{BoxError, Call, Meter, Payload, User};
use tower::{Layer, Service, ServiceExt, service_fn};

fn asked(cap: &str) -> Request<Payload> {
    let text = "All happy families are alike. ".repeat(64);
    let body = format!(
        r#"{{"model":"gpt-6-sol",{cap}"messages":[{{"role":"user","content":"{text}"}}]}}"#
    );
    let mut request = Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json");
    for number in 0..10 {
        request = request.header(format!("x-header-{number}"), "value");
    }
    let mut request = request.body(Full::from(body)).unwrap();
    request.extensions_mut().insert(User::new("alice"));
    let read = Payload::read(request, Payload::DEFAULT_MAX_BYTES);
    read.now_or_never().unwrap()
}

type Answered = std::future::Ready<Result<Response<Full<Bytes>>, BoxError>>;

fn provider()
-> impl Service<Request<Payload>, Response = Response<Full<Bytes>>, Error = BoxError, Future = Answered>
+ Clone {
    let text = "Every unhappy family is unhappy in its own way. ".repeat(16);
    let json = Bytes::from(format!(
        r#"{{"id":"chatcmpl-1","model":"gpt-6-sol","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":500,"completion_tokens":200}}}}"#
    ));
    service_fn(move |_: Request<Payload>| {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(response.body(Full::new(json.clone())).map_err(Into::into))
    })
}

/// The call to the end of its body; it never waits.
fn drive<S, B>(service: &S, request: Request<Payload>)
where
    S: Service<Request<Payload>, Response = Response<B>, Error = BoxError> + Clone,
    B: http_body::Body + Unpin,
{
    let answered = async {
        let response = service.clone().oneshot(request).await.unwrap();
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            black_box(frame);
        }
    };
    answered.now_or_never().unwrap();
}

fn calls(criterion: &mut Criterion) {
    const MANY: u64 = 1 << 45;
    let mut group = criterion.benchmark_group("unstreamed call, 2 KB in, 1 KB out");
    let metered = {
        let provider = provider();
        service_fn(move |request: Request<Payload>| {
            let call = Arc::clone(Call::of(&request).unwrap());
            let sent = provider.clone().oneshot(request);
            async move { Ok::<_, BoxError>(Meter::attach(sent.await?, &call).1) }
        })
    };
    let one = BudgetLayer::default().limit(Limit::per_user().daily().tokens(MANY));
    let three = one
        .clone()
        .limit(Limit::per_user().monthly().tokens(MANY))
        .limit(Limit::for_all().hourly().tokens(MANY));
    let (one, three) = (one.layer(provider()), three.layer(provider()));
    let capped = r#""max_tokens":400,"#;
    // a copy of what was read shares everything that is settled: each call is read anew
    group.bench_function("a meter alone", |bencher| {
        bencher.iter_batched(
            || asked(capped),
            |request| drive(&metered, request),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("one limit", |bencher| {
        bencher.iter_batched(
            || asked(capped),
            |request| drive(&one, request),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("three limits", |bencher| {
        bencher.iter_batched(
            || asked(capped),
            |request| drive(&three, request),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("three limits, and the cap is set", |bencher| {
        bencher.iter_batched(
            || asked(""),
            |request| drive(&three, request),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
