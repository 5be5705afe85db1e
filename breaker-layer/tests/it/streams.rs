//! Streams: judged by how they end, and never held back.

use std::time::Duration;

use crate::common::*;
use breaker_layer::{CircuitCounts, CircuitState};
use http_body_util::BodyExt;
use tokio::time::Instant;

fn anthropic() -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let body = r#"{"model":"gpt-6-sol","max_tokens":64,"messages":[],"stream":true}"#;
    post("https://api.example/v1/messages", body)
}

/// What one streamed call counted as.
async fn counted(answer: Answer) -> CircuitCounts {
    counted_of(answer, false).await
}

async fn counted_of(answer: Answer, as_anthropic: bool) -> CircuitCounts {
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &Script::new().then(answer));
    let request = if as_anthropic {
        anthropic()
    } else {
        streamed()
    };
    call(&service, request).await;
    handle.circuit(KEY).unwrap().counts
}

fn is_success(counts: CircuitCounts) -> bool {
    (counts.successes, counts.failures, counts.neither) == (1, 0, 0)
}

fn is_failure(counts: CircuitCounts) -> bool {
    (counts.successes, counts.failures, counts.neither) == (0, 1, 0)
}

#[tokio::test(start_paused = true)]
async fn twenty_streams_that_die_after_their_head_open_the_circuit() {
    let dies = || {
        Answer::stream(
            ScriptedBody::new()
                .data(ROLE)
                .data(HELLO)
                .error("unexpected EOF during chunk size line"),
        )
    };
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_always(dies);
    let service = service(&layer, &script);
    for _ in 0..20 {
        call(&service, streamed()).await;
    }
    assert_eq!(state(&handle), CircuitState::Open);
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!(
        (script.calls(), counts.failures, counts.refused),
        (5, 5, 15)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_judged_by_its_end() {
    assert!(is_success(counted(stream()).await));
    // the connection broke, before or after its content
    let broken = |body: ScriptedBody| Answer::stream(body.error("reset"));
    assert!(is_failure(counted(broken(ScriptedBody::new())).await));
    assert!(is_failure(
        counted(broken(ScriptedBody::new().data(ROLE))).await
    ));
    // the provider says that it failed, with and without an end mark after it
    assert!(is_failure(
        counted(Answer::sse([ROLE, HELLO, SERVER_ERROR])).await
    ));
    assert!(is_failure(counted(Answer::sse([SERVER_ERROR, DONE])).await));
    // a proxy made a clean end of a reset
    assert!(is_failure(counted(Answer::sse([ROLE, HELLO])).await));
    assert!(is_failure(counted(Answer::sse([""; 0])).await));
}

#[tokio::test(start_paused = true)]
async fn an_anthropic_stream_too() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    let text = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Yel\"}}\n\n";
    let over = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    assert!(is_success(
        counted_of(Answer::sse([start, text, over, stop]), true).await
    ));
    assert!(is_failure(
        counted_of(Answer::sse([start, text, error]), true).await
    ));
    assert!(is_failure(
        counted_of(Answer::sse([start, text]), true).await
    ));
}

#[tokio::test(start_paused = true)]
async fn a_throttling_inside_of_a_stream_is_no_failure() {
    let throttled = "data: {\"error\":{\"message\":\"slow down\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    let counts = counted(Answer::sse([ROLE, throttled])).await;
    assert_eq!((counts.failures, counts.neither), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_stops_at_the_last_word_has_an_answer() {
    let layer = exact();
    let handle = layer.handle();
    let body = ScriptedBody::new().data(HELLO).data(STOP).data(DONE).hang();
    let service = service(&layer, &Script::new().then(Answer::stream(body)));
    let mut body = send(&service, streamed()).await.unwrap().into_body();
    for _ in 0..3 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    assert!(is_success(handle.circuit(KEY).unwrap().counts));
}

#[tokio::test(start_paused = true)]
async fn an_unstreamed_answer_is_judged_by_its_end_too() {
    let json = |body: ScriptedBody| Answer::json(200, "").body(body);
    let whole = r#"{"id":"chatcmpl-1","choices":[]}"#;
    let cases = [
        (json(ScriptedBody::chunks(["\n\n", whole, " \n"])), true),
        (json(ScriptedBody::new().data(whole).error("reset")), false),
        (json(ScriptedBody::new().data(&whole[..20])), false),
        (json(ScriptedBody::new()), false),
        (
            Answer::json(200, r#"{"error":{"message":"upstream","code":502}}"#),
            false,
        ),
    ];
    for (answer, good) in cases {
        let layer = exact();
        let handle = layer.handle();
        let service = service(&layer, &Script::new().then(answer));
        call(&service, openai()).await;
        let counts = handle.circuit(KEY).unwrap().counts;
        assert_eq!(is_success(counts), good, "{counts:?}");
        assert_eq!(is_failure(counts), !good, "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_judged_by_its_status_and_end() {
    let zipped = |answer: Answer| answer.header("content-encoding", "gzip");
    assert!(is_success(
        counted(zipped(Answer::sse(["\u{1f}\u{8b}"]))).await
    ));
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then(zipped(Answer::json(200, "\u{1f}\u{8b}")));
    let service = service(&layer, &script);
    let mut request = openai();
    let accept = http::HeaderValue::from_static("gzip, br");
    request.headers_mut().insert("accept-encoding", accept);
    call(&service, request).await;
    assert!(is_success(handle.circuit(KEY).unwrap().counts));
    // it was not asked for
    assert_eq!(script.seen()[0].headers["accept-encoding"], "identity");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_stream_is_held_back_and_nothing_changed() {
    let frames = [
        ": ping\n\n",
        ROLE,
        ": ping\n\n",
        HELLO,
        "data: x",
        "\n\n",
        DONE,
    ];
    let body = frames.iter().fold(ScriptedBody::new(), |body, frame| {
        body.wait(SECOND).data(*frame)
    });
    let layer = exact();
    let service = service(&layer, &Script::new().then(Answer::stream(body)));
    let start = Instant::now();
    let mut body = send(&service, streamed()).await.unwrap().into_body();
    assert_eq!(start.elapsed(), Duration::ZERO, "the head comes at once");
    for (number, frame) in frames.iter().enumerate() {
        let came = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(came, frame);
        assert_eq!(start.elapsed(), SECOND * (number as u32 + 1));
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_opening_circuit_does_not_disturb_a_running_stream() {
    let long = ScriptedBody::new()
        .data(HELLO)
        .wait(SECOND * 10)
        .data(STOP)
        .data(DONE);
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new()
        .then(Answer::stream(long))
        .then_answers("fffff");
    let service = service(&layer, &script);
    let running = send(&service, streamed()).await.unwrap();
    open(&service, &handle).await;
    assert_eq!(text(running).await, [HELLO, STOP, DONE].concat());
    // nor does its late success close the circuit
    assert_eq!(state(&handle), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn by_setting_a_success_is_told_at_the_first_content() {
    let layer = exact().settle_at_first_content();
    let handle = layer.handle();
    let long = || Answer::stream(ScriptedBody::new().data(ROLE).data(HELLO).hang());
    let script = Script::new()
        .then_answers("fffff")
        .then(long())
        .then(long());
    let service = service(&layer, &script);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let mut running = Vec::new();
    for expected in [CircuitState::HalfOpen, CircuitState::Closed] {
        let mut body = send(&service, streamed()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(
            state(&handle),
            CircuitState::HalfOpen,
            "a role is no content"
        );
        body.frame().await.unwrap().unwrap();
        assert_eq!(state(&handle), expected);
        running.push(body);
    }
    drop(running);
    assert_eq!(handle.circuit(KEY).unwrap().counts.successes, 2);
}
