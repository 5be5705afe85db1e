//! Streams as pieces.

use llm_exchange::{
    Dialect::{AnthropicMessages, OpenAiChat},
    stream::{Delta, DeltaKind, DeltaReader},
};
use serde_json::json;

use crate::{
    support::{chunks, deltas, events},
    transcripts,
};

fn text(deltas: &[Delta], choice: u64, kind: &DeltaKind) -> String {
    let of = |delta: &&Delta| delta.choice == choice && delta.kind == *kind;
    let text = deltas.iter().filter(of).map(|delta| &*delta.text);
    text.collect()
}

#[test]
fn every_transcripts_text_is_what_it_says() {
    for (name, dialect) in [
        ("03-openai-chat-stream-usage.sse", OpenAiChat),
        ("23-anthropic-stream.sse", AnthropicMessages),
        ("48-openrouter-stream.sse", OpenAiChat),
    ] {
        let (deltas, end) = deltas(dialect, &events(name));
        end.unwrap();
        let expected = transcripts::expected(name);
        let expected = expected["text"].as_array().unwrap();
        for (choice, expected) in expected.iter().enumerate() {
            let said = text(&deltas, choice as u64, &DeltaKind::Text);
            assert_eq!(said, expected.as_str().unwrap(), "{name}");
        }
        assert!(deltas.iter().all(|delta| !delta.text.is_empty()), "{name}");
    }
}

#[test]
fn reasoning_is_told_from_text() {
    let (anthropic, _) = deltas(AnthropicMessages, &events("23-anthropic-stream.sse"));
    assert_eq!(text(&anthropic, 0, &DeltaKind::Reasoning), "Lemons...");
    let chunk = |delta| json!({"choices": [{"index": 0, "delta": delta}]});
    let (openai, _) = deltas(
        OpenAiChat,
        &chunks([
            chunk(json!({"role": "assistant", "content": ""})),
            chunk(json!({"reasoning": "H", "reasoning_content": "H"})),
            chunk(json!({"reasoning": "m"})),
            chunk(json!({"content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "m."}]},
                {"type": "text", "text": "Yellow"},
            ]})),
            chunk(json!({"refusal": "No."})),
        ]),
    );
    assert_eq!(text(&openai, 0, &DeltaKind::Reasoning), "Hmm.");
    assert_eq!(text(&openai, 0, &DeltaKind::Text), "Yellow");
    assert_eq!(text(&openai, 0, &DeltaKind::Refusal), "No.");
}

fn call(index: u64, id: Option<&str>, name: Option<&str>) -> DeltaKind {
    DeltaKind::ToolCall {
        index,
        id: id.map(Into::into),
        name: name.map(Into::into),
    }
}

#[test]
fn a_tool_call_is_announced_and_then_its_arguments_come() {
    let (openai, end) = deltas(
        OpenAiChat,
        &events("06-openai-chat-stream-tool-moderation.sse"),
    );
    end.unwrap();
    assert_eq!(
        openai,
        [
            Delta::new(0, call(0, Some("call_1"), Some("lookup")), ""),
            Delta::new(0, call(0, None, None), "{\"q\":"),
            Delta::new(0, call(0, None, None), "\"lemon\"}"),
        ]
    );
    let block = json!({"type": "server_tool_use", "id": "t", "name": "web_search", "input": {}});
    let input = json!({"type": "input_json_delta", "partial_json": "{}"});
    let (anthropic, _) = deltas(
        AnthropicMessages,
        &chunks([
            json!({"type": "content_block_start", "index": 2, "content_block": block}),
            json!({"type": "content_block_delta", "index": 2, "delta": input}),
        ]),
    );
    assert_eq!(
        anthropic,
        [
            Delta::new(0, call(2, Some("t"), Some("web_search")), ""),
            Delta::new(0, call(2, None, None), "{}"),
        ]
    );
}

#[test]
fn the_reader_knows_usage_and_finish_reasons_and_whether_it_was_all() {
    let mut reader = DeltaReader::new(AnthropicMessages);
    for event in events("26-anthropic-stream-truncated.sse") {
        reader.push(&event).unwrap();
    }
    assert_eq!(reader.usage().unwrap().output(), 16);
    assert_eq!(reader.finish_reasons().collect::<Vec<_>>(), ["max_tokens"]);
    assert!(reader.finish().unwrap_err().is_truncated());
}

#[test]
fn an_error_comes_after_the_text_before_it() {
    let (deltas, end) = deltas(OpenAiChat, &events("04-openai-chat-stream-error.sse"));
    assert_eq!(text(&deltas, 0, &DeltaKind::Text), "Once");
    assert_eq!(
        end.unwrap_err().to_string(),
        "the provider failed in its stream: server_error"
    );
}

#[test]
fn debug_shows_nothing_that_was_said() {
    let delta = Delta::new(0, DeltaKind::Text, "canary");
    let mut reader = DeltaReader::new(OpenAiChat);
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "canary"}}]});
    chunks([chunk])
        .iter()
        .for_each(|event| reader.push(event).unwrap());
    let shown = format!("{delta:?} {reader:?}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_reader_tells_whose_answer_it_is_and_why_each_choice_ended() {
    let mut reader = DeltaReader::new(OpenAiChat);
    for event in events("03-openai-chat-stream-usage.sse") {
        reader.push(&event).unwrap();
    }
    assert_eq!(reader.id(), Some("chatcmpl-x03"));
    assert_eq!(reader.model(), Some("gpt-6-sol-2026-09-22"));
    assert_eq!(reader.created(), Some(1_795_400_001));
    let finishes: Vec<_> = reader.finishes().collect();
    assert_eq!(finishes, [(0, "stop"), (1, "length")]);
}
