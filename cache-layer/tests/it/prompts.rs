//! The provider's own prompt cache: marks on what comes again, and nothing else changed.

use bytes::Bytes;
use cache_layer::PromptCacheLayer;
use http::Request;
use http_body_util::Full;
use llm_exchange::{Call, Money, Payload, Purchase};
use serde_json::{Value, json};
use testkit::Probe;
use tower::{Layer, ServiceExt};

use crate::common::*;

const FIVE_MINUTES: &str = r#""cache_control":{"type":"ephemeral"}"#;
const ONE_HOUR: &str = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;

/// So many tokens by the layer's estimate.
fn text(word: &str, tokens: usize) -> String {
    word.repeat(tokens * 4 / word.len() + 1)
}

fn claude(tools: Option<Value>, system: Value, messages: Value) -> String {
    let mut body = json!({"model": "claude-sonnet-5-5", "max_tokens": 9, "system": system, "messages": messages});
    if let Some(tools) = tools {
        body["tools"] = tools;
    }
    body.to_string()
}

fn anthropic(body: &str) -> Request<Full<Bytes>> {
    let mut request = post(body);
    *request.uri_mut() = "https://api.anthropic.com/v1/messages".parse().unwrap();
    request
}

fn openai(host: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = post(body);
    *request.uri_mut() = format!("https://{host}/v1/chat/completions")
        .parse()
        .unwrap();
    request
}

fn script() -> Script {
    Script::new()
        .collect_bodies()
        .then_always(|| Answer::json(200, "{}"))
}

/// Sends a request, and returns what reached the provider.
async fn sent(layer: &PromptCacheLayer, request: Request<Full<Bytes>>) -> String {
    let script = script();
    read(layer.layer(script.clone()).oneshot(request).await.unwrap()).await;
    let seen = &script.seen()[0];
    let body = seen.body.clone().unwrap();
    if let Some(length) = seen.headers.get("content-length") {
        assert_eq!(length.to_str().unwrap(), body.len().to_string());
    }
    String::from_utf8(body.to_vec()).unwrap()
}

fn marks(body: &str) -> usize {
    body.matches("cache_control").count()
}

