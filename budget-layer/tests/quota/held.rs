//! One caller after the other: who is held back, and until when.

use http_body_util::BodyExt;
use llm_exchange::Refusal;

use crate::common::*;

fn after(first: Answer) -> (Script, Service) {
    let script = Script::new().then(first).then_always(answered);
    let service = service(&ProviderQuotaLayer::new(), &script);
    (script, service)
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_until_the_time_that_the_provider_asked_for_is_over() {
    let (script, service) = after(throttled(2_000));
    assert_eq!(call(&service, chat()).await.0, 429);
    advance(SECOND / 2).await;
    assert_eq!(call(&service, chat()).await, (200, SECOND * 3 / 2));
    assert_eq!(script.calls(), 2);
    assert_eq!(call(&service, chat()).await, (200, AT_ONCE));
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_too_long_is_refused_at_once_with_the_true_delay() {
    let (script, service) = after(throttled(60_000));
    call(&service, chat()).await;
    advance(SECOND * 15 + SECOND / 2).await;
    let start = Instant::now();
    let response = send(&service, chat()).await;
    assert_eq!(start.elapsed(), AT_ONCE);
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), Some("45"));
    assert_eq!(header(&response, "retry-after-ms"), Some("44500"));
    let refusal = Refusal::of(&response).unwrap();
    assert_eq!(
        (refusal.layer(), refusal.code()),
        ("provider-quota", "provider_quota")
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "provider_quota");
    assert_eq!(script.calls(), 1);
    // ten seconds before the end it waits
    advance(SECOND * 36).await;
    assert_eq!(call(&service, chat()).await, (200, SECOND * 17 / 2));
}

#[tokio::test(start_paused = true)]
async fn in_anthropics_dialect_the_refusal_is_anthropics() {
    let (_, service) = after(throttled(60_000));
    let messages =
        r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = || post("https://api.anthropic.com/v1/messages", messages);
    call(&service, ask()).await;
    let response = send(&service, ask()).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
}

