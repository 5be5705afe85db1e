//! The layer as a tower service: always ready, and honest to the inner service.

use std::convert::Infallible;

use cache_layer::{CacheBody, CacheHandle, CacheLayer, Cached, MemoryStore};
use testkit::Probe;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn each_call_is_made_by_an_instance_that_was_polled_ready() {
    let inner = Probe::new(Script::new().then_always(answered)).pending(2);
    let handle = inner.handle();
    let layer = layer();
    let service = layer.layer(inner);
    for body in [CHAT, CHAT, WARM] {
        read(service.clone().oneshot(post(body)).await.unwrap()).await;
    }
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (2, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_hit_needs_no_ready_inner_service() {
    let script = Script::new().then(answered()).then(Answer::hang());
    let layer = layer();
    // one slot, taken by another call
    let service = layer.layer(ConcurrencyLimit::new(script, 1));
    read(service.clone().oneshot(post(CHAT)).await.unwrap()).await;
    let busy = tokio::spawn(service.clone().oneshot(post(&CHAT.replace("hi", "other"))));
    tokio::time::sleep(SECOND).await;
    let hit = service.clone().oneshot(post(CHAT));
    let hit = tokio::time::timeout(SECOND, hit).await.unwrap().unwrap();
    assert_eq!(hit.headers()["x-llm-cache"], "hit");
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn a_hit_does_not_use_up_what_the_inner_service_allows() {
    let inner = Probe::new(Script::new().then_always(answered)).ready_times(2);
    let service = layer().layer(inner);
    for _ in 0..10 {
        read(service.clone().oneshot(post(CHAT)).await.unwrap()).await;
    }
    let other = service.clone().oneshot(post(&CHAT.replace("hi", "other")));
    assert_eq!(read(other.await.unwrap()).await.cache(), "miss");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_error_of_the_call() {
    for body in [CHAT, WARM] {
        let inner = Probe::new(Script::new()).fail_ready("no route");
        let error = layer().layer(inner).oneshot(post(body)).await.unwrap_err();
        assert_eq!(error.to_string(), "no route");
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_stays_one_that_cannot_fail() {
    let script = Script::<Infallible, Infallible>::default().then(Answer::json(200, ANSWER));
    let Ok(response) = layer().layer(script).oneshot(post(CHAT)).await;
    assert_eq!(response.status(), 200);
}

#[test]
fn the_public_types_are_what_axum_and_spawn_ask_for() {
    fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
    fn body<T: Send + Sync + Unpin + 'static>() {}
    fn send<T: Send>(_: T) {}
    let layer = CacheLayer::new();
    service(layer.clone());
    service(layer.handle());
    let mut cache = layer.layer(Script::new());
    service(cache.clone());
    body::<CacheBody<ScriptedBody>>();
    body::<Cached>();
    body::<CacheHandle<MemoryStore>>();
    send(cache.call(post(CHAT)));
}
