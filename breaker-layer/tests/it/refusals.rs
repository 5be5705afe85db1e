//! What a refused call gets: at once, in its own dialect.

use std::time::Duration;

use crate::common::*;
use breaker_layer::BreakerLayer;
use llm_exchange::Refusal;
use tokio::time::Instant;

async fn refused(layer: BreakerLayer) -> Service {
    let handle = layer.handle();
    let service = service(&layer, &Script::new().then_answers("fffff"));
    open(&service, &handle).await;
    service
}

#[tokio::test(start_paused = true)]
async fn it_is_a_503_that_says_when_to_come_again_and_that_nothing_was_sent() {
    let service = refused(exact()).await;
    pass(Duration::from_millis(12_500)).await;
    let start = Instant::now();
    let response = send(&service, openai()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("18"));
    assert_eq!(header(&response, "retry-after-ms"), Some("17500"));
    // that is for whoever is outermost to say
    assert_eq!(header(&response, "x-should-retry"), None);
    let refusal = Refusal::of(&response).unwrap();
    assert_eq!(
        (refusal.layer(), refusal.code()),
        ("breaker-layer", "circuit_open")
    );
    assert_eq!(refusal.retry_after(), Some(Duration::from_millis(17_500)));
    assert!(!format!("{refusal:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn an_sdk_understands_it_in_either_dialect() {
    let service = refused(exact()).await;
    let openai = text(send(&service, openai()).await.unwrap()).await;
    assert!(openai.contains(r#""type":"server_error""#), "{openai}");
    assert!(openai.contains(r#""code":"circuit_open""#), "{openai}");
    let body = r#"{"model":"gpt-6-sol","max_tokens":9,"messages":[]}"#;
    let anthropic = post("https://api.example/v1/messages", body);
    let anthropic = text(send(&service, anthropic).await.unwrap()).await;
    assert!(anthropic.starts_with(r#"{"type":"error""#), "{anthropic}");
    assert!(
        anthropic.contains(r#""type":"overloaded_error""#),
        "{anthropic}"
    );
    assert!(anthropic.contains("circuit_open"), "{anthropic}");
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_is_out_others_are_told_to_come_soon() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then(Answer::hang());
    let service = service(&layer, &script);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let probe = send(&service, openai());
    let mut probe = std::pin::pin!(probe);
    assert!(futures_util::poll!(probe.as_mut()).is_pending());
    let response = send(&service, openai()).await.unwrap();
    assert_eq!(header(&response, "retry-after-ms"), Some("1000"));
}

/// `down` keys of ten are open; how many of 100 calls to the first of them go through.
async fn through(down: usize, layer: BreakerLayer) -> usize {
    let uri = |host: usize| format!("https://h{host}.example/v1/chat/completions");
    let script = Script::new()
        .then_answers(&"f".repeat(5 * down))
        .then_always(answered);
    let service = service(&layer, &script);
    for host in 0..10 {
        let times = if host < down { 5 } else { 1 };
        for _ in 0..times {
            call(&service, post(&uri(host), OPENAI)).await;
        }
    }
    let mut through = 0;
    for _ in 0..100 {
        through += usize::from(call(&service, post(&uri(0), OPENAI)).await == 200);
    }
    through
}

#[tokio::test(start_paused = true)]
async fn as_a_last_resort_a_share_goes_through_while_most_keys_are_open() {
    let layer = || exact().last_resort(50, 30).unwrap();
    assert_eq!(through(5, layer()).await, 0);
    assert_eq!(through(6, layer()).await, 30);
    assert_eq!(through(6, exact()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_last_resort_comes_to_does_not_count() {
    let layer = exact().last_resort(0, 100).unwrap();
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff......");
    let service = service(&layer, &script);
    open(&service, &handle).await;
    let before = handle.circuit(KEY).unwrap();
    assert_eq!(calls(6, &service).await, [200; 6]);
    assert_eq!(handle.circuit(KEY).unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_used_up_are_no_keys_for_the_last_resort() {
    let used_up = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let layer = exact().last_resort(70, 100).unwrap();
    let handle = layer.handle();
    let script = (0..10).fold(Script::new().then_answers("."), |script, _| {
        script.then(Answer::json(429, used_up))
    });
    let service = service(&layer, &script.then_answers("fffff"));
    let elsewhere = post("https://well.example/v1/chat/completions", OPENAI);
    assert_eq!(call(&service, elsewhere).await, 200);
    for user in 0..10 {
        let mut request = openai();
        let key = format!("Bearer sk-{user}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        assert_eq!(call(&service, request).await, 429);
    }
    // one of two keys is open, and ten credentials
    open(&service, &handle).await;
    assert_eq!(call(&service, openai()).await, 503);
}
