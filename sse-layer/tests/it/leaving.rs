//! The caller goes away.

use llm_exchange::{End, Meter};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use testkit::{Point, drop_everywhere};
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt};

use crate::common::*;

const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":30}}\n\n";

fn answer() -> ScriptedBody {
    ScriptedBody::new()
        .data(ROLE)
        .wait(SECOND)
        .data(say(" a") + "data: ")
        .wait(SECOND * 20)
        .data("{}\n\n")
        .data(say(" b"))
        .data(STOP)
        .wait(SECOND)
        .data(USAGE)
        .data(DONE)
}

fn clocks() -> StreamTimeoutLayer {
    StreamTimeoutLayer::new()
        .first_content(SECOND * 10)
        .idle(SECOND * 60)
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_upstream_is_let_go_at_once() {
    for early in [false, true] {
        let points = drop_everywhere(
            async || {
                let script = Script::new().then(Answer::stream(answer()).after(SECOND * 3));
                let mut layer = SseLayer::new()
                    .keep_alive(SECOND * 8)
                    .max_output_tokens(100);
                if early {
                    layer = layer.early_head(SECOND);
                }
                let upload = ScriptedBody::<BoxError>::new()
                    .wait(SECOND)
                    .data(&br#"{"model":"m","messages":[],"stream":true}"#[..]);
                let call = layer
                    .layer(clocks().layer(script.clone()))
                    .oneshot(openai(true).map(|_| upload));
                (script, call)
            },
            async |script, at| {
                for call in script.seen() {
                    assert!(!call.answer.is_alive(), "{at:?}");
                    assert_eq!(call.answer.has_ended(), at.point == Point::Ended, "{at:?}");
                }
            },
        )
        .await;
        assert_eq!(points.last().unwrap().point, Point::Ended);
        let frames = points
            .iter()
            .filter(|at| matches!(at.point, Point::Frame(_)))
            .count();
        assert!(frames >= 7, "{points:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn by_setting_the_rest_is_read_for_its_usage() {
    let script = Script::new().then(Answer::stream(answer()));
    let layer = SseLayer::new().drain(SECOND * 30);
    let response = layer
        .layer(script.clone())
        .oneshot(openai(true))
        .await
        .unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    let mut body = response.into_body();
    data(&mut body).await;
    drop(body);
    assert!(script.seen()[0].answer.is_alive());
    sleep(SECOND * 25).await;
    assert!(!script.seen()[0].answer.is_alive());
    assert_eq!(meter.end(), Some(End::Complete));
    assert_eq!(meter.usage().unwrap().output(), 30);
}

#[tokio::test(start_paused = true)]
async fn but_not_for_longer_than_that() {
    let script = Script::new().then(Answer::stream(answer()));
    let layer = SseLayer::new().drain(SECOND * 10);
    let response = layer
        .layer(script.clone())
        .oneshot(openai(true))
        .await
        .unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    drop(response);
    sleep(SECOND * 9).await;
    assert!(script.seen()[0].answer.is_alive());
    sleep(SECOND * 2).await;
    assert!(!script.seen()[0].answer.is_alive());
    assert_eq!(meter.end(), Some(End::Dropped));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_over_is_not_read_on() {
    let script = Script::new().then(Answer::sse(words(&["a"])));
    let layer = SseLayer::new().drain(SECOND * 10);
    let response = layer
        .layer(script.clone())
        .oneshot(openai(true))
        .await
        .unwrap();
    text(response).await;
    assert!(!script.seen()[0].answer.is_alive());
}

#[tokio::test(start_paused = true)]
async fn so_many_are_read_on_at_a_time_and_no_more() {
    let script = Script::new().then_always(|| Answer::stream(ScriptedBody::new().hang()));
    let service = SseLayer::new().drain(SECOND * 10).layer(script.clone());
    for _ in 0..1_030 {
        drop(service.clone().oneshot(openai(true)).await.unwrap());
    }
    let alive = || {
        script
            .seen()
            .iter()
            .filter(|call| call.answer.is_alive())
            .count()
    };
    assert_eq!(alive(), 1_024);
    sleep(SECOND * 11).await;
    assert_eq!(alive(), 0);
    drop(service.oneshot(openai(true)).await.unwrap());
    assert_eq!(alive(), 1, "there is room again");
    advance(SECOND).await;
}

#[test]
fn without_a_runtime_nothing_is_read_on_and_nothing_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let script = Script::new().then(Answer::stream(ScriptedBody::new().hang()));
    let service = SseLayer::new().drain(SECOND).layer(script.clone());
    let response = runtime.block_on(service.oneshot(openai(true))).unwrap();
    drop(response);
    assert!(!script.seen()[0].answer.is_alive());
}
