//! With retry-layer beneath: the two share one allowance and one deadline.

use std::time::Duration;

use crate::common::*;
use llm_exchange::Verdict;
use retry_layer::{Backoff, RetryLayer};
use tokio::time::Instant;
use tower::ServiceBuilder;

fn retry() -> RetryLayer {
    RetryLayer::new().backoff(Backoff::new().jitter(0.0).unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_target_is_retried_and_then_left() {
    let script = (0..5)
        .fold(script(), |script, _| script.then(Answer::status(503)))
        .then(answered());
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(retry().max_retries(2))
        .service(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(asked(&script), ["a", "a", "a", "b", "b", "b"]);
    assert_eq!(header(&response, "x-llm-attempts"), Some("6"));
    assert_eq!(header(&response, "x-llm-model"), Some("b"));
    assert_eq!(verdicts(&response), [Verdict::Overloaded]);
    let numbers: Vec<_> = script
        .seen()
        .iter()
        .map(|seen| {
            seen.headers
                .get("x-llm-attempt")
                .map(|n| n.to_str().unwrap().to_owned())
        })
        .collect();
    let expected = [None, Some("2"), Some("3"), Some("4"), Some("5"), Some("6")];
    assert_eq!(numbers, expected.map(|n| n.map(str::to_owned)));
}

#[tokio::test(start_paused = true)]
async fn retries_times_targets_are_bounded_by_one_number() {
    let script = script().then_always(|| Answer::status(503));
    let service = ServiceBuilder::new()
        .layer(layer().max_attempts(7).no_deadline())
        .layer(retry().max_retries(4))
        .service(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(script.calls(), 7);
    assert_eq!(header(&response, "x-llm-attempts"), Some("7"));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn retries_times_targets_are_bounded_by_one_deadline() {
    let script = script().then_always(|| Answer::status(503));
    let start = Instant::now();
    let service = ServiceBuilder::new()
        .layer(layer().deadline(SECOND * 10).max_attempts(1000))
        .layer(retry().max_retries(100).deadline(SECOND * 1000))
        .service(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert!(start.elapsed() < SECOND * 10, "{:?}", start.elapsed());
    // the time that one target's next wait would have run over is left for the others
    assert_eq!(verdicts(&response), [Verdict::Overloaded; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_the_retry_does_not_wait_for_is_another_targets_chance() {
    let script = script()
        .then(Answer::status(429).header("retry-after", "61"))
        .then(answered());
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(retry())
        .service(script.clone());
    let start = Instant::now();
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(
        (by(&response), start.elapsed()),
        (Some("b"), Duration::ZERO)
    );
    // and one that it does wait for is not
    let script = crate::common::script()
        .then(Answer::status(429).header("retry-after", "5"))
        .then(answered());
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(retry())
        .service(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_dies_before_its_content_is_retried_and_then_left_unseen() {
    let dies = || Answer::stream(ScriptedBody::new().data(ROLE).error("reset"));
    let script = script().then(dies()).then(dies()).then(streamed());
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(retry().max_retries(1))
        .service(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(asked(&script), ["a", "a", "b"]);
    assert_eq!(text(response).await, [ROLE, HELLO, STOP, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_retry_further_out_sends_the_whole_chain_again() {
    let script = script()
        .then(Answer::status(500))
        .then(Answer::status(500))
        .then(Answer::status(429).header("retry-after", "3"))
        .then(answered());
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(layer())
        .service(script.clone());
    let start = Instant::now();
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(asked(&script), ["a", "b", "c", "a"]);
    assert_eq!(
        (response.status().as_u16(), start.elapsed()),
        (200, SECOND * 3)
    );
}
