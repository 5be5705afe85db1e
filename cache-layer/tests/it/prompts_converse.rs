//! Marks in the prompts of Bedrock's Converse: blocks of their own, behind what is to be kept.

use bytes::Bytes;
use cache_layer::PromptCacheLayer;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use crate::common::*;

const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn long(word: &str) -> String {
    word.repeat(1200)
}

fn call(model: &str, body: &Value) -> Request<Full<Bytes>> {
    let mut request = post(&body.to_string());
    let host = "https://bedrock-runtime.us-east-1.amazonaws.com";
    *request.uri_mut() = format!("{host}/model/{model}/converse").parse().unwrap();
    request
}

fn body(question: &str) -> Value {
    json!({
        "toolConfig": {
            "toolChoice": {"auto": {}},
            "tools": [
                {"toolSpec": {"name": "a", "inputSchema": {"json": {"x": long("schema")}}}},
                {"toolSpec": {"name": "b", "inputSchema": {"json": {}}}},
            ],
        },
        "system": [{"text": long("rules ")}, {"guardContent": {"text": {"text": "g"}}}],
        "messages": [
            {"role": "user", "content": [{"document": {"name": "d", "format": "txt", "source": {"text": long("lemon ")}}}, {"text": question}]},
        ],
        "inferenceConfig": {"maxTokens": 9},
    })
}

async fn sent(layer: &PromptCacheLayer, model: &str, body: &Value) -> Value {
    let script = Script::new()
        .collect_bodies()
        .then_always(|| Answer::json(200, "{}"));
    let service = layer.layer(script.clone());
    read(service.oneshot(call(model, body)).await.unwrap()).await;
    serde_json::from_slice(&script.seen()[0].body.clone().unwrap()).unwrap()
}

/// Takes the marks out, and counts them.
fn unmarked(value: &mut Value, marks: &mut Vec<Value>) {
    match value {
        Value::Array(items) => {
            items.retain(|item| match item.get("cachePoint") {
                Some(mark) => {
                    marks.push(mark.clone());
                    false
                }
                None => true,
            });
            items.iter_mut().for_each(|item| unmarked(item, marks));
        }
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| unmarked(value, marks)),
        _ => {}
    }
}

fn is_mark(value: &Value) -> bool {
    value == &json!({"cachePoint": {"type": "default"}})
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_marked_behind_its_last_block_and_nothing_else_changes() {
    let layer = PromptCacheLayer::new();
    assert_eq!(sent(&layer, SONNET, &body("one")).await, body("one"));
    let mut other = body("two");
    other["messages"] = json!([{"role": "user", "content": [{"text": "other"}]}]);
    let second = sent(&layer, SONNET, &other).await;
    // all that was seen before: the tools and the system prompt
    assert!(is_mark(&second["system"][1]), "{second}");
    assert_eq!(second["messages"], other["messages"]);
    let mut third = sent(&layer, SONNET, &body("three")).await;
    assert!(is_mark(&third["messages"][0]["content"][1]), "{third}");
    assert!(is_mark(&third["system"][1]));
    let mut marks = Vec::new();
    unmarked(&mut third, &mut marks);
    assert!((2..=4).contains(&marks.len()), "{marks:?}");
    assert_eq!(third, body("three"));
}

#[tokio::test(start_paused = true)]
async fn tools_are_marked_within_their_configuration() {
    let layer = PromptCacheLayer::new();
    let with_system = |system: &str| {
        let mut body = body("q");
        body["system"] = json!([{"text": system}]);
        body
    };
    for system in ["a", "b"] {
        sent(&layer, SONNET, &with_system(system)).await;
    }
    let sent = sent(&layer, SONNET, &with_system("c")).await;
    let tools = sent["toolConfig"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 3);
    assert!(is_mark(&tools[2]), "{sent}");
    assert_eq!(sent["toolConfig"]["toolChoice"], json!({"auto": {}}));
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_asked_for_only_of_models_that_take_it_and_others_are_not_marked_in_vain() {
    for (model, hour) in [
        (SONNET, true),
        ("anthropic.claude-opus-4-1-20250805-v1:0", false),
    ] {
        let layer = PromptCacheLayer::new();
        sent(&layer, model, &body("q")).await;
        tokio::time::advance(SECOND * 1200).await;
        let mut late = sent(&layer, model, &body("q")).await;
        let mut marks = Vec::new();
        unmarked(&mut late, &mut marks);
        assert_eq!(late, body("q"));
        assert_eq!(!marks.is_empty(), hour, "{model}");
        for mark in marks {
            assert_eq!(mark, json!({"type": "default", "ttl": "1h"}));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_marked_of_other_models_or_beside_the_callers_own_marks() {
    let mut own = body("q");
    own["system"] = json!([{"text": long("rules ")}, {"cachePoint": {"type": "default"}}]);
    for (model, body) in [("amazon.nova-pro-v1:0", body("q")), (SONNET, own)] {
        let layer = PromptCacheLayer::new();
        for _ in 0..2 {
            assert_eq!(sent(&layer, model, &body).await, body, "{model}");
        }
        assert_eq!(layer.handle().stats().marked, 0);
    }
}
