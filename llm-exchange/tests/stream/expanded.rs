//! An answer taken apart to a stream, and put together again.

use llm_exchange::{
    Dialect::{self, AnthropicMessages, OpenAiChat},
    sse::Event,
    stream::{DeltaKind, expand},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    support::{collect, deltas},
    transcripts,
};

fn stream(dialect: Dialect, answer: &Value, with_usage: bool) -> Vec<Event> {
    expand(dialect, answer.to_string().as_bytes(), with_usage).expect("an answer")
}

#[test]
fn the_transcripts_answers_survive_being_streamed() {
    for (name, dialect) in [
        ("02-openai-chat-response.json", OpenAiChat),
        ("22-anthropic-response.json", AnthropicMessages),
    ] {
        let answer: Value = serde_json::from_slice(&transcripts::bytes(name)).unwrap();
        let events = stream(dialect, &answer, true);
        assert_eq!(collect(dialect, &events).unwrap(), answer, "{name}");
    }
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(&event.data().expect("data")).expect("JSON")
}

#[test]
fn an_openai_stream_is_as_openai_streams() {
    let answer = json!({
        "id": "1", "object": "chat.completion", "created": 2, "model": "m", "extra": 3,
        "choices": [{
            "index": 0, "finish_reason": "tool_calls", "logprobs": null,
            "message": {"role": "assistant", "content": "Hi", "refusal": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    });
    let events = stream(OpenAiChat, &answer, true);
    assert_eq!(events.last().unwrap().raw(), "data: [DONE]\n\n");
    let chunks: Vec<_> = events[..events.len() - 1].iter().map(data).collect();
    let deltas: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"].clone())
        .collect();
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": "", "refusal": null}),
            json!({"content": "Hi"}),
            json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
                                   "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({}),
            Value::Null,
        ]
    );
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"], answer["usage"]);
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!((&chunk["id"], &chunk["model"]), (&json!("1"), &json!("m")));
        assert_eq!(chunk.get("extra").is_some(), index == 0, "once");
        assert_eq!(chunk.get("usage").is_some_and(Value::is_null), index < 5);
    }
}

#[test]
fn the_usage_is_there_only_for_who_asked() {
    let answer = transcripts::bytes("02-openai-chat-response.json");
    for event in expand(OpenAiChat, &answer, false).unwrap() {
        assert!(!String::from_utf8_lossy(event.raw()).contains("usage"));
    }
}

