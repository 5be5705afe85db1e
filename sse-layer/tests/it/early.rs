//! A head before the upstream's.

use http::Response;
use http_body::Body;
use sse_layer::SseLayer;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::common::*;

const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// The answer's text, and after how many seconds its head came.
async fn early(script: Answer) -> (Response<()>, String, u64) {
    let layer = SseLayer::new()
        .early_head(SECOND * 5)
        .keep_alive(SECOND * 15);
    let start = Instant::now();
    let script = Script::new().then(script);
    let response = layer.layer(script).oneshot(openai(true)).await.unwrap();
    let head = start.elapsed().as_secs();
    let (parts, body) = response.into_parts();
    assert!(!body.is_end_stream());
    let all = text(Response::new(body)).await;
    (Response::from_parts(parts, ()), all, head)
}

fn stream() -> ScriptedBody {
    ScriptedBody::chunks(words(&["Hi"]))
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_has_its_own_head() {
    let answer = Answer::stream(stream())
        .header("x-request-id", "req_1")
        .after(SECOND * 4);
    let (response, all, head) = early(answer).await;
    assert_eq!(
        (head, &response.headers()["x-request-id"]),
        (4, &"req_1".parse().unwrap())
    );
    assert_eq!(all, words(&["Hi"]).concat());
    let (response, _, _) = early(Answer::json(429, "{}").after(SECOND * 4)).await;
    assert_eq!(response.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn a_late_one_has_ours_and_comments_until_it_comes() {
    let (response, all, head) = early(Answer::stream(stream()).after(SECOND * 40)).await;
    assert_eq!((head, response.status().as_u16()), (5, 200));
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    // at once, and at 20 s and 35 s
    assert_eq!(all, KEEP_ALIVE.repeat(3) + &words(&["Hi"]).concat());
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_none_in_the_middle() {
    let body = ScriptedBody::new().data("\u{feff}".to_owned() + &words(&["Hi"]).concat());
    let (_, all, _) = early(Answer::stream(body).after(SECOND * 6)).await;
    assert_eq!(all, KEEP_ALIVE.to_owned() + &words(&["Hi"]).concat());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_too_late_for_the_head_is_told_in_the_stream() {
    let error =
        r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"},"request_id":"r"}"#;
    let (response, all, _) = early(Answer::json(429, error).after(SECOND * 6)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        all,
        KEEP_ALIVE.to_owned()
            + "data: {\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\
               \"param\":null,\"code\":\"rate_limit_exceeded\"}}\n\n"
            + DONE
    );
    let (_, all, _) = early(Answer::json(502, "<html>").after(SECOND * 6)).await;
    assert!(
        all.contains("\"code\":\"no_stream\"") && all.ends_with(DONE),
        "{all}"
    );
    let (_, all, _) = early(Answer::error("refused").after(SECOND * 6)).await;
    assert!(
        all.contains("\"code\":\"upstream_failed\"") && all.ends_with(DONE),
        "{all}"
    );
    let broken = ScriptedBody::new().data("{").error("reset");
    let (_, all, _) = early(Answer::status(200).body(broken).after(SECOND * 6)).await;
    assert!(
        all.contains("\"code\":\"no_stream\"") && all.ends_with(DONE),
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_stream_becomes_one() {
    let answer = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let (_, all, _) = early(Answer::json(200, answer).after(SECOND * 6)).await;
    let all = all.strip_prefix(KEEP_ALIVE).unwrap();
    let answer = collected(llm_exchange::Dialect::OpenAiChat, all);
    assert_eq!(answer["choices"][0]["message"]["content"], "Hi");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_no_stream_waits() {
    let layer = SseLayer::new().early_head(SECOND);
    let script = Script::new().then(Answer::json(200, "{}").after(SECOND * 600));
    let response = layer.layer(script).oneshot(openai(false)).await.unwrap();
    assert_eq!(text(response).await, "{}");
}

#[tokio::test(start_paused = true)]
async fn who_expects_another_framing_waits() {
    let layer = SseLayer::new().early_head(SECOND);
    for uri in [
        "https://api.example/api/chat",
        "https://api.example/v1beta/models/gemini-3.8-flash:streamGenerateContent",
        "https://api.example/model/anthropic.claude/invoke-with-response-stream",
    ] {
        let script = Script::new().then(Answer::status(200).after(SECOND * 600));
        let start = Instant::now();
        let request = post(uri, r#"{"model":"m","stream":true,"messages":[]}"#);
        layer.layer(script).oneshot(request).await.unwrap();
        assert_eq!(start.elapsed(), SECOND * 600, "{uri}");
    }
}
