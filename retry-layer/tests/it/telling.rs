//! What the app can know: hook, statistics, attempts.

use std::sync::{Arc, Mutex};

use crate::common::*;
use http_body_util::BodyExt;
use llm_exchange::{Attempts, End, Verdict};
use retry_layer::RetryStats;
use tokio::time::advance;
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn the_app_hears_of_each_retry_before_its_wait() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let layer = exact().on_retry(move |retrying| {
        let event = (
            retrying.attempt,
            retrying.verdict,
            retrying.delay,
            retrying.model.is_some(),
        );
        log.lock().unwrap().push(event);
    });
    let script = Script::new()
        .then(throttled())
        .then(Answer::status(500))
        .then(answered());
    layer.layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(
        *heard.lock().unwrap(),
        [
            (2, Verdict::Throttled, SECOND, true),
            (3, Verdict::Failed, SECOND * 2, true),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_statistics_count_calls_retries_errors_and_throttling() {
    let layer = exact().max_retries(1);
    let handle = layer.handle();
    let script = Script::new()
        .then(answered())
        .then(throttled())
        .then(answered())
        .then(throttled())
        .then(Answer::status(500))
        .then(Answer::status(400))
        .then(Answer::stream(ScriptedBody::new().data(HELLO).error("cut")));
    let service = layer.layer(script);
    for _ in 0..4 {
        service.clone().oneshot(openai()).await.unwrap();
    }
    let broken = service.clone().oneshot(openai()).await.unwrap();
    http_body_util::BodyExt::collect(broken.into_body())
        .await
        .unwrap_err();
    let stats = handle.stats();
    assert_eq!(stats.requests, 5);
    assert_eq!(stats.retries, 2);
    assert_eq!(stats.rate_limited, 2);
    assert_eq!(stats.errors, 2);
    assert_eq!(stats.gave_up, 1);
    assert_eq!(stats.retry_rate(), 0.4);
    assert_eq!(stats.error_rate(), 0.4);
}

/// The statistics after one call, whose answer is read to its end.
async fn stats_after(answer: Answer) -> RetryStats {
    let layer = exact();
    let service = layer.layer(Script::new().then(answer));
    let response = service.oneshot(openai()).await.unwrap();
    let _ = response.into_body().collect().await;
    layer.handle().stats()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_fails_after_its_first_content_is_an_error_in_the_statistics() {
    let complete = stats_after(Answer::sse([ROLE, HELLO, STOP, DONE])).await;
    assert_eq!(complete.errors, 0);
    for frames in [
        [ROLE, HELLO, SERVER_ERROR].as_slice(),
        // in one piece with the content
        &[&[ROLE, HELLO, SERVER_ERROR].concat()],
        // a clean end of the body without the protocol's own
        &[ROLE, HELLO],
    ] {
        let stats = stats_after(Answer::sse(frames.iter().map(|frame| frame.to_string()))).await;
        assert_eq!(stats.errors, 1, "{frames:?}");
        assert_eq!((stats.retries, stats.gave_up), (0, 0));
    }
    // all of it here when it is handed on
    let all = ScriptedBody::new().data([ROLE, HELLO, SERVER_ERROR].concat());
    let all = Answer::stream(all.eager_end());
    assert_eq!(stats_after(all).await.errors, 1);
    let broken = ScriptedBody::new().data(HELLO).error("reset");
    assert_eq!(stats_after(Answer::stream(broken)).await.errors, 1);
    let broken = ScriptedBody::new().data("{\"choices\":").error("reset");
    let unstreamed = Answer::json(200, "").body(broken);
    assert_eq!(stats_after(unstreamed).await.errors, 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_in_the_middle_of_a_stream_is_counted_as_such() {
    let throttled = format!("data: {RATE_LIMITED}\n\n");
    let stats = stats_after(Answer::sse([HELLO.to_owned(), throttled])).await;
    assert_eq!((stats.errors, stats.rate_limited), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_stops_reading_is_no_error_in_the_statistics() {
    let layer = exact();
    let stream = ScriptedBody::new().data(HELLO).wait(SECOND).data(STOP);
    let service = layer.layer(Script::new().then(Answer::stream(stream)));
    let response = service.oneshot(openai()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(layer.handle().stats().errors, 0);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_apps_own_attempts_tell_how_often_the_call_was_sent() {
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let script = Script::new().then_always(|| Answer::error("connection reset"));
    let layer = exact().max_retries(2);
    layer.layer(script).oneshot(request).await.unwrap_err();
    assert_eq!(attempts.count(), 3);
    // each says when it was left: the second one after the wait of a second
    let left: Vec<_> = attempts.left_behind();
    assert_eq!(left.len(), 2);
    assert_eq!(left[1].at - left[0].at, SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_counted_when_it_is_sent_not_while_it_waits() {
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let layer = exact();
    let script = Script::new().then(throttled()).then(answered());
    let call = tokio::spawn(layer.layer(script).oneshot(request));
    advance(SECOND / 2).await;
    assert_eq!((attempts.count(), layer.handle().stats().retries), (1, 0));
    advance(SECOND).await;
    call.await.unwrap().unwrap();
    assert_eq!((attempts.count(), layer.handle().stats().retries), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_used_is_left_behind_for_whoever_keeps_books() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0,\"total_tokens\":9}}\n\n";
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let script = Script::new()
        .then(throttled())
        .then(Answer::sse([ROLE, usage, SERVER_ERROR]))
        .then(Answer::hang())
        .then(Answer::stream(ScriptedBody::new().data(ROLE).hang()))
        .then(Answer::sse([HELLO, STOP, DONE]));
    let layer = exact().attempt_timeout(SECOND * 10);
    layer.layer(script).oneshot(request).await.unwrap();

    let left = attempts.left_behind();
    assert_eq!(attempts.count(), 5);
    let verdicts: Vec<_> = left.iter().map(|left| left.verdict).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Throttled,
            Verdict::Failed,
            Verdict::TimedOut,
            Verdict::TimedOut
        ]
    );
    assert!(
        left.iter()
            .all(|left| left.model.as_deref() == Some("gpt-6-sol"))
    );
    let used = left[1].meter.as_ref().unwrap().usage().unwrap();
    assert_eq!(used.input(), 9);
    // neither was the caller's doing
    assert!(left[2].meter.is_none());
    let cut = left[3].meter.as_ref().unwrap();
    assert!(matches!(cut.end(), Some(End::Cut(_))), "{:?}", cut.end());
    assert_eq!(cut.verdict(), Verdict::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_our_504_replaces_is_left_behind_too() {
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let script = Script::new().then(Answer::stream(ScriptedBody::new().data(ROLE).hang()));
    let layer = exact().attempt_timeout(SECOND * 10).max_retries(0);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 504);
    let left = attempts.left_behind();
    assert_eq!(left.len(), 1);
    assert!(left[0].meter.is_some());
}
