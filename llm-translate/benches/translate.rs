//! What a translation costs: a request with tools and history, a whole answer, one event of a stream.
//! Beside each, the same bytes read into a `serde_json::Value` and written again, which is the least that a
//! proxy does that changes JSON by a tree.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use llm_exchange::{Dialect, Framing, sse::Event, stream::expand};
use llm_translate::Asked;
use serde_json::{Value, json};

/// 8 KiB of history, three tools.
fn request() -> Vec<u8> {
    let mut messages = vec![json!({"role": "system", "content": "Be exact. ".repeat(40)})];
    for turn in 0..4 {
        let id = format!("call_{turn}");
        let arguments = json!({"q": "lemon ".repeat(20)}).to_string();
        messages.push(json!({"role": "user", "content": "What is this fruit? ".repeat(40)}));
        messages.push(
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": id,
            "type": "function", "function": {"name": "lookup", "arguments": arguments}}]}),
        );
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "sour, ".repeat(80)}));
    }
    let tool = |name: &str| {
        let fields = json!({"q": {"type": "string", "description": "the word"},
            "n": {"type": "integer"}});
        json!({"type": "function", "function": {"name": name, "description": "Looks a word up.",
            "parameters": {"type": "object", "properties": fields}}})
    };
    let tools = [tool("lookup"), tool("now"), tool("weather")];
    json!({"model": "gpt-4o", "messages": messages, "tools": tools, "max_tokens": 500,
        "temperature": 0.3})
    .to_string()
    .into()
}

fn answer() -> Vec<u8> {
    let content = [json!({"type": "text", "text": "Lemons are yellow. ".repeat(100)})];
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": content, "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 900, "output_tokens": 500}})
    .to_string()
    .into()
}

fn tree(json: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(json).expect("JSON");
    serde_json::to_vec(&value).expect("JSON")
}

fn translate(c: &mut Criterion) {
    let (request, answer) = (request(), answer());
    let there = |body| Asked::new(Dialect::OpenAiChat, body).translate(Dialect::AnthropicMessages);
    let back = there(&request).expect("it is carried over").back().clone();
    let mut group = c.benchmark_group("request");
    group.bench_function(BenchmarkId::new("llm-translate", request.len()), |b| {
        b.iter(|| there(black_box(&request)).expect("it is carried over"));
    });
    group.bench_function(BenchmarkId::new("a tree", request.len()), |b| {
        b.iter(|| tree(black_box(&request)));
    });
    group.finish();
    let mut group = c.benchmark_group("answer");
    group.bench_function(BenchmarkId::new("llm-translate", answer.len()), |b| {
        b.iter(|| back.answer(black_box(&answer)).expect("an answer"));
    });
    group.bench_function(BenchmarkId::new("a tree", answer.len()), |b| {
        b.iter(|| tree(black_box(&answer)));
    });
    group.finish();
    let events = expand(Dialect::AnthropicMessages, &answer, true).expect("an answer");
    let begin: Vec<u8> = events[..2]
        .iter()
        .flat_map(|event| event.raw().to_vec())
        .collect();
    let data =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Lemon"}}"#;
    let delta: Bytes = Event::named("content_block_delta", data).raw().clone();
    let mut translator = back.stream(Framing::Sse);
    translator.push(begin.into());
    let mut group = c.benchmark_group("event");
    group.bench_function("llm-translate", |b| {
        b.iter(|| translator.push(black_box(delta.clone())));
    });
    group.bench_function("a tree", |b| b.iter(|| tree(black_box(data.as_bytes()))));
    group.finish();
}

criterion_group!(benches, translate);
criterion_main!(benches);
