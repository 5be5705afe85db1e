//! What flights hold, counted.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use testkit::{Answer, Script};
use tower::{Layer, ServiceExt};

use super::Flights;
use crate::CacheLayer;

const ANSWER: &str =
    r#"{"model":"m","choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;

fn ask() -> Request<Full<Bytes>> {
    let body = r#"{"model":"m","temperature":0,"messages":[]}"#;
    Request::post("https://h/v1/chat/completions")
        .header("authorization", "Bearer a")
        .body(Full::from(body))
        .unwrap()
}

async fn service(most_held: usize) -> (Arc<Flights>, CacheLayer, Script) {
    let flights = Arc::new(Flights::with_most_held(most_held));
    let layer = CacheLayer::new().with_flights(Arc::clone(&flights));
    let script = Script::new().then_always(|| Answer::json(200, ANSWER));
    (flights, layer, script)
}

#[tokio::test(start_paused = true)]
async fn what_readers_have_not_read_is_counted_also_after_its_end() {
    let (flights, layer, script) = service(1 << 20).await;
    let stack = layer.layer(script.clone());
    let fast = stack.clone().oneshot(ask()).await.unwrap();
    let slow = stack.oneshot(ask()).await.unwrap();
    fast.into_body().collect().await.unwrap();
    assert_eq!(flights.held(), ANSWER.len());
    let text = slow.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((text, script.calls()), (Bytes::from(ANSWER), 1));
    assert_eq!(flights.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_there_is_no_room_for_passes_and_is_not_kept() {
    let (flights, layer, script) = service(ANSWER.len() - 1).await;
    for _ in 0..2 {
        let got = layer.layer(script.clone()).oneshot(ask()).await.unwrap();
        let text = got.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, ANSWER);
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.not_kept, stats.kept, script.calls()), (2, 0, 2));
    assert_eq!(flights.held(), 0);
}
