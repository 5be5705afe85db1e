//! What counts as what.

use crate::common::*;
use breaker_layer::{CircuitCounts, CircuitState, Counts, SlowCalls};
use http::{Request, StatusCode};
use http_body_util::Full;
use llm_exchange::{Classify, ErrorAnswer, FromCache, Peeked, Refusal, Standard, Verdict};
use tower::{Layer, ServiceExt, service_fn};

async fn counted(answer: Answer) -> CircuitCounts {
    let layer = exact();
    let handle = layer.handle();
    call(&service(&layer, &Script::new().then(answer)), openai()).await;
    handle.circuit(KEY).unwrap().counts
}

#[tokio::test(start_paused = true)]
async fn each_status_counts_as_what_it_says_about_the_provider() {
    for status in [408, 409, 424, 498, 500, 502, 503, 504, 520, 524, 529] {
        assert_eq!(
            counted(Answer::status(status)).await.failures,
            1,
            "{status}"
        );
    }
    for status in [400, 401, 402, 403, 404, 413, 422, 429, 499, 501] {
        assert_eq!(counted(Answer::status(status)).await.neither, 1, "{status}");
    }
    for status in [301, 304] {
        assert_eq!(
            counted(Answer::status(status)).await.successes,
            1,
            "{status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_says_more_than_the_status() {
    let cases = [
        // Vertex wraps a throttling in a 500
        (
            500,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#,
            false,
        ),
        (400, r#"{"error":{"type":"overloaded_error"}}"#, true),
        (
            500,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            false,
        ),
    ];
    for (status, body, fails) in cases {
        let counts = counted(Answer::json(status, body)).await;
        assert_eq!(
            (counts.failures, counts.neither),
            (fails.into(), (!fails).into()),
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_counts_by_setting() {
    let throttled = || Answer::status(429).header("retry-after", "60");
    let layer = exact();
    let handle = layer.handle();
    calls(9, &service(&layer, &Script::new().then_always(throttled))).await;
    assert_eq!(state(&handle), CircuitState::Closed);

    let layer = exact().counts(Verdict::Throttled, Counts::Failure);
    let handle = layer.handle();
    calls(9, &service(&layer, &Script::new().then_always(throttled))).await;
    let circuit = handle.circuit(KEY).unwrap();
    assert_eq!(circuit.open_for, Some(SECOND * 60));
    assert_eq!(circuit.counts.refused, 4);
}

const USED_UP: &str = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;

fn with_key(key: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = openai();
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    request
}

#[tokio::test(start_paused = true)]
async fn a_credential_with_nothing_left_opens_its_own_circuit_only() {
    let script = Script::new()
        .then(Answer::json(429, USED_UP))
        .then_answers("......");
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &script);
    assert_eq!(call(&service, with_key("sk-canary")).await, 429);
    let refused = send(&service, with_key("sk-canary")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(
        Refusal::of(&refused).unwrap().code(),
        "credential_circuit_open"
    );
    assert_eq!(call(&service, with_key("sk-rich")).await, 200);
    assert_eq!(state(&handle), CircuitState::Closed);

    let circuits = handle.circuits();
    assert_eq!(circuits.len(), 2);
    assert!(!format!("{circuits:?}").contains("canary"));
    // somebody has paid: one call shows it
    pass(SECOND * 30).await;
    assert_eq!(call(&service, with_key("sk-canary")).await, 200);
    assert!(
        handle
            .circuits()
            .iter()
            .all(|circuit| circuit.state == CircuitState::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_credential_is_given_back_when_the_providers_circuit_refuses() {
    let script = Script::new()
        .then(Answer::json(429, USED_UP))
        .then_answers("fffff.");
    let layer = exact().open_for(SECOND * 10).max_open(SECOND * 10);
    let handle = layer.handle();
    let service = service(&layer, &script);
    call(&service, with_key("sk-poor")).await;
    pass(SECOND * 9).await;
    for _ in 0..5 {
        call(&service, with_key("sk-rich")).await;
    }
    pass(SECOND).await;
    // the credential's time is over, the provider's is not
    assert_eq!(call(&service, with_key("sk-poor")).await, 503);
    let not_sent = |circuit: &breaker_layer::CircuitStatus| circuit.counts.neither == 0;
    assert!(
        handle
            .circuits()
            .iter()
            .filter(|it| it.key.contains("credential"))
            .all(not_sent),
        "a call that was never sent is none"
    );
    pass(SECOND * 9).await;
    assert_eq!(call(&service, with_key("sk-poor")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_further_in_says_nothing() {
    let refuses = service_fn(|_: Request<llm_exchange::Payload>| async {
        let answer = ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "budget", "none left");
        let refusal = Refusal::new("budget-layer", answer);
        Ok::<_, BoxError>(refusal.into_response::<ScriptedBody>(None))
    });
    let layer = exact();
    let handle = layer.handle();
    let response = layer.layer(refuses).oneshot(openai()).await.unwrap();
    assert_eq!(Refusal::of(&response).unwrap().layer(), "budget-layer");
    drop(response);
    assert_eq!(handle.circuit(KEY).unwrap().counts.neither, 1);
}

const FAILED_RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"failed","error":{"code":"server_error","message":"oops"},"output":[]}"#;

#[tokio::test(start_paused = true)]
async fn a_response_that_says_in_its_middle_that_it_failed_is_a_failure() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new()
        .then(Answer::json(200, FAILED_RESPONSE))
        .then(Answer::json(
            200,
            FAILED_RESPONSE.replace("failed", "completed"),
        ));
    let service = service(&layer, &script);
    let request = || {
        let body = r#"{"model":"gpt-6-sol","input":"hi"}"#;
        post("https://api.example/v1/responses", body)
    };
    assert_eq!(call(&service, request()).await, 200);
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.failures, counts.successes), (1, 0));
    assert_eq!(call(&service, request()).await, 200);
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.failures, counts.successes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_a_200_is_a_failure_also_where_the_first_content_settles() {
    let layer = exact().settle_at_first_content();
    let handle = layer.handle();
    let error = r#"{"error":{"message":"upstream","code":502}}"#;
    let answers = Script::new()
        .then(Answer::json(200, error))
        .then(answered());
    let service = service(&layer, &answers);
    for (failures, successes) in [(1, 0), (1, 1)] {
        call(&service, openai()).await;
        let counts = handle.circuit(KEY).unwrap().counts;
        assert_eq!((counts.failures, counts.successes), (failures, successes));
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_request_too_large_to_be_read_is_judged_by_its_end() {
    let layer = exact().max_payload_bytes(10);
    let handle = layer.handle();
    let script = Script::new()
        .then(Answer::sse([ROLE, SERVER_ERROR]))
        .then(Answer::sse([ROLE, HELLO]))
        .then(stream())
        .then(answered());
    let service = service(&layer, &script);
    for (failures, successes) in [(1, 0), (2, 0), (2, 1), (2, 2)] {
        call(&service, streamed()).await;
        // the model was not read
        let counts = handle.circuit("api.example").unwrap().counts;
        assert_eq!((counts.failures, counts.successes), (failures, successes));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_a_cache_further_in_says_nothing() {
    let cached = service_fn(|_: Request<llm_exchange::Payload>| async {
        let mut response = http::Response::new(ScriptedBody::new().data("{}"));
        response.extensions_mut().insert(FromCache::Hit);
        Ok::<_, BoxError>(response)
    });
    let layer = exact();
    let handle = layer.handle();
    drop(layer.layer(cached).oneshot(openai()).await.unwrap());
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.neither, counts.successes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_further_in_that_waited_is_not_slow() {
    let refuses = service_fn(|_: Request<llm_exchange::Payload>| async {
        tokio::time::sleep(SECOND * 60).await;
        let answer = ErrorAnswer::new(StatusCode::TOO_MANY_REQUESTS, "quota", "none left");
        let refusal = Refusal::new("provider-quota", answer);
        Ok::<_, BoxError>(refusal.into_response::<ScriptedBody>(None))
    });
    let layer = exact().slow_calls(SlowCalls::over(SECOND));
    let handle = layer.handle();
    drop(layer.layer(refuses).oneshot(openai()).await.unwrap());
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.neither, counts.slow), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_apps_own_classifier_decides_on_heads_errors_and_streams() {
    /// Takes a teapot for down, and a server error inside a stream for nothing.
    #[derive(Clone)]
    struct Own;
    impl Classify<BoxError> for Own {
        fn error(&self, _: &BoxError) -> Verdict {
            Verdict::CallersFault
        }
        fn answer(&self, peeked: &Peeked) -> Verdict {
            match (peeked.status().as_u16(), peeked.error()) {
                (418, _) => Verdict::Overloaded,
                (200, Some(_)) => Verdict::Filtered,
                _ => Classify::<BoxError>::answer(&Standard, peeked),
            }
        }
    }
    let script = Script::new()
        .then(Answer::status(418))
        .then(Answer::sse([ROLE, HELLO, SERVER_ERROR]))
        .then(Answer::error("reset"));
    let layer = exact().classify(Own);
    let handle = layer.handle();
    let service = layer.layer(script);
    for _ in 0..3 {
        if let Ok(response) = service.clone().oneshot(streamed()).await {
            text(response).await;
        }
    }
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.failures, counts.neither), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_is_nobodys_fault_and_is_passed_on() {
    let upload = ScriptedBody::<BoxError>::new()
        .data(&OPENAI[..10])
        .error("gone");
    let script = Script::new().then(Answer::status(500));
    let layer = exact();
    let handle = layer.handle();
    let request = openai().map(|_| upload);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(handle.circuits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_passes_untouched_and_unjudged() {
    let script = Script::new().then_always(|| Answer::status(500));
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &script);
    for _ in 0..9 {
        let request = Request::get("https://api.example/v1/models")
            .header("accept-encoding", "gzip")
            .body(Full::default())
            .unwrap();
        assert_eq!(call(&service, request).await, 500);
    }
    assert_eq!(script.calls(), 9);
    assert_eq!(script.seen()[0].headers["accept-encoding"], "gzip");
    assert!(handle.circuits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_back_as_the_inner_service_gave_it_and_its_body_byte_for_byte() {
    let page = format!("<html>{}</html>", "x".repeat(200 << 10));
    let pieces: Vec<Vec<u8>> = page.as_bytes().chunks(9_000).map(<[u8]>::to_vec).collect();
    let script = Script::new()
        .then(Answer::error("no route"))
        .then(Answer::status(502).body(ScriptedBody::chunks(pieces)));
    let service = service(&exact(), &script);
    let error = send(&service, openai()).await.err().unwrap();
    assert_eq!(error.to_string(), "no route");
    assert_eq!(text(send(&service, openai()).await.unwrap()).await, page);
}

#[tokio::test(start_paused = true)]
async fn an_errors_body_that_never_ends_does_not_hold_the_call_for_ever() {
    let body = ScriptedBody::new().data("busy").hang();
    let script = Script::new().then(Answer::status(503).body(body));
    let layer = exact();
    let handle = layer.handle();
    let start = tokio::time::Instant::now();
    let response = send(&service(&layer, &script), openai()).await.unwrap();
    assert_eq!(start.elapsed(), SECOND * 15);
    drop(response);
    assert_eq!(handle.circuit(KEY).unwrap().counts.failures, 1);
}
