//! What is kept is bounded, whatever an upstream sends.

use llm_exchange::{
    Dialect::{self, AnthropicMessages, OpenAiChat},
    sse::Event,
    stream::{Collector, DeltaReader, expand},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{chunks, collect};

#[test]
fn a_stream_over_the_limit_ends_in_an_error_that_says_so() {
    let mut collector = Collector::new(OpenAiChat).max_bytes(100);
    let event = Event::new(json!({"choices": [], "pad": "x".repeat(70)}).to_string());
    collector.push(&event).unwrap();
    let error = collector.push(&event).unwrap_err();
    assert!(error.is_too_large());
    assert_eq!(error.to_string(), "the stream passed a limit of 100 bytes");
}

#[test]
fn numbers_without_end_are_an_error() {
    let calls = (0..2_000).map(|index| {
        let call = json!({"index": index, "function": {"arguments": "x"}});
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    });
    assert!(
        collect(OpenAiChat, &chunks(calls))
            .unwrap_err()
            .is_unreadable()
    );
    let fields = (0..2_000).map(|index| {
        let mut delta = serde_json::Map::new();
        delta.insert(index.to_string(), json!(1));
        json!({"choices": [{"index": 0, "delta": Value::Object(delta)}]})
    });
    assert!(
        collect(OpenAiChat, &chunks(fields))
            .unwrap_err()
            .is_unreadable()
    );
}

#[test]
fn depth_without_end_is_no_harm() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let deep = open.repeat(200_000) + "1" + &close.repeat(200_000);
        let chunk = format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"deep\":{deep}}}}}]}}");
        let mut collector = Collector::new(OpenAiChat);
        for _ in 0..3 {
            // taken or refused, but no overflow
            let _ = collector.push(&Event::new(&chunk));
        }
        let answer = format!("{{\"choices\":[],\"deep\":{deep}}}");
        let _ = expand(OpenAiChat, answer.as_bytes(), true);
    }
}

const DIALECTS: [Dialect; 7] = [
    OpenAiChat,
    AnthropicMessages,
    Dialect::OpenAiResponses,
    Dialect::OpenAiCompletions,
    Dialect::Gemini,
    Dialect::Ollama,
    Dialect::BedrockConverse,
];

fn fragment() -> impl Strategy<Value = String> {
    select(vec![
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":",
        "{\"type\":\"content_block_start\",\"content_block\":",
        "{\"type\":\"message_start\",\"message\":",
        "{\"type\":\"message_delta\",\"usage\":",
        "\"input_json_delta\",\"partial_json\":\"{\"",
        "\"text_delta\",\"text\":\"a\"",
        "\"index\":",
        "{\"type\":\"response.output_item.added\",\"output_index\":",
        "{\"type\":\"response.output_text.delta\",\"content_index\":",
        "{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":",
        "\"item\":",
        "\"delta\":",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":",
        "\"finishReason\":\"STOP\"",
        "{\"message\":{\"content\":\"a\",\"tool_calls\":",
        "\"done\":true",
        "{\"contentBlockIndex\":0,\"delta\":{\"toolUse\":{\"input\":\"{\"",
        "{\"start\":{\"toolUse\":",
        "{\"output\":{\"message\":{\"content\":[",
        "\"stopReason\":\"max_tokens\"",
        "\"tool_calls\":",
        "\"logprobs\":",
        "\"choices\":",
        "\"content\":",
        "{",
        "}",
        "[",
        "]",
        ",",
        "null",
        "1",
        "-1",
        "1e999",
        "\"a\"",
        "{}",
        "[]",
        "}}]}",
        "}}",
        "[DONE]",
        "\\ud800",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_data_is_a_panic(events in vec(vec(fragment(), 0..8), 0..6)) {
        for dialect in DIALECTS {
            let mut collector = Collector::new(dialect);
            let mut reader = DeltaReader::new(dialect);
            for event in &events {
                let event = Event::new(event.concat());
                let _ = collector.push(&event);
                let _ = reader.push(&event);
                let _ = expand(dialect, &event.data().unwrap(), true);
            }
            let _ = collector.finish();
        }
    }
}
