//! The layers as tower services: readiness is honest, error types stay.

use std::convert::Infallible;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use testkit::Probe;
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

/// `ServiceExt::ready` cannot infer the request of a service that takes any body.
async fn ready<S>(service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>,
{
    service.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_polled_ready_is_the_one_that_is_called() {
    let script = Script::new().then_always(|| Answer::json(200, "{}"));
    let inner = Probe::new(script).pending(2);
    let handle = inner.handle();
    let service = StreamTimeoutLayer::new().layer(inner);
    let mut service = SseLayer::new().layer(service);
    let mut sibling = service.clone();
    ready(&mut service).await;
    ready(&mut sibling).await;
    service.call(openai(true)).await.unwrap();
    sibling.call(openai(false)).await.unwrap();
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (2, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn errors_are_the_inner_services_own() {
    let inner = Probe::new(Script::new()).fail_ready("no route");
    let service = SseLayer::new().layer(StreamTimeoutLayer::new().layer(inner));
    let error = service.oneshot(openai(true)).await.unwrap_err();
    assert_eq!(error.to_string(), "no route");
    let script = Script::<Infallible, Infallible>::default().then(Answer::status(200));
    let service = SseLayer::new().layer(StreamTimeoutLayer::new().layer(script));
    let Ok(response) = service.oneshot(openai(true)).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_any_body_is_taken() {
    let script = Script::new().then_always(|| Answer::json(200, "{}"));
    let service = SseLayer::new().layer(StreamTimeoutLayer::new().layer(script));
    let request = openai(true).map(|_| Empty::new());
    service.clone().oneshot(request).await.unwrap();
    let request = openai(true).map(|_| "{}".to_owned());
    service.oneshot(request).await.unwrap();
}
