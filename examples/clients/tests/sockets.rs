//! retry-layer over real connections: hyper, reqwest and axum against the fake provider.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use clients::ReqwestService;
use common::{hyper, text, within};
use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Outcome, Script};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Payload, Verdict};
use retry_layer::{Backoff, Retried, RetryLayer};
use tower::{Layer, ServiceExt};

const MODEL: &str = "gpt-6-sol";

fn quick() -> RetryLayer {
    let backoff = Backoff::new()
        .initial(Duration::from_millis(1))
        .jitter(0.0)
        .unwrap();
    RetryLayer::new().backoff(backoff)
}

fn chat(url: &str, stream: bool) -> Request<Full<Bytes>> {
    common::chat(url, MODEL, stream)
}

#[tokio::test]
async fn every_failure_before_the_first_content_is_retried_over_hyper() {
    for (name, failure) in [
        ("throttled", Behaviour::throttled(Hint::RetryAfterMs(20))),
        ("overloaded", Behaviour::fails(Failure::overloaded())),
        (
            "a large html page",
            Behaviour::fails(Failure::status(502).html(200 << 10)),
        ),
        ("closed before the head", Behaviour::closes()),
        ("reset before the head", Behaviour::resets()),
        ("broken after the head", Behaviour::ok().break_at(At::First)),
        (
            "broken after the role",
            Behaviour::ok().break_at(At::Opened),
        ),
        ("ended after the role", Behaviour::ok().end_at(At::Opened)),
        (
            "an error as the first event",
            Behaviour::ok().error_at(At::First),
        ),
        (
            "an error after the role",
            Behaviour::ok().error_at(At::Opened),
        ),
    ] {
        let fake = FakeProvider::start().await.unwrap();
        fake.on(MODEL, Script::new().times(2, failure).then_ok());
        let response = within(quick().layer(hyper()).oneshot(chat(&fake.url(), true)))
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(Retried::of(&response).unwrap().attempts, 3, "{name}");
        let body = within(text(response)).await;
        assert!(body.ends_with("data: [DONE]\n\n"), "{name}: {body}");
        let bodies: Vec<_> = fake.log().into_iter().map(|call| call.body).collect();
        assert!(
            bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_unstreamed_call_is_retried_too() {
    for failure in [
        Behaviour::throttled(Hint::RetryAfterMs(20)),
        Behaviour::closes(),
        Behaviour::ok().error_at(At::First),
    ] {
        let fake = FakeProvider::start().await.unwrap();
        fake.on(MODEL, Script::new().times(1, failure).then_ok());
        let response = within(quick().layer(hyper()).oneshot(chat(&fake.url(), false)))
            .await
            .unwrap();
        assert_eq!(Retried::of(&response).unwrap().attempts, 2);
        assert!(within(text(response)).await.contains("one two three four"));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_reaches_the_caller_as_an_error_and_is_counted() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(MODEL, Behaviour::ok().break_at(2));
    let layer = quick();
    let response = within(layer.layer(hyper()).oneshot(chat(&fake.url(), true)))
        .await
        .unwrap();
    within(response.into_body().collect()).await.unwrap_err();
    assert_eq!(fake.log().len(), 1);
    assert_eq!(layer.handle().stats().errors, 1);
}

#[tokio::test]
async fn nobody_listening_is_the_inner_error_after_all_retries() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let layer = quick().max_retries(2);
    let error = within(layer.layer(hyper()).oneshot(chat(&url, false)))
        .await
        .unwrap_err();
    assert!(error.is_connect());
    assert_eq!(layer.handle().stats().retries, 2);
}

#[tokio::test]
async fn events_reach_the_caller_one_by_one() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(MODEL, Behaviour::ok().stall_at(2));
    let response = within(quick().layer(hyper()).oneshot(chat(&fake.url(), true)))
        .await
        .unwrap();
    let mut body = response.into_body();
    let mut seen = String::new();
    // the provider never goes on: what came before must come through
    while seen.matches("\"content\":\"").count() < 3 {
        let frame = within(body.frame()).await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    drop(body);
    within(fake.until(|log| log[0].outcome == Outcome::ClientGone)).await;
}

#[tokio::test]
async fn a_caller_who_goes_away_during_the_wait_costs_no_further_attempt() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(MODEL, Behaviour::throttled(Hint::RetryAfterMs(30_000)));
    let call = tokio::spawn(quick().layer(hyper()).oneshot(chat(&fake.url(), true)));
    within(fake.until(|log| {
        log.first()
            .is_some_and(|call| call.outcome == Outcome::Whole)
    }))
    .await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn reqwest_runs_under_the_layer() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(
        MODEL,
        Script::new()
            .throttle(1, Hint::RetryAfterMs(20))
            .times(1, Behaviour::closes())
            .then_ok(),
    );
    let client = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .build()
        .unwrap();
    let service = quick().layer(ReqwestService(client));
    let response = within(service.oneshot(chat(&fake.url(), true)))
        .await
        .unwrap();
    assert_eq!(Retried::of(&response).unwrap().attempts, 3);
    assert!(within(text(response)).await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_timeout_of_reqwest_is_a_timeout() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(MODEL, Behaviour::hangs());
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let verdicts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&verdicts);
    let layer = quick()
        .max_retries(1)
        .on_retry(move |retrying| log.lock().unwrap().push(retrying.verdict));
    let error = within(
        layer
            .layer(ReqwestService(client))
            .oneshot(chat(&fake.url(), false)),
    )
    .await
    .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(*verdicts.lock().unwrap(), [Verdict::TimedOut]);
}

/// An LLM server of one's own behind the layer: its handlers fail twice, then answer.
#[tokio::test]
async fn axum_routes_are_layered_and_share_one_statistic() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    async fn flaky(body: String) -> (StatusCode, [(&'static str, &'static str); 1], String) {
        let json = [("content-type", "application/json")];
        if CALLS.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
            return (StatusCode::SERVICE_UNAVAILABLE, json, "{}".to_owned());
        }
        (StatusCode::OK, json, body)
    }
    let layer = quick();
    let handle = layer.handle();
    let app = Router::new()
        .route("/v1/chat/completions", axum::routing::post(flaky))
        .route("/v1/messages", axum::routing::post(flaky))
        .route("/health", axum::routing::get(async || "ok"))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, app).into_future());

    let client = hyper();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let mut request = chat(&url, false).map(Payload::new);
        *request.uri_mut() = format!("{url}{path}").parse().unwrap();
        let response = within(client.request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-llm-attempts"], "3");
        assert!(within(text(response)).await.contains("one two three four"));
    }
    let health = Request::get(format!("{url}/health"))
        .body(Payload::new(String::new()))
        .unwrap();
    assert_eq!(
        within(text(within(client.request(health)).await.unwrap())).await,
        "ok"
    );
    let stats = handle.stats();
    assert_eq!((stats.requests, stats.retries), (2, 4));
    server.abort();
}
