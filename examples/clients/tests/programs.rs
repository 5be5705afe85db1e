//! The examples run and do what they say: each layer's `one_layer`, and the programs of this package.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::process::Command;

use fake_provider::FakeProvider;

#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../breaker-layer/examples/one_layer.rs"]
mod breaker;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../budget-layer/examples/one_layer.rs"]
mod budget;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../cache-layer/examples/one_layer.rs"]
mod cache;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../cost-layer/examples/one_layer.rs"]
mod cost;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../fallback-layer/examples/one_layer.rs"]
mod fallback;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../retry-layer/examples/one_layer.rs"]
mod retry;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../sse-layer/examples/one_layer.rs"]
mod sse;
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../llm-translate/examples/one_layer.rs"]
mod translate;

#[tokio::test]
async fn one_layer_of_retry_sends_a_throttled_call_again() {
    let fake = FakeProvider::start().await.unwrap();
    let told = retry::call(&fake.url()).await.unwrap();
    assert!(told.starts_with("sent 3 times: {"), "{told}");
}

#[tokio::test]
async fn one_layer_of_sse_ends_a_stream_that_hangs() {
    let fake = FakeProvider::start().await.unwrap();
    let told = sse::call(&fake.url()).await.unwrap();
    assert!(
        told.contains("one") && told.ends_with("stream_timeout"),
        "{told}"
    );
}

#[tokio::test]
async fn one_layer_of_breaker_calls_a_failing_server_three_times() {
    let fake = FakeProvider::start().await.unwrap();
    let told = breaker::call(&fake.url()).await.unwrap();
    assert!(told.starts_with("500 500 500 503 503 "), "{told}");
    assert!(told.ends_with("Open"), "{told}");
    assert_eq!(fake.log().len(), 3);
}

#[tokio::test]
async fn one_layer_of_fallback_has_another_model_answer() {
    let fake = FakeProvider::start().await.unwrap();
    let told = fallback::call(&fake.url()).await.unwrap();
    assert!(told.contains("gpt-4o-mini answers: {"), "{told}");
}

#[tokio::test]
async fn one_layer_of_cache_asks_once() {
    let fake = FakeProvider::start().await.unwrap();
    let told = cache::call(&fake.url()).await.unwrap();
    assert_eq!(told, "miss, hit, hit rate 0.5");
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn one_layer_of_budget_refuses_what_is_not_left() {
    let fake = FakeProvider::start().await.unwrap();
    let told = budget::call(&fake.url()).await.unwrap();
    assert!(told.starts_with("200 429 429 "), "{told}");
    assert!(told.ends_with(" left"), "{told}");
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn one_layer_of_cost_knows_what_a_stream_cost() {
    let fake = FakeProvider::start().await.unwrap();
    let told = cost::call(&fake.url()).await.unwrap();
    assert!(told.starts_with("gpt-4o: $0."), "{told}");
}

#[tokio::test]
async fn one_layer_of_translation_has_another_api_answer() {
    let fake = FakeProvider::start().await.unwrap();
    let told = translate::call(&fake.url()).await.unwrap();
    assert!(told.starts_with("without store: {"), "{told}");
    assert!(told.contains("\"object\":\"chat.completion\""), "{told}");
    assert_eq!(fake.log()[0].path, "/v1/messages");
}

/// What a program of this package prints.
fn run(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_layer_does_its_part_on_a_hyper_client() {
    let told = run(env!("CARGO_BIN_EXE_hyper_client"));
    for part in [
        "x-llm-attempts: 2  x-llm-cache: miss  (throttled)",
        "x-llm-cache: hit  (the same)",
        "x-llm-model: gpt-6.1-terra  (overloaded)",
        "data: [DONE]",
        "gpt-6-luna: 2 calls, $0.0000029",
        "alice: 19",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_reqwest_client_sees_nothing_of_two_refusals() {
    let told = run(env!("CARGO_BIN_EXE_reqwest_client"));
    assert!(told.starts_with("sent 3 times"), "{told}");
    assert!(told.contains("event: message_stop"), "{told}");
}

#[test]
fn a_generated_grpc_client_sees_what_cannot_be_mended_alone() {
    let told = run(env!("CARGO_BIN_EXE_tonic_client"));
    for line in [
        "throttled: echo: one two three (OK",
        "hangs: echo: one two three (OK",
        "breaks-early: echo: one two three (OK",
        "\"the provider's stream broke\"",
        "\"no content for 500ms\"",
        "the provider was asked 9 times",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[test]
fn the_sdk_gets_its_answers_where_its_own_retries_give_up() {
    let told = run(env!("CARGO_BIN_EXE_async_openai"));
    assert!(
        told.contains("whole:    echo: Which fruit is sour?"),
        "{told}"
    );
    assert!(
        told.contains("streamed: echo: Which fruit is sour?"),
        "{told}"
    );
    assert!(told.ends_with("asked 4 times\n"), "{told}");
}

#[test]
fn an_apps_own_classifier_is_what_counts() {
    let told = run(env!("CARGO_BIN_EXE_own_classifier"));
    assert!(told.contains("sent 2 times"), "{told}");
}

#[test]
fn an_axum_app_refuses_who_has_spent_their_day_and_nobody_else() {
    let told = run(env!("CARGO_BIN_EXE_axum_app"));
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    assert!(lines[0].starts_with("alice: 200 OK"), "{told}");
    assert!(
        lines[3].starts_with("alice: 429 Too Many Requests"),
        "{told}"
    );
    assert!(lines[4].starts_with("bob: 200 OK"), "{told}");
}
