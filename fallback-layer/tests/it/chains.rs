//! Which chain a call takes.

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Target};
use http::Request;
use llm_exchange::{Refusal, Verdict};

fn chains() -> FallbackLayer {
    let chains = Chains::new()
        .chain(Chain::of("a").then("b"))
        .default_chain(Chain::of(Target::as_asked()).then("spare"))
        .named("cheap", Chain::of("small").then("smaller"))
        .on_prompt_too_long(Chain::of("long").then("longer"))
        .on_filtered(Chain::of("tame"));
    FallbackLayer::new(chains).unwrap()
}

async fn walked(
    request: Request<http_body_util::Full<bytes::Bytes>>,
    failures: Vec<Answer>,
) -> Vec<String> {
    let script = failures
        .into_iter()
        .fold(script(), Script::then)
        .then(answered());
    let service = chains().layer(script.clone());
    service.oneshot(request).await.unwrap();
    asked(&script)
}

fn fails() -> Answer {
    Answer::status(500)
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_the_chain_of_its_model_else_the_default() {
    assert_eq!(walked(openai("a"), vec![fails()]).await, ["a", "b"]);
    assert_eq!(walked(openai("x"), vec![fails()]).await, ["x", "spare"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_name_a_chain_that_the_app_configured_and_no_other() {
    let named = |name: &str| {
        let mut request = openai("a");
        request
            .headers_mut()
            .insert("x-llm-chain", name.parse().unwrap());
        request
    };
    assert_eq!(
        walked(named("cheap"), vec![fails()]).await,
        ["small", "smaller"]
    );

    let script = script().then(answered());
    let service = chains().layer(script.clone());
    service.clone().oneshot(named("cheap")).await.unwrap();
    assert_eq!(script.seen()[0].headers.get("x-llm-chain"), None);

    for name in ["gpt-4o", "a", "http://evil.example", ""] {
        let response = service.clone().oneshot(named(name)).await.unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(Refusal::of(&response).unwrap().code(), "unknown_chain");
        assert!(text(response).await.contains("unknown_chain"));
    }
    assert_eq!(script.calls(), 1);
    // without such chains the header means nothing, and is not ours to remove
    let script = crate::common::script().then(answered());
    layer()
        .layer(script.clone())
        .oneshot(named("x"))
        .await
        .unwrap();
    assert_eq!(script.seen()[0].headers["x-llm-chain"], "x");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_on_with_its_own_chain() {
    let too_long = || Answer::json(400, TOO_LONG);
    assert_eq!(walked(openai("a"), vec![too_long()]).await, ["a", "long"]);
    let twice = vec![fails(), too_long(), too_long()];
    assert_eq!(
        walked(openai("a"), twice).await,
        ["a", "b", "long", "longer"]
    );
    // without one, the next target may take it
    let script = script().then(too_long()).then(answered());
    layer()
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(asked(&script), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn filtered_content_goes_on_only_by_choice() {
    let filtered = || Answer::json(400, FILTERED);
    assert_eq!(walked(openai("a"), vec![filtered()]).await, ["a", "tame"]);
    let script = script().then(filtered()).then(answered());
    let layer = layer().leave_filtered();
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(verdicts(&response), [Verdict::Filtered]);
}

#[tokio::test(start_paused = true)]
async fn a_target_is_sent_only_calls_that_it_speaks() {
    use llm_exchange::Dialect::{AnthropicMessages, OpenAiChat};
    let chain = Chain::of("a")
        .then(Target::model("b").dialects(&[AnthropicMessages]))
        .then(Target::model("c").dialects(&[OpenAiChat]));
    let default = Chain::of(Target::model("d").dialects(&[OpenAiChat]));
    let chains = Chains::new().chain(chain).default_chain(default);
    let layer = FallbackLayer::new(chains).unwrap();
    let script = script()
        .then(fails())
        .then(answered())
        .then(fails())
        .then(answered())
        .then(answered())
        .then(answered());
    let service = layer.layer(script.clone());
    for request in [openai("a"), anthropic("a"), openai("x"), anthropic("x")] {
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(asked(&script), ["a", "c", "a", "b", "d", "x"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_chain_passes_through_untouched() {
    let other_model = openai("x");
    let no_model = post("https://api.example/v1/chat/completions", "{}");
    let no_json = post("https://api.example/v1/chat/completions", "nope");
    let twice = post(
        "https://api.example/v1/chat/completions",
        r#"{"model":"a","model":"b"}"#,
    );
    let no_call = post("https://api.example/v1/files", r#"{"model":"a"}"#);
    for mut request in [other_model, no_model, no_json, twice, no_call] {
        let encoding = "gzip".parse().unwrap();
        request.headers_mut().insert("accept-encoding", encoding);
        let script = script().then(Answer::status(503));
        let response = layer()
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 503);
        assert!(fallback_layer::Served::of(&response).is_none());
        assert!(response.headers().get("x-llm-model").is_none());
        assert_eq!(script.seen()[0].headers["accept-encoding"], "gzip");
    }
    let script = script().then(Answer::error("reset"));
    let error = layer()
        .layer(script)
        .oneshot(openai("x"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_call_too_large_to_be_kept_streams_through_to_where_it_was_going() {
    let script = script().then(Answer::status(500));
    let layer = layer().max_payload_bytes(10);
    let response = layer
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (500, 1));
}
