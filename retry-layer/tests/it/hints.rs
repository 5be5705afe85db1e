//! The delays that providers ask for.

use std::time::{Duration, SystemTime};

use crate::common::*;
use llm_exchange::WallClock;
use retry_layer::{GaveUp, Retried, RetryLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// The wait before the second attempt, in seconds, after a 429 with these headers.
async fn wait_after(headers: &[(&str, &str)]) -> f64 {
    let clock = WallClock::fixed(httpdate("Mon, 23 Nov 2026 10:00:00 GMT"));
    let answer = headers.iter().fold(throttled(), |answer, (name, value)| {
        answer.header(name, value)
    });
    let script = Script::new().then(answer).then(answered());
    exact()
        .clock(clock)
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    waits(&script)[0]
}

fn httpdate(text: &str) -> SystemTime {
    httpdate::parse_http_date(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_asks_is_waited_for() {
    for (headers, wait) in [
        (&[("retry-after", "7")][..], 7.0),
        (&[("retry-after", "0.25")], 0.25),
        (&[("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT")], 30.0),
        (
            &[
                ("retry-after", "Mon, 23 Nov 2026 11:00:30 GMT"),
                ("date", "Mon, 23 Nov 2026 11:00:00 GMT"),
            ],
            30.0,
        ),
        (&[("retry-after-ms", "1820"), ("retry-after", "2")], 1.82),
        (
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "6s"),
                ("x-ratelimit-remaining-requests", "9"),
                ("x-ratelimit-reset-requests", "12ms"),
            ],
            6.0,
        ),
        (&[("grpc-retry-pushback-ms", "250")], 0.25),
    ] {
        assert_eq!(wait_after(headers).await, wait, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_delay_leaves_the_backoff() {
    for headers in [
        &[("retry-after", "soon")][..],
        &[("retry-after", "0")],
        &[("retry-after", "-5")],
        &[("retry-after", "NaN")],
        &[("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT")],
        // an upper bound over the cap is no reason to give up
        &[
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        // not exhausted
        &[
            ("x-ratelimit-remaining-tokens", "5"),
            ("x-ratelimit-reset-tokens", "30s"),
        ],
    ] {
        assert_eq!(wait_after(headers).await, 1.0, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_shorter_than_100_ms() {
    assert_eq!(wait_after(&[("retry-after-ms", "1")]).await, 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_delay_over_the_cap_is_not_shortened_but_handed_back_at_once() {
    for delay in ["61", "86400", "1e400", "99999999999999999999999999"] {
        let script = Script::new().then(throttled().header("retry-after", delay));
        let start = Instant::now();
        let response = exact().layer(script).oneshot(openai()).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(response.status(), 429);
        assert_eq!(header(&response, "retry-after"), Some(delay));
        let gave_up = Retried::of(&response).unwrap().gave_up;
        assert!(
            matches!(gave_up, Some(GaveUp::DelayTooLong(_))),
            "{delay}: {gave_up:?}"
        );
    }
    let script = Script::new()
        .then(throttled().header("retry-after", "61"))
        .then(answered());
    exact()
        .max_hint(SECOND * 61)
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [61.0]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_of_the_latest_answer_counts() {
    let script = Script::new()
        .then(throttled().header("retry-after", "9"))
        .then(throttled().header("retry-after", "3"))
        .then(throttled())
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [9.0, 12.0, 16.0]);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_that_forbids_is_obeyed() {
    for pushback in ["-1", "never"] {
        let script =
            Script::new().then(Answer::status(503).header("grpc-retry-pushback-ms", pushback));
        exact()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        assert_eq!(script.calls(), 1, "{pushback}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_in_the_body_is_obeyed() {
    let body = r#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"4.5s"}]}}"#;
    let script = Script::new().then(Answer::json(429, body)).then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [4.5]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_was_told_one_moment_comes_back_later_and_not_at_once() {
    let mut moments = Vec::new();
    for _ in 0..20 {
        let script = Script::new()
            .then(throttled().header("retry-after", "10"))
            .then(answered());
        RetryLayer::new()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        moments.push(waits(&script)[0]);
    }
    assert!(
        moments.iter().all(|wait| (10.0..=11.001).contains(wait)),
        "{moments:?}"
    );
    moments.dedup();
    assert!(moments.len() > 10, "{moments:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_an_error_inside_a_200_is_obeyed() {
    let in_header = Answer::sse([ROLE, SERVER_ERROR]).header("retry-after", "7");
    let retry_info = r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"9s"}]}}"#;
    let script = Script::new()
        .then(in_header)
        .then(Answer::sse([format!("data: {retry_info}\n\n")]))
        .then(Answer::json(200, retry_info))
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [7.0, 16.0, 25.0]);
}
