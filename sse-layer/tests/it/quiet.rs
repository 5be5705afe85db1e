//! Comments while the upstream says nothing.

use http_body_util::BodyExt;
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tokio::time::{Instant, timeout};
use tower::{Layer, ServiceExt};

use crate::common::*;

const KEEP_ALIVE: &str = ": keep-alive\n\n";

async fn timed(layer: SseLayer, body: ScriptedBody) -> Vec<(u64, String)> {
    let script = Script::new().then(Answer::stream(body));
    let start = Instant::now();
    let response = layer.layer(script).oneshot(openai(true)).await.unwrap();
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        all.push((
            start.elapsed().as_secs(),
            String::from_utf8(data.to_vec()).unwrap(),
        ));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_long_thinking_pause_reaches_the_caller_alive() {
    let body = ScriptedBody::new()
        .data(ROLE)
        .wait(SECOND * 90)
        .data(say("Hi"))
        .data(STOP)
        .data(DONE);
    // a proxy that gives up after 30 s without a byte
    let script = Script::new().then(Answer::stream(body));
    let service = StreamTimeoutLayer::new().layer(script);
    let layer = SseLayer::new().keep_alive(SECOND * 15);
    let response = layer.layer(service).oneshot(openai(true)).await.unwrap();
    let mut body = response.into_body();
    let mut all = String::new();
    while let Some(frame) = timeout(SECOND * 30, body.frame()).await.expect("alive") {
        all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    // the sixth falls together with what was waited for
    assert_eq!(
        all,
        [ROLE, &KEEP_ALIVE.repeat(5), &say("Hi"), STOP, DONE].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn the_interval_begins_anew_with_everything_that_is_handed_on() {
    let body = ScriptedBody::new()
        .wait(SECOND * 14)
        .data(ROLE)
        .wait(SECOND * 14)
        .data(COMMENT)
        .wait(SECOND * 16)
        .data(say("Hi"))
        .data(STOP)
        .data(DONE);
    let all = timed(SseLayer::new().keep_alive(SECOND * 15), body).await;
    let times: Vec<_> = all.iter().map(|(at, data)| (*at, data.as_str())).collect();
    let hi = say("Hi");
    assert_eq!(
        times,
        [
            (14, ROLE),
            (28, COMMENT),
            (43, KEEP_ALIVE),
            (44, &hi),
            (44, STOP),
            (44, DONE)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_comment_never_stands_within_an_event() {
    let hi = say("Hi");
    let (front, back) = hi.split_at(20);
    let body = ScriptedBody::new()
        .data([ROLE, front].concat())
        .wait(SECOND * 40)
        .data([back, STOP, DONE].concat());
    let all = timed(SseLayer::new().keep_alive(SECOND * 15), body).await;
    let all: Vec<_> = all.into_iter().map(|(_, data)| data).collect();
    assert_eq!(
        all.concat(),
        [ROLE, KEEP_ALIVE, KEEP_ALIVE, &hi, STOP, DONE].concat()
    );
    // one that is too long to be held back goes on in pieces, and undisturbed
    let long = "x".repeat(5 << 20);
    let body = ScriptedBody::new()
        .data(["data: ", &long].concat())
        .wait(SECOND * 100)
        .data("\n\n")
        .wait(SECOND * 20)
        .data(DONE);
    let all = timed(SseLayer::new().keep_alive(SECOND * 15), body).await;
    let all: Vec<_> = all.into_iter().map(|(_, data)| data).collect();
    let expected = ["data: ", &long, "\n\n", KEEP_ALIVE, DONE].concat();
    assert!(all.concat().starts_with(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_pauses_is_sent_nothing_for_the_pause() {
    let body = ScriptedBody::new()
        .data(ROLE)
        .data(say("Hi"))
        .data(STOP)
        .data(DONE);
    let script = Script::new().then(Answer::stream(body));
    let layer = SseLayer::new().keep_alive(SECOND * 15);
    let response = layer.layer(script).oneshot(openai(true)).await.unwrap();
    let mut body = response.into_body();
    let mut all = String::new();
    while let Some(frame) = body.frame().await {
        all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        tokio::time::advance(SECOND * 3_600).await;
    }
    assert!(!all.contains("keep-alive"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn by_default_nothing_is_written() {
    let body = ScriptedBody::new()
        .data(ROLE)
        .wait(SECOND * 3_600)
        .data(STOP)
        .data(DONE);
    let all = timed(SseLayer::new(), body).await;
    assert_eq!(all.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_is_off() {
    let body = ScriptedBody::new()
        .data(ROLE)
        .wait(SECOND * 5)
        .data(say("Hi"))
        .data(STOP)
        .data(DONE);
    let layer = SseLayer::new().keep_alive(std::time::Duration::ZERO);
    assert_eq!(timed(layer, body).await.len(), 4);

    // nor does a window of nothing spin
    let body = ScriptedBody::new()
        .data(say("Hi"))
        .wait(SECOND * 5)
        .data(STOP)
        .data(DONE);
    let script = Script::new().then(Answer::stream(body));
    let service = StreamTimeoutLayer::new()
        .min_tokens(0, std::time::Duration::ZERO)
        .layer(script);
    let response = service.oneshot(openai(true)).await.unwrap();
    assert_eq!(text(response).await, [&say("Hi"), STOP, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_pauses_amid_a_wait_is_sent_one_comment_for_it() {
    let body = ScriptedBody::new().data(ROLE).hang();
    let script = Script::new().then(Answer::stream(body));
    let layer = SseLayer::new().keep_alive(SECOND * 15);
    let response = layer.layer(script).oneshot(openai(true)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(data(&mut body).await, ROLE);
    assert!(timeout(SECOND, body.frame()).await.is_err(), "it waits");
    tokio::time::advance(SECOND * 3_600).await;
    let start = Instant::now();
    assert_eq!(data(&mut body).await, KEEP_ALIVE);
    assert_eq!(start.elapsed().as_secs(), 0);
    assert_eq!(data(&mut body).await, KEEP_ALIVE);
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn googles_clients_are_kept_alive_by_blank_lines_and_told_nothing_but_data() {
    let first = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\r\n\r\n";
    let last = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n";
    let body = ScriptedBody::new().data(first).wait(SECOND * 40).data(last);
    let script = Script::new().then(Answer::stream(body).after(SECOND * 20));
    let layer = SseLayer::new()
        .keep_alive(SECOND * 15)
        .early_head(SECOND)
        .summary();
    let request = http::Request::post(
        "https://h/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
    )
    .header("content-type", "application/json")
    .body(http_body_util::Full::from(r#"{"contents":[]}"#))
    .unwrap();
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let all = response.into_body().collect().await.unwrap().to_bytes();
    let all = String::from_utf8(all.to_vec()).unwrap();
    let only_data = |line: &str| line.is_empty() || line.starts_with("data: ");
    assert!(all.lines().all(only_data), "{all}");
    assert!(all.starts_with("\r\n") && all.contains(first), "{all}");
    assert!(
        all.ends_with(last) && all.matches("\r\n").count() > 6,
        "{all}"
    );
}
