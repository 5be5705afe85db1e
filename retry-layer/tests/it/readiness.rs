//! The layer as a tower service: readiness is honest.

use std::convert::Infallible;

use crate::common::*;
use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use llm_exchange::Payload;
use retry_layer::{GaveUp, Retried, RetryLayer};
use testkit::Probe;
use tower::{Layer, Service, ServiceExt};

/// `ServiceExt::ready` cannot infer the request of a service that takes any body.
async fn ready<S>(service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>,
{
    service.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_sent_by_an_instance_that_was_polled_ready() {
    let script = Script::new()
        .then(throttled())
        .then(throttled())
        .then(answered());
    let inner = Probe::new(script).pending(2);
    let handle = inner.handle();
    exact().layer(inner).oneshot(openai()).await.unwrap();
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (3, 3, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_readiness_of_a_clone_is_not_stolen() {
    let script = Script::new().then_always(answered);
    let inner = Probe::new(script);
    let mut service = exact().layer(inner);
    let mut sibling = service.clone();
    ready(&mut service).await;
    ready(&mut sibling).await;
    service.call(openai()).await.unwrap();
    sibling.call(openai()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_again_ends_in_a_504_at_the_deadline() {
    let script = Script::new().then(throttled());
    let inner = Probe::new(script).ready_times(1);
    let start = tokio::time::Instant::now();
    let layer = exact().deadline(SECOND * 20);
    let response = layer.layer(inner).oneshot(openai()).await.unwrap();
    assert_eq!(start.elapsed(), SECOND * 20);
    assert_eq!(response.status(), 504);
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Deadline)
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_error_of_the_call() {
    let inner = Probe::new(Script::new()).fail_ready("no route");
    let error = exact().layer(inner).oneshot(openai()).await.unwrap_err();
    assert_eq!(error.to_string(), "no route");
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_stays_one_that_cannot_fail() {
    let script = Script::<Infallible, Infallible>::default()
        .then(Answer::status(500))
        .then(Answer::status(200));
    let response = exact().layer(script.clone()).oneshot(openai()).await;
    let Ok(response) = response;
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_any_body_is_taken_and_a_payload_is_not_wrapped_twice() {
    let script = Script::new().then_always(answered);
    let service = exact().layer(script);
    service
        .clone()
        .oneshot(openai().map(|_| Empty::new()))
        .await
        .unwrap();
    service
        .clone()
        .oneshot(openai().map(|_| OPENAI.to_owned()))
        .await
        .unwrap();
    let read = Payload::read(openai(), 1 << 20).await;
    service.oneshot(read).await.unwrap();
}

#[test]
fn the_public_types_are_what_axum_and_spawn_ask_for() {
    fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
    fn body<T: Send + Sync + Unpin + 'static>() {}
    fn send<T: Send>(_: T) {}
    let layer = RetryLayer::new();
    service(layer.clone());
    service(layer.handle());
    let mut retry = layer.layer(Script::new());
    service(retry.clone());
    body::<retry_layer::RetryBody<ScriptedBody>>();
    body::<retry_layer::Backoff>();
    body::<retry_layer::RetryBudget>();
    body::<Retried>();
    body::<GaveUp>();
    send(retry.call(openai()));
}
