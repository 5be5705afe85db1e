//! When a call is sent again, and what the caller gets.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::common::*;
use http::{Request, StatusCode};
use http_body_util::Full;
use llm_exchange::{Classify, ErrorAnswer, Peeked, Refusal, Standard, Verdict};
use retry_layer::{GaveUp, Retried};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn a_success_is_handed_back_at_once_with_the_number_of_attempts() {
    let script = Script::new().then(answered());
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-llm-attempts"), Some("1"));
    assert_eq!(header(&response, "x-should-retry"), None);
    let retried = Retried::of(&response).unwrap();
    assert_eq!(
        (retried.attempts, retried.verdict, retried.gave_up),
        (1, Verdict::Ok, None)
    );
    assert_eq!(script.seen()[0].headers.get("x-llm-attempt"), None);
    assert!(text(response).await.contains("Hello"));
}

#[tokio::test(start_paused = true)]
async fn when_all_retries_are_used_the_last_answer_goes_back_and_says_not_again() {
    let script = Script::new().then_always(throttled);
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 6);
    assert_eq!(waits(&script), [1.0, 3.0, 7.0, 15.0, 31.0]);
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "x-llm-attempts"), Some("6"));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Exhausted)
    );
    assert_eq!(text(response).await, RATE_LIMITED);
}

#[tokio::test(start_paused = true)]
async fn every_retryable_status_is_retried_and_no_other() {
    let retried = [
        408, 409, 425, 429, 498, 500, 502, 503, 504, 520, 524, 529, 530,
    ];
    let not = [
        400, 401, 402, 403, 404, 405, 410, 412, 413, 415, 422, 499, 501, 505, 301,
    ];
    for status in retried {
        let script = Script::new().then(Answer::status(status)).then(answered());
        exact()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        assert_eq!(script.calls(), 2, "{status}");
    }
    for status in not {
        let script = Script::new().then(Answer::status(status));
        let response = exact()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "x-llm-attempts"), Some("1"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_not_retried_though_it_is_a_429_and_sdks_are_told() {
    let body = r#"{"error":{"message":"no credits","type":"insufficient_quota","code":"credit_balance_exhausted"}}"#;
    let script = Script::new().then(Answer::json(429, body));
    let response = exact().layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(
        Retried::of(&response).unwrap().verdict,
        Verdict::QuotaExhausted
    );
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    assert_eq!(text(response).await, body);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_fault_goes_back_as_the_provider_sent_it() {
    let filtered = r#"{"error":{"message":"no","type":null,"code":"content_filter"}}"#;
    for body in [r#"{"error":{"message":"bad"}}"#, filtered] {
        let script = Script::new().then(Answer::json(400, body));
        let response = exact().layer(script).oneshot(openai()).await.unwrap();
        assert_eq!(header(&response, "x-should-retry"), None);
        assert_eq!(
            Retried::of(&response).unwrap().gave_up,
            Some(GaveUp::NotRetryable)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn x_should_retry_is_obeyed_both_ways() {
    let script = Script::new()
        .then(Answer::status(400).header("x-should-retry", "true"))
        .then(Answer::status(500).header("x-should-retry", "false"));
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
    assert_eq!(response.status(), 500);

    // having obeyed to the end, the layer says not again
    let script = Script::new().then_always(|| Answer::status(400).header("x-should-retry", "true"));
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 6);
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_is_tried_again_and_the_last_error_is_the_inner_one() {
    let script = Script::new()
        .then(Answer::error(io::Error::from(
            io::ErrorKind::ConnectionRefused,
        )))
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [1.0]);

    let script = Script::new().then_always(|| Answer::error("connection reset"));
    let error = exact()
        .max_retries(1)
        .layer(script)
        .oneshot(openai())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "connection reset");
}

#[tokio::test(start_paused = true)]
async fn the_failed_response_is_let_go_before_the_wait() {
    let endless = || ScriptedBody::new().data(vec![b'x'; 80 << 10]).hang();
    let script = Script::new()
        .then(Answer::status(503).body(endless()))
        .then(Answer::hang())
        .then(answered());
    let layer = exact().attempt_timeout(SECOND * 30);
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].answer.dropped_at(), Some(seen[0].at));
    assert_eq!(seen[1].at - seen[0].at, SECOND);
    assert_eq!(seen[1].answer.dropped_at(), Some(seen[1].at + SECOND * 30));
    assert_eq!(seen[2].at - seen[1].at, SECOND * 32);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_an_inner_layer_is_never_retried() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<llm_exchange::Payload>| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "breaker_open", "open");
        let mut response = Refusal::new("breaker-layer", answer).into_response::<Full<_>>(None);
        response
            .headers_mut()
            .insert("x-should-retry", "true".parse().unwrap());
        async { Ok::<_, BoxError>(response) }
    });
    let layer = exact().max_retries_on(Verdict::Refused, 5);
    let response = layer.layer(inner).oneshot(openai()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(response.status(), 503);
    assert_eq!(Refusal::of(&response).unwrap().layer(), "breaker-layer");
    assert_eq!(Retried::of(&response).unwrap().verdict, Verdict::Refused);
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn retries_can_be_set_for_each_kind_of_outcome() {
    let layer = exact()
        .max_retries_on(Verdict::Overloaded, 1)
        .max_retries_on(Verdict::Filtered, 2);
    let script = Script::new().then_always(|| Answer::status(529));
    layer
        .clone()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);

    let filtered = r#"{"error":{"message":"no","type":null,"code":"content_filter"}}"#;
    let script = Script::new().then_always(move || Answer::json(400, filtered));
    layer
        .clone()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 3);

    let script = Script::new().then_always(throttled);
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!(script.calls(), 6);

    // more than of any other kind, and the latest setting counts
    let layer = exact()
        .max_retries(0)
        .max_retries_on(Verdict::Overloaded, 1)
        .max_retries_on(Verdict::Overloaded, 2);
    let script = Script::new().then_always(|| Answer::status(529));
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_retried_for_who_is_gone_whatever_the_settings_say() {
    #[derive(Clone)]
    struct Gone;
    impl<E> Classify<E> for Gone {
        fn error(&self, _: &E) -> Verdict {
            Verdict::CallerGone
        }
        fn answer(&self, _: &Peeked) -> Verdict {
            Verdict::CallerGone
        }
    }
    let script = Script::new().then(Answer::status(500).header("x-should-retry", "true"));
    let layer = exact()
        .classify(Gone)
        .max_retries_on(Verdict::CallerGone, 5);
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!((script.calls(), layer.handle().stats().errors), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_first_answer_goes_back_and_says_so() {
    let script = Script::new().then(throttled());
    let response = exact()
        .max_retries(0)
        .layer(script)
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Exhausted)
    );
}

#[tokio::test(start_paused = true)]
async fn the_apps_own_classifier_decides() {
    #[derive(Clone)]
    struct Teapots;
    impl<E: 'static> Classify<E> for Teapots {
        fn error(&self, error: &E) -> Verdict {
            Standard.error(error)
        }
        fn answer(&self, peeked: &Peeked) -> Verdict {
            if peeked.status() == 418 {
                Verdict::Overloaded
            } else {
                peeked.verdict()
            }
        }
    }
    let script = Script::new().then(Answer::status(418)).then(answered());
    exact()
        .classify(Teapots)
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
}
