//! The layer as a tower service: readiness is honest.

use std::convert::Infallible;

use crate::common::*;
use breaker_layer::{BreakerBody, BreakerLayer};
use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use llm_exchange::{Payload, Standard};
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
async fn the_instance_that_was_polled_ready_makes_the_call() {
    let inner = Probe::new(Script::new().then_always(answered)).pending(2);
    let handle = inner.handle();
    let service = exact().layer(inner);
    service.clone().oneshot(openai()).await.unwrap();
    // and so where the body was read already, and the call is made at once
    let read = Payload::read(openai(), 1 << 20).await;
    service.clone().oneshot(read).await.unwrap();
    let get = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    service.oneshot(get).await.unwrap();
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (3, 3, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_readiness_of_a_clone_is_not_stolen() {
    let mut service = exact().layer(Probe::new(Script::new().then_always(answered)));
    let mut sibling = service.clone();
    ready(&mut service).await;
    ready(&mut sibling).await;
    service.call(openai()).await.unwrap();
    sibling.call(openai()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_is_made_by_the_instance_that_was_ready() {
    let script = Script::new().then_answers("fffff").then_always(answered);
    let inner = Probe::new(script).ready_times(6);
    let layer = exact().wait_for_probe(SECOND * 60, 9);
    let service = layer.layer(inner);
    for _ in 0..5 {
        service.clone().oneshot(openai()).await.unwrap();
    }
    let response = service.oneshot(openai()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_error_of_the_call_and_counts_for_nobody() {
    let inner = Probe::new(Script::new()).fail_ready("no route");
    let layer = exact();
    let error = layer.layer(inner).oneshot(openai()).await.unwrap_err();
    assert_eq!(error.to_string(), "no route");
    assert!(layer.handle().circuits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_stays_one_that_cannot_fail() {
    let script = Script::<Infallible, Infallible>::default().then(Answer::status(200));
    let Ok(response) = exact().layer(script).oneshot(openai()).await;
    assert_eq!(response.status(), 200);
}

#[test]
fn the_public_types_are_what_axum_and_spawn_ask_for() {
    fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
    fn body<T: Send + Sync + Unpin + 'static>() {}
    fn send<T: Send>(_: T) {}
    let layer = BreakerLayer::new();
    service(layer.clone());
    service(layer.handle());
    let mut breaker = layer.layer(Script::new());
    service(breaker.clone());
    body::<BreakerBody<ScriptedBody, Standard>>();
    body::<breaker_layer::Transitions>();
    body::<breaker_layer::CircuitStatus>();
    body::<breaker_layer::Window>();
    send(breaker.call(openai()));
}