#[test]
fn an_anthropic_stream_is_as_anthropic_streams() {
    let answer = json!({
        "id": "m", "type": "message", "role": "assistant", "model": "c",
        "content": [
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}},
            {"type": "text", "text": "Hi", "citations": [{"cited_text": "y"}]},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 7},
    });
    let events = stream(AnthropicMessages, &answer, false);
    let said: Vec<_> = events.iter().map(data).collect();
    assert!(
        events
            .iter()
            .zip(&said)
            .all(|(event, data)| event.name() == data["type"].as_str().unwrap())
    );
    assert_eq!(
        said,
        [
            json!({"type": "message_start", "message": {
                "id": "m", "type": "message", "role": "assistant", "model": "c", "content": [],
                "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 5, "output_tokens": 0}}}),
            json!({"type": "content_block_start", "index": 0,
                   "content_block": {"type": "redacted_thinking", "data": "x"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1,
                   "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1,
                   "delta": {"type": "input_json_delta", "partial_json": "{\"a\":[1]}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "content_block_start", "index": 2,
                   "content_block": {"type": "text", "text": "", "citations": []}}),
            json!({"type": "content_block_delta", "index": 2,
                   "delta": {"type": "text_delta", "text": "Hi"}}),
            json!({"type": "content_block_delta", "index": 2,
                   "delta": {"type": "citations_delta", "citation": {"cited_text": "y"}}}),
            json!({"type": "content_block_stop", "index": 2}),
            json!({"type": "message_delta",
                   "delta": {"stop_reason": "tool_use", "stop_sequence": null},
                   "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ]
    );
}

#[test]
fn what_is_no_answer_is_not_taken_apart() {
    for (dialect, text) in [
        (OpenAiChat, r#"{"error":{"message":"m"}}"#),
        (OpenAiChat, "[]"),
        (OpenAiChat, "{\"choices\":[1]}"),
        (OpenAiChat, ""),
        (
            AnthropicMessages,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        ),
        (AnthropicMessages, "{\"content\":3}"),
    ] {
        let error = expand(dialect, text.as_bytes(), true).unwrap_err();
        assert!(error.is_unreadable(), "{text}");
    }
}

fn said() -> impl Strategy<Value = String> {
    "[a-z \"\\\\\n\u{2028}é日]{0,12}"
}

fn anything() -> impl Strategy<Value = Value> {
    select(vec![
        json!(true),
        json!(1),
        json!(0.25),
        json!("x"),
        json!([1, {"a": 2}]),
        json!({"b": {"c": null}}),
    ])
}

fn object(fields: Vec<(&str, Option<Value>)>) -> Value {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn openai_answer() -> impl Strategy<Value = Value> {
    let call = ("[a-z0-9_]{1,8}", "[a-z]{1,6}", said()).prop_map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let message = (
        option::of(said()),
        option::of(said()),
        option::of(said().prop_filter("said", |text| !text.is_empty())),
        vec(call, 0..3),
        option::of(anything()),
    );
    let message = message.prop_map(|(content, refusal, reasoning, calls, unknown)| {
        object(vec![
            ("role", Some(json!("assistant"))),
            ("content", Some(json!(content))),
            ("refusal", Some(json!(refusal))),
            ("reasoning_content", reasoning.map(Value::from)),
            ("tool_calls", (!calls.is_empty()).then(|| json!(calls))),
            ("unknown", unknown),
        ])
    });
    let choice = (message, "[a-z]{1,6}", option::of(anything()));
    let usage =
        option::of(any::<u32>().prop_map(|n| json!({"prompt_tokens": 1, "completion_tokens": n})));
    (vec(choice, 1..3), option::of(anything()), usage).prop_map(|(choices, unknown, usage)| {
        let choices = choices
            .into_iter()
            .enumerate()
            .map(|(index, (message, finish, unknown))| {
                object(vec![
                    ("index", Some(json!(index))),
                    ("message", Some(message)),
                    ("logprobs", Some(Value::Null)),
                    ("finish_reason", Some(json!(finish))),
                    ("unknown", unknown),
                ])
            });
        object(vec![
            ("id", Some(json!("chatcmpl-1"))),
            ("object", Some(json!("chat.completion"))),
            ("created", Some(json!(1))),
            ("choices", Some(choices.collect())),
            ("unknown", unknown),
            ("usage", usage),
        ])
    })
}

fn anthropic_answer() -> impl Strategy<Value = Value> {
    let block = prop_oneof![
        said().prop_map(|text| json!({"type": "text", "text": text})),
        (said(), said()).prop_map(|(text, signature)| {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }),
        (said(), anything()).prop_map(|(name, input)| {
            json!({"type": "tool_use", "id": "t", "name": name, "input": {"a": input}})
        }),
        anything().prop_map(|unknown| json!({"type": "tomorrow", "input": unknown})),
    ];
    (vec(block, 0..4), any::<u32>(), option::of(anything())).prop_map(
        |(content, output, unknown)| {
            object(vec![
                ("id", Some(json!("msg_1"))),
                ("type", Some(json!("message"))),
                ("content", Some(json!(content))),
                ("stop_reason", Some(json!("end_turn"))),
                ("stop_sequence", Some(Value::Null)),
                (
                    "usage",
                    Some(json!({"input_tokens": 3, "output_tokens": output})),
                ),
                ("unknown", unknown),
            ])
        },
    )
}

proptest! {
    #[test]
    fn an_openai_answer_survives_being_streamed(answer in openai_answer()) {
        let events = stream(OpenAiChat, &answer, true);
        prop_assert_eq!(&collect(OpenAiChat, &events).unwrap(), &answer);
        let (deltas, _) = deltas(OpenAiChat, &events);
        for (index, choice) in answer["choices"].as_array().unwrap().iter().enumerate() {
            let of = deltas.iter().filter(|delta| delta.choice == index as u64);
            let text: String = of
                .filter(|delta| delta.kind == DeltaKind::Text)
                .map(|delta| &*delta.text)
                .collect();
            prop_assert_eq!(text, choice["message"]["content"].as_str().unwrap_or_default());
        }
    }

    #[test]
    fn an_anthropic_answer_survives_being_streamed(answer in anthropic_answer()) {
        let events = stream(AnthropicMessages, &answer, false);
        prop_assert_eq!(collect(AnthropicMessages, &events).unwrap(), answer);
    }
}