#[tokio::test(start_paused = true)]
async fn by_setting_nobody_waits() {
    let script = Script::new().then(throttled(10)).then_always(answered);
    let service = service(&ProviderQuotaLayer::new().max_wait(AT_ONCE), &script);
    call(&service, chat()).await;
    assert_eq!(call(&service, chat()).await, (429, AT_ONCE));
    advance(SECOND / 100).await;
    assert_eq!(call(&service, chat()).await.0, 200);
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_never_waits_past_its_own_deadline() {
    let (script, service) = after(throttled(5_000));
    call(&service, chat()).await;
    assert_eq!(call_until(&service, SECOND * 3).await, (429, AT_ONCE));
    assert_eq!(call_until(&service, SECOND * 5).await, (429, AT_ONCE));
    assert_eq!(call_until(&service, SECOND * 6).await, (200, SECOND * 5));
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_throttling_is_found_in_the_body_and_whatever_its_status() {
    let gemini = r#"{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3.5s"}]}}"#;
    for status in [429, 503] {
        let (_, service) = after(Answer::json(status, gemini));
        assert_eq!(call(&service, chat()).await.0, status);
        assert_eq!(
            call(&service, chat()).await,
            (200, SECOND * 7 / 2),
            "{status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn other_failures_hold_nobody_back() {
    let too_long = r#"{"error":{"message":"Request too large: Limit 1000, Requested 9000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    for first in [
        Answer::json(500, "{}").header("retry-after", "9"),
        Answer::json(503, "{}").header("retry-after", "9"),
        Answer::json(429, too_long).header("retry-after", "9"),
        Answer::json(400, "{}").header("retry-after", "9"),
        // of when to come back nothing is known
        Answer::json(429, "{}"),
        Answer::json(429, "{}").header("retry-after", "soon"),
        Answer::json(429, "{}").header("retry-after", "-5"),
        answered().header("retry-after", "9"),
    ] {
        let (_, service) = after(first);
        call(&service, chat()).await;
        assert_eq!(call(&service, chat()).await, (200, AT_ONCE));
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_header_can_mean_holds_nobody_back() {
    let cases: [&[(&str, &str)]; 8] = [
        &[
            ("x-ratelimit-remaining-tokens", "-1"),
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-reset-tokens", "0"),
        ],
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "NaN")],
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-3")],
        &[
            ("x-ratelimit-remaining", "zero"),
            ("x-ratelimit-reset", "9"),
        ],
        &[("x-ratelimit-remaining", "0")],
        &[
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-reset", "2020-01-01T00:00:00Z"),
        ],
        // full in six minutes, but of how many nobody knows
        &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
        ],
        // there is room for so small a call at once
        &[
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
    ];
    for headers in cases {
        let first = headers.iter().fold(answered(), |answer, (name, value)| {
            answer.header(name, value)
        });
        let (_, service) = after(first);
        call(&service, chat()).await;
        assert_eq!(call(&service, chat()).await, (200, AT_ONCE), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_call_is_left_the_next_waits_until_one_could_have_become_free() {
    let spent = answered()
        .header("x-ratelimit-limit-requests", "60")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "1m0s");
    let (script, service) = after(spent);
    assert_eq!(call(&service, chat()).await, (200, AT_ONCE));
    let (one, other) = tokio::join!(call(&service, chat()), call(&service, chat()));
    let (first, second) = (one.min(other), one.max(other));
    assert_eq!((first, second), ((200, SECOND), (200, SECOND * 2)));
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unnamed_limit_opens_at_its_reset_and_sooner_if_an_answer_says_so() {
    let spent = || {
        answered()
            .header("ratelimit-remaining", "0")
            .header("ratelimit-reset", "7")
    };
    let (_, service) = after(spent());
    call(&service, chat()).await;
    assert_eq!(call(&service, chat()).await, (200, SECOND * 7));

    let late = answered()
        .header("ratelimit-remaining", "5")
        .header("ratelimit-reset", "7")
        .after(SECOND * 2);
    let script = Script::new().then(late).then(spent()).then_always(answered);
    let service = crate::common::service(&ProviderQuotaLayer::new(), &script);
    let (_, _, third) = tokio::join!(call(&service, chat()), call(&service, chat()), async {
        sleep(SECOND).await;
        call(&service, chat()).await
    });
    assert_eq!(third.0, 200);
    assert!(
        third.1 >= SECOND && third.1 < SECOND + SECOND / 10,
        "{third:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_tokens_were_left_only_calls_as_large_wait() {
    let large = format!(
        r#"{{"model":"gpt-6-sol","max_tokens":9000,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(2_000)
    );
    let large = || post("https://api.example/v1/chat/completions", &large);
    let some_left = throttled(4_000)
        .header("x-ratelimit-limit-tokens", "20000")
        .header("x-ratelimit-remaining-tokens", "6000")
        .header("x-ratelimit-reset-tokens", "40s");
    let (_, service) = after(some_left);
    assert_eq!(call(&service, large()).await.0, 429);
    assert_eq!(call(&service, chat()).await, (200, AT_ONCE));
    assert_eq!(call(&service, large()).await, (200, SECOND * 4));
    // and all where none were
    let none_left = throttled(4_000)
        .header("x-ratelimit-limit-tokens", "20000")
        .header("x-ratelimit-remaining-tokens", "0")
        .header("x-ratelimit-reset-tokens", "60s");
    let (_, service) = after(none_left);
    call(&service, large()).await;
    assert_eq!(call(&service, chat()).await, (200, SECOND * 4));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_for_longer_than_set() {
    for ages in ["1e400", "99999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let script = Script::new()
            .then(Answer::json(429, "{}").header("retry-after", ages))
            .then_always(answered);
        let layer = ProviderQuotaLayer::new().max_hold(SECOND * 60);
        let service = service(&layer, &script);
        call(&service, chat()).await;
        let response = send(&service, chat()).await;
        assert_eq!(header(&response, "retry-after"), Some("60"), "{ages}");
        advance(SECOND * 60).await;
        assert_eq!(call(&service, chat()).await, (200, AT_ONCE));
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_an_error_is_the_providers_own() {
    let (_, service) = after(throttled(5));
    let response = send(&service, chat()).await;
    assert_eq!(header(&response, "retry-after-ms"), Some("5"));
    assert!(Refusal::of(&response).is_none());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"error\":{\"message\":\"slow\""));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_goes_through_a_closed_gate() {
    let (script, service) = after(throttled(60_000));
    call(&service, chat()).await;
    let files = post("https://api.example/v1/files", "{}");
    assert_eq!(call(&service, files).await, (200, AT_ONCE));
    assert_eq!(script.calls(), 2);
}
