//! When a call is sent again, and what the caller gets.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::common::*;
use http::{Request, StatusCode};
use http_body_util::{Full, StreamBody};
use llm_exchange::{Attempts, Classify, ErrorAnswer, Peeked, Refusal, Standard, Verdict};
use retry_layer::{GaveUp, Retried, RetryBudget, RetryLayer};
use tokio::time::Instant;
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
async fn a_throttled_call_is_sent_again_byte_for_byte_with_its_number() {
    let script = Script::new()
        .collect_bodies()
        .then(throttled())
        .then(throttled())
        .then(answered());
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-llm-attempts"), Some("3"));
    assert_eq!(waits(&script), [1.0, 3.0]);
    for (index, call) in script.seen().iter().enumerate() {
        assert_eq!(call.body.as_deref(), Some(OPENAI.as_bytes()));
        assert_eq!(call.headers["authorization"], "Bearer sk-secret");
        let number = call
            .headers
            .get("x-llm-attempt")
            .map(|value| value.to_str().unwrap());
        assert_eq!(number, [None, Some("2"), Some("3")][index]);
    }
}

#[tokio::test(start_paused = true)]
async fn headers_with_several_values_and_extensions_survive_a_retry() {
    #[derive(Clone, PartialEq, Debug)]
    struct Tenant(u8);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<llm_exchange::Payload>| {
        let betas: Vec<_> = request
            .headers()
            .get_all("anthropic-beta")
            .iter()
            .cloned()
            .collect();
        log.lock()
            .unwrap()
            .push((betas, request.extensions().get::<Tenant>().cloned()));
        async { Err::<http::Response<Full<bytes::Bytes>>, _>(io::Error::other("reset")) }
    });
    let mut request = anthropic();
    request
        .headers_mut()
        .append("anthropic-beta", "a".parse().unwrap());
    request
        .headers_mut()
        .append("anthropic-beta", "b".parse().unwrap());
    request.extensions_mut().insert(Tenant(7));
    let error = exact()
        .max_retries(2)
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].0.len(), 2);
    assert!(seen.iter().all(|call| *call == seen[0]));
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
    let script = Script::new().then(Answer::json(400, r#"{"error":{"message":"bad"}}"#));
    let response = exact().layer(script).oneshot(openai()).await.unwrap();
    assert_eq!(header(&response, "x-should-retry"), None);
    assert_eq!(
        Retried::of(&response).unwrap().gave_up,
        Some(GaveUp::NotRetryable)
    );
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
    // had the inner layer said "not again", the outer one would have obeyed
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
async fn what_is_no_llm_call_passes_through_untouched() {
    for request in [
        post("https://api.example/v1/files", OPENAI),
        Request::get("https://api.example/v1/models")
            .body(Full::default())
            .unwrap(),
        Request::post("https://api.example/v1/chat/completions")
            .header("content-type", "multipart/form-data")
            .body(Full::from(OPENAI))
            .unwrap(),
    ] {
        let script = Script::new().then(Answer::json(503, "busy"));
        let layer = exact();
        let response = layer.layer(script).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert!(Retried::of(&response).is_none());
        assert_eq!(header(&response, "x-llm-attempts"), None);
        assert_eq!(layer.handle().stats().requests, 0);
        assert_eq!(text(response).await, "busy");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_streams_through_and_is_sent_once() {
    let script = Script::new().collect_bodies().then(throttled());
    let layer = exact().max_payload_bytes(OPENAI.len() - 1);
    let response = layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(script.seen()[0].body.as_deref(), Some(OPENAI.as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_while_sending_is_not_retried_for_and_not_counted() {
    let upload = ScriptedBody::new()
        .data(r#"{"model":"#)
        .error("reset by peer");
    let request = openai().map(|_| upload);
    let script = Script::new().then(Answer::error("the body broke"));
    let layer = exact();
    let error = layer
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the body broke");
    assert_eq!(script.calls(), 1);
    assert_eq!(layer.handle().stats(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_many_pieces_is_sent_whole_again() {
    let pieces = OPENAI.as_bytes().chunks(3).map(|piece| {
        Ok::<_, io::Error>(http_body::Frame::data(bytes::Bytes::copy_from_slice(piece)))
    });
    let body = StreamBody::new(futures_util::stream::iter(pieces.collect::<Vec<_>>()));
    let script = Script::new()
        .collect_bodies()
        .then(throttled())
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai().map(|_| body))
        .await
        .unwrap();
    assert!(
        script
            .seen()
            .iter()
            .all(|call| call.body.as_deref() == Some(OPENAI.as_bytes()))
    );
}

#[tokio::test(start_paused = true)]
async fn answers_are_asked_for_uncompressed() {
    let script = Script::new().then(answered()).then(answered());
    let mut request = openai();
    request
        .headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    request
        .headers_mut()
        .append("accept-encoding", "br".parse().unwrap());
    let layer = exact();
    layer.layer(script.clone()).oneshot(request).await.unwrap();
    layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    let asked: Vec<_> = script.seen()[0]
        .headers
        .get_all("accept-encoding")
        .iter()
        .cloned()
        .collect();
    assert_eq!(asked, ["identity"]);
    assert_eq!(script.seen()[1].headers.get("accept-encoding"), None);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_error_is_judged_by_its_status_alone() {
    let gzip = Answer::json(429, &b"\x1f\x8b\x08junk"[..]).header("content-encoding", "gzip");
    let script = Script::new().then(gzip).then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
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
