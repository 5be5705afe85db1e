//! What bounds a call: deadlines, allowances, budgets, the limit of an attempt.

use std::time::Duration;

use crate::common::*;
use llm_exchange::{Attempts, Verdict};
use retry_layer::{GaveUp, Retried, RetryBudget, RetryLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn no_wait_runs_past_the_deadline_and_no_attempt_starts_after_it() {
    let script = Script::new().then_always(throttled);
    let layer = exact().deadline(SECOND * 5);
    let start = Instant::now();
    let response = layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    // 1 s, 3 s; the next would be due at 7 s, so the answer goes back at once
    assert_eq!(waits(&script), [1.0, 3.0]);
    assert_eq!(start.elapsed(), SECOND * 3);
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Deadline)
    );
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn settings_without_end_are_taken_for_what_they_are() {
    let script = Script::new().then(throttled()).then(answered());
    let layer = exact()
        .deadline(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .max_hint(Duration::MAX);
    let response = layer.layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(header(&response, "x-llm-attempts"), Some("2"));

    // the longest wait that anybody can ask for, waited for
    let script = Script::new()
        .then(throttled().header("retry-after", "1e400"))
        .then(answered());
    let layer = exact().max_hint(Duration::MAX).no_deadline();
    let call = layer.layer(script).oneshot(openai());
    assert!(tokio::time::timeout(SECOND * 3600, call).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_running_attempt_is_not_cut_by_the_deadline() {
    let script = Script::new()
        .then(throttled())
        .then(answered().after(SECOND * 600));
    let layer = exact().deadline(SECOND * 5);
    let response = layer.layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_timeout_of_the_caller_is_a_deadline_too() {
    let script = Script::new().then_always(throttled);
    let mut request = openai();
    request
        .headers_mut()
        .insert("grpc-timeout", "2500m".parse().unwrap());
    let response = exact()
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(waits(&script), [1.0]);
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Deadline)
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_that_the_app_allows_bound_the_call() {
    let attempts = Attempts::default();
    attempts.limit_to(2);
    let script = Script::new().then_always(throttled);
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let response = exact()
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!((script.calls(), attempts.count()), (2, 2));
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::Exhausted)
    );
}

#[tokio::test(start_paused = true)]
async fn two_stacked_layers_share_one_deadline_and_only_the_outer_says_not_again() {
    let script = Script::new().then_always(throttled);
    let inner = exact().max_retries(1).layer(script.clone());
    let outer = exact().max_retries(1).layer(inner);
    let response = outer.oneshot(openai()).await.unwrap();
    assert_eq!(script.calls(), 4);
    assert_eq!(header(&response, "x-llm-attempts"), Some("4"));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    let numbers: Vec<_> = script
        .seen()
        .iter()
        .map(|call| call.headers.get("x-llm-attempt").cloned())
        .collect();
    assert_eq!(
        numbers,
        [
            None,
            Some("2".parse().unwrap()),
            Some("3".parse().unwrap()),
            Some("4".parse().unwrap())
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_inner_layer_that_gives_up_does_not_keep_the_outer_one_from_going_on() {
    // had it said "not again" on its 504, the outer one would have obeyed
    let script = Script::new().then_always(Answer::hang);
    let inner = exact().max_retries(0).attempt_timeout(SECOND);
    let outer = exact().max_retries(1).layer(inner.layer(script.clone()));
    let response = outer.oneshot(openai()).await.unwrap();
    assert_eq!((script.calls(), response.status().as_u16()), (2, 504));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));

    // what the provider says itself is for both
    let script = Script::new().then(Answer::status(500).header("x-should-retry", "false"));
    let outer = exact().layer(exact().layer(script.clone()));
    outer.oneshot(openai()).await.unwrap();
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_retry_budget_stops_a_storm_of_one_model_and_leaves_another_alone() {
    let layer = exact()
        .max_retries(1)
        .budget(RetryBudget::new().percent(20).per_second(0));
    let script = Script::new().then_always(throttled);
    let service = layer.layer(script.clone());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        calls.spawn(service.clone().oneshot(openai()));
    }
    for _ in 0..10 {
        calls.spawn(service.clone().oneshot(anthropic()));
    }
    let mut stopped = 0;
    while let Some(response) = calls.join_next().await {
        let gave_up = Retried::of(&response.unwrap().unwrap()).unwrap().gave_up;
        stopped += u32::from(gave_up == Some(GaveUp::Budget));
    }
    assert_eq!(stopped, 80 + 8);
    assert_eq!(script.calls(), 110 + 20 + 2);
}

#[tokio::test(start_paused = true)]
async fn the_default_retry_budget_lets_a_small_app_retry_everything() {
    let layer = exact().max_retries(1);
    let script = Script::new().then_always(throttled);
    let service = layer.layer(script.clone());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        calls.spawn(service.clone().oneshot(openai()));
    }
    calls.join_all().await;
    assert_eq!(script.calls(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_over_its_limit_is_dropped_and_retried_and_the_last_one_answered_504() {
    let script = Script::new().then(Answer::hang()).then(answered());
    let layer = exact().attempt_timeout(SECOND * 10);
    layer
        .clone()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(waits(&script), [11.0]);

    let script = Script::new().then_always(Answer::hang);
    let response = layer
        .max_retries(1)
        .layer(script)
        .oneshot(anthropic())
        .await
        .unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(Retried::of(&response).unwrap().verdict, Verdict::TimedOut);
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    let body = text(response).await;
    assert!(
        body.starts_with(r#"{"type":"error","error":{"type":"timeout_error""#),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_attempt_covers_the_time_to_the_first_content_and_no_longer() {
    let slow_start = ScriptedBody::new().data(ROLE).wait(SECOND * 11).data(HELLO);
    let long_answer = ScriptedBody::new()
        .data(ROLE)
        .data(HELLO)
        .wait(SECOND * 60)
        .data(DONE);
    let script = Script::new()
        .then(Answer::stream(slow_start))
        .then(Answer::stream(long_answer));
    let layer = exact().attempt_timeout(SECOND * 10);
    let response = layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!(waits(&script), [11.0]);
    assert_eq!(text(response).await, [ROLE, HELLO, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn two_clients_do_not_wait_alike() {
    let first_wait = || async {
        let script = Script::new().then(throttled()).then(answered());
        RetryLayer::new()
            .layer(script.clone())
            .oneshot(openai())
            .await
            .unwrap();
        waits(&script)[0]
    };
    let mut waits = Vec::new();
    for _ in 0..20 {
        waits.push(first_wait().await);
    }
    assert!(
        waits.iter().all(|wait| (0.9..=1.101).contains(wait)),
        "{waits:?}"
    );
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_is_a_minute_however_many_retries() {
    let script = Script::new().then_always(|| Answer::status(500));
    let layer = exact().max_retries(12).no_deadline();
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    let seen = script.seen();
    let last = seen[12].at - seen[11].at;
    assert_eq!(last, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn no_token_of_the_retry_budget_is_spent_on_what_is_not_sent_for_another_reason() {
    // ten tokens
    let layer = exact()
        .max_retries(1)
        .budget(RetryBudget::new().percent(0).per_second(1));
    let script = Script::new().then_always(throttled);
    let service = layer.layer(script.clone());
    for _ in 0..20 {
        let attempts = Attempts::default();
        attempts.limit_to(1);
        let mut request = openai();
        request.extensions_mut().insert(attempts);
        let response = service.clone().oneshot(request).await.unwrap();
        let gave_up = Retried::of(&response).unwrap().gave_up;
        assert_eq!(gave_up, Some(GaveUp::Exhausted));
    }
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(service.clone().oneshot(openai())))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(layer.handle().stats().retries, 10);
}

#[tokio::test(start_paused = true)]
async fn an_allowance_that_is_used_up_during_the_wait_ends_the_call_unsent() {
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    let script = Script::new().then(throttled());
    let layer = exact();
    let call = tokio::spawn(layer.layer(script.clone()).oneshot(request));
    tokio::time::sleep(SECOND / 2).await;
    attempts.limit_to(1);
    let response = call.await.unwrap().unwrap();
    assert_eq!((script.calls(), attempts.count()), (1, 1));
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "x-llm-attempts"), Some("1"));
    let gave_up = Retried::of(&response).unwrap().gave_up;
    assert_eq!(gave_up, Some(GaveUp::Exhausted));
    assert_eq!(layer.handle().stats().retries, 0);
}

/// How many of so many calls at once were sent again, each throttled for good.
async fn retries_of(layer: RetryLayer, services: usize, calls: usize) -> u64 {
    let layer = layer.max_retries(1);
    let running: Vec<_> = (0..services)
        .flat_map(|_| {
            // as axum does, for each route and method
            let service = layer.clone().layer(Script::new().then_always(throttled));
            (0..calls).map(move |_| tokio::spawn(service.clone().oneshot(openai())))
        })
        .collect();
    for call in running {
        call.await.unwrap().unwrap();
    }
    let stats = layer.handle().stats();
    assert_eq!(stats.requests, (services * calls) as u64);
    stats.retries
}

#[tokio::test(start_paused = true)]
async fn all_services_of_one_layer_share_its_budget_and_its_statistics() {
    let ten = RetryBudget::new().percent(0).per_second(1);
    assert_eq!(retries_of(exact().budget(ten.clone()), 4, 20).await, 10);
    assert_eq!(retries_of(exact().no_budget(), 4, 20).await, 80);
}

#[tokio::test(start_paused = true)]
async fn the_app_says_which_calls_share_a_budget() {
    let ten_each = RetryBudget::new()
        .percent(0)
        .per_second(1)
        .key(|request| request.headers().get("x-tenant").cloned());
    let layer = exact().max_retries(1).budget(ten_each);
    let service = layer.layer(Script::new().then_always(throttled));
    for tenant in ["a", "b"] {
        for _ in 0..20 {
            let mut request = openai();
            let headers = request.headers_mut();
            headers.insert("x-tenant", tenant.parse().unwrap());
            tokio::spawn(service.clone().oneshot(request));
        }
    }
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(layer.handle().stats().retries, 20);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_nothing_lets_the_first_attempt_run() {
    let script = Script::new().then(throttled());
    let layer = exact().deadline(Duration::ZERO);
    let response = layer.layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(response.status(), 429);
    let gave_up = Retried::of(&response).unwrap().gave_up;
    assert_eq!(gave_up, Some(GaveUp::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_another_layer_shortened_is_obeyed() {
    let attempts = Attempts::default();
    let mut request = openai();
    request.extensions_mut().insert(attempts.clone());
    attempts.end_by(Instant::now() + SECOND * 2);
    let start = Instant::now();
    let script = Script::new().then_always(throttled);
    let service = exact().layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!((script.calls(), start.elapsed()), (2, SECOND));
    let gave_up = Retried::of(&response).unwrap().gave_up;
    assert_eq!(gave_up, Some(GaveUp::Deadline));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_would_start_at_the_deadline_is_not_waited_for() {
    let script = Script::new().then_always(throttled);
    let start = Instant::now();
    let service = exact().deadline(SECOND * 3).layer(script);
    let response = service.oneshot(openai()).await.unwrap();
    // it would be due after 1 s + 2 s
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(response.status(), 429);
}
