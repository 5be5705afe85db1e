//! What a call allocates beyond the bare service: read, reserved in three limits, answered at once and
//! settled.
//!
//! `cargo test -p budget-layer --features testkit/count-allocations --test allocations`
#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use budget_layer::{BudgetLayer, Limit};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{AnswerBody, BoxError, Call, Meter, Payload, User};
use testkit::alloc::{Allocations, count};
use tower::{Layer, Service, service_fn};

/// Answers at once.
#[derive(Clone)]
struct Provider(Bytes);

impl Service<Request<Payload>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(response.body(Full::new(self.0.clone())).map_err(Into::into))
    }
}

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

fn provider() -> Provider {
    let text = "Every unhappy family is unhappy in its own way. ".repeat(16);
    let json = format!(
        r#"{{"id":"chatcmpl-1","model":"gpt-6-sol","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1000,"completion_tokens":100}}}}"#
    );
    Provider(json.into())
}

/// A call to the end of its answer.
fn drive<S, B>(service: &mut S, request: Request<Payload>) -> Allocations
where
    S: Service<Request<Payload>, Response = Response<B>, Error = BoxError>,
    B: http_body::Body + Unpin,
{
    count(|| {
        let response = service.call(request).now_or_never().unwrap().unwrap();
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().now_or_never().unwrap() {}
    })
}

/// Reads the usage, and limits nothing.
fn metered(
    mut inner: Provider,
) -> impl Service<Request<Payload>, Response = Response<AnswerBody<Full<Bytes>>>, Error = BoxError>
{
    service_fn(move |request: Request<Payload>| {
        let call = Arc::clone(Call::of(&request).unwrap());
        let answer = inner.call(request);
        async move { Ok(Meter::attach(answer.await?, &call).1) }
    })
}

#[test]
fn a_call_under_three_limits_costs_a_bounded_number_of_allocations() {
    let layer = BudgetLayer::default()
        .limit(Limit::per_request().tokens(10_000))
        .limit(Limit::per_user().daily().tokens(100_000_000))
        .limit(Limit::per_user().monthly().tokens(100_000_000))
        .limit(Limit::for_all().hourly().tokens(100_000_000));
    let mut budgeted = layer.layer(provider());
    let capped = || asked(r#""max_tokens":1000,"#);
    // the first calls make the accounts, and teach the layer the model
    for _ in 0..30 {
        drive(&mut budgeted, capped());
    }
    let with = drive(&mut budgeted, capped());
    let read = drive(&mut metered(provider()), capped());
    let without = drive(&mut provider(), capped());
    let own = with.allocations - read.allocations;
    let bytes = with.bytes - read.bytes;
    // the cap is spliced in, and the facts of the call are read anew
    let uncapped = drive(&mut budgeted, asked("")).allocations - with.allocations;
    println!(
        "allocations: {} of the meter, {own} of the budget ({bytes} bytes), {uncapped} more for a cap",
        read.allocations - without.allocations
    );
    assert!(own <= 27, "{own}");
    // the request has 2 KB and the answer 1 KB: neither is copied
    assert!(bytes < 3_600, "{bytes}");
    assert!(uncapped <= 12, "{uncapped}");
}
