//! The handle: what it shows, tells and moves.

use crate::common::*;
use axum::{Router, body::Body, routing};
use breaker_layer::CircuitState::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Open};
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn it_shows_the_state_and_counts_of_every_key() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new()
        .then_answers(".fffff")
        .then(Answer::status(400));
    let service = service(&layer, &script);
    calls(8, &service).await;
    call(&service, post("https://other/v1/chat/completions", OPENAI)).await;
    let mut circuits = handle.circuits();
    circuits.sort_by(|a, b| a.key.cmp(&b.key));
    let [first, second] = &circuits[..] else {
        panic!("{circuits:?}");
    };
    assert_eq!((&*first.key, first.state), (KEY, Open));
    assert_eq!(first.open_for, Some(SECOND * 30));
    let counts = first.counts;
    assert_eq!((counts.successes, counts.failures), (1, 5));
    assert_eq!((counts.refused, counts.opened), (2, 1));
    assert_eq!((&*second.key, second.state), ("gpt-6-sol@other", Closed));
    assert_eq!((second.counts.neither, second.open_for), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_hears_each_change_in_its_order() {
    let layer = exact();
    let handle = layer.handle();
    let mut changes = handle.subscribe();
    let script = Script::new().then_answers("fffff..");
    let service = service(&layer, &script);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    calls(2, &service).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let change = changes.next().await.unwrap();
        assert_eq!(&*change.key, KEY);
        heard.push((change.from, change.to, change.open_for));
    }
    assert_eq!(
        heard,
        [
            (Closed, Open, Some(SECOND * 30)),
            (Open, HalfOpen, None),
            (HalfOpen, Closed, None)
        ]
    );
    drop((service, handle, layer));
    assert_eq!(changes.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_who_does_not_come_loses_the_oldest_and_nothing_grows() {
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &Script::new().then_answers("."));
    calls(1, &service).await;
    let mut changes = handle.subscribe();
    for _ in 0..200 {
        handle.force_open(KEY);
        handle.reset(KEY);
    }
    assert_eq!(changes.next().await.unwrap().to, ForcedOpen);
    assert_eq!(changes.missed(), 400 - 256);
}

#[tokio::test(start_paused = true)]
async fn the_app_can_open_close_and_reset_a_circuit() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_answers(".").then_always(failed);
    let service = service(&layer, &script);
    assert!(!handle.force_open(KEY), "not known yet");
    calls(1, &service).await;
    assert!(handle.force_open(KEY));
    assert_eq!(state(&handle), ForcedOpen);
    pass(SECOND * 3_600).await;
    assert_eq!(calls(1, &service).await, [503]);
    assert!(handle.force_closed(KEY));
    assert_eq!(calls(20, &service).await, [500; 20]);
    assert_eq!(state(&handle), ForcedClosed);
    assert!(handle.reset(KEY));
    assert_eq!(calls(4, &service).await, [500; 4]);
    assert_eq!(state(&handle), Closed);
    assert_eq!(calls(2, &service).await, [500, 503]);
    assert!(handle.reset(KEY));
    // as good as new: also the open time is the first again
    calls(5, &service).await;
    assert_eq!(handle.circuit(KEY).unwrap().open_for, Some(SECOND * 30));
}

#[tokio::test(start_paused = true)]
async fn the_routes_of_a_router_share_one_circuit_for_each_key() {
    let layer = exact();
    let handle = layer.handle();
    let router = Router::new()
        .route("/a/v1/chat/completions", routing::post(bad_gateway))
        .route("/b/v1/chat/completions", routing::post(bad_gateway))
        .route("/c/v1/chat/completions", routing::post(bad_gateway))
        .layer(layer);
    let mut statuses = Vec::new();
    for route in ["a", "b", "c", "a", "b", "c"] {
        let request = post(&format!("/{route}/v1/chat/completions"), OPENAI).map(Body::new);
        statuses.push(
            router
                .clone()
                .oneshot(request)
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [502, 502, 502, 502, 502, 503]);
    assert_eq!(handle.circuits().len(), 1);
    assert_eq!(&*handle.circuits()[0].key, "gpt-6-sol");
}

async fn bad_gateway() -> http::StatusCode {
    http::StatusCode::BAD_GATEWAY
}
