//! The layer as a tower service: readiness is honest, and the error stays the inner service's.

use std::convert::Infallible;

use bytes::Bytes;
use cost_layer::CostLayer;
use http::Request;
use http_body_util::Full;
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
async fn each_call_is_sent_by_the_instance_that_was_polled_ready() {
    let inner = Probe::new(Script::new().then_always(answered)).pending(2);
    let seen = inner.handle();
    let service = layer().layer(inner);
    for _ in 0..3 {
        text(service.clone().oneshot(post(OPENAI)).await.unwrap()).await;
    }
    assert_eq!((seen.grants(), seen.calls(), seen.unused()), (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn the_readiness_of_a_clone_is_not_stolen() {
    let mut service = layer().layer(Probe::new(Script::new().then_always(answered)));
    let mut sibling = service.clone();
    ready(&mut service).await;
    ready(&mut sibling).await;
    service.call(post(OPENAI)).await.unwrap();
    sibling.call(post(OPENAI)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_only_once_answers_that_once() {
    let inner = Probe::new(Script::new().then_always(answered)).ready_times(1);
    let layer = layer();
    let mut service = layer.layer(inner);
    ready(&mut service).await;
    text(service.call(post(OPENAI)).await.unwrap()).await;
    let again = tokio::time::timeout(SECOND, ready(&mut service));
    assert!(again.await.is_err());
    assert_eq!(layer.handle().stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_callers_and_no_call() {
    let layer = layer();
    let inner = Probe::new(Script::new()).fail_ready("no route");
    let error = layer.layer(inner).oneshot(post(OPENAI)).await.unwrap_err();
    assert_eq!(error.to_string(), "no route");
    assert_eq!(layer.handle().stats().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_stays_one_that_cannot_fail() {
    let script = Script::<Infallible, Infallible>::default().then(Answer::status(200));
    let Ok(response) = CostLayer::default()
        .layer(script)
        .oneshot(post(OPENAI))
        .await;
    assert_eq!(response.status(), 200);
}
