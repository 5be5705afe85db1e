//! fallback-layer over real connections: an expensive model, a cheaper one, another provider, and a
//! server on this machine.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use axum::{Router, body::Body};
use bytes::Bytes;
use common::{hyper, text, within};
use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Outcome};
use fallback_layer::{Chain, FallbackLayer, Served, Target};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use llm_exchange::Payload;
use retry_layer::{Backoff, RetryLayer};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};

const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "llama-3.3-70b", "llama3"];

/// Three servers, each of which takes its own key only, and the chain over them.
struct House {
    openai: FakeProvider,
    other: FakeProvider,
    local: FakeProvider,
}

impl House {
    async fn new() -> Self {
        let start = |key: &'static str| FakeProvider::builder().require_key(key).start();
        Self {
            openai: start("sk-callers").await.unwrap(),
            other: start("sk-ours").await.unwrap(),
            local: FakeProvider::start().await.unwrap(),
        }
    }

    fn layer(&self) -> FallbackLayer {
        let quick = |model: &str| Target::model(model).max_latency(Duration::from_secs(3));
        let chain = Chain::of(quick(MODELS[0]))
            .then(quick(MODELS[1]))
            .then(quick(MODELS[2]).at(&self.other.url()).credential("sk-ours"))
            .then(
                Target::model(MODELS[3])
                    .at(&self.local.url())
                    .without_credential(),
            );
        FallbackLayer::new(chain).unwrap()
    }

    fn at(&self, place: usize) -> &FakeProvider {
        [&self.openai, &self.openai, &self.other, &self.local][place]
    }

    fn chat(&self, stream: bool) -> Request<Full<Bytes>> {
        let mut request = common::chat(&self.openai.url(), MODELS[0], stream);
        let key = HeaderValue::from_static("Bearer sk-callers");
        request.headers_mut().insert("authorization", key);
        request
    }

    fn calls(&self) -> usize {
        [&self.openai, &self.other, &self.local]
            .iter()
            .map(|fake| fake.log().len())
            .sum()
    }
}

fn failures(stream: bool) -> Vec<(&'static str, Behaviour)> {
    let mut all = vec![
        (
            "throttled for long",
            Behaviour::throttled(Hint::RetryAfterMs(90_000)),
        ),
        ("out of quota", Behaviour::fails(Failure::quota_exhausted())),
        ("overloaded", Behaviour::fails(Failure::overloaded())),
        (
            "failed",
            Behaviour::fails(Failure::status(500).pad_to(100 << 10)),
        ),
        (
            "a large html page",
            Behaviour::fails(Failure::status(502).html(200 << 10)),
        ),
        (
            "too long a prompt",
            Behaviour::fails(Failure::context_too_long()),
        ),
        ("closed before the head", Behaviour::closes()),
        ("reset before the head", Behaviour::resets()),
        ("silent before the head", Behaviour::hangs()),
        ("broken after the head", Behaviour::ok().break_at(At::First)),
        ("silent after the head", Behaviour::ok().stall_at(At::First)),
        (
            "an error instead of content",
            Behaviour::ok().error_at(At::First),
        ),
    ];
    if stream {
        all.extend([
            (
                "broken after the role",
                Behaviour::ok().break_at(At::Opened),
            ),
            ("ended after the role", Behaviour::ok().end_at(At::Opened)),
            (
                "silent after the role",
                Behaviour::ok().stall_at(At::Opened),
            ),
            (
                "an error after the role",
                Behaviour::ok().error_at(At::Opened),
            ),
        ]);
    }
    all
}

/// Every failure at every target but the last, all at the same time.
async fn walk(stream: bool, with_retry: bool) {
    let mut all = JoinSet::new();
    for (name, failure) in failures(stream) {
        for place in 0..3 {
            all.spawn(fail_at(place, name, failure.clone(), stream, with_retry));
        }
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
}

async fn send<S, B>(service: S, call: Request<Full<Bytes>>) -> Response<Body>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let response = within(service.oneshot(call)).await.unwrap();
    response.map(Body::new)
}

