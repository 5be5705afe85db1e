//! With retry-layer and breaker-layer beneath: one allowance and one deadline for all.

use std::time::Duration;

use crate::common::*;
use breaker_layer::BreakerLayer;
use llm_exchange::{PeekLimits, Verdict};
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

/// A breaker that opens at the second failure of a model.
fn breaker() -> BreakerLayer {
    BreakerLayer::new().failures(2).unwrap().jitter(0)
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_left_at_once_and_nothing_is_sent_to_what_is_down() {
    // a is down: every second call of the script is b's
    let mut number = 0;
    let script = script().then_always(move || {
        number += 1;
        if number <= 4 && number % 2 == 1 {
            Answer::status(503)
        } else {
            answered()
        }
    });
    let layer = layer().no_memory();
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(breaker())
        .service(script.clone());
    for _ in 0..2 {
        let response = service.clone().oneshot(openai("a")).await.unwrap();
        assert_eq!(verdicts(&response), [Verdict::Overloaded]);
        text(response).await;
    }
    assert_eq!(asked(&script), ["a", "b", "a", "b"]);
    let start = Instant::now();
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(asked(&script).split_off(4), ["b"]);
    assert_eq!(left(&response), ["a: refused (503)"]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn when_all_breakers_are_open_the_answer_says_when_the_first_may_close() {
    let script = script().then_always(|| Answer::status(500));
    let service = ServiceBuilder::new()
        .layer(layer().no_memory())
        .layer(retry().max_retries(1))
        .layer(breaker().open_for(SECOND * 20))
        .service(script.clone());
    let response = service.clone().oneshot(openai("a")).await.unwrap();
    assert_eq!(verdicts(&response), [Verdict::Failed; 3]);
    tokio::time::advance(SECOND * 5).await;
    let sent = script.calls();
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(script.calls(), sent);
    assert_eq!(verdicts(&response), [Verdict::Refused; 3]);
    assert_eq!(response.status(), 503);
    // a's opened first, some seconds before those of b and c
    let after: u64 = header(&response, "retry-after-ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((11_000..=15_000).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_the_layer_and_a_breaker_go_together() {
    let script = script().then_always(|| Answer::status(500));
    let layer = layer();
    let handle = layer.handle();
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(breaker())
        .service(script.clone());
    for _ in 0..2 {
        service.clone().oneshot(openai("a")).await.unwrap();
    }
    // refused twice: that is no failure of the target
    for _ in 0..2 {
        service.clone().oneshot(openai("a")).await.unwrap();
    }
    assert_eq!(script.calls(), 6);
    assert!(handle.remembered().iter().all(|one| one.failures == 2));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_beneath_does_not_count_the_loser_of_a_hedge_wherever_it_was() {
    let nothing: fn() -> Answer = || Answer::hang();
    let role = || Answer::stream(ScriptedBody::new().data(ROLE).hang());
    let patient = PeekLimits::default().commit_after(SECOND * 60);
    // nothing came of the first target, or all but content, which the breaker still waits for, or does no longer
    for (first, after) in [(nothing, SECOND), (role, SECOND), (role, SECOND * 20)] {
        let script = Script::new().collect_bodies();
        let script = (0..3).fold(script, |script, _| script.then(first()).then(streamed()));
        let service = ServiceBuilder::new()
            .layer(layer().hedge_after(after).peek_limits(patient))
            .layer(breaker())
            .service(script.clone());
        for _ in 0..3 {
            let call = r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
            let request = post("https://api.example/v1/chat/completions", call);
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(by(&response), Some("b"));
            let all = tokio::time::timeout(SECOND * 99, text(response)).await;
            assert!(
                all.is_ok(),
                "`a` was refused, and what it would have said is b's"
            );
        }
        assert_eq!(asked(&script), ["a", "b", "a", "b", "a", "b"]);
    }
}
