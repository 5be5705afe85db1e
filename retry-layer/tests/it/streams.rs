//! Streams: what is retried before the first content, and what the caller sees of it.

use std::time::Duration;

use crate::common::*;
use http_body_util::BodyExt;
use llm_exchange::{PeekLimits, Verdict};
use retry_layer::Retried;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

async fn retried(first: Answer) -> bool {
    let script = Script::new()
        .then(first)
        .then(Answer::sse([ROLE, HELLO, STOP, DONE]));
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    if script.calls() == 2 {
        assert_eq!(text(response).await, [ROLE, HELLO, STOP, DONE].concat());
    }
    script.calls() == 2
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_first_event_is_an_error_is_retried_unseen() {
    assert!(retried(Answer::sse([SERVER_ERROR])).await);
    assert!(retried(Answer::sse([ROLE, SERVER_ERROR, DONE])).await);
    assert!(retried(Answer::sse([": ping\n\n", ROLE, SERVER_ERROR])).await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_before_its_first_content_is_retried_unseen() {
    assert!(retried(Answer::stream(ScriptedBody::new().error("reset"))).await);
    assert!(
        retried(Answer::stream(
            ScriptedBody::new().data(ROLE).error("reset")
        ))
        .await
    );
    // a proxy that turns a reset into a clean end
    assert!(retried(Answer::stream(ScriptedBody::new().data(ROLE))).await);
    assert!(retried(Answer::stream(ScriptedBody::new().data(&HELLO[..20]))).await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_order_without_content_is_an_answer() {
    assert!(!retried(Answer::sse([ROLE, STOP, DONE])).await);
    assert!(!retried(Answer::sse([DONE])).await);
}

#[tokio::test(start_paused = true)]
async fn after_the_first_content_nothing_is_retried_and_the_error_reaches_the_caller() {
    let script = Script::new().then(Answer::stream(
        ScriptedBody::new().data(ROLE).data(HELLO).error("reset"),
    ));
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        ROLE
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        HELLO
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_at_is_handed_on_byte_for_byte_and_frame_for_frame() {
    let frames = [
        ": hi\n\n",
        "da",
        "ta: {\"choices\":[]}\r",
        "\n\r\n",
        ROLE,
        HELLO,
        "data: x",
        "\n\n",
        DONE,
    ];
    let script = Script::new().then(Answer::sse(frames));
    let response = exact().layer(script).oneshot(openai()).await.unwrap();
    let mut body = response.into_body();
    for expected in frames {
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            expected
        );
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_anthropic_overload_inside_a_200_is_retried() {
    let error = format!("event: error\ndata: {OVERLOADED}\n\n");
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let text_delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Yel\"}}\n\n";
    let script = Script::new()
        .then(Answer::sse([start.to_owned(), ping.to_owned(), error]))
        .then(Answer::sse([start, ping, text_delta]));
    let response = exact()
        .layer(script.clone())
        .oneshot(anthropic())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
    assert_eq!(text(response).await, [start, ping, text_delta].concat());
}

#[tokio::test(start_paused = true)]
async fn the_last_failed_stream_goes_to_the_caller_as_it_is() {
    let script = Script::new().then_always(|| Answer::sse([ROLE, SERVER_ERROR]));
    let response = exact()
        .max_retries(2)
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    assert_eq!(Retried::of(&response).unwrap().verdict, Verdict::Failed);
    assert_eq!(text(response).await, [ROLE, SERVER_ERROR].concat());
}

#[tokio::test(start_paused = true)]
async fn a_long_thinking_pause_is_handed_on_after_fifteen_seconds_with_its_pings() {
    let thinking = (0..30).fold(ScriptedBody::new(), |body, _| {
        body.data(": ping\n\n").wait(SECOND * 3)
    });
    let script = Script::new().then(Answer::stream(thinking.data(HELLO).data(DONE)));
    let start = Instant::now();
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(start.elapsed(), SECOND * 15);
    let body = text(response).await;
    assert_eq!(start.elapsed(), SECOND * 90);
    assert_eq!(body, [&": ping\n\n".repeat(30), HELLO, DONE].concat());
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_bounded_in_time_events_and_bytes() {
    let layer = exact().peek_limits(
        PeekLimits::default()
            .commit_after(Duration::from_millis(1))
            .max_bytes(64)
            .max_events(3),
    );
    for body in [
        ScriptedBody::new().data(ROLE).hang(),
        ScriptedBody::new().data(vec![b':'; 64]).hang(),
        ScriptedBody::new().data("data: {}\n\n".repeat(3)).hang(),
    ] {
        let script = Script::new().then(Answer::stream(body));
        let response = layer.clone().layer(script).oneshot(openai()).await.unwrap();
        assert_eq!(Retried::of(&response).unwrap().verdict, Verdict::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_error_body_is_replayed_like_a_small_one() {
    let page = format!("<html>{}</html>", "x".repeat(200 << 10));
    let pieces: Vec<Vec<u8>> = page.as_bytes().chunks(9_000).map(<[u8]>::to_vec).collect();
    let script = Script::new().then_always(move || {
        Answer::status(502)
            .header("content-type", "text/html")
            .body(ScriptedBody::chunks(pieces.clone()))
    });
    let response = exact()
        .max_retries(1)
        .layer(script)
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(text(response).await, page);
}

#[tokio::test(start_paused = true)]
async fn an_error_body_that_never_ends_does_not_hold_the_call() {
    let script = Script::new()
        .then(Answer::status(503).body(ScriptedBody::new().data("busy").hang()))
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [16.0]);
}

#[tokio::test(start_paused = true)]
async fn a_200_whose_json_is_an_error_is_retried() {
    let error = r#"{"error":{"message":"upstream","code":502},"user_id":"u"}"#;
    let script = Script::new()
        .then(Answer::json(200, error))
        .then(
            Answer::json(200, "").body(
                ScriptedBody::new()
                    .data("\n\n")
                    .data("{\"err")
                    .data(&error[5..]),
            ),
        )
        .then(Answer::json(200, "").body(ScriptedBody::new().error("reset")))
        .then(answered());
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 4);
    assert!(text(response).await.contains("Hello"));
}

#[tokio::test(start_paused = true)]
async fn an_unstreamed_answer_that_dies_in_the_middle_is_not_hidden() {
    let body = ScriptedBody::new()
        .data(r#"{"id":"chatcmpl-1","choices":["#)
        .error("reset");
    let script = Script::new().then(Answer::json(200, "").body(body));
    let response = exact().layer(script).oneshot(openai()).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_kind_is_not_waited_for() {
    let sound = Answer::status(200)
        .header("content-type", "audio/mpeg")
        .body(ScriptedBody::new().hang());
    let script = Script::new().then(sound);
    exact().layer(script).oneshot(openai()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_known_by_the_beginning_of_an_error_body_that_is_too_long_or_never_ends() {
    let start = r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota","message":""#;
    for body in [
        ScriptedBody::new()
            .data(format!("{start}{}", "x".repeat(100 << 10)))
            .hang(),
        ScriptedBody::new().data(start).hang(),
        ScriptedBody::new().data(start).error("reset"),
    ] {
        let script = Script::new().then(Answer::json(429, "").body(body));
        let response = exact()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        let verdict = Retried::of(&response).unwrap().verdict;
        assert_eq!((script.calls(), verdict), (1, Verdict::QuotaExhausted));
    }
}