/// The targets before the one that fails so are overloaded.
async fn fail_at(
    place: usize,
    name: &'static str,
    failure: Behaviour,
    stream: bool,
    with_retry: bool,
) {
    let house = House::new().await;
    for (before, model) in MODELS[..place].iter().enumerate() {
        let overloaded = Behaviour::fails(Failure::overloaded());
        house.at(before).on(model, overloaded);
    }
    house.at(place).on(MODELS[place], failure);
    let (layer, call) = (house.layer(), house.chat(stream));
    let response = if with_retry {
        let backoff = Backoff::new().initial(Duration::from_millis(1));
        let retry = RetryLayer::new().max_retries(1).backoff(backoff);
        send(layer.layer(retry.layer(hyper())), call).await
    } else {
        send(layer.layer(hyper()), call).await
    };
    assert_eq!(response.status(), 200, "{name} at {place}");
    let next = MODELS[place + 1];
    assert_eq!(response.headers()["x-llm-model"], next, "{name} at {place}");
    let served = Served::of(&response).unwrap();
    assert_eq!(served.left().len(), place + 1, "{name}: {served:?}");
    let body = within(text(response)).await;
    assert!(body.contains("four"), "{name} at {place}: {body}");
    assert_eq!(body.ends_with("data: [DONE]\n\n"), stream);
    assert!(body.contains(&format!("\"model\":\"{next}\"")), "{body}");
    assert!(!body.contains("error"), "{name} at {place}: {body}");
    if !with_retry {
        assert_eq!(house.calls(), place + 2, "{name}");
    }
    // no key of the caller's reaches another host
    for fake in [&house.other, &house.local] {
        let mut keys = fake.log().into_iter().filter_map(|call| {
            let key = call.headers.get("authorization")?;
            Some(key.to_str().unwrap().to_owned())
        });
        assert!(keys.all(|key| key == "Bearer sk-ours"));
    }
}

#[tokio::test]
async fn every_failure_at_every_target_goes_to_the_next_unseen() {
    walk(false, false).await;
}

#[tokio::test]
async fn every_failure_of_a_stream_at_every_target_goes_to_the_next_unseen() {
    walk(true, false).await;
}

#[tokio::test]
async fn the_same_with_retries_beneath() {
    walk(true, true).await;
}

#[tokio::test]
async fn when_all_fail_the_caller_is_told_of_each() {
    let house = House::new().await;
    house
        .openai
        .on(MODELS[0], Behaviour::throttled(Hint::RetryAfterMs(5_000)));
    house
        .openai
        .on(MODELS[1], Behaviour::fails(Failure::overloaded()));
    house.other.on(MODELS[2], Behaviour::closes());
    house
        .local
        .on(MODELS[3], Behaviour::ok().break_at(At::First));
    let service = house.layer().layer(hyper());
    let response = within(service.oneshot(house.chat(true))).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let after: u64 = response.headers()["retry-after-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((3_000..=5_000).contains(&after), "{after}");
    let body = text(response).await;
    let each = "gpt-4o: throttled (429); gpt-4o-mini: overloaded (503); llama-3.3-70b: failed; llama3: failed (200)";
    assert!(body.contains(each), "{body}");
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_reaches_the_caller_as_an_error_and_is_remembered() {
    let house = House::new().await;
    house.openai.on(MODELS[0], Behaviour::ok().break_at(2));
    let layer = house.layer();
    let response = within(layer.layer(hyper()).oneshot(house.chat(true)))
        .await
        .unwrap();
    within(response.into_body().collect()).await.unwrap_err();
    assert_eq!(house.calls(), 1);
    assert_eq!(&*layer.handle().remembered()[0].target, MODELS[0]);
}

#[tokio::test]
async fn a_caller_who_goes_away_is_told_to_the_target_at_once() {
    let house = House::new().await;
    house
        .openai
        .on(MODELS[0], Behaviour::fails(Failure::overloaded()));
    house.openai.on(MODELS[1], Behaviour::ok().stall_at(2));
    let service = house.layer().layer(hyper());
    let mut body = within(service.oneshot(house.chat(true)))
        .await
        .unwrap()
        .into_body();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    within(
        house
            .openai
            .until(|log| log.len() == 2 && log[1].outcome == Outcome::ClientGone),
    )
    .await;
}

/// An app's own models behind the layer: two routes, one memory.
#[tokio::test]
async fn axum_routes_are_layered_and_share_one_memory() {
    async fn model(body: String) -> (StatusCode, [(&'static str, &'static str); 1], String) {
        let json = [("content-type", "application/json")];
        if body.contains("\"large\"") {
            return (StatusCode::SERVICE_UNAVAILABLE, json, "{}".to_owned());
        }
        (StatusCode::OK, json, body)
    }
    let layer = FallbackLayer::new(Chain::of("large").then("small")).unwrap();
    let handle = layer.handle();
    let app = Router::new()
        .route("/v1/chat/completions", axum::routing::post(model))
        .route("/v1/messages", axum::routing::post(model))
        .route("/health", axum::routing::get(async || "ok"))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, app).into_future());

    let client = hyper();
    for path in [
        "chat/completions",
        "messages",
        "chat/completions",
        "messages",
    ] {
        let mut request = common::chat(&url, "large", false).map(Payload::new);
        *request.uri_mut() = format!("{url}/v1/{path}").parse().unwrap();
        let response = within(client.request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-llm-model"], "small");
        assert!(within(text(response)).await.contains("\"small\""));
    }
    let health = Request::get(format!("{url}/health"))
        .body(Payload::new(String::new()))
        .unwrap();
    let health = within(client.request(health)).await.unwrap();
    assert_eq!(within(text(health)).await, "ok");
    assert_eq!(handle.stats().calls, 4);
    // three failures over both routes, and the fourth call did not try it
    assert!(handle.remembered()[0].skipped_for.is_some());
    server.abort();
}