#[tokio::test(start_paused = true)]
async fn what_was_not_seen_before_is_not_marked_and_what_comes_again_is() {
    let layer = PromptCacheLayer::new();
    let body = |question: &str| {
        claude(
            None,
            json!(text("rules ", 600)),
            json!([{"role": "user", "content": question}]),
        )
    };
    assert_eq!(sent(&layer, anthropic(&body("one"))).await, body("one"));
    let second = sent(&layer, anthropic(&body("two"))).await;
    assert_eq!(marks(&second), 1);
    // the text became a list of one block with a mark, and every other byte is the caller's
    let system = serde_json::to_string(&text("rules ", 600)).unwrap();
    let block = format!(r#"[{{"type":"text","text":{system},{FIVE_MINUTES}}}]"#);
    assert_eq!(second, body("two").replace(&system, &block));
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_at_a_call_is_no_prompt_that_comes_again() {
    let layer = PromptCacheLayer::new();
    let body = |question: &str| {
        let messages = json!([{"role": "user", "content": question}]);
        claude(None, json!(text("rules ", 600)), messages)
    };
    let chat = |question: &str| {
        let messages = json!([{"role": "system", "content": text("rules ", 1200)}, {"role": "user", "content": question}]);
        json!({"model": "gpt-6-sol", "messages": messages}).to_string()
    };
    for number in 0..2 {
        for (request, mark) in [
            (anthropic(&body(&number.to_string())), "cache_control"),
            (
                openai("api.openai.com", &chat(&number.to_string())),
                "prompt_cache_key",
            ),
        ] {
            let request = Payload::read(request, 1 << 20).await;
            let attempts = Call::of(&request).unwrap().attempts().clone();
            for attempt in 0..3 {
                let script = script();
                let mut again = Request::new(request.body().try_clone().unwrap());
                *again.uri_mut() = request.uri().clone();
                *again.method_mut() = request.method().clone();
                *again.extensions_mut() = request.extensions().clone();
                *again.headers_mut() = request.headers().clone();
                read(layer.layer(script.clone()).oneshot(again).await.unwrap()).await;
                let sent = script.seen()[0].body.clone().unwrap();
                let is_marked = String::from_utf8_lossy(&sent).contains(mark);
                assert_eq!(
                    is_marked,
                    number == 1,
                    "{mark}: call {number}, attempt {attempt}"
                );
                attempts.again().unwrap();
                tokio::time::advance(SECOND).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_loaded_when_it_is_found_takes_no_mark() {
    let layer = PromptCacheLayer::new();
    let tools = json!([
        {"name": "a", "input_schema": {"x": text("schema ", 700)}},
        {"name": "b", "input_schema": {"x": text("schema ", 700)}, "defer_loading": true},
    ]);
    let body = |system: &str| {
        claude(
            Some(tools.clone()),
            json!(system),
            json!([{"role": "user", "content": "q"}]),
        )
    };
    sent(&layer, anthropic(&body("s"))).await;
    let sent = sent(&layer, anthropic(&body("t"))).await;
    let json: Value = serde_json::from_str(&sent).unwrap();
    assert!(json["tools"][0]["cache_control"].is_object());
    assert_eq!(json["tools"][1], tools[1]);
}

#[tokio::test(start_paused = true)]
async fn at_most_four_marks_on_the_deepest_prefix_and_on_those_that_more_share() {
    let layer = PromptCacheLayer::new();
    let tools = json!([{"name": "a", "input_schema": {"x": text("schema ", 300)}}, {"name": "b", "input_schema": {"x": text("schema ", 300)}}]);
    let body = |system: &str, document: &str, turns: usize| {
        let mut messages = vec![json!({"role": "user", "content": [
            {"type": "document", "source": {"type": "text", "data": text(document, 700)}},
            {"type": "text", "text": "what is this?"},
        ]})];
        for turn in 0..turns {
            messages.push(json!({"role": "assistant", "content": text("answer ", 100)}));
            messages.push(json!({"role": "user", "content": format!("and {turn}?")}));
        }
        let system = json!([{"type": "text", "text": text(system, 600)}]);
        claude(Some(tools.clone()), system, Value::from(messages))
    };
    for (system, document, turns) in [
        ("s ", "x ", 0),
        ("t ", "x ", 0),
        ("s ", "y ", 0),
        ("s ", "z ", 0),
        ("s ", "z ", 1),
    ] {
        sent(&layer, anthropic(&body(system, document, turns))).await;
    }
    let sent = sent(&layer, anthropic(&body("s ", "z ", 2))).await;
    let json: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(marks(&sent), 4);
    assert!(
        json["tools"][1]["cache_control"].is_object(),
        "all calls share the tools"
    );
    assert!(
        json["system"][0]["cache_control"].is_object(),
        "most share the system prompt"
    );
    // its last question, seen twice, and the turn that was the last one of the call before
    assert!(json["messages"][0]["content"][1]["cache_control"].is_object());
    assert!(json["messages"][2]["content"][0]["cache_control"].is_object());
    // without the marks it is what the caller wrote
    let mut plain = json.clone();
    plain["tools"][1]
        .as_object_mut()
        .unwrap()
        .remove("cache_control");
    plain["system"][0]
        .as_object_mut()
        .unwrap()
        .remove("cache_control");
    plain["messages"][0]["content"][1]
        .as_object_mut()
        .unwrap()
        .remove("cache_control");
    plain["messages"][2]["content"] = plain["messages"][2]["content"][0]["text"].clone();
    assert_eq!(
        plain,
        serde_json::from_str::<Value>(&body("s ", "z ", 2)).unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_late_is_kept_for_an_hour_and_later_not_at_all() {
    let layer = PromptCacheLayer::new();
    let body = claude(
        None,
        json!(text("rules ", 600)),
        json!([{"role": "user", "content": "q"}]),
    );
    sent(&layer, anthropic(&body)).await;
    tokio::time::advance(SECOND * 1200).await;
    let late = sent(&layer, anthropic(&body)).await;
    assert!(late.contains(ONE_HOUR) && !late.contains(FIVE_MINUTES));
    let late = PromptCacheLayer::new();
    sent(&late, anthropic(&body)).await;
    tokio::time::advance(SECOND * 7200).await;
    assert_eq!(sent(&late, anthropic(&body)).await, body);
    // and once more at once, it is on again
    for _ in 0..12 {
        sent(&late, anthropic(&body)).await;
    }
    assert!(sent(&late, anthropic(&body)).await.contains(FIVE_MINUTES));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_marked_where_that_is_no_use_or_not_ours() {
    let long = || json!(text("rules ", 600));
    let question = || json!([{"role": "user", "content": "q"}]);
    let own = json!([{"type": "text", "text": text("rules ", 600), "cache_control": {"type": "ephemeral"}}]);
    let body = claude(None, long(), question());
    let signed = |body: &str| {
        let mut request = anthropic(body);
        request
            .headers_mut()
            .insert("content-digest", "sha-256=:x:".parse().unwrap());
        request
    };
    let cases: [(&str, Request<Full<Bytes>>, Request<Full<Bytes>>); 6] = [
        (
            "too short",
            anthropic(&claude(None, json!("short"), question())),
            anthropic(&claude(None, json!("short"), question())),
        ),
        (
            "the caller's own marks",
            anthropic(&claude(None, own.clone(), question())),
            anthropic(&claude(None, own, question())),
        ),
        (
            "another house's model",
            anthropic(&body.replace("claude-sonnet-5-5", "deepseek-v4-pro")),
            anthropic(&body.replace("claude-sonnet-5-5", "deepseek-v4-pro")),
        ),
        (
            "a longer least length",
            anthropic(&body.replace("sonnet-5-5", "haiku-4-5")),
            anthropic(&body.replace("sonnet-5-5", "haiku-4-5")),
        ),
        ("signed", signed(&body), signed(&body)),
        (
            "broken",
            anthropic("{\"model\":\"claude-sonnet-5-5\",\"messages\":3}"),
            anthropic("{\"model\":\"claude-sonnet-5-5\",\"messages\":3}"),
        ),
    ];
    for (why, first, second) in cases {
        let layer = PromptCacheLayer::new();
        let before = sent(&layer, first).await;
        assert_eq!(before, sent(&layer, second).await, "{why}");
        assert_eq!(layer.handle().stats().marked, 0, "{why}");
    }
    // what another tenant sent is not kept for this one
    let layer = PromptCacheLayer::new();
    let mut other = anthropic(&body);
    other
        .headers_mut()
        .insert("authorization", "Bearer sk-other".parse().unwrap());
    sent(&layer, other).await;
    assert_eq!(sent(&layer, anthropic(&body)).await, body);
}

#[tokio::test(start_paused = true)]
async fn openai_is_given_a_key_for_each_stable_prefix_where_it_is_taken() {
    let layer = PromptCacheLayer::new().key_taken_by("llm.corp");
    let body = |system: &str, question: &str| {
        json!({"model": "gpt-6-sol", "messages": [
            {"role": "system", "content": text(system, 1100)},
            {"role": "user", "content": question},
        ]})
        .to_string()
    };
    let key = |sent: &str| serde_json::from_str::<Value>(sent).unwrap()["prompt_cache_key"].clone();
    assert!(key(&sent(&layer, openai("api.openai.com", &body("a ", "1"))).await).is_null());
    let one = key(&sent(&layer, openai("api.openai.com", &body("a ", "2"))).await);
    let again = key(&sent(&layer, openai("api.openai.com", &body("a ", "3"))).await);
    assert!(one.is_string() && one == again);
    sent(&layer, openai("api.openai.com", &body("b ", "1"))).await;
    let other = key(&sent(&layer, openai("api.openai.com", &body("b ", "2"))).await);
    assert!(other.is_string() && other != one);
    for (host, takes) in [
        ("api.groq.com", false),
        ("127.0.0.1:8000", false),
        ("eu.llm.corp", true),
    ] {
        sent(&layer, openai(host, &body("a ", "1"))).await;
        let sent = sent(&layer, openai(host, &body("a ", "2"))).await;
        assert_eq!(key(&sent).is_string(), takes, "{host}");
    }
    let own = body("a ", "2").replacen('{', r#"{"prompt_cache_key":"mine","#, 1);
    assert_eq!(sent(&layer, openai("api.openai.com", &own)).await, own);
}

#[tokio::test(start_paused = true)]
async fn what_was_really_saved_is_told_from_the_usage_in_the_answers() {
    let usage = |read: u64, written: u64| {
        format!(
            r#"{{"id":"m","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{{"type":"text","text":"x"}}],"stop_reason":"end_turn","usage":{{"input_tokens":10,"cache_read_input_tokens":{read},"cache_creation_input_tokens":{written},"output_tokens":1}}}}"#
        )
    };
    let script = Script::new()
        .then(Answer::json(200, usage(0, 0)))
        .then(Answer::json(200, usage(0, 1000)))
        .then(Answer::json(200, usage(1000, 0)))
        .then(Answer::json(429, "{}"));
    // $2, $0.10 and $2.50 for a million tokens, written as pico-dollars of one
    let layer = PromptCacheLayer::new().priced_by(|of: &Purchase<'_>| {
        assert_eq!(of.host, Some("api.anthropic.com"));
        let picos = of.usage.uncached * 2_000_000
            + of.usage.cached * 100_000
            + of.usage.cache_write * 2_500_000;
        Some(Money::from_picos(picos.into()))
    });
    let handle = layer.handle();
    let body = claude(
        None,
        json!(text("rules ", 600)),
        json!([{"role": "user", "content": "q"}]),
    );
    for _ in 0..4 {
        read(
            layer
                .layer(script.clone())
                .oneshot(anthropic(&body))
                .await
                .unwrap(),
        )
        .await;
    }
    let stats = handle.stats();
    assert_eq!((stats.calls, stats.marked), (4, 3));
    assert_eq!(
        (stats.input, stats.cached, stats.written),
        (2030, 1000, 1000)
    );
    assert_eq!(stats.cost_without, Money::from_picos(2030 * 2_000_000));
    assert_eq!(stats.net_saved_picos(), 1000 * 1_900_000 - 1000 * 500_000);
    assert!((stats.hit_rate() - 1000.0 / 2030.0).abs() < 1e-9);
    let prefixes = handle.prefixes();
    assert_eq!(prefixes.len(), 1);
    assert_eq!(
        (prefixes[0].calls, prefixes[0].hits, prefixes[0].hit_rate()),
        (2, 1, 0.5)
    );
}

#[tokio::test(start_paused = true)]
async fn each_call_is_made_by_the_instance_that_was_polled_ready() {
    let inner = Probe::new(script()).pending(2);
    let handle = inner.handle();
    let service = PromptCacheLayer::new().layer(inner);
    read(service.clone().oneshot(post(CHAT)).await.unwrap()).await;
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (1, 1, 0)
    );
}

#[test]
fn the_public_types_are_what_axum_and_spawn_ask_for() {
    fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
    fn body<T: Send + Sync + Unpin + 'static>() {}
    let layer = PromptCacheLayer::new();
    service(layer.clone());
    service(layer.handle());
    service(layer.layer(Script::new()));
    body::<cache_layer::PromptCacheBody<ScriptedBody>>();
}
