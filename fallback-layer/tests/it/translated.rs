//! Targets of another dialect than their callers'.

use crate::common::*;
use fallback_layer::{Chain, FallbackLayer, Prefill, Served, Skipped, Target, Why};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use llm_exchange::{AskedModel, Dialect, Meter, Refusal};
use serde_json::{Value, json};
use testkit::{DroppedAt, Point, drop_everywhere};

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",
    "content":[{"type":"text","text":"Yellow"}],"stop_reason":"end_turn","stop_sequence":null,
    "usage":{"input_tokens":9,"output_tokens":1}}"#;
const BEGIN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Yellow\"}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

fn claude() -> Target {
    Target::model("claude-sonnet-4-5")
        .at("https://api.anthropic.com")
        .credential("sk-ant-ours")
        .dialect(Dialect::AnthropicMessages)
}

fn gemini() -> Target {
    Target::model("gemini-3.8-flash")
        .at("https://generativelanguage.googleapis.com")
        .credential("AIza-ours")
        .dialect(Dialect::Gemini)
}

fn then(target: Target) -> FallbackLayer {
    FallbackLayer::new(Chain::of("a").then(target)).unwrap()
}

fn chat(fields: &Value) -> Request<Full<bytes::Bytes>> {
    let mut call = json!({"model": "a", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        call[name] = value.clone();
    }
    post("https://api.example/v1/chat/completions", &call.to_string())
}

fn sent(script: &Script, at: usize) -> Value {
    serde_json::from_slice(script.seen()[at].body.as_ref().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_to_another_dialect_and_comes_back_in_its_own() {
    let script = script()
        .then(Answer::status(500))
        .then(Answer::json(200, MESSAGE));
    let request = chat(&json!({"store": false, "max_tokens": 7}));
    let service = then(claude()).layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    let seen = &script.seen()[1];
    assert_eq!(seen.uri, "https://api.anthropic.com/v1/messages");
    assert_eq!(seen.headers["x-api-key"], "sk-ant-ours");
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen.headers["x-llm-attempt"], "2");
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(
        sent(&script, 1),
        json!({"model": "claude-sonnet-4-5", "max_tokens": 7,
            "messages": [{"role": "user", "content": "hi"}]})
    );
    assert_eq!(by(&response), Some("claude-sonnet-4-5"));
    assert_eq!(header(&response, "x-llm-model"), Some("claude-sonnet-4-5"));
    assert_eq!(header(&response, "x-llm-left-out"), Some("store"));
    assert!(Meter::of(&response).is_none(), "it is of other bytes");
    let asked = response.extensions().get::<AskedModel>();
    let at = AskedModel::new("claude-sonnet-4-5").at(Some("api.anthropic.com"));
    assert_eq!(asked, Some(&at));
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Yellow");
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_back_as_one_of_its_own() {
    let script = script()
        .then(Answer::sse([SERVER_ERROR]))
        .then(Answer::sse([BEGIN, TEXT, END]));
    let request = chat(&json!({"stream": true}));
    let response = then(claude()).layer(script).oneshot(request).await.unwrap();
    assert_eq!(left(&response), ["a: failed (200)"]);
    let stream = text(response).await;
    assert!(stream.contains(r#""content":"Yellow""#), "{stream}");
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
}

#[tokio::test(start_paused = true)]
async fn what_it_says_is_judged_in_its_own_dialect() {
    let layer = FallbackLayer::new(Chain::for_model("a").then(claude()).then("b")).unwrap();
    let script = script()
        .then(Answer::sse([BEGIN, OVERLOADED]))
        .then(streamed());
    let request = chat(&json!({"stream": true}));
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(left(&response), ["claude-sonnet-4-5: overloaded (200)"]);
    // the next one is sent what the caller asked
    assert_eq!(
        script.seen()[1].uri,
        "https://api.example/v1/chat/completions"
    );
    assert_eq!(
        sent(&script, 1)["messages"],
        json!([{"role": "user", "content": "hi"}])
    );
    assert_eq!(text(response).await, [ROLE, HELLO, STOP, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_asked_so_is_skipped_saying_what() {
    let chain = Chain::of("a").then(claude()).then(gemini());
    let script = script().then(Answer::status(500)).then(Answer::json(
        200,
        r#"{"candidates":[{"content":{"parts":[{"text":"Yellow"}]},"finishReason":"STOP"}],
            "responseId":"r","modelVersion":"gemini-3.8-flash"}"#,
    ));
    let layer = FallbackLayer::new(chain).unwrap();
    let request = chat(&json!({"seed": 7}));
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(
        left(&response),
        [
            "a: failed (500)",
            "claude-sonnet-4-5: skipped, `seed` cannot be carried over"
        ]
    );
    let skipped = &Served::of(&response).unwrap().left()[1];
    assert_eq!(skipped.why(), Why::Skipped(Skipped::Untranslatable));
    assert_eq!(
        skipped.untranslatable(),
        Some("`seed` cannot be carried over")
    );
    let seen = &script.seen()[1];
    assert_eq!(
        seen.uri,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-flash:generateContent"
    );
    assert_eq!(seen.headers["x-goog-api-key"], "AIza-ours");
    assert_eq!(sent(&script, 1)["generationConfig"], json!({"seed": 7}));
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Yellow");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_so_the_caller_hears_what() {
    let layer = FallbackLayer::new(Chain::for_model("a").then(claude())).unwrap();
    let script = script();
    let request = chat(&json!({"logprobs": true}));
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(script.calls(), 0);
    assert_eq!(response.status(), 400);
    assert_eq!(Refusal::of(&response).unwrap().code(), "not_translated");
    let body = text(response).await;
    assert!(body.contains("`logprobs` cannot be carried over"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_only_targets_error_is_the_callers() {
    let layer = FallbackLayer::new(Chain::for_model("a").then(claude())).unwrap();
    let error = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#;
    for (status, kind) in [(429, "rate_limit_error"), (400, "invalid_request_error")] {
        let script = script().then(Answer::json(status, error).header("retry-after", "3"));
        let response = layer.layer(script).oneshot(chat(&json!({}))).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "retry-after"), Some("3"));
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["error"]["type"], kind);
        assert_eq!(body["error"]["message"], "Slow down");
        assert_eq!(body.get("type"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_translated_and_is_refused_is_not_the_callers_fault() {
    let chain = || Chain::for_model("a").then(claude()).then("b");
    let error =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such schema"}}"#;
    for status in [400, 422] {
        let layer = FallbackLayer::new(chain()).unwrap();
        for _ in 0..5 {
            let script = script().then(Answer::json(status, error)).then(answered());
            let response = layer.layer(script).oneshot(chat(&json!({}))).await.unwrap();
            assert_eq!(by(&response), Some("b"));
            let why = format!("claude-sonnet-4-5: callers fault ({status})");
            assert_eq!(left(&response), [why]);
        }
        let remembered = layer.handle().remembered();
        assert!(remembered.is_empty(), "other calls may be served there");
    }
    // what the caller wrote itself, nobody else would take either
    let layer = FallbackLayer::new(Chain::for_model("a").then("b").then(claude())).unwrap();
    let script = script().then(Answer::json(400, error));
    let response = layer
        .layer(script.clone())
        .oneshot(chat(&json!({})))
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (400, 1));
}

#[tokio::test(start_paused = true)]
async fn parameters_and_headers_are_those_of_its_dialect() {
    let version = HeaderName::from_static("anthropic-version");
    let target = claude()
        .header(version, HeaderValue::from_static("2026-10-21"))
        .parameter("max_tokens", 99)
        .without_parameter("metadata");
    let script = script()
        .then(Answer::status(500))
        .then(Answer::json(200, MESSAGE));
    let request = chat(&json!({"temperature": 0.5, "user": "u"}));
    let service = then(target).layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(header(&response, "x-llm-left-out"), Some("temperature"));
    assert_eq!(
        sent(&script, 1),
        json!({"model": "claude-sonnet-4-5", "max_tokens": 99,
            "messages": [{"role": "user", "content": "hi"}]})
    );
}

#[tokio::test(start_paused = true)]
async fn callers_of_anthropic_have_targets_of_openais() {
    let target = Target::model("gpt-4o")
        .at("https://api.openai.com")
        .credential("sk-ours")
        .dialect(Dialect::OpenAiChat);
    let script = script()
        .then(Answer::status(529))
        .then(Answer::sse([ROLE, HELLO, STOP, DONE]));
    let body =
        r#"{"model":"a","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = post("https://api.example/v1/messages", body);
    let service = then(target).layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(
        script.seen()[1].uri,
        "https://api.openai.com/v1/chat/completions"
    );
    assert_eq!(script.seen()[1].headers["authorization"], "Bearer sk-ours");
    let stream = text(response).await;
    // its first chunk names nobody yet
    let begin = ": keep-alive\n\nevent: message_start\n";
    assert!(stream.starts_with(begin), "{stream}");
    assert!(
        stream.contains(r#"{"type":"text_delta","text":"Hello"}"#),
        "{stream}"
    );
    assert!(stream.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_target_of_the_callers_own_dialect_passes_byte_for_byte() {
    let target = Target::model("b").dialect(Dialect::OpenAiChat);
    let script = script().then(Answer::status(500)).then(streamed());
    let request = chat(&json!({"stream": true, "frobnicate": 1}));
    let response = then(target)
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(sent(&script, 1)["frobnicate"], 1);
    assert_eq!(text(response).await, [ROLE, HELLO, STOP, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn what_it_speaks_besides_is_not_translated() {
    let target = || {
        Target::model("b")
            .dialects(&[Dialect::OpenAiChat, Dialect::OpenAiResponses])
            .dialect(Dialect::OpenAiChat)
    };
    let script = script().then_always(|| Answer::json(200, "{}"));
    let layer = FallbackLayer::new(Chain::for_model("a").then(target())).unwrap();
    let responses = r#"{"model":"a","input":"hi","frobnicate":1}"#;
    let request = post("https://api.example/v1/responses", responses);
    layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(script.seen()[0].uri, "https://api.example/v1/responses");
    let request = anthropic("a");
    layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(
        script.seen()[1].uri,
        "https://api.example/v1/chat/completions"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_later_is_remembered_of_its_target() {
    let chain = Chain::for_model("a").then(claude()).then("b");
    let layer = FallbackLayer::new(chain).unwrap();
    for _ in 0..3 {
        let script = script().then(Answer::sse([BEGIN, TEXT, OVERLOADED]));
        let request = chat(&json!({"stream": true}));
        let response = layer.layer(script).oneshot(request).await.unwrap();
        let stream = text(response).await;
        assert!(stream.contains("overloaded_error"), "{stream}");
    }
    let remembered = layer.handle().remembered();
    assert_eq!(&*remembered[0].target, "claude-sonnet-4-5");
    let script = script().then(streamed());
    let response = layer
        .layer(script)
        .oneshot(chat(&json!({"stream": true})))
        .await
        .unwrap();
    assert_eq!(by(&response), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_other_dialects_is_not_for_what_is_not_translated() {
    let layer = FallbackLayer::new(Chain::for_model("a").then(claude())).unwrap();
    let script = script().then(Answer::json(200, "{}"));
    let request = post(
        "https://api.example/v1/embeddings",
        r#"{"model":"a","input":"hi"}"#,
    );
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert!(Served::of(&response).is_none());
    assert_eq!(script.seen()[0].uri, "https://api.example/v1/embeddings");
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_target_is_let_go() {
    let points = drop_everywhere(
        async || {
            let (begin, end) = MESSAGE.split_at(60);
            let body = ScriptedBody::new()
                .data(begin)
                .wait(SECOND)
                .data(end)
                .wait(SECOND);
            let answer = Answer::stream(body).header("content-type", "application/json");
            let script = Script::new().then(Answer::status(500)).then(answer);
            let call = then(claude())
                .layer(script.clone())
                .oneshot(chat(&json!({})));
            (script, call)
        },
        async |script, at| {
            let alive = script.seen().iter().any(|call| call.answer.is_alive());
            assert!(!alive, "{at:?}");
        },
    )
    .await;
    let pending = |at: &&DroppedAt| matches!(at.point, Point::CallPending(_));
    assert!(points.iter().filter(pending).count() >= 2, "{points:?}");
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

#[test]
fn a_dialect_that_nothing_can_be_translated_into_is_refused() {
    let target = Target::model("b").dialect(Dialect::OpenAiEmbeddings);
    let error = FallbackLayer::new(Chain::of("a").then(target)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("calls cannot be translated into its dialect")
    );
}

/// A chain of the caller's dialect and another one, both slow by turns, and a hedge after a second.
fn hedged() -> FallbackLayer {
    let chain = Chain::for_model("a").then("b").then(claude());
    FallbackLayer::new(chain).unwrap().hedge_after(SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_hedge_may_speak_another_dialect() {
    let script = script().then_always({
        let mut calls = 0;
        move || {
            calls += 1;
            match calls {
                1 => Answer::json(200, "{}").after(SECOND * 9),
                _ => Answer::json(200, MESSAGE),
            }
        }
    });
    let response = hedged()
        .layer(script)
        .oneshot(chat(&json!({})))
        .await
        .unwrap();
    assert_eq!(by(&response), Some("claude-sonnet-4-5"));
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    // and the first one's answer is not translated for its sake
    let script = Script::new()
        .collect_bodies()
        .then(answered().after(SECOND * 2))
        .then(Answer::hang());
    let response = hedged()
        .layer(script)
        .oneshot(chat(&json!({})))
        .await
        .unwrap();
    assert_eq!(by(&response), Some("b"));
    assert!(text(response).await.starts_with("{\"id\":\"chatcmpl-1\""));
}

#[tokio::test(start_paused = true)]
async fn a_beginning_that_the_caller_wrote_goes_to_who_goes_on_from_it() {
    let said =
        |role: &str| json!([{"role": "user", "content": "hi"}, {"role": role, "content": "Hello"}]);
    let local = |prefill| {
        let target = Target::model("llama3").at("http://127.0.0.1:8000");
        let target = target.without_credential().dialect(Dialect::OpenAiChat);
        target.prefill(prefill)
    };
    let run = async |target: Target, role: &str| {
        let json = json!({"model": "a", "max_tokens": 9, "messages": said(role)}).to_string();
        let script = script().then(Answer::status(500)).then(Answer::status(500));
        let layer = then(target).layer(script.clone());
        let request = post("https://api.example/v1/messages", &json);
        layer.oneshot(request).await.unwrap();
        (script.calls() == 2).then(|| sent(&script, 1))
    };
    assert_eq!(run(local(Prefill::Never), "assistant").await, None);
    let plain = json!({"role": "assistant", "content": "Hello"});
    let body = run(local(Prefill::LastMessage), "assistant").await.unwrap();
    assert_eq!(body["messages"][1], plain);
    let body = run(local(Prefill::PrefixMember), "assistant")
        .await
        .unwrap();
    let marked = json!({"role": "assistant", "content": "Hello", "prefix": true});
    assert_eq!(body["messages"][1], marked);
    let body = run(local(Prefill::ContinueFinalMessage), "assistant")
        .await
        .unwrap();
    assert_eq!(body["messages"][1], plain);
    assert_eq!(
        (
            &body["continue_final_message"],
            &body["add_generation_prompt"]
        ),
        (&json!(true), &json!(false))
    );
    // what ends with the user's turn is no beginning
    let body = run(local(Prefill::ContinueFinalMessage), "user")
        .await
        .unwrap();
    assert_eq!(body.get("continue_final_message"), None);
}
